/*
 * unread.c - closing what a hostile worker has sent.
 *
 * Whoever is the last to have a descriptor waits for what closing it takes: of a socket with
 * SO_LINGER and a peer that reads nothing, as long as its owner likes. An exiting process does not
 * linger, and if it waited, nobody would with it. So a descriptor in a channel is never received;
 * it goes, unread, with a process that is made for that.
 */
#include "supervisor/unread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ipc/channel.h"

/* More than a channel holds. */
#define UNREAD_MOST 1024

/* Whether nothing, or nothing but bytes, is left in it; these are read. */
static bool
unread_is_harmless(int fd)
{
	char bytes[4096];
	int type = 0;
	socklen_t length = sizeof(type);

	/* whoever else has the other end can send no more */
	if (shutdown(fd, SHUT_RD) < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
		return false;
	/* of messages, an empty one looks like the end */
	for (int i = 0; i < UNREAD_MOST; i++) {
		ssize_t n = channel_receive_bytes(fd, bytes, sizeof(bytes));

		if (n < 0)
			return n == -EAGAIN;
		if (n == 0 && type == SOCK_STREAM)
			return true;
	}
	return true;
}

static void
unread_close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;

	if (low > 0)
		(void)close_range(0, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0U, 0);
}

/* In a child of a child, which is nobody's to wait for: has it until the supervisor has it no
 * more. */
static _Noreturn void
unread_keep(int fd, int gone_fd)
{
	char byte;

	/* before the supervisor goes on: nobody waits for the end of what only this copy holds */
	unread_close_others(fd, gone_fd);
	if (fork() != 0)
		_exit(0);
	while (read(gone_fd, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

void
unread_close(int fd)
{
	CLEANUP_CLOSE int gone_fd = -1;
	int ends[2];
	pid_t pid;

	if (unread_is_harmless(fd)) {
		(void)close(fd);
		return;
	}
	/* where nothing can be made, it stays open: better than to wait */
	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	gone_fd = ends[0];
	pid = fork();
	if (pid == 0)
		unread_keep(fd, gone_fd);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (pid > 0)
		(void)close(fd);
	/* it is told that ours is closed */
	(void)close(ends[1]);
}
