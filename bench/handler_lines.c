/*
 * lines - answers each line with itself, with the buffers of the request or without.
 *
 * It is there to see what hd_readline and hd_printf save where a client does not wait for each
 * answer. Without buffers a line is one hd_recv and one hd_sendall; it is as long as the option
 * says then, which is the best that can be done without keeping what comes after it.
 */
#include <handlerd/handler.h>

#define LONGEST 4096

static const struct hd_option options[] = {
	HD_OPTION_BOOL("buffered", 1, "whether lines are gathered, both ways"),
	HD_OPTION_INT("length", 64, 1, LONGEST, "bytes in a line, where they are not"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "lines", .version = "1.0.0", .summary = "Answers each line with itself",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS, .options = options);

static int
answer_buffered(struct hd_request *req)
{
	char line[LONGEST + 1];
	ssize_t n;

	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		int r = hd_printf(req, "%s", line);

		if (r < 0)
			return r;
	}
	return (int)n;
}

static int
answer_at_once(struct hd_request *req, size_t length)
{
	char line[LONGEST];
	size_t have = 0;
	ssize_t n;

	while ((n = hd_recv(req, line + have, length - have)) > 0) {
		int r = 0;

		have += (size_t)n;
		if (have < length)
			continue;
		have = 0;
		r = hd_sendall(req, line, length);
		if (r < 0)
			return r;
	}
	return (int)n;
}

int
handle(struct hd_request *req)
{
	const struct hd_server *server = hd_request_server(req);

	if (hd_option_bool(server, "buffered"))
		return answer_buffered(req);
	return answer_at_once(req, (size_t)hd_option_int(server, "length"));
}
