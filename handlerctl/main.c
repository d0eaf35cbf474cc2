/*
 * main.c - handlerctl: finds the command and runs it. A command is a row of `verbs`.
 */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/suggest.h"
#include "handlerctl/bans.h"
#include "handlerctl/connections.h"
#include "handlerctl/ctl.h"
#include "handlerctl/explain.h"
#include "handlerctl/orders.h"
#include "handlerctl/screen.h"
#include "handlerctl/send.h"
#include "handlerctl/status.h"
#include "handlerctl/verb.h"

static const struct verb verbs[] = {
	{"status", "[LISTENER]", status_run, "show the daemon and its listeners", VERB_VERBOSE},
	{"reload", "", orders_reload, "read the configuration again and wait until it serves",
	 VERB_DRY_RUN},
	{"stop", "", orders_stop, "let connections finish, then end the daemon", VERB_NOW},
	{"pause", "LISTENER", orders_hold, "accept nothing more; clients wait in the backlog", 0},
	{"drain", "LISTENER", orders_hold, "the same, and end connections at drain_timeout", 0},
	{"resume", "LISTENER", orders_hold, "undo pause and drain", 0},
	{"connections", "[LISTENER]", connections_run, "show what is open", 0},
	{"explain", "LISTENER ADDRESS", explain_run, "tell whether a client may come in, and why",
	 VERB_GID},
	{"bans", "[ADDRESS]", bans_run, "show whom sensors have banned, or end that", VERB_CLEAR},
	{"kill", "ID", orders_kill, "end a connection", 0},
	{"log-level", "[LEVEL]", orders_log_level, "show or set how much is logged", 0},
	{"wait", "ready", orders_wait, "wait until all listeners serve", VERB_TIMEOUT},
	{"upgrade", "", orders_upgrade, "change to the installed program and keep all connections",
	 0},
	{"send", "PROTO:ADDRESS [TEXT]", send_run,
	 "send something to a server and print what comes back", 0},
};

/* A descriptor that is opened later must never become 0, 1 or 2. */
static bool
main_open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

/* For jansson, whose functions would otherwise each have to be asked whether memory was left. */
static void *
main_allocate(size_t size)
{
	return memory_zero(1, size);
}

static int
main_print_help(void)
{
	(void)printf("handlerctl - the control program of handlerd\n"
		     "\n"
		     "  handlerctl [--control PATH] COMMAND ...\n"
		     "  handlerctl COMMAND --help\n"
		     "  handlerctl --version | --help\n"
		     "\n");
	for (size_t i = 0; i < COUNT_OF(verbs); i++) {
		CLEANUP_FREE char *usage =
			memory_format("%s %s", verbs[i].name, verbs[i].arguments);

		(void)printf("  %-25s  %s\n", usage, verbs[i].help);
	}
	(void)printf("\n"
		     "The daemon is found by --control, $HANDLERD_CONTROL, or the usual place of "
		     "its socket.\n"
		     "Exit status: 0 done, 1 failed, 2 wrong command line, 3 nobody is there.\n"
		     "See handlerctl(8).\n");
	return ctl_flush(CTL_DONE);
}

static int
main_refuse(const char *word)
{
	struct suggest suggest = {.word = word};

	if (word[0] == '-')
		return ctl_complain_usage("", "there is no option '%s' before the command", word);
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		suggest_offer(&suggest, verbs[i].name);
	if (suggest.nearest != NULL)
		return ctl_complain_usage("", "there is no command '%s'; did you mean '%s'?", word,
					  suggest.nearest);
	return ctl_complain_usage("", "there is no command '%s'", word);
}

/* Moves the command before the one option that may stand before it. The position of what may be a
 * command, or -1 where the option lacks its value. */
static int
main_find_command(int argc, char **argv)
{
	int at = 1;

	if (argc > 1 && strcmp(argv[1], "--control") == 0)
		at = 3;
	else if (argc > 1 && strncmp(argv[1], "--control=", strlen("--control=")) == 0)
		at = 2;
	if (at == 3 && argc < 3)
		return -1;
	if (at < argc && argv[at][0] != '-') {
		char *command = argv[at];

		memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof(*argv));
		argv[1] = command;
		at = 1;
	}
	return at;
}

static int
main_run(int argc, char **argv)
{
	int at = main_find_command(argc, argv);

	if (at < 0)
		return ctl_complain_usage("", "--control needs a value");
	if (at >= argc)
		return ctl_complain_usage("", "the command is missing");
	if (strcmp(argv[at], "--help") == 0)
		return main_print_help();
	if (strcmp(argv[at], "--version") == 0) {
		(void)printf("handlerctl %s\n", HANDLERD_VERSION);
		return ctl_flush(CTL_DONE);
	}
	for (size_t i = 0; i < COUNT_OF(verbs); i++) {
		if (strcmp(argv[at], verbs[i].name) == 0)
			return verbs[i].run(&verbs[i], argc - at, argv + at);
	}
	return main_refuse(argv[at]);
}

int
main(int argc, char **argv)
{
	if (!main_open_standard_fds())
		return CTL_FAILED;
	/* who closes our output is told of by write */
	(void)signal(SIGPIPE, SIG_IGN);
	json_set_alloc_funcs(main_allocate, free);
	screen_start();
	return main_run(argc, argv);
}
