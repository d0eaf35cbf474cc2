/*
 * send.c - runs one exchange and prints its answer, or many and prints a summary.
 */
#include "handlerctl/send.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "handlerctl/ctl.h"
#include "handlerctl/exchange.h"
#include "handlerctl/input.h"
#include "handlerctl/send_line.h"
#include "handlerctl/summary.h"

/* What is sent many times is kept in memory. */
#define SEND_INPUT_MOST (16 * 1024 * 1024)

/* Finds what is to be sent; `buf` keeps it where it comes from standard input. 0, or -EINVAL after
 * a complaint. */
static int
send_find_data(const struct send_line *line, struct exchange *exchange, struct buf *buf)
{
	bool is_stream = target_is_stream(&line->target);
	size_t most = is_stream ? SEND_INPUT_MOST : EXCHANGE_DATAGRAM_MOST;
	int r = 0;

	if (line->text != NULL) {
		exchange->data = line->text;
		exchange->length = strlen(line->text);
		if (!is_stream && exchange->length > most)
			r = -EFBIG;
	} else if (is_stream && line->count == 0) {
		exchange->input = STDIN_FILENO;
	} else {
		r = input_read_all(STDIN_FILENO, most, buf);
		exchange->data = (const char *)buf->data;
		exchange->length = buf->length;
	}
	if (r == -EFBIG)
		ctl_complain("%s has at most %zu bytes; send less",
			     is_stream ? "what is sent several times" : "a datagram", most);
	else if (r < 0)
		ctl_complain("cannot read standard input: %s", strerror(-r));
	return r;
}

static int
send_complain(const struct outcome *outcome, const struct exchange *exchange)
{
	CLEANUP_FREE char *sentence = NULL;

	if (outcome->end == OUTCOME_ANSWERED)
		return CTL_DONE;
	sentence = outcome_sentence(outcome, exchange);
	ctl_complain("%s", sentence);
	return outcome_exit_status(outcome);
}

static void
send_wait_until(int64_t then_ns)
{
	while (clock_now_ns() < then_ns)
		(void)poll(NULL, 0, clock_ms_until(then_ns));
}

/* Tells of the failures, of which the first stands for all. */
static void
send_complain_of_many(const struct summary *summary, const struct outcome *first,
		      const struct exchange *exchange)
{
	CLEANUP_FREE char *sentence = NULL;
	uint64_t sent = summary_sent(summary), bad = sent - summary->answered;

	if (bad == 0)
		return;
	sentence = outcome_sentence(first, exchange);
	ctl_complain("%zu of %zu were not answered; the first: %s", (size_t)bad, (size_t)sent,
		     sentence);
}

static int
send_many(const struct send_line *line, const struct exchange *exchange)
{
	struct summary summary = {.answered = 0};
	struct outcome first_failure = {.end = OUTCOME_ANSWERED};
	int64_t started_ns = clock_now_ns(), due_ns = started_ns;
	int status = CTL_DONE;

	for (int64_t i = 0; i < line->count; i++) {
		struct outcome outcome;
		int one;

		send_wait_until(due_ns);
		due_ns = clock_now_ns() + line->interval_ms * CLOCK_NS_PER_MS;
		outcome = exchange_run(exchange);
		one = outcome_exit_status(&outcome);
		/* unless all end alike, it is a failure */
		status = i == 0 || one == status ? one : CTL_FAILED;
		if (first_failure.end == OUTCOME_ANSWERED)
			first_failure = outcome;
		summary_add(&summary, &outcome);
	}
	summary_finish(&summary, clock_now_ns() - started_ns);
	if (line->is_json)
		summary_print_json(&summary, stdout);
	else
		summary_print(&summary, stdout);
	send_complain_of_many(&summary, &first_failure, exchange);
	status = ctl_flush(status);
	summary_free(&summary);
	return status;
}

static int
send_to_target(struct send_line *line)
{
	struct exchange exchange = {
		.target = &line->target,
		.input = -1,
		.output = line->count == 0 ? STDOUT_FILENO : -1,
		.timeout_ms = line->timeout_ms,
		.is_half_close = line->is_half_close,
	};
	CLEANUP_FREE char *reason = NULL;
	CLEANUP(buf_free) struct buf buf = {.length = 0};
	struct outcome outcome;

	if (target_resolve(&line->target, &reason) < 0) {
		ctl_complain("%s", reason);
		return CTL_FAILED;
	}
	if (send_find_data(line, &exchange, &buf) < 0)
		return CTL_FAILED;
	if (line->count > 0)
		return send_many(line, &exchange);
	outcome = exchange_run(&exchange);
	return send_complain(&outcome, &exchange);
}

int
send_run(const struct verb *verb, int argc, char **argv)
{
	struct send_line line;
	int status = CTL_USAGE;

	(void)verb;
	if (send_line_parse(&line, argc, argv) >= 0) {
		if (line.is_help) {
			send_line_print_help();
			status = ctl_flush(CTL_DONE);
		} else {
			status = send_to_target(&line);
		}
	}
	send_line_free(&line);
	return status;
}
