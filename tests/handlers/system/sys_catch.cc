// sys_catch - waits while an exception is being handled, and throws it on afterwards.
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include <handlerd/handler.h>

HD_HANDLER_CXX("sys_catch", "1", nullptr, HD_STREAM | HD_THREADS | HD_FIBERS, nullptr);

static int
throw_and_wait(struct hd_request *req, const std::string &text)
{
	try {
		throw std::runtime_error(text);
	} catch (const std::runtime_error &) {
		char line[64];

		if (hd_printf(req, "caught\n") < 0 || hd_readline(req, line, sizeof(line)) <= 0)
			return 0;
		// the one that is being handled here, whatever others have caught meanwhile
		throw;
	}
}

int
handle(struct hd_request *req)
{
	char line[64];

	while (hd_readline(req, line, sizeof(line)) > 0) {
		line[std::strcspn(line, "\n")] = '\0';
		try {
			throw_and_wait(req, line);
		} catch (const std::exception &exception) {
			hd_printf(req, "%s %d\n", exception.what(), std::uncaught_exceptions());
		}
	}
	return 0;
}
