/*
 * ref_epoll - a bare echo server with one thread and one epoll, for orientation.
 *
 * The least a server can do for each message, with no thread or process to switch to.  Nothing is
 * held against it; it tells how much of a request is the kernel's TCP work alone.
 */
#define _GNU_SOURCE
#include "ref_listen.h"
#include <sys/epoll.h>

int
main(int argc, char **argv)
{
	int listener = listen_on_argument(argc, argv);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener}, events[256];
	char buffer[16384];

	set_nonblocking(listener);
	if (ep == -1 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) == -1) {
		perror("epoll");
		return 1;
	}
	for (;;) {
		int n = epoll_wait(ep, events, 256, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) {
				while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) != -1) {
					ev.data.fd = fd;
					epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
				}
				continue;
			}
			ssize_t got = recv(fd, buffer, sizeof buffer, 0);
			if (got <= 0 || !send_all(fd, buffer, (size_t)got))
				close(fd);
		}
	}
}
