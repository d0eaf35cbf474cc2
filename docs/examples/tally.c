/*
 * tally - adds up the numbers that a client sends, and tells the sum after each. The same code
 * serves connections, UDP sessions, and datagrams that stand alone, each of which is a sum of its
 * own.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <stdlib.h>

HD_HANDLER(.name = "tally", .version = "1.0.0", .summary = "Adds up the numbers of each client",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

/* A message is a datagram, or a line of a connection. Its length, 0 at the end, negative errno. */
static ssize_t
read_message(struct hd_request *req, char *buf, size_t size)
{
	ssize_t n;

	if (!hd_is_datagram(req))
		return hd_readline(req, buf, size);
	n = hd_recv(req, buf, size - 1);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

int
handle(struct hd_request *req)
{
	char message[256];
	unsigned long sum = 0; /* lives as long as the connection or the session */
	ssize_t n;

	hd_set_idle(req, 1);
	while ((n = read_message(req, message, sizeof(message))) > 0) {
		int r;

		sum += strtoul(message, NULL, 10);
		r = hd_printf(req, "%lu\n", sum);
		if (r < 0)
			return r;
	}
	if (n == -EMSGSIZE) /* a line or a datagram of a session that is too long */
		return hd_printf(req, "ERROR too long\n");
	hd_log(req, HD_LOG_INFO, "sum %lu", sum);
	return (int)n;
}
