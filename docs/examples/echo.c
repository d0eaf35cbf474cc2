/*
 * echo - sends back what it receives.
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = "echo", .version = "1.0.0", .summary = "Sends back what it receives",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	char buf[2048];
	ssize_t n;

	hd_set_idle(req, 1); /* nothing is lost if the daemon stops between two messages */
	while ((n = hd_recv(req, buf, sizeof(buf))) > 0) {
		int r = hd_sendall(req, buf, (size_t)n);

		if (r < 0)
			return r;
	}
	return (int)n; /* 0 at the end of the input, else why it broke off */
}
