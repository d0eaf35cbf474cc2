/*
 * outcome.c - one sentence for each way in which an exchange fails.
 */
#include "handlerctl/outcome.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "handlerctl/ctl.h"
#include "handlerctl/exchange.h"
#include "handlerctl/target.h"

static const struct outcome_errno {
	int error;
	enum outcome_end end;
} outcome_errnos[] = {
	{ECONNREFUSED, OUTCOME_NO_LISTENER},
	{ENOENT, OUTCOME_NO_SOCKET},
	{EPROTOTYPE, OUTCOME_WRONG_KIND},
	{ECONNRESET, OUTCOME_RESET},
	{EPIPE, OUTCOME_CUT},
	{EMSGSIZE, OUTCOME_TOO_LONG},
};

struct outcome
outcome_of_error(int error)
{
	for (size_t i = 0; i < COUNT_OF(outcome_errnos); i++) {
		if (outcome_errnos[i].error == error)
			return (struct outcome){.end = outcome_errnos[i].end, .error = error};
	}
	return (struct outcome){.end = OUTCOME_FAILED, .error = error};
}

int
outcome_exit_status(const struct outcome *outcome)
{
	switch (outcome->end) {
	case OUTCOME_ANSWERED:
		return CTL_DONE;
	case OUTCOME_NO_LISTENER:
	case OUTCOME_NO_SOCKET:
		return CTL_ABSENT;
	default:
		return CTL_FAILED;
	}
}

/* What did not happen in time. */
static char *
outcome_sentence_of_time(const struct outcome *outcome, const struct exchange *exchange)
{
	const char *name = exchange->target->name;
	bool may_wait_for_end = target_is_stream(exchange->target) && !exchange->is_half_close;
	char time[32];

	(void)parse_format_duration(exchange->timeout_ms, time, sizeof(time));
	switch (outcome->end) {
	case OUTCOME_SILENT:
		return memory_format("no answer from %s within %s%s", name, time,
				     may_wait_for_end ? "; if it waits for the end of what is "
							"sent, --half-close shows it"
						      : "");
	case OUTCOME_ENDLESS:
		return memory_format("%s has not ended its answer and is silent for %s; without "
				     "--half-close a pause is enough",
				     name, time);
	case OUTCOME_UNREAD:
		return memory_format("%s has not read what is sent to it for %s", name, time);
	default:
		return memory_format("no connection to %s within %s; it may be overloaded, or a "
				     "firewall may be between",
				     name, time);
	}
}

char *
outcome_sentence(const struct outcome *outcome, const struct exchange *exchange)
{
	const char *name = exchange->target->name, *why = strerror(outcome->error);

	switch (outcome->end) {
	case OUTCOME_SILENT:
	case OUTCOME_ENDLESS:
	case OUTCOME_UNREAD:
	case OUTCOME_UNCONNECTED:
		return outcome_sentence_of_time(outcome, exchange);
	case OUTCOME_NO_LISTENER:
		return memory_format("nothing listens on %s", name);
	case OUTCOME_NO_SOCKET:
		return memory_format("nothing listens on %s: there is no such file", name);
	case OUTCOME_WRONG_KIND:
		return memory_format("%s is a socket of another kind; try %s:%s", name,
				     target_is_stream(exchange->target) ? "unixgram" : "unix",
				     strchr(name, ' ') + 1);
	case OUTCOME_RESET:
		return memory_format("%s reset the connection; its log may tell why", name);
	case OUTCOME_CUT:
		return memory_format("%s closed the connection before it had read everything",
				     name);
	case OUTCOME_TOO_LONG:
		return memory_format("the datagram is too long for %s; send less", name);
	case OUTCOME_INPUT:
		return memory_format("cannot read standard input: %s", why);
	case OUTCOME_OUTPUT:
		return memory_format("cannot write to standard output: %s", why);
	default:
		return memory_format("cannot reach %s: %s", name, why);
	}
}
