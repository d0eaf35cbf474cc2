/*
 * sys_drain - waits in the way the client asks for, and logs how the wait ended: at the drain
 * deadline there is no client left to tell.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

HD_HANDLER(.name = "sys_drain", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

/* One wait; its result. */
static int64_t
wait_once(struct hd_request *req, const char *how)
{
	static const char block[65536];
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	int ends[2];
	char buf[64];
	int r = 0;

	if (strcmp(how, "recv") == 0)
		return hd_recv(req, buf, sizeof(buf));
	if (strcmp(how, "readline") == 0)
		return hd_readline(req, buf, sizeof(buf));
	if (strcmp(how, "sleep") == 0)
		return hd_sleep(req, 60000);
	if (strcmp(how, "poll") == 0)
		return hd_poll(req, &row, 1, -1);
	if (strcmp(how, "fgets") == 0)
		return fgets(buf, sizeof(buf), hd_makefile(req, "r")) != NULL ? 1 : -errno;
	if (strcmp(how, "wait") == 0 && pipe(ends) == 0) {
		r = hd_wait(req, ends[0], POLLIN, -1);
		(void)close(ends[0]);
		(void)close(ends[1]);
		return r;
	}
	/* "send": to a client that does not read */
	while (r == 0)
		r = hd_sendall(req, block, sizeof(block));
	return r;
}

/* "idle HOW" or "busy HOW", one after the other. */
int
handle(struct hd_request *req)
{
	char line[64];
	ssize_t n;

	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		int64_t result;

		line[strcspn(line, "\n")] = '\0';
		(void)hd_set_idle(req, strncmp(line, "idle ", 5) == 0);
		if (hd_printf(req, "waiting\n") < 0 || hd_flush(req) < 0)
			return -1;
		result = wait_once(req, line + 5);
		hd_log(req, HD_LOG_INFO, "%s ended with %lld, draining %d", line, (long long)result,
		       hd_draining(req));
		if (result < 0)
			return (int)result;
		if (hd_printf(req, "ended %lld\n", (long long)result) < 0)
			return -1;
	}
	return (int)n;
}

void
finish(struct hd_request *req)
{
	hd_log(req, HD_LOG_INFO, "finish called");
}
