/*
 * yourmsg - answers each message until the client closes.
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = "yourmsg", .version = "1.0.0", .summary = "Answers each message with its text",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	char data[1024];
	ssize_t n;

	hd_set_idle(req, 1);
	while ((n = hd_recv(req, data, sizeof(data))) > 0) {
		struct iovec answer[] = {
			{.iov_base = (void *)"Your msg={", .iov_len = 10},
			{.iov_base = data, .iov_len = (size_t)n},
			{.iov_base = (void *)"}", .iov_len = 1},
		};
		int r = hd_sendallv(req, answer, 3);

		if (r < 0)
			return r;
	}
	return (int)n;
}
