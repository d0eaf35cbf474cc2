/*
 * ref_epoll - a bare echo server with one thread and one epoll: what fibers are measured against.
 *
 * The least a server can do for each message, with no thread or process to switch to: one recv and
 * one send, and of epoll_wait a part. What a client does not take at once is kept for it, and until
 * it has taken that nothing more is read from it.
 */
#define _GNU_SOURCE
#include "ref_listen.h"
#include <sys/epoll.h>

struct conn {
	int fd;
	char *rest; /* what could not be sent, or NULL */
	size_t rest_len, rest_sent;
};

static int ep;

static void
conn_watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	epoll_ctl(ep, op, c->fd, &ev);
}

static void
conn_open(int fd)
{
	struct conn *c = calloc(1, sizeof *c);

	if (c == NULL) {
		close(fd);
		return;
	}
	c->fd = fd;
	conn_watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void
conn_close(struct conn *c)
{
	close(c->fd);
	free(c->rest);
	free(c);
}

/* False when the connection is over. */
static bool
conn_send_rest(struct conn *c)
{
	ssize_t n = send(c->fd, c->rest + c->rest_sent, c->rest_len - c->rest_sent, MSG_NOSIGNAL);

	if (n == -1)
		return errno == EAGAIN;
	c->rest_sent += (size_t)n;
	if (c->rest_sent == c->rest_len) {
		free(c->rest);
		c->rest = NULL;
		conn_watch(c, EPOLL_CTL_MOD, EPOLLIN);
	}
	return true;
}

static bool
conn_echo(struct conn *c)
{
	char buffer[16384];
	ssize_t got = recv(c->fd, buffer, sizeof buffer, 0), sent;

	if (got <= 0)
		return got == -1 && errno == EAGAIN;
	sent = send(c->fd, buffer, (size_t)got, MSG_NOSIGNAL);
	if (sent == got)
		return true;
	if (sent == -1 && errno != EAGAIN)
		return false;
	c->rest_sent = 0;
	c->rest_len = (size_t)(got - (sent > 0 ? sent : 0));
	c->rest = malloc(c->rest_len);
	if (c->rest == NULL)
		return false;
	memcpy(c->rest, buffer + got - c->rest_len, c->rest_len);
	conn_watch(c, EPOLL_CTL_MOD, EPOLLOUT);
	return true;
}

int
main(int argc, char **argv)
{
	int listener = listen_on_argument(argc, argv), fd;
	struct epoll_event ev = {.events = EPOLLIN}, events[256];

	ep = epoll_create1(EPOLL_CLOEXEC);
	set_nonblocking(listener);
	if (ep == -1 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) == -1)
		fail(argv[0]);
	for (;;) {
		int n = epoll_wait(ep, events, 256, -1);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (c == NULL) {
				while ((fd = accept4(listener, NULL, NULL,
						     SOCK_CLOEXEC | SOCK_NONBLOCK)) != -1)
					conn_open(fd);
			} else if (!(c->rest != NULL ? conn_send_rest(c) : conn_echo(c))) {
				conn_close(c);
			}
		}
	}
}
