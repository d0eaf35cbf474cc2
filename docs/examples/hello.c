/*
 * hello - asks for a name and greets it. The handler of the README.
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = "hello", .version = "1.0.0", .summary = "Greets by name",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	char name[80];
	ssize_t n;

	hd_printf(req, "Who is there?\n");
	n = hd_readline(req, name, sizeof(name));
	if (n < 0)
		return (int)n;
	return hd_printf(req, "Hello, %s", name);
}
