// reverse - a handler in C++11: sends back each line from its end to its beginning.
#include <handlerd/handler.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>

HD_HANDLER_CXX("reverse", "1.0.0", "Sends each line back reversed", HD_STREAM | HD_THREADS,
	       nullptr);

static int
serve(struct hd_request *req)
{
	char buf[1024];
	ssize_t n;

	hd_set_idle(req, 1);
	while ((n = hd_readline(req, buf, sizeof(buf))) > 0) {
		std::string line(buf, static_cast<std::size_t>(n));
		int r;

		if (line.back() == '\n')
			line.pop_back();
		std::reverse(line.begin(), line.end());
		r = hd_printf(req, "%s\n", line.c_str());
		if (r < 0)
			return r;
	}
	return static_cast<int>(n);
}

// No exception may leave an entry point: the caller is C.
int
handle(struct hd_request *req)
{
	try {
		return serve(req);
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	}
}
