/*
 * listen.c - listening sockets.
 */
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The kernel cuts a backlog at net.core.somaxconn. */
#define LISTEN_BACKLOG_MOST 0x7fffffff

static int
listen_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* The IPv4 wildcard with the port of an IPv6 address. */
static struct sockaddr_in
listen_any_ipv4(const struct sockaddr *addr)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6;

	memcpy(&in6, addr, sizeof(in6));
	in.sin_port = in6.sin6_port;
	return in;
}

int
listen_open_tcp(const struct sockaddr *addr, socklen_t length, bool is_dual_stack, int backlog,
		const char **ret_step)
{
	CLEANUP_CLOSE int fd =
		socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	*ret_step = "make a socket";
	if (fd < 0 && errno == EAFNOSUPPORT && is_dual_stack) {
		struct sockaddr_in in = listen_any_ipv4(addr);

		return listen_open_tcp((const struct sockaddr *)&in, sizeof(in), false, backlog,
				       ret_step);
	}
	if (fd < 0)
		return -errno;
	*ret_step = "set options of the socket";
	r = listen_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r >= 0)
		r = listen_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r >= 0 && addr->sa_family == AF_INET6)
		r = listen_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_dual_stack ? 0 : 1);
	if (r < 0)
		return r;
	*ret_step = "bind";
	if (bind(fd, addr, length) < 0)
		return -errno;
	*ret_step = "listen";
	r = listen_set_backlog(fd, backlog);
	return r < 0 ? r : take_fd(&fd);
}

int
listen_set_backlog(int fd, int backlog)
{
	return listen(fd, backlog > 0 ? backlog : LISTEN_BACKLOG_MOST) < 0 ? -errno : 0;
}

int
listen_get_address(int fd, struct sockaddr_storage *ret, socklen_t *ret_length)
{
	*ret_length = sizeof(*ret);
	return getsockname(fd, (struct sockaddr *)ret, ret_length) < 0 ? -errno : 0;
}

bool
listen_is_alive(int fd)
{
	int is_listening = 0;
	socklen_t length = sizeof(is_listening);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) == 0 &&
	       is_listening != 0;
}
