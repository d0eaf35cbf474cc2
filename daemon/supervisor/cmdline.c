/*
 * cmdline.c - getopt_long, and what goes with what.
 */
#include "supervisor/cmdline.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum {
	OPTION_LISTEN = 256,
	OPTION_HANDLER,
	OPTION_CONCURRENCY,
	OPTION_OPTION,
	OPTION_ONCE,
	OPTION_INETD,
	OPTION_USER,
	OPTION_GROUP,
	OPTION_CONTROL,
	OPTION_DESCRIBE,
	OPTION_JSON,
	OPTION_SELF_TEST,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option cmdline_options[] = {
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"handler", required_argument, NULL, OPTION_HANDLER},
	{"concurrency", required_argument, NULL, OPTION_CONCURRENCY},
	{"option", required_argument, NULL, OPTION_OPTION},
	{"once", no_argument, NULL, OPTION_ONCE},
	{"inetd", no_argument, NULL, OPTION_INETD},
	{"user", required_argument, NULL, OPTION_USER},
	{"group", required_argument, NULL, OPTION_GROUP},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"describe", required_argument, NULL, OPTION_DESCRIBE},
	{"json", no_argument, NULL, OPTION_JSON},
	{"self-test", no_argument, NULL, OPTION_SELF_TEST},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

void
cmdline_print_help(void)
{
	(void)printf(
		"handlerd - serves sockets so that you write only the handler\n"
		"\n"
		"  handlerd [-c FILE] [--control PATH]\n"
		"                          serve in the foreground; PATH is of the socket for\n"
		"                          handlerctl, in place of what FILE says\n"
		"  handlerd -t [-c FILE]   test the configuration and its handlers; binds nothing\n"
		"  handlerd -T [-c FILE]   test, then print the configuration with all defaults\n"
		"  handlerd --listen PROTO:ADDRESS --handler NAME|PATH [--concurrency MODE]\n"
		"           [--option NAME=VALUE]... [--once] [--user USER] [--group GROUP]\n"
		"           [--control PATH]\n"
		"                          serve without a configuration file; --listen may be\n"
		"                          repeated; --once serves one connection and exits\n"
		"  handlerd --inetd --handler NAME|PATH [--option NAME=VALUE]...\n"
		"                          serve the one connection on descriptor 0, which inetd "
		"or\n"
		"                          systemd (Accept=yes) has accepted\n"
		"  handlerd --describe NAME|PATH [--json]\n"
		"                          what a handler says of itself\n"
		"  handlerd --version | --help\n"
		"\n"
		"The default FILE is %s/handlerd.conf. SIGHUP reloads it, SIGTERM\n"
		"drains and stops. Exit status: 0 done, 1 failed, 2 wrong command line, 78 the\n"
		"configuration is refused. See handlerd(8) and handlerd.conf(5).\n",
		CMDLINE_CONFIG_DIRECTORY);
}

static int
cmdline_complain(const char *text)
{
	(void)fprintf(stderr, "handlerd: %s; see handlerd --help\n", text);
	return -EINVAL;
}

static void
cmdline_add(const char ***list, size_t *count, const char *text)
{
	*list = memory_grow((void *)*list, *count, sizeof(char *));
	(*list)[(*count)++] = text;
}

static int
cmdline_take(struct cmdline *cmdline, int option)
{
	switch (option) {
	case 'c':
		cmdline->file = optarg;
		cmdline->has_file = true;
		return 0;
	case 't':
		/* -T does all that -t does */
		if (cmdline->command == CMDLINE_SERVE)
			cmdline->command = CMDLINE_TEST;
		return 0;
	case 'T':
		cmdline->command = CMDLINE_TEST_DUMP;
		return 0;
	case OPTION_LISTEN:
		cmdline_add(&cmdline->listen, &cmdline->listen_count, optarg);
		return 0;
	case OPTION_HANDLER:
		cmdline->handler = optarg;
		return 0;
	case OPTION_CONCURRENCY:
		cmdline->concurrency = optarg;
		return 0;
	case OPTION_OPTION:
		cmdline_add(&cmdline->options, &cmdline->option_count, optarg);
		return 0;
	case OPTION_ONCE:
		cmdline->is_once = true;
		return 0;
	case OPTION_INETD:
		cmdline->is_inetd = true;
		return 0;
	case OPTION_USER:
		cmdline->user = optarg;
		return 0;
	case OPTION_GROUP:
		cmdline->group = optarg;
		return 0;
	case OPTION_CONTROL:
		cmdline->control = optarg;
		return 0;
	case OPTION_DESCRIBE:
		cmdline->command = CMDLINE_DESCRIBE;
		cmdline->describe = optarg;
		return 0;
	case OPTION_JSON:
		cmdline->is_json = true;
		return 0;
	case OPTION_SELF_TEST:
		cmdline->command = CMDLINE_SELF_TEST;
		return 0;
	case OPTION_VERSION:
		cmdline->command = CMDLINE_VERSION;
		return 0;
	case OPTION_HELP:
		cmdline->command = CMDLINE_HELP;
		return 0;
	default:
		/* getopt_long has told which argument is wrong */
		return cmdline_complain("wrong command line");
	}
}

/* What goes with what. */
static int
cmdline_check(const struct cmdline *cmdline)
{
	bool has_listen = cmdline->listen_count > 0;

	if (cmdline->command == CMDLINE_HELP || cmdline->command == CMDLINE_VERSION ||
	    cmdline->command == CMDLINE_SELF_TEST)
		return 0;
	if (cmdline->is_json && cmdline->command != CMDLINE_DESCRIBE)
		return cmdline_complain("--json goes with --describe");
	if (cmdline->command == CMDLINE_DESCRIBE && has_listen)
		return cmdline_complain("--describe does not go with --listen");
	if (cmdline->is_inetd &&
	    (has_listen || cmdline->has_file || cmdline->is_once || cmdline->concurrency != NULL))
		return cmdline_complain("--inetd serves one connection that is there already; -c, "
					"--listen, --concurrency and --once do not go with it");
	if (cmdline->is_inetd && cmdline->command != CMDLINE_SERVE)
		return cmdline_complain("--inetd serves; -t, -T and --describe do not go with it");
	if (cmdline->control != NULL && (cmdline->is_inetd || cmdline->command == CMDLINE_DESCRIBE))
		return cmdline_complain("--control goes with what serves until it is stopped");
	if (cmdline->is_inetd)
		return cmdline->handler != NULL ? 0 : cmdline_complain("--inetd needs --handler");
	if (has_listen && cmdline->has_file)
		return cmdline_complain("-c does not go with --listen");
	if (has_listen && cmdline->handler == NULL)
		return cmdline_complain("--listen needs --handler");
	if (!has_listen && cmdline->handler != NULL)
		return cmdline_complain("--handler needs --listen or --inetd");
	if (!has_listen && (cmdline->concurrency != NULL || cmdline->option_count > 0 ||
			    cmdline->is_once || cmdline->user != NULL || cmdline->group != NULL))
		return cmdline_complain(
			"--concurrency, --option, --once, --user and --group go with "
			"--listen and --handler");
	return 0;
}

int
cmdline_parse(struct cmdline *cmdline, int argc, char **argv)
{
	int option, r = 0;

	*cmdline = (struct cmdline){
		.argv = argv,
		.file = CMDLINE_CONFIG_DIRECTORY "/handlerd.conf",
	};
	while (r == 0 && (option = getopt_long(argc, argv, "c:tT", cmdline_options, NULL)) != -1)
		r = cmdline_take(cmdline, option);
	if (r == 0 && optind < argc) {
		(void)fprintf(stderr, "handlerd: there is no argument '%s'\n", argv[optind]);
		r = cmdline_complain("wrong command line");
	}
	return r == 0 ? cmdline_check(cmdline) : r;
}

bool
cmdline_has_no_file(const struct cmdline *cmdline)
{
	return cmdline->listen_count > 0 || cmdline->is_inetd;
}

void
cmdline_free(struct cmdline *cmdline)
{
	free((void *)cmdline->listen);
	free((void *)cmdline->options);
}
