/*
 * receipt - receives once, up to 1024 bytes, and confirms what it got.
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = "receipt", .version = "1.0.0", .summary = "Confirms one message and closes",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	static const char text[] = "已接收到数据 ";
	char data[1024];
	ssize_t n = hd_recv(req, data, sizeof(data));

	if (n < 0)
		return (int)n;

	/* the data as it came: it may hold any bytes */
	struct iovec answer[] = {
		{.iov_base = (void *)text, .iov_len = sizeof(text) - 1},
		{.iov_base = data, .iov_len = (size_t)n},
	};
	return hd_sendallv(req, answer, 2);
}
