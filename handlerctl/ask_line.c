/*
 * ask_line.c - one table of options for all commands that talk to the daemon: getopt_long, help and
 * suggestions walk it.
 */
#include "handlerctl/ask_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "handlerctl/ctl.h"
#include "handlerctl/options.h"

/* A daemon may be about to start, and start_timeout is 10 s unless it is set. */
#define ASK_LINE_TIMEOUT_MS 30000

enum {
	OPTION_CONTROL = OPTIONS_FIRST,
	OPTION_JSON,
	OPTION_VERBOSE,
	OPTION_DRY_RUN,
	OPTION_NOW,
	OPTION_TIMEOUT,
	OPTION_GID,
	OPTION_CLEAR,
	OPTION_HELP,
};

static const struct ask_line_option {
	const char *name;
	int value;
	int has_value;
	unsigned needs; /* enum verb_option, or 0: every command has it */
	const char *shown;
	const char *help;
} ask_line_options[] = {
	{"dry-run", OPTION_DRY_RUN, no_argument, VERB_DRY_RUN, "--dry-run",
	 "tell what a reload would do, and do nothing"},
	{"now", OPTION_NOW, no_argument, VERB_NOW, "--now",
	 "end connections at once, without drain_timeout"},
	{"timeout", OPTION_TIMEOUT, required_argument, VERB_TIMEOUT, "--timeout DURATION",
	 "wait so long, 30s by default; \"none\" waits for ever"},
	{"gid", OPTION_GID, required_argument, VERB_GID, "--gid NUMBERS",
	 "groups of a Unix client, the primary one first: 100 or 100,27"},
	{"clear", OPTION_CLEAR, no_argument, VERB_CLEAR, "--clear",
	 "end the ban of ADDRESS, or all of them"},
	{"verbose", OPTION_VERBOSE, no_argument, VERB_VERBOSE, "-v, --verbose",
	 "all addresses of every listener"},
	{"control", OPTION_CONTROL, required_argument, 0, "--control PATH",
	 "the daemon's control socket"},
	{"json", OPTION_JSON, no_argument, 0, "--json", "print the daemon's answer as JSON"},
	{"help", OPTION_HELP, no_argument, 0, "--help", "print this"},
};

static bool
ask_line_has_option(const struct verb *verb, const struct ask_line_option *option)
{
	return option->needs == 0 || (verb->options & option->needs) != 0;
}

void
ask_line_print_help(const struct verb *verb)
{
	bool has_argument = verb->arguments[0] != '\0';

	(void)printf("handlerctl %s - %s\n\n  handlerctl %s [OPTION]...%s%s\n\n", verb->name,
		     verb->help, verb->name, has_argument ? " " : "", verb->arguments);
	for (size_t i = 0; i < COUNT_OF(ask_line_options); i++) {
		if (ask_line_has_option(verb, &ask_line_options[i]))
			(void)printf("  %-18s  %s\n", ask_line_options[i].shown,
				     ask_line_options[i].help);
	}
	(void)printf("\nExit status: 0 done, 1 refused, 2 wrong command line, 3 no daemon is "
		     "there.\nSee handlerctl(8).\n");
}

static int
ask_line_take_option(struct ask_line *line, int option)
{
	switch (option) {
	case OPTION_CONTROL:
		line->control = optarg;
		if (optarg[0] != '\0')
			return 0;
		(void)ctl_complain_usage(line->verb->name, "--control needs a path");
		return -EINVAL;
	case OPTION_TIMEOUT:
		return options_take_duration(line->verb->name, "--timeout", optarg, 1,
					     &line->timeout_ms);
	case OPTION_GID:
		line->gid = optarg;
		return 0;
	case OPTION_JSON:
		line->is_json = true;
		return 0;
	case OPTION_VERBOSE:
		line->is_verbose = true;
		return 0;
	case OPTION_DRY_RUN:
		line->is_dry_run = true;
		return 0;
	case OPTION_CLEAR:
		line->is_clear = true;
		return 0;
	case OPTION_NOW:
		line->is_now = true;
		return 0;
	default:
		line->is_help = true;
		return 0;
	}
}

static int
ask_line_take_arguments(struct ask_line *line, int count, char **arguments)
{
	const char *wanted = line->verb->arguments, *name = line->verb->name;
	bool are_two = wanted[0] != '[' && strchr(wanted, ' ') != NULL;
	int most = are_two ? 2 : 1;

	if (count > 0 && wanted[0] == '\0') {
		(void)ctl_complain_usage(name, "%s takes no argument, such as '%s'", name,
					 arguments[0]);
		return -EINVAL;
	}
	if (count > most) {
		(void)ctl_complain_usage(name, "there is one %s, and '%s' is one more", wanted,
					 arguments[most]);
		return -EINVAL;
	}
	if (count < most && wanted[0] != '\0' && wanted[0] != '[') {
		(void)ctl_complain_usage(name, "%s is missing behind %s", wanted, name);
		return -EINVAL;
	}
	line->argument = count > 0 ? arguments[0] : NULL;
	line->second = count > 1 ? arguments[1] : NULL;
	return 0;
}

int
ask_line_parse(struct ask_line *line, const struct verb *verb, int argc, char **argv)
{
	struct option options[COUNT_OF(ask_line_options) + 1] = {{0}};
	size_t count = 0;
	int option, r = 0;

	*line = (struct ask_line){.verb = verb, .timeout_ms = ASK_LINE_TIMEOUT_MS};
	for (size_t i = 0; i < COUNT_OF(ask_line_options); i++) {
		const struct ask_line_option *row = &ask_line_options[i];

		if (ask_line_has_option(verb, row))
			options[count++] =
				(struct option){row->name, row->has_value, NULL, row->value};
	}
	optind = 1;
	while (r == 0 && !line->is_help) {
		option = getopt_long(argc, argv, ":v", options, NULL);
		if (option == -1)
			break;
		if (option == 'v' && (verb->options & VERB_VERBOSE) != 0) {
			option = OPTION_VERBOSE;
		} else if (option == 'v') {
			option = '?';
			optopt = 'v';
		}
		if (option == '?' || option == ':') {
			options_refuse(verb->name, options, option, argv[optind - 1], "");
			return -EINVAL;
		}
		r = ask_line_take_option(line, option);
	}
	if (r < 0 || line->is_help)
		return r;
	return ask_line_take_arguments(line, argc - optind, argv + optind);
}
