/*
 * options.c - options of listening sockets, from one table.
 */
#include "net/options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
/* bits of SO_BUF_LOCK: a size was asked for, the kernel does not choose it */
#define OPTIONS_LOCK_SEND 1
#define OPTIONS_LOCK_RECEIVE 2

/* Kinds of sockets, as bits. */
enum {
	OPTIONS_TCP = 1,
	OPTIONS_UDP = 2,
	OPTIONS_UNIX = 4,
	OPTIONS_INET = OPTIONS_TCP | OPTIONS_UDP,
	OPTIONS_ANY = OPTIONS_INET | OPTIONS_UNIX,
};

enum options_type {
	OPTIONS_FLAG,
	OPTIONS_NUMBER,
	OPTIONS_TEXT,
	OPTIONS_BUFFER,
};

struct options_name {
	int level;
	int option; /* 0: none */
};

#define OPTIONS_TEXT_SIZE sizeof(((struct socket_options *)NULL)->device)
#define OPTIONS_FIELD(field) offsetof(struct socket_options, field)

_Static_assert(sizeof(((struct socket_options *)NULL)->congestion) == OPTIONS_TEXT_SIZE,
	       "texts have one size");

/* In the order in which they are set. */
static const struct options_row {
	const char *name;
	enum options_type type;
	unsigned kinds;
	size_t offset;
	struct options_name own;
	struct options_name ipv6; /* IPv6 sockets have this one; dual-stack ones have both */
} options_rows[] = {
	{"socket.freebind",
	 OPTIONS_FLAG,
	 OPTIONS_INET,
	 OPTIONS_FIELD(freebind),
	 {IPPROTO_IP, IP_FREEBIND},
	 {IPPROTO_IPV6, IPV6_FREEBIND}},
	{"socket.transparent",
	 OPTIONS_FLAG,
	 OPTIONS_INET,
	 OPTIONS_FIELD(transparent),
	 {IPPROTO_IP, IP_TRANSPARENT},
	 {IPPROTO_IPV6, IPV6_TRANSPARENT}},
	{"socket.reuse_port",
	 OPTIONS_FLAG,
	 OPTIONS_INET,
	 OPTIONS_FIELD(reuse_port),
	 {SOL_SOCKET, SO_REUSEPORT},
	 {0, 0}},
	{"socket.device",
	 OPTIONS_TEXT,
	 OPTIONS_INET,
	 OPTIONS_FIELD(device),
	 {SOL_SOCKET, SO_BINDTODEVICE},
	 {0, 0}},
	{"socket.keepalive",
	 OPTIONS_FLAG,
	 OPTIONS_TCP,
	 OPTIONS_FIELD(keepalive),
	 {SOL_SOCKET, SO_KEEPALIVE},
	 {0, 0}},
	{"socket.keepalive.idle",
	 OPTIONS_NUMBER,
	 OPTIONS_TCP,
	 OPTIONS_FIELD(keepalive_idle_s),
	 {IPPROTO_TCP, TCP_KEEPIDLE},
	 {0, 0}},
	{"socket.keepalive.interval",
	 OPTIONS_NUMBER,
	 OPTIONS_TCP,
	 OPTIONS_FIELD(keepalive_interval_s),
	 {IPPROTO_TCP, TCP_KEEPINTVL},
	 {0, 0}},
	{"socket.keepalive.count",
	 OPTIONS_NUMBER,
	 OPTIONS_TCP,
	 OPTIONS_FIELD(keepalive_count),
	 {IPPROTO_TCP, TCP_KEEPCNT},
	 {0, 0}},
	{"socket.receive_buffer",
	 OPTIONS_BUFFER,
	 OPTIONS_ANY,
	 OPTIONS_FIELD(receive_buffer),
	 {SOL_SOCKET, SO_RCVBUF},
	 {0, 0}},
	{"socket.send_buffer",
	 OPTIONS_BUFFER,
	 OPTIONS_ANY,
	 OPTIONS_FIELD(send_buffer),
	 {SOL_SOCKET, SO_SNDBUF},
	 {0, 0}},
	{"socket.defer_accept",
	 OPTIONS_NUMBER,
	 OPTIONS_TCP,
	 OPTIONS_FIELD(defer_accept_s),
	 {IPPROTO_TCP, TCP_DEFER_ACCEPT},
	 {0, 0}},
	{"socket.fast_open",
	 OPTIONS_NUMBER,
	 OPTIONS_TCP,
	 OPTIONS_FIELD(fast_open),
	 {IPPROTO_TCP, TCP_FASTOPEN},
	 {0, 0}},
	{"socket.mark",
	 OPTIONS_NUMBER,
	 OPTIONS_INET,
	 OPTIONS_FIELD(mark),
	 {SOL_SOCKET, SO_MARK},
	 {0, 0}},
	{"socket.tos",
	 OPTIONS_NUMBER,
	 OPTIONS_INET,
	 OPTIONS_FIELD(tos),
	 {IPPROTO_IP, IP_TOS},
	 {IPPROTO_IPV6, IPV6_TCLASS}},
	{"socket.congestion",
	 OPTIONS_TEXT,
	 OPTIONS_TCP,
	 OPTIONS_FIELD(congestion),
	 {IPPROTO_TCP, TCP_CONGESTION},
	 {0, 0}},
};

/* The socket that gets options. */
struct options_target {
	int fd;
	int family;
	int type;
	unsigned kind;
	bool has_ipv4; /* an IPv6 socket that takes IPv4 as well */
	int fresh;     /* a new socket of the same kind, made when its values are asked for */
};

static int
options_get(int fd, int level, int option, int *ret)
{
	socklen_t length = sizeof(*ret);

	return getsockopt(fd, level, option, ret, &length) < 0 ? -errno : 0;
}

static int
options_put(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int
options_look_at(int fd, struct options_target *ret)
{
	int is_ipv6_only = 1;
	int r;

	*ret = (struct options_target){.fd = fd, .fresh = -1};
	r = options_get(fd, SOL_SOCKET, SO_DOMAIN, &ret->family);
	if (r >= 0)
		r = options_get(fd, SOL_SOCKET, SO_TYPE, &ret->type);
	if (r >= 0 && ret->family == AF_INET6)
		r = options_get(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_ipv6_only);
	ret->has_ipv4 = !is_ipv6_only;
	if (ret->family == AF_INET || ret->family == AF_INET6)
		ret->kind = ret->type == SOCK_STREAM ? OPTIONS_TCP : OPTIONS_UDP;
	else if (ret->family == AF_UNIX)
		ret->kind = OPTIONS_UNIX;
	return r;
}

static int
options_open_fresh(struct options_target *target)
{
	if (target->fresh < 0)
		target->fresh = socket(target->family, target->type | SOCK_CLOEXEC, 0);
	return target->fresh < 0 ? -errno : 0;
}

static const void *
options_field(const struct options_row *row, const struct socket_options *options)
{
	return (const char *)options + row->offset;
}

static int
options_number(const struct options_row *row, const struct socket_options *options)
{
	const void *field = options_field(row, options);
	int number;

	if (row->type == OPTIONS_FLAG)
		return *(const bool *)field;
	/* a mark above INT_MAX is the same bits */
	memcpy(&number, field, sizeof(number));
	return number;
}

static bool
options_is_equal(const struct options_row *row, const struct socket_options *a,
		 const struct socket_options *b)
{
	if (row->type == OPTIONS_TEXT)
		return strncmp(options_field(row, a), options_field(row, b), OPTIONS_TEXT_SIZE) ==
		       0;
	return options_number(row, a) == options_number(row, b);
}

static int
options_set_number(struct options_target *target, struct options_name name, int value)
{
	int r = 0;

	if (value == 0) {
		r = options_open_fresh(target);
		if (r >= 0)
			r = options_get(target->fresh, name.level, name.option, &value);
	}
	return r < 0 ? r : options_put(target->fd, name.level, name.option, value);
}

static int
options_set_text(struct options_target *target, struct options_name name, const char *text)
{
	char fresh[OPTIONS_TEXT_SIZE] = "";
	socklen_t length = sizeof(fresh);

	if (text[0] == '\0') {
		int r = options_open_fresh(target);

		if (r < 0)
			return r;
		if (getsockopt(target->fresh, name.level, name.option, fresh, &length) < 0)
			return -errno;
		text = fresh;
	}
	length = (socklen_t)strnlen(text, OPTIONS_TEXT_SIZE);
	return setsockopt(target->fd, name.level, name.option, text, length) < 0 ? -errno : 0;
}

static int
options_force_buffer(int fd, int option, int size)
{
	int r = options_put(fd, SOL_SOCKET, option == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE,
			    size);

	return r == -EPERM ? options_put(fd, SOL_SOCKET, option, size) : r;
}

static int
options_set_buffer(struct options_target *target, struct options_name name, int size)
{
	int lock = name.option == SO_RCVBUF ? OPTIONS_LOCK_RECEIVE : OPTIONS_LOCK_SEND;
	int locks, r;

	if (size != 0)
		return options_force_buffer(target->fd, name.option, size);
	r = options_open_fresh(target);
	if (r >= 0)
		r = options_get(target->fresh, SOL_SOCKET, name.option, &size);
	/* the kernel doubles what it is given, and shows it doubled */
	if (r >= 0)
		r = options_force_buffer(target->fd, name.option, size / 2);
	if (r < 0)
		return r;
	/* and let it choose again; kernels before 5.14 cannot, there the size stays */
	if (options_get(target->fd, SOL_SOCKET, SO_BUF_LOCK, &locks) < 0)
		return 0;
	return options_put(target->fd, SOL_SOCKET, SO_BUF_LOCK, locks & ~lock);
}

static int
options_set_name(struct options_target *target, const struct options_row *row,
		 struct options_name name, const struct socket_options *options)
{
	if (row->type == OPTIONS_TEXT)
		return options_set_text(target, name, options_field(row, options));
	if (row->type == OPTIONS_BUFFER)
		return options_set_buffer(target, name, options_number(row, options));
	return options_set_number(target, name, options_number(row, options));
}

static int
options_set_row(struct options_target *target, const struct options_row *row,
		const struct socket_options *options)
{
	bool has_ipv6 = target->family == AF_INET6 && row->ipv6.option != 0;
	int r = 0;

	if (has_ipv6)
		r = options_set_name(target, row, row->ipv6, options);
	if (r >= 0 && (!has_ipv6 || target->has_ipv4))
		r = options_set_name(target, row, row->own, options);
	return r;
}

int
socket_options_set(int fd, const struct socket_options *options,
		   const struct socket_options *current, const char **ret_step)
{
	static const struct socket_options none;
	struct options_target target;
	int r = options_look_at(fd, &target);

	*ret_step = "look at the options of";
	if (current == NULL)
		current = &none;
	for (size_t i = 0; i < COUNT_OF(options_rows) && r >= 0; i++) {
		const struct options_row *row = &options_rows[i];

		if ((row->kinds & target.kind) == 0 || options_is_equal(row, options, current))
			continue;
		*ret_step = row->name;
		r = options_set_row(&target, row, options);
	}
	if (target.fresh >= 0)
		(void)close(target.fresh);
	return r < 0 ? r : 0;
}

int
socket_options_try(int family, int type, const struct socket_options *options,
		   const char **ret_step)
{
	CLEANUP_CLOSE int fd = socket(family, type | SOCK_CLOEXEC, 0);

	*ret_step = "make a socket";
	if (fd < 0)
		return -errno;
	return socket_options_set(fd, options, NULL, ret_step);
}

int
socket_options_got_buffers(int fd, const struct socket_options *options, int *ret_receive,
			   int *ret_send)
{
	int receive, sent;
	int r = options_get(fd, SOL_SOCKET, SO_RCVBUF, &receive);

	if (r >= 0)
		r = options_get(fd, SOL_SOCKET, SO_SNDBUF, &sent);
	if (r < 0)
		return r;
	/* it shows the double of what it took */
	if (ret_receive != NULL)
		*ret_receive = receive / 2;
	if (ret_send != NULL)
		*ret_send = sent / 2;
	return receive / 2 < options->receive_buffer || sent / 2 < options->send_buffer;
}
