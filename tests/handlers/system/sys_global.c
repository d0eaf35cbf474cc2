/*
 * sys_global - has global names that others have, too: its other build, the daemon inside, the C
 * library. Each must go on meaning its own.
 */
#include <handlerd/handler.h>
#include <stdlib.h>
#include <string.h>

HD_HANDLER(.name = "sys_global", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

int shared_counter = GLOBAL_NUMBER * 1000;

int shared_function(void);
int
shared_function(void)
{
	return ++shared_counter;
}

/* Of the program that loads this; were one of them taken for its own, it would not get far. */
#define STOLEN(name)                                                                               \
	void name(void);                                                                           \
	void name(void)                                                                            \
	{                                                                                          \
		abort();                                                                           \
	}

STOLEN(log_write)
STOLEN(request_open)
STOLEN(request_close)
STOLEN(session_run)
STOLEN(server_log_context)
STOLEN(stream_receive)
STOLEN(stream_flush)
STOLEN(loop_arm)
STOLEN(clock_now_ns)

int
handle(struct hd_request *req)
{
	char line[16];
	ssize_t n;
	int r = 0;

	while (r >= 0 && (n = hd_readline(req, line, sizeof(line))) > 0)
		r = hd_printf(req, "%d\n", shared_function());
	return r;
}
