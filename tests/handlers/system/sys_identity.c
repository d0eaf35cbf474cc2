/*
 * sys_identity - shows who loads it: its constructor writes /proc/self/status to standard error
 * where the environment asks for it, also in the process that loads it on trial.
 */
#include <fcntl.h>
#include <handlerd/handler.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

HD_HANDLER(.name = "sys_identity", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

static void __attribute__((constructor)) show(void)
{
	char text[8192];
	char *rest = text, *line;
	ssize_t n;
	int fd;

	if (getenv("SYS_IDENTITY") == NULL)
		return;
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL) {
		char record[256];
		int length =
			snprintf(record, sizeof(record), "%s %s\n", getenv("SYS_IDENTITY"), line);

		if (length >= (int)sizeof(record))
			length = (int)sizeof(record) - 1;
		record[length - 1] = '\n';
		(void)!write(STDERR_FILENO, record, (size_t)length);
	}
}

/* Waits until the client closes. */
int
handle(struct hd_request *req)
{
	char buf[64];
	int r = hd_printf(req, "%d\n", (int)getpid());

	hd_set_idle(req, 1);
	while (r == 0 && hd_recv(req, buf, sizeof(buf)) > 0)
		;
	return r;
}
