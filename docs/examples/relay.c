/*
 * relay - connects each client to another server and carries bytes both ways. The connection of its
 * own takes the same calls as the client's.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <string.h>

static const struct hd_option options[] = {
	HD_OPTION_STRING("to", HD_REQUIRED, "the server: tcp:HOST:PORT or unix:/PATH"),
	HD_OPTION_DURATION("connect_timeout", 5000, 1, 600000, "how long connecting may take"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "relay", .version = "1.0.0", .summary = "Carries bytes to another server",
	   .flags = HD_STREAM | HD_THREADS, .options = options);

/* Carries what has arrived. Returns 1, 0 at the end of the input, or a negative errno. */
static int
carry(struct hd_request *from, struct hd_request *to)
{
	char buf[16384];
	ssize_t n = hd_recv(from, buf, sizeof(buf));
	int r;

	if (n < 0)
		return (int)n;
	if (n == 0)
		return hd_shutdown_write(to); /* 0: the other direction goes on */
	r = hd_sendall(to, buf, (size_t)n);
	return r < 0 ? r : 1;
}

int
handle(struct hd_request *req)
{
	const struct hd_server *server = hd_request_server(req);
	int error = 0, open = 2;
	struct hd_request *other = hd_connect(req, hd_option_string(server, "to"),
					      (int)hd_option_ms(server, "connect_timeout"), &error);
	struct pollfd rows[2] = {{HD_CLIENT, POLLIN, 0}, {-1, POLLIN, 0}};

	if (other == NULL) {
		hd_log(req, HD_LOG_WARNING, "cannot connect to %s: %s",
		       hd_option_string(server, "to"), strerror(-error));
		return error;
	}
	rows[1].fd = hd_fd(other);
	while (open > 0) {
		int r = hd_poll(req, rows, 2, -1);

		if (r == -EINTR)
			continue;
		for (int i = 0; i < 2 && r >= 0; i++) {
			if (rows[i].revents == 0)
				continue;
			r = i == 0 ? carry(req, other) : carry(other, req);
			if (r == 0) {
				rows[i].fd = -1; /* poll(2) leaves out such a row */
				open--;
			}
		}
		if (r < 0)
			return r;
	}
	return 0; /* `other` is closed with the request */
}
