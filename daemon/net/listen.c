/*
 * listen.c - sockets that clients come to.
 */
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include <linux/sock_diag.h>

#include "base/cleanup.h"
#include "net/local.h"

/* The kernel cuts a backlog at net.core.somaxconn. */
#define LISTEN_BACKLOG_MOST 0x7fffffff

static int
listen_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int
listen_get(int fd, int level, int option)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, option, &value, &length) < 0 ? -errno : value;
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

static bool
listen_is_wildcard(const struct sockaddr *addr, socklen_t length)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (addr->sa_family == AF_INET6 && length >= sizeof(in6)) {
		memcpy(&in6, addr, sizeof(in6));
		return IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr);
	}
	if (addr->sa_family == AF_INET && length >= sizeof(in)) {
		memcpy(&in, addr, sizeof(in));
		return in.sin_addr.s_addr == htonl(INADDR_ANY);
	}
	return false;
}

/* What a datagram socket with this address, which it may still be given, has to tell. */
static int
listen_prepare_for(int fd, const struct sockaddr *addr, socklen_t length)
{
	int is_wanted = listen_is_wildcard(addr, length);
	int r = 0;

	if (addr->sa_family == AF_UNIX)
		return listen_set(fd, SOL_SOCKET, SO_PASSCRED, 1);
	if (addr->sa_family == AF_INET)
		return listen_set(fd, IPPROTO_IP, IP_PKTINFO, is_wanted);
	if (addr->sa_family != AF_INET6)
		return 0;
	r = listen_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, is_wanted);
	/* only this one tells the own address that a broadcast came to */
	if (r >= 0 && listen_get(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0)
		r = listen_set(fd, IPPROTO_IP, IP_PKTINFO, is_wanted);
	return r;
}

/* All that is set before bind: then no client has come yet. */
static int
listen_prepare(int fd, const struct listen_spec *spec, const char **ret_step)
{
	bool is_inet = spec->addr->sa_family != AF_UNIX;
	int r = 0;

	*ret_step = "set options of the socket";
	if (spec->addr->sa_family == AF_INET6)
		r = listen_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, spec->is_dual_stack ? 0 : 1);
	if (r >= 0 && is_inet && spec->type == SOCK_STREAM) {
		r = listen_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (r >= 0)
			r = listen_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	if (r >= 0 && spec->type == SOCK_DGRAM)
		r = listen_prepare_for(fd, spec->addr, spec->length);
	if (r >= 0 && spec->options != NULL)
		r = socket_options_set(fd, spec->options, NULL, ret_step);
	return r;
}

static int
listen_bind(int fd, const struct listen_spec *spec, const char **ret_step)
{
	if (local_is_path(spec->addr, spec->length))
		return local_bind(fd, spec->addr, spec->length, spec->mode, spec->owner,
				  spec->group, ret_step);
	*ret_step = "bind";
	if (spec->is_takeover && spec->type == SOCK_DGRAM)
		(void)listen_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, spec->addr, spec->length) < 0)
		return -errno;
	/* with it, somebody else could */
	return spec->is_takeover && spec->type == SOCK_DGRAM
		       ? listen_set(fd, SOL_SOCKET, SO_REUSEADDR, 0)
		       : 0;
}

int
listen_open(const struct listen_spec *spec, const char **ret_step)
{
	CLEANUP_CLOSE int fd =
		socket(spec->addr->sa_family, spec->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	*ret_step = "make a socket";
	if (fd < 0 && errno == EAFNOSUPPORT && spec->is_dual_stack) {
		struct sockaddr_in in = listen_any_ipv4(spec->addr);
		struct listen_spec ipv4 = *spec;

		ipv4.addr = (const struct sockaddr *)&in;
		ipv4.length = sizeof(in);
		ipv4.is_dual_stack = false;
		return listen_open(&ipv4, ret_step);
	}
	if (fd < 0)
		return -errno;
	r = listen_prepare(fd, spec, ret_step);
	if (r >= 0)
		r = listen_bind(fd, spec, ret_step);
	if (r < 0)
		return r;
	if (spec->type == SOCK_STREAM) {
		*ret_step = "listen";
		r = listen_set_backlog(fd, spec->backlog);
	}
	return r < 0 ? r : take_fd(&fd);
}

int
listen_open_unbound(const struct listen_spec *spec)
{
	CLEANUP_CLOSE int fd =
		socket(spec->addr->sa_family, spec->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const char *step;
	int r = fd < 0 ? -errno : listen_prepare(fd, spec, &step);

	return r < 0 ? r : take_fd(&fd);
}

void
listen_give_up(int fd)
{
	struct sockaddr_storage addr = {0};
	socklen_t length;

	/* what is bound anew with SO_REUSEADDR must find it here, too */
	(void)listen_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	(void)shutdown(fd, SHUT_RDWR);
	if (listen_get(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM ||
	    listen_get_address(fd, &addr, &length) < 0 || addr.ss_family == AF_UNIX)
		return;
	/* to itself: nobody else is heard */
	(void)connect(fd, (const struct sockaddr *)&addr, length);
}

int
listen_prepare_datagrams(int fd)
{
	struct sockaddr_storage addr = {0};
	socklen_t length;
	int type = listen_get(fd, SOL_SOCKET, SO_TYPE);
	int r;

	if (type != SOCK_DGRAM)
		return type < 0 ? type : 0;
	r = listen_get_address(fd, &addr, &length);
	return r < 0 ? r : listen_prepare_for(fd, (const struct sockaddr *)&addr, length);
}

int
listen_set_backlog(int fd, int backlog)
{
	return listen(fd, backlog > 0 ? backlog : LISTEN_BACKLOG_MOST) < 0 ? -errno : 0;
}

int
listen_get_backlog(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
	    info.tcpi_state != TCP_LISTEN)
		return 0;
	/* of a listening socket these are the length of its queue and the most */
	return (int)info.tcpi_sacked;
}

int
listen_get_address(int fd, struct sockaddr_storage *ret, socklen_t *ret_length)
{
	*ret_length = sizeof(*ret);
	return getsockname(fd, (struct sockaddr *)ret, ret_length) < 0 ? -errno : 0;
}

/* A socket that was connected and then disconnected has lost the port the kernel chose. */
static bool
listen_has_port(int fd)
{
	struct sockaddr_storage addr = {0};
	struct sockaddr_in in;
	socklen_t length;

	if (listen_get_address(fd, &addr, &length) < 0)
		return false;
	/* the port stands at the same place in both families */
	memcpy(&in, &addr, sizeof(in));
	return (addr.ss_family != AF_INET && addr.ss_family != AF_INET6) || in.sin_port != 0;
}

static bool
listen_is_hung_up(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLRDHUP};
	int n;

	do {
		n = poll(&pollfd, 1, 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 || (pollfd.revents & (POLLRDHUP | POLLHUP)) != 0;
}

static bool
listen_is_datagram_alive(int fd)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);

	if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0 || errno != ENOTCONN)
		return false;
	/* shutdown says ENOTCONN of a UDP socket without peer, and works */
	return !listen_is_hung_up(fd) && listen_has_port(fd);
}

bool
listen_is_alive(int fd)
{
	int type = listen_get(fd, SOL_SOCKET, SO_TYPE);

	if (type == SOCK_DGRAM)
		return listen_is_datagram_alive(fd);
	/* a Unix socket that was shut down still says that it listens */
	return type >= 0 && listen_get(fd, SOL_SOCKET, SO_ACCEPTCONN) > 0 && !listen_is_hung_up(fd);
}

int
listen_count_drops(int fd, uint64_t *ret)
{
	uint32_t values[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(values);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &length) < 0)
		return -errno;
	if (length < (SK_MEMINFO_DROPS + 1) * sizeof(values[0]))
		return -EOPNOTSUPP;
	*ret = values[SK_MEMINFO_DROPS];
	return 0;
}
