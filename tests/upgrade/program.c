/*
 * program.c - programs that take the place of handlerd and are none that can be upgraded to;
 * PROGRAM says which.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--self-test") != 0)
		return 99;
	if (strcmp(PROGRAM, "crashes") == 0)
		abort();
	if (strcmp(PROGRAM, "hangs") == 0) {
		for (;;)
			(void)pause();
	}
	if (strcmp(PROGRAM, "floods") == 0) {
		while (puts("more than anybody wants to read") >= 0)
			;
	}
	if (strcmp(PROGRAM, "refuses") == 0) {
		(void)fprintf(stderr, "handlerd: it understands no state of version 1\nmore\n");
		return EXIT_FAILURE;
	}
	if (strcmp(PROGRAM, "lists") == 0) {
		/* what it was given: descriptors, and what systemd says */
		for (int fd = 0; fd < 64; fd++) {
			char path[32], target[128];
			ssize_t n;

			(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			n = readlink(path, target, sizeof(target) - 1);
			if (n > 0)
				(void)printf("%d ", fd);
		}
		(void)printf("%s%s", getenv("NOTIFY_SOCKET") != NULL ? "notify " : "",
			     getenv("HANDLERD_STATE") != NULL ? "state " : "");
		return EXIT_FAILURE;
	}
	/* the test lets it go on */
	if (strcmp(PROGRAM, "waits") == 0)
		(void)raise(SIGSTOP);
	/* and then nobody can execute it any more */
	if (strcmp(PROGRAM, "locks") == 0)
		(void)chmod("/proc/self/exe", 0644);
	if (strcmp(PROGRAM, "passes") == 0 || strcmp(PROGRAM, "waits") == 0 ||
	    strcmp(PROGRAM, "locks") == 0)
		(void)printf("self-test passed: handlerd 9.9.9\n");
	return EXIT_SUCCESS;
}
