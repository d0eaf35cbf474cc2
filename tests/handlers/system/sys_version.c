/*
 * sys_version - answers each line with the number it was built with.
 */
#include <handlerd/handler.h>

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

HD_HANDLER(.name = "sys_version", .version = TEXT(VERSION_NUMBER),
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	char line[64];
	ssize_t n;

	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		int r = hd_printf(req, "version %d\n", VERSION_NUMBER);

		if (r < 0)
			return r;
	}
	return (int)n;
}
