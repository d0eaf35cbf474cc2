/*
 * discard - throws away what it receives (RFC 863).
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = "discard", .version = "1.0.0", .summary = "Throws away what it receives",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	char buf[4096];
	ssize_t n;

	hd_set_idle(req, 1);
	while ((n = hd_recv(req, buf, sizeof(buf))) > 0)
		;
	return (int)n;
}
