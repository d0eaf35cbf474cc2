/*
 * ref_forks - the plain program that "forking" is measured against.
 *
 * One loop around a blocking accept(), one fork() per connection, the children reaped in the
 * SIGCHLD handler: the server that every textbook shows.
 */
#define _GNU_SOURCE
#include "ref_listen.h"
#include <signal.h>
#include <sys/wait.h>

static void
reap(int signo)
{
	int saved = errno;

	(void)signo;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

int
main(int argc, char **argv)
{
	int listener = listen_on_argument(argc, argv);
	struct sigaction action = {.sa_handler = reap, .sa_flags = SA_RESTART | SA_NOCLDSTOP};

	sigaction(SIGCHLD, &action, NULL);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1)
			continue;
		if (fork() == 0) {
			close(listener);
			echo_until_end(fd);
			_exit(0);
		}
		close(fd);
	}
}
