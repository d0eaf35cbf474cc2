/*
 * main.c - handlerctl: finds the command and runs it. A command is a row of `verbs`.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/suggest.h"
#include "handlerctl/ctl.h"
#include "handlerctl/send.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
	const char *help;
} verbs[] = {
	{"send", send_run, "send something to a server and print what comes back"},
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

static int
main_print_help(void)
{
	(void)printf("handlerctl - the control program of handlerd\n"
		     "\n"
		     "  handlerctl COMMAND ...\n"
		     "  handlerctl COMMAND --help\n"
		     "  handlerctl --version | --help\n"
		     "\n");
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		(void)printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
	(void)printf("\n"
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

int
main(int argc, char **argv)
{
	if (!main_open_standard_fds())
		return CTL_FAILED;
	/* who closes our output is told of by write */
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return ctl_complain_usage("", "the command is missing");
	if (strcmp(argv[1], "--help") == 0)
		return main_print_help();
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("handlerctl %s\n", HANDLERD_VERSION);
		return ctl_flush(CTL_DONE);
	}
	for (size_t i = 0; i < COUNT_OF(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	}
	return main_refuse(argv[1]);
}
