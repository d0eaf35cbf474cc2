/*
 * files - sends the file whose name the client writes, from one directory that is opened once.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <handlerd/handler.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct hd_option options[] = {
	HD_OPTION_PATH("directory", HD_REQUIRED, "what is served; no file below it is a secret"),
	HD_OPTION_END,
};

static int start(struct hd_server *server);

HD_HANDLER(.name = "files", .version = "1.0.0", .summary = "Sends files of one directory",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS, .options = options, .server_start = start);

/* A mistake in the configuration stops the start or reload, with this line in the log. */
static int
start(struct hd_server *server)
{
	const char *path = hd_option_string(server, "directory");
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		int error = -errno;

		hd_server_log(server, HD_LOG_ERR, "cannot open directory '%s': %s", path,
			      strerror(-error));
		return error;
	}
	hd_server_set_data(server, (void *)(intptr_t)fd);
	return 0;
}

static int
send_file(struct hd_request *req, int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int64_t sent = -ENOENT;

	if (fd < 0)
		return hd_printf(req, "ERROR %s\n", strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		hd_printf(req, "OK %lld\n", (long long)st.st_size); /* leaves before the file */
		sent = hd_sendfile(req, fd, 0, (uint64_t)st.st_size);
	}
	(void)close(fd);
	if (sent == -ENOENT)
		return hd_printf(req, "ERROR not a file\n");
	return sent < 0 ? (int)sent : 0;
}

int
handle(struct hd_request *req)
{
	int directory = (int)(intptr_t)hd_server_data(hd_request_server(req));
	char name[256];
	ssize_t n = hd_readline(req, name, sizeof(name));

	if (n <= 0)
		return (int)n;
	name[strcspn(name, "\r\n")] = '\0';
	/* one component, not "." or "..": nothing outside of the directory can be named */
	if (name[0] == '.' || name[0] == '\0' || strchr(name, '/') != NULL)
		return hd_printf(req, "ERROR no such name\n");
	return send_file(req, directory, name);
}
