/*
 * sys_leak - loses so many bytes with each connection, datagram or session, as a handler with a
 * fault would, and answers each line with the process id of its worker. `spin` makes a child first
 * that uses a processor as long as its group is there, `child N` one that has N MiB. While the file
 * of option `holds_if` is there, server_start does not come back; while that of `fails_if` is
 * there, it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <handlerd/handler.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static int on_server_start(struct hd_server *server);

static const struct hd_option options[] = {
	HD_OPTION_SIZE("bytes", 0, 0, 1 << 30, "lost with each"),
	HD_OPTION_SIZE("bytes_at_start", 0, 0, 1 << 30, "taken once"),
	HD_OPTION_STRING("holds_if", "", "a file"),
	HD_OPTION_STRING("fails_if", "", "a file"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "sys_leak", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS, .options = options,
	   .server_start = on_server_start);

/* What was lost last: so that no compiler finds that nobody needs it. */
static _Thread_local char *volatile lost;
static pid_t worker;

static int
lose(size_t size)
{
	if (size == 0)
		return 0;
	lost = malloc(size);
	if (lost == NULL)
		return -ENOMEM;
	memset(lost, 1, size);
	return 0;
}

/* Until a file that is there is gone. */
static void
wait_gone(const char *path)
{
	char events[4096];
	int fd = inotify_init1(IN_CLOEXEC);

	/* asked for before the look; a file whose last name goes has its attributes changed */
	if (fd < 0 || inotify_add_watch(fd, path, IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) < 0) {
		if (errno != ENOENT)
			abort();
	} else {
		while (access(path, F_OK) == 0 && read(fd, events, sizeof(events)) != 0)
			;
	}
	(void)close(fd);
}

static int
on_server_start(struct hd_server *server)
{
	const char *holds = hd_option_string(server, "holds_if");
	const char *fails = hd_option_string(server, "fails_if");

	worker = getpid();
	if (holds[0] != '\0' && access(holds, F_OK) == 0) {
		hd_server_log(server, HD_LOG_INFO, "held in server_start");
		wait_gone(holds);
	}
	if (fails[0] != '\0' && access(fails, F_OK) == 0)
		return -EIO;
	return lose((size_t)hd_option_size(server, "bytes_at_start"));
}

/* A child that stays. */
static int
make_child(int does_spin, size_t size)
{
	int ready[2], r;
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		r = lose(size);
		if (r < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		while (does_spin)
			;
		for (;;)
			(void)pause();
	}
	r = pid < 0 ? -errno : 0;
	(void)close(ready[1]);
	if (r == 0 && read(ready[0], &byte, 1) != 1)
		r = -ECHILD;
	(void)close(ready[0]);
	return r;
}

int
handle(struct hd_request *req)
{
	char line[64];
	ssize_t n;
	int r = lose((size_t)hd_option_size(hd_request_server(req), "bytes"));

	hd_set_idle(req, 0);
	while (r >= 0 && (n = hd_readline(req, line, sizeof(line))) != 0) {
		if (n < 0)
			return (int)n;
		if (strncmp(line, "spin", 4) == 0)
			r = make_child(1, 0);
		else if (strncmp(line, "child ", 6) == 0)
			r = make_child(0, strtoul(line + 6, NULL, 10) << 20);
		if (r >= 0)
			r = hd_printf(req, "%d\n", (int)worker);
	}
	return r;
}
