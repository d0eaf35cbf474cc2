/*
 * send_line.c - getopt_long, and what goes with what.
 */
#include "handlerctl/send_line.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "handlerctl/ctl.h"
#include "handlerctl/exchange.h"
#include "handlerctl/options.h"
#include "handlerctl/summary.h"

#define SEND_TIMEOUT_MS 5000

enum {
	OPTION_TIMEOUT = OPTIONS_FIRST,
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

static int
send_line_refuse_option(int option, const char *word)
{
	options_refuse("send", send_options, option, word,
		       "; a TEXT that begins with '-' stands behind --");
	return -EINVAL;
}

static int
send_line_take_option(struct send_line *line, int option, const char *word)
{
	switch (option) {
	case OPTION_TIMEOUT:
		return options_take_duration("send", "--timeout", optarg, 1, &line->timeout_ms);
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
		return options_take_duration("send", "--interval", optarg, 0, &line->interval_ms);
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
