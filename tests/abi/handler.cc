// A handler in C++11, with options and a class of its own.
#include <handlerd/handler.h>

#include <cstring>
#include <string>

static const hd_option options[] = {
	HD_OPTION_STRING("greeting", "hello", "sent to each client"),
	HD_OPTION_INT("repeat", 1, 1, 100, "how often"),
	HD_OPTION_BOOL("loud", 0, "whether"),
	HD_OPTION_PATH("root", HD_REQUIRED, "where"),
	HD_OPTION_SIZE("room", 4096, 0, 1 << 20, "how much"),
	HD_OPTION_DURATION("patience", 1000, 0, 60000, "how long"),
	HD_OPTION_LIST("names", "who"),
	HD_OPTION_END,
};

HD_HANDLER_CXX("cxx", "1.0.0", "A handler in C++", HD_STREAM | HD_THREADS, options);

int
handle(hd_request *req)
{
	const hd_server *server = hd_request_server(req);
	std::string greeting(hd_option_string(server, "greeting"));

	return hd_sendall(req, greeting.data(), greeting.size());
}

int
setup(hd_request *req)
{
	(void)req;
	return 0;
}

void
finish(hd_request *req)
{
	(void)req;
}
