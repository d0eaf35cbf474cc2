/*
 * load - the load generator of the benchmarks.
 *
 * Keeps N clients of an echo server busy for S seconds and prints one line of JSON. The address is
 * HOST:PORT for TCP, udp:HOST:PORT, or unix:/path for a stream there.
 *
 *   rr     N sockets stay open; each sends a request, waits for its whole echo, sends again.
 *   crr    every request is a connection of its own: connect, send, whole echo, close.
 *   refused the same of clients that the server does not let in: connect, send, see the end.
 *   idle   N connections that have echoed one message each, and then do nothing.
 *   flood  N datagrams as fast as they can be sent, whatever comes back (load_flood.c).
 *   paced  connections at a steady rate (load_paced.c).
 *
 * A request's latency is the time from its first to its last step; for crr that includes
 * socket() and close(); for --pipeline it is that of all messages of a request.  One thread, one
 * epoll: it should need less CPU than any server it measures, so that the server is what limits the
 * rate.  The caller does the pinning.
 *
 * With --hold it says "ready" when all connections of rr and idle are there and have echoed one
 * message, begins when a line comes on standard input, and keeps the connections until that ends:
 * the caller can look at the server before and after.
 */
#define _GNU_SOURCE
#include "load.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

static void
wait_line(void)
{
	int ch;

	do
		ch = getchar();
	while (ch != '\n' && ch != EOF);
}

static void
wait_end(void)
{
	while (getchar() != EOF)
		;
}

static void
print_result(const struct options *opt, const struct echo_result *result)
{
	const char *name = opt->mode == MODE_CRR       ? "crr"
			   : opt->mode == MODE_REFUSED ? "refused"
						       : "rr";

	printf("{\"mode\": \"%s\", \"connections\": %d, \"size\": %zu, \"answered\": %" PRIu64
	       ", \"errors\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
	       "\"p999_us\": %.2f}\n",
	       name, opt->connections, opt->size, result->answered, result->errors, result->lost,
	       result->seconds, (double)result->answered / result->seconds,
	       latency_percentile_us(0.5), latency_percentile_us(0.99),
	       latency_percentile_us(0.999));
	(void)fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct echo_result result = {0};
	struct options opt;

	options_parse(argc, argv, &opt);
	if (opt.mode == MODE_FLOOD)
		return flood_run(&opt.peer, opt.datagrams, opt.size);
	if (opt.mode == MODE_PACED)
		return paced_run(&opt.peer, opt.rate, opt.seconds, opt.size);
	(void)signal(SIGPIPE, SIG_IGN);
	socket_raise_limit();
	if ((opt.slow > 0 && slow_prepare(&opt.peer, opt.slow) == -1) || echo_prepare(&opt) == -1) {
		perror("load");
		return 1;
	}
	if (opt.hold) {
		puts("ready");
		(void)fflush(stdout);
		wait_line();
	}
	if (opt.mode != MODE_IDLE) {
		echo_run(&result);
		print_result(&opt, &result);
	}
	if (opt.hold)
		wait_end();
	return opt.mode != MODE_IDLE && result.answered == 0;
}
