/*
 * proxy - connects each client to another server and carries bytes both ways. The example of
 * hd_connect.
 *
 *	proxy.c		the connection to the server, and the wait for whatever can move
 *	direction.c	one direction: through a buffer, or with splice(2)
 *
 * Receiving and sending in turns, each waiting for its end, would come to a halt when both sides
 *send more than all buffers hold before they read. Here nothing but hd_poll waits, for both sides
 *at once: a side that does not read holds up the bytes that are for it, and no others.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "direction.h"

/* Of failures to connect one in so many seconds is logged by name. */
#define PROXY_TELL_S 10

/* How long the client's connection may be told later than the server's that both end. */
#define PROXY_CANCEL_MS 1000

static int proxy_start(struct hd_server *server);

static const struct hd_option options[] = {
	HD_OPTION_STRING("to", HD_REQUIRED, "the server: tcp:HOST:PORT, unix:/PATH or unix:@NAME"),
	HD_OPTION_LIST("fallback",
		       "servers that are tried in this order when \"to\" does not answer"),
	HD_OPTION_DURATION("connect_timeout", 5000, 1, 600000, "how long each may take to answer"),
	HD_OPTION_DURATION("idle_timeout", 3600000, -1, 604800000,
			   "closes a connection on which nothing has moved for so long"),
	HD_OPTION_SIZE("buffer", 16384, 1024, 1048576, "what is held of each direction"),
	HD_OPTION_BOOL("splice", 1, "let the kernel move what is much"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "proxy", .version = "1.0.0", .summary = "Carries connections to another server",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS, .options = options,
	   .server_start = proxy_start);

/* One for each worker, in memory that forked children share. */
struct proxy {
	_Atomic int64_t told_s;	 /* when a failure to connect was last logged; 0: never */
	_Atomic unsigned untold; /* failures since */
};

static bool
proxy_is_address(const char *text)
{
	const char *port;
	char *end;
	unsigned long number;

	if (strncmp(text, "unix:", 5) == 0)
		return (text[5] == '/' || text[5] == '@') && text[6] != '\0';
	port = strrchr(text, ':');
	if (strncmp(text, "tcp:", 4) != 0 || port < text + 5 || port[1] < '0' || port[1] > '9')
		return false;
	number = strtoul(port + 1, &end, 10);
	return *end == '\0' && number > 0 && number <= 65535;
}

/* The servers in the order in which they are tried; NULL after the last. */
static const char *
proxy_address(const struct hd_server *server, unsigned index)
{
	return index == 0 ? hd_option_string(server, "to")
			  : hd_option_item(server, "fallback", index - 1);
}

static int
proxy_start(struct hd_server *server)
{
	struct proxy *proxy = hd_server_shared(server, sizeof(*proxy)); /* zeroed */
	const char *address;

	for (unsigned i = 0; (address = proxy_address(server, i)) != NULL; i++) {
		if (proxy_is_address(address))
			continue;
		hd_server_log(server, HD_LOG_ERR,
			      "option '%s': '%s' is no address; write tcp:HOST:PORT, "
			      "tcp:[IPV6]:PORT, unix:/PATH or unix:@NAME",
			      i == 0 ? "to" : "fallback", address);
		return -EINVAL;
	}
	if (proxy == NULL)
		return -ENOMEM;
	hd_server_set_data(server, proxy);
	return 0;
}

/* What can be done about it. */
static const char *
proxy_advise(int error)
{
	switch (error) {
	case -ECONNREFUSED:
		return "nobody listens there: start the server, or correct the option";
	case -ENOENT:
		return "there is no such socket: start the server, or correct the path";
	case -EACCES:
	case -EPERM:
		return "the user of this worker may not connect: look at the modes of the socket "
		       "and "
		       "of the directories above it, and at the firewall";
	case -EADDRNOTAVAIL:
		return "the name has no address: look at its spelling, and at /etc/hosts or the "
		       "DNS";
	case -EAGAIN:
		return "the name could not be looked up: look at /etc/resolv.conf";
	case -ETIMEDOUT:
		return "it did not answer in time: look at the server's load and at the firewall, "
		       "or "
		       "raise connect_timeout";
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return "there is no way to it: look at the routes and at the firewall";
	case -EMFILE:
	case -ENFILE:
		return "no descriptors are left: raise LimitNOFILE of the service, or lower "
		       "max_connections";
	case -ECONNRESET:
	case -EPIPE:
		return "it ended the connection before its time: its own log may tell why";
	default:
		return "the server's own log may tell more";
	}
}

/* A server that is down fails every client; the log gets a line now and then. */
static void
proxy_tell(struct hd_request *req, const char *what, const char *address, int error)
{
	struct proxy *proxy = hd_server_data(hd_request_server(req));
	struct timespec now = {0};
	int64_t told_s = atomic_load(&proxy->told_s);
	unsigned untold;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if ((told_s != 0 && now.tv_sec - told_s < PROXY_TELL_S) ||
	    !atomic_compare_exchange_strong(&proxy->told_s, &told_s, now.tv_sec)) {
		(void)atomic_fetch_add(&proxy->untold, 1);
		return;
	}
	untold = atomic_exchange(&proxy->untold, 0);
	hd_log(req, HD_LOG_WARNING, "%s '%s': %s; %s", what, address, strerror(-error),
	       proxy_advise(error));
	if (untold > 0)
		hd_log(req, HD_LOG_WARNING, "%u more like this were not logged", untold);
}

/* The first server that answers, and its address; NULL and the last error if none does. */
static struct hd_request *
proxy_connect(struct hd_request *req, const char **ret_address, int *ret_error)
{
	const struct hd_server *server = hd_request_server(req);
	int timeout_ms = (int)hd_option_ms(server, "connect_timeout");
	const char *address;

	for (unsigned i = 0; (address = proxy_address(server, i)) != NULL; i++) {
		struct hd_request *other = hd_connect(req, address, timeout_ms, ret_error);

		*ret_address = address;
		if (other != NULL || *ret_error == -ECANCELED)
			return other;
		proxy_tell(req, "cannot connect to", address, *ret_error);
	}
	return NULL;
}

/* Ends a connection so that the other end does not take what it got for the whole: with a reset,
 * where there is one. Afterwards nothing can be received or sent. */
static void
proxy_reset(struct hd_request *req)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};

	(void)connect(hd_fd(req), &none, sizeof(none));
}

/* A row of one end: bytes of `in` come from it, bytes of `out` go to it. An end of which nothing is
 * wanted is left out, since poll(2) would tell again and again that it has hung up, unless it has
 * sent its end: then that it has gone is all there is to learn. */
static void
proxy_fill_row(struct pollfd *row, int fd, const struct direction *in, const struct direction *out)
{
	row->events = (short)((direction_wants_input(in) ? POLLIN : 0) |
			      (direction_wants_output(out) ? POLLOUT : 0));
	row->fd = row->events != 0 || in->is_over ? fd : -1;
	row->revents = 0;
}

/* Waits until something can move, and moves it. Returns 1 to go on, 0 to end, or a negative errno.
 */
static int
proxy_turn(struct hd_request *req, struct direction *up, struct direction *down, int idle_ms)
{
	struct pollfd rows[2];
	int n;

	proxy_fill_row(&rows[0], HD_CLIENT, up, down);
	proxy_fill_row(&rows[1], hd_fd(down->from), down, up);
	n = hd_poll(req, rows, 2, idle_ms);
	if (n == -EINTR)
		return 1;
	if (n <= 0)
		return n; /* 0: nothing has moved for too long */
	for (int i = 0; i < 2; i++) {
		if (rows[i].revents != 0 && rows[i].events == 0)
			return 0; /* it has sent its end, and receives no more */
	}
	/* after an error either call finds out which */
	direction_move(up, (rows[0].revents & ~POLLOUT) != 0, (rows[1].revents & ~POLLIN) != 0);
	direction_move(down, (rows[1].revents & ~POLLOUT) != 0, (rows[0].revents & ~POLLIN) != 0);
	return up->is_cut || down->is_cut || (up->is_over && down->is_over) ? 0 : 1;
}

/* How it ended: 0, or what broke it off and, in *ret_by_server, who. */
static int
proxy_judge(const struct direction *up, const struct direction *down, bool *ret_by_server)
{
	*ret_by_server = false;
	if (up->is_cut)
		return up->error;
	*ret_by_server = true;
	if (down->is_cut)
		return down->error;
	/* a server that takes no more may have given its whole answer before; not so after a reset
	 */
	if (up->error != 0 && up->error != -EPIPE)
		return up->error;
	*ret_by_server = false;
	return down->error;
}

int
handle(struct hd_request *req)
{
	const struct hd_server *server = hd_request_server(req);
	size_t room = (size_t)hd_option_size(server, "buffer");
	int idle_ms = (int)hd_option_ms(server, "idle_timeout");
	bool can_splice = hd_option_bool(server, "splice"), is_by_server = true;
	unsigned char *buffers = hd_alloc(req, 2 * room);
	struct direction up, down;
	const char *address = NULL;
	struct hd_request *other;
	int r = -ENOMEM;

	if (buffers == NULL)
		return r;
	other = proxy_connect(req, &address, &r);
	if (other == NULL) {
		proxy_reset(req);
		return r;
	}
	(void)hd_set_timeout(req, 0);
	(void)hd_set_timeout(other, 0);
	direction_open(&up, req, other, buffers, room, can_splice);
	direction_open(&down, other, req, buffers + room, room, can_splice);
	do {
		r = proxy_turn(req, &up, &down, idle_ms);
	} while (r > 0);
	if (r == 0)
		r = proxy_judge(&up, &down, &is_by_server);
	/* the server's connection may be told of the end first, and only what ended the client's
	 * own is no error */
	if (r == -ECANCELED)
		(void)hd_sleep(req, PROXY_CANCEL_MS);
	if (r < 0)
		proxy_reset(other);
	if (r < 0 && r != -ECANCELED && is_by_server) {
		proxy_tell(req, "lost the connection to", address, r);
		proxy_reset(req);
	}
	hd_log(req, HD_LOG_DEBUG, "%" PRIu64 " bytes to '%s', %" PRIu64 " bytes back", up.moved,
	       address, down.moved);
	direction_close(&up);
	direction_close(&down);
	return r; /* the connection to the server is closed with the client's */
}
