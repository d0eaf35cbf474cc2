/*
 * outlet.c - connections to the journal, one by its native protocol and one stream for each worker.
 */
#include "supervisor/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define OUTLET_STREAM_PATH "/run/systemd/journal/stdout"
/* As systemd begins a stream: identifier, unit (the journal finds it by itself), priority
 * (daemon.info), whether lines have prefixes with a level, and no forwarding to syslog, the
 * kernel's log or the console beyond what the journal does anyhow. */
#define OUTLET_STREAM_HEADER "handlerd\n\n30\n1\n0\n0\n0\n"
/* As much as systemd asks for; who cannot have it has what there is. */
#define OUTLET_STREAM_BUFFER (8 << 20)

/* The stream to the journal that systemd has connected a service to. */
static bool
outlet_is_stream(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char here[64];

	if (stream == NULL || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	(void)snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, here) == 0;
}

static int
outlet_connect_stream(void)
{
	static const struct sockaddr_un addr = {
		.sun_family = AF_UNIX,
		.sun_path = OUTLET_STREAM_PATH,
	};
	/* nobody waits for the journal: its queue of connections may be full */
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int size = OUTLET_STREAM_BUFFER, flags;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    shutdown(fd, SHUT_RD) < 0 ||
	    send(fd, OUTLET_STREAM_HEADER, strlen(OUTLET_STREAM_HEADER), MSG_NOSIGNAL) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* handlers write to standard error as ever, and wait there */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return take_fd(&fd);
}

/* The file that standard error is, opened anew, where everything goes to its end: whoever else has
 * it would have to have the place in common, which is the descriptor's. Or negative. */
static int
outlet_open_file(void)
{
	struct stat st;
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	if (flags < 0 || (flags & O_APPEND) == 0 || fstat(STDERR_FILENO, &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return -1;
	return open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
}

void
outlet_open(struct outlet *outlet, bool wants_journal)
{
	bool is_output = outlet_is_stream(STDOUT_FILENO),
	     is_error = outlet_is_stream(STDERR_FILENO);

	*outlet = (struct outlet){
		.target = LOG_TARGET_STDERR,
		.log_fd = STDERR_FILENO,
		.output_fd = -1,
		.error_fd = -1,
		.journal_fd = wants_journal ? log_connect_journal() : -1,
		.stream_fd = is_output || is_error ? outlet_connect_stream() : -1,
		.own_fd = log_open_terminal(STDERR_FILENO),
	};
	if (outlet->own_fd >= 0) {
		outlet->log_fd = outlet->own_fd;
	} else {
		outlet->own_fd = outlet_open_file();
		if (outlet->own_fd >= 0)
			outlet->log_fd = outlet->error_fd = outlet->own_fd;
	}
	if (outlet->stream_fd >= 0 && is_output)
		outlet->output_fd = outlet->stream_fd;
	if (outlet->stream_fd >= 0 && is_error)
		outlet->log_fd = outlet->error_fd = outlet->stream_fd;
	if (outlet->journal_fd >= 0) {
		outlet->target = LOG_TARGET_JOURNAL;
		outlet->log_fd = outlet->journal_fd;
	}
}

void
outlet_close(struct outlet *outlet)
{
	if (outlet->journal_fd >= 0)
		(void)close(outlet->journal_fd);
	if (outlet->stream_fd >= 0)
		(void)close(outlet->stream_fd);
	if (outlet->own_fd >= 0)
		(void)close(outlet->own_fd);
	outlet->journal_fd = outlet->stream_fd = outlet->own_fd = -1;
}
