/*
 * sys_constructor - code that runs while the handler is loaded does what the listener's environment
 * tells it to, before anything was asked of the handler.
 */
#include <handlerd/handler.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

HD_HANDLER(.name = "sys_constructor", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

__attribute__((constructor)) static void
misbehave(void)
{
	const char *what = getenv("CONSTRUCTOR");

	if (what == NULL)
		return;
	if (strcmp(what, "exit") == 0)
		exit(0);
	if (strcmp(what, "abort") == 0)
		abort();
	if (strcmp(what, "keyctl") == 0)
		(void)syscall(SYS_keyctl, -1);
	if (strcmp(what, "hang") == 0)
		for (;;)
			(void)pause();
}

int
handle(struct hd_request *req)
{
	return hd_printf(req, "loaded\n");
}
