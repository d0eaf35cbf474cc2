/*
 * main.c - handlerd: the command line, and the commands that do not serve.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/cmdline.h"
#include "supervisor/commands.h"
#include "supervisor/supervisor.h"

/* A descriptor that is opened later must never become 0, 1 or 2. */
static bool
main_open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

static int
main_run(const struct cmdline *cmdline)
{
	struct supervisor supervisor;
	int status = EXIT_FAILURE;

	if (cmdline->command == CMDLINE_HELP) {
		cmdline_print_help();
		return EXIT_SUCCESS;
	}
	if (cmdline->command == CMDLINE_VERSION) {
		(void)printf("handlerd %s, handler ABI %d.%d\n", HANDLERD_VERSION, HD_ABI_MAJOR,
			     HD_ABI_MINOR);
		return EXIT_SUCCESS;
	}
	if (supervisor_init(&supervisor, cmdline) >= 0) {
		switch (cmdline->command) {
		case CMDLINE_TEST:
		case CMDLINE_TEST_DUMP:
			status = command_test(&supervisor, cmdline->command == CMDLINE_TEST_DUMP);
			break;
		case CMDLINE_DESCRIBE:
			status = command_describe(&supervisor);
			break;
		case CMDLINE_SELF_TEST:
			status = resume_test(&supervisor);
			break;
		default:
			status = supervisor_serve(&supervisor);
			break;
		}
	}
	supervisor_destroy(&supervisor);
	return status;
}

int
main(int argc, char **argv)
{
	struct cmdline cmdline;
	int status;

	if (!main_open_standard_fds())
		return EXIT_FAILURE;
	(void)umask(0077);
	/* ignored by whoever started this, children would be gone without a status, and their
	 * numbers other processes' before they are killed */
	(void)signal(SIGCHLD, SIG_DFL);
	status = cmdline_parse(&cmdline, argc, argv) < 0 ? EXIT_USAGE : main_run(&cmdline);
	cmdline_free(&cmdline);
	return status;
}
