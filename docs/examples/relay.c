/*
 * relay - connects each client to another server and carries bytes both ways. The connection of its
 * own takes the same calls as the client's.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <string.h>

#define PIECE 16384

static const struct hd_option options[] = {
	HD_OPTION_STRING("to", HD_REQUIRED, "the server: tcp:HOST:PORT or unix:/PATH"),
	HD_OPTION_DURATION("connect_timeout", 5000, 1, 600000, "how long connecting may take"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "relay", .version = "1.0.0", .summary = "Carries bytes to another server",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS, .options = options);

/* One direction, and what is held of it because its receiver does not read. */
struct direction {
	struct hd_request *from, *to;
	int is_over;
	size_t start, end;
	char buf[PIECE];
};

/* Carries what can be carried at once. Neither end waits, so that one that does not read holds up
 * its own direction alone. Returns 0 or a negative errno. */
static int
carry(struct direction *direction)
{
	ssize_t n;

	if (direction->start == direction->end && !direction->is_over) {
		n = hd_recv(direction->from, direction->buf, PIECE);
		if (n < 0)
			return n == -ETIMEDOUT ? 0 : (int)n; /* nothing there now */
		direction->start = 0;
		direction->end = (size_t)n;
		direction->is_over = n == 0;
		if (n == 0)
			return hd_shutdown_write(direction->to); /* the other one goes on */
	}
	n = hd_send(direction->to, direction->buf + direction->start,
		    direction->end - direction->start);
	if (n < 0)
		return n == -ETIMEDOUT ? 0 : (int)n;
	direction->start += (size_t)n;
	return 0;
}

/* What to wait for at one end, with bytes of `in` coming from it and bytes of `out` going to it.
 * poll(2) leaves out a row whose fd is -1. */
static struct pollfd
wait_for(int fd, const struct direction *in, const struct direction *out)
{
	struct pollfd row = {-1, 0, 0};

	if (in->start == in->end && !in->is_over)
		row.events |= POLLIN;
	if (out->start < out->end)
		row.events |= POLLOUT;
	if (row.events != 0)
		row.fd = fd;
	return row;
}

int
handle(struct hd_request *req)
{
	const struct hd_server *server = hd_request_server(req);
	struct direction *up = hd_alloc(req, sizeof(*up)), *down = hd_alloc(req, sizeof(*down));
	struct hd_request *other;
	int r = -ENOMEM;

	if (up == NULL || down == NULL)
		return r;
	other = hd_connect(req, hd_option_string(server, "to"),
			   (int)hd_option_ms(server, "connect_timeout"), &r);
	if (other == NULL) {
		hd_log(req, HD_LOG_WARNING, "cannot connect to %s: %s",
		       hd_option_string(server, "to"), strerror(-r));
		return r;
	}
	up->from = down->to = req;
	up->to = down->from = other;
	hd_set_timeout(req, 0);
	hd_set_timeout(other, 0);
	do {
		struct pollfd rows[2] = {wait_for(HD_CLIENT, up, down),
					 wait_for(hd_fd(other), down, up)};

		r = hd_poll(req, rows, 2, -1);
		if (r >= 0 || r == -EINTR)
			r = carry(up);
		if (r >= 0)
			r = carry(down);
	} while (r >= 0 && (!up->is_over || !down->is_over));
	return r; /* `other` is closed with the request */
}
