/*
 * sys_stopped - stops where it is loaded, before a line of it has served, so that whoever loads it
 * can be looked at: its constructor tells the process on standard error and stops it. Before that,
 * it tells whether it has the key that the test has planted, which nobody else can see.
 */
#include <handlerd/handler.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

HD_HANDLER(.name = "sys_stopped", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

static void
tell_key(void)
{
	static const char told[] = "has the key of who started the daemon\n";
	FILE *file = fopen("/proc/keys", "re");
	char line[512];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strstr(line, "handlerd-test-key") != NULL)
			(void)!write(STDERR_FILENO, told, sizeof(told) - 1);
	}
	if (file != NULL)
		(void)fclose(file);
}

static void __attribute__((constructor)) stop(void)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "stopped %d\n", (int)getpid());

	tell_key();
	(void)!write(STDERR_FILENO, text, (size_t)length);
	(void)raise(SIGSTOP);
}

/* Waits until the client closes, or crashes where it says so. */
int
handle(struct hd_request *req)
{
	char buf[64];
	int r = hd_printf(req, "%d\n", (int)getpid());
	ssize_t n = 0;

	hd_set_idle(req, 1);
	while (r == 0 && (n = hd_recv(req, buf, sizeof(buf))) > 0) {
		if (buf[0] == 'c')
			(void)raise(SIGSEGV);
	}
	return r < 0 ? r : (int)n;
}
