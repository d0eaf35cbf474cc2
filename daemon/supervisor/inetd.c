/*
 * inetd.c - takes over standard input.
 */
#include "supervisor/inetd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What inetd has connected to the client must not get what is meant for a log. */
static int
inetd_release(void)
{
	CLEANUP_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat connection, other;

	if (null_fd < 0 || fstat(STDIN_FILENO, &connection) < 0)
		return -errno;
	for (int fd = STDERR_FILENO; fd >= STDIN_FILENO; fd--) {
		bool is_same = fstat(fd, &other) == 0 && other.st_dev == connection.st_dev &&
			       other.st_ino == connection.st_ino;

		if (is_same && dup2(null_fd, fd) < 0)
			return -errno;
	}
	return 0;
}

int64_t
inetd_take(struct adopted *adopted)
{
	CLEANUP_CLOSE int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int64_t protocol = fd < 0 ? -1 : adopted_connection_protocol(fd);
	int r;

	if (protocol < 0) {
		(void)fprintf(stderr,
			      "handlerd: --inetd: descriptor 0 is not a connection over TCP or a "
			      "Unix socket; inetd (nowait) and systemd (Accept=yes, "
			      "StandardInput=socket) pass one\n");
		return -ENOTSOCK;
	}
	r = inetd_release();
	if (r < 0) {
		(void)fprintf(stderr, "handlerd: --inetd: cannot take over descriptor 0: %s\n",
			      strerror(-r));
		return r;
	}
	/* handlers wait in the system call itself */
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	adopted_add(adopted, take_fd(&fd), INETD_NAME);
	return protocol;
}
