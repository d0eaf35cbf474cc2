/*
 * send_line.c - getopt_long, and what goes with what.
 */
#include "handlerctl/send_line.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "handlerctl/ctl.h"
#include "handlerctl/exchange.h"
#include "handlerctl/summary.h"

#define SEND_TIMEOUT_MS 5000
/* Nobody waits for longer, and the clock's arithmetic has room for it. */
#define SEND_LONGEST_MS (INT64_C(24) * 60 * 60 * 1000)

enum {
	OPTION_TIMEOUT = 256,
	OPTION_HALF_CLOSE,
	OPTION_COUNT,
	OPTION_INTERVAL,
	OPTION_JSON,
	OPTION_HELP,
};

static const struct option send_options[] = {
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"half-close", no_argument, NULL, OPTION_HALF_CLOSE},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"interval", required_argument, NULL, OPTION_INTERVAL},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

void
send_line_print_help(void)
{
	(void)printf(
		"handlerctl send - sends something to a server and prints what comes back\n"
		"\n"
		"  handlerctl send [OPTION]... PROTO:ADDRESS [TEXT]\n"
		"\n"
		"  tcp:HOST:PORT   udp:HOST:PORT   HOST is a name, a number, or [IPV6]\n"
		"  unix:/path      unixgram:/path  Unix stream and datagram sockets; or @abstract\n"
		"\n"
		"TEXT is sent as it is, without a newline. Without it, standard input is sent.\n"
		"\n"
		"  --timeout DURATION   wait so long for the connection and for each part of the\n"
		"                       answer; 5s by default, \"none\" waits for ever\n"
		"  --half-close         streams: end what is sent, then read to the end;\n"
		"                       without it the answer also ends with a pause of %dms\n"
		"  --count N            do it N times, print a summary and not the answers\n"
		"  --interval DURATION  with --count: start so often; 0s by default, as soon as\n"
		"                       the one before is answered\n"
		"  --json               with --count: print the summary as JSON\n"
		"\n"
		"Exit status: 0 answered, 1 not answered, 2 wrong command line, 3 nothing listens\n"
		"there. See handlerctl(8).\n",
		EXCHANGE_PAUSE_MS);
}

/* getopt_long has found an option that there is not, or that lacks or must not have its value. */
static int
send_line_refuse_option(int option, const char *word)
{
	/* one letter of several in a word, or the whole word */
	CLEANUP_FREE char *name = optopt > 0 && optopt < OPTION_TIMEOUT
					  ? memory_format("-%c", optopt)
					  : memory_format("%.*s", (int)strcspn(word, "="), word);
	struct suggest suggest = {.word = name};

	if (option == ':') {
		(void)ctl_complain_usage("send", "%s needs a value", name);
		return -EINVAL;
	}
	for (const struct option *at = send_options; at->name != NULL; at++) {
		if (strncmp(name, "--", 2) != 0)
			break;
		suggest.word = name + 2;
		if (strcmp(name + 2, at->name) == 0) {
			(void)ctl_complain_usage("send", "%s takes no value", name);
			return -EINVAL;
		}
		suggest_offer(&suggest, at->name);
	}
	if (suggest.nearest != NULL)
		(void)ctl_complain_usage("send", "there is no option '%s'; did you mean '--%s'?",
					 name, suggest.nearest);
	else
		(void)ctl_complain_usage(
			"send",
			"there is no option '%s'; a TEXT that begins with '-' stands behind --",
			name);
	return -EINVAL;
}

static int
send_line_take_duration(const char *name, const char *text, int64_t least_ms, int64_t *ret_ms)
{
	int64_t ms;

	if (parse_duration(text, &ms) < 0) {
		(void)ctl_complain_usage("send", "%s '%s' is no duration, such as 250ms or 2s",
					 name, text);
		return -EINVAL;
	}
	if (ms > SEND_LONGEST_MS || (ms < least_ms && !(ms == PARSE_NONE && least_ms > 0))) {
		(void)ctl_complain_usage("send", "%s must be from %s to 1d, not '%s'", name,
					 least_ms > 0 ? "1ms" : "0s", text);
		return -EINVAL;
	}
	*ret_ms = ms;
	return 0;
}

static int
send_line_take_option(struct send_line *line, int option, const char *word)
{
	switch (option) {
	case OPTION_TIMEOUT:
		return send_line_take_duration("--timeout", optarg, 1, &line->timeout_ms);
	case OPTION_HALF_CLOSE:
		line->is_half_close = true;
		return 0;
	case OPTION_COUNT:
		if (parse_int64(optarg, &line->count) >= 0 && line->count >= 1 &&
		    line->count <= SUMMARY_MOST)
			return 0;
		(void)ctl_complain_usage("send", "--count must be a number from 1 to %d, not '%s'",
					 SUMMARY_MOST, optarg);
		return -EINVAL;
	case OPTION_INTERVAL:
		line->has_interval = true;
		return send_line_take_duration("--interval", optarg, 0, &line->interval_ms);
	case OPTION_JSON:
		line->is_json = true;
		return 0;
	case OPTION_HELP:
		line->is_help = true;
		return 0;
	default:
		return send_line_refuse_option(option, word);
	}
}

/* What goes with what, once the target is known. */
static int
send_line_check(const struct send_line *line)
{
	const char *complaint = NULL;

	if (line->has_interval && line->count == 0)
		complaint = "--interval goes with --count";
	else if (line->is_json && line->count == 0)
		complaint = "--json goes with --count";
	else if (line->is_half_close && !target_is_stream(&line->target))
		complaint = "--half-close goes with tcp and unix: a datagram has no end to tell";
	if (complaint == NULL)
		return 0;
	(void)ctl_complain_usage("send", "%s", complaint);
	return -EINVAL;
}

static int
send_line_take_arguments(struct send_line *line, int count, char **arguments)
{
	CLEANUP_FREE char *reason = NULL;

	if (count == 0) {
		(void)ctl_complain_usage("send", "whom to send to is missing, such as "
						 "tcp:127.0.0.1:7100");
		return -EINVAL;
	}
	if (target_parse(&line->target, arguments[0], &reason) < 0) {
		(void)ctl_complain_usage("send", "%s", reason);
		return -EINVAL;
	}
	if (count > 2) {
		(void)ctl_complain_usage("send", "there is one TEXT; put it into quotes: '%s %s%s'",
					 arguments[1], arguments[2], count > 3 ? " ..." : "");
		return -EINVAL;
	}
	line->text = count == 2 ? arguments[1] : NULL;
	return send_line_check(line);
}

int
send_line_parse(struct send_line *line, int argc, char **argv)
{
	int option, r = 0;

	*line = (struct send_line){.timeout_ms = SEND_TIMEOUT_MS};
	optind = 1;
	while (r == 0 && !line->is_help) {
		/* options stand anywhere: what getopt_long is at may not be argv[optind] yet */
		option = getopt_long(argc, argv, ":", send_options, NULL);
		if (option == -1)
			break;
		r = send_line_take_option(line, option, argv[optind - 1]);
	}
	if (r < 0 || line->is_help)
		return r;
	return send_line_take_arguments(line, argc - optind, argv + optind);
}

void
send_line_free(struct send_line *line)
{
	target_free(&line->target);
}
