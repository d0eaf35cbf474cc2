/*
 * sys_order - writes down in which order it is called, for the comparison with socketserver. The
 * options say which calls fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <handlerd/handler.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct hd_option options[] = {
	HD_OPTION_PATH("transcript", HD_REQUIRED, "file that the calls are written to"),
	HD_OPTION_BOOL("refuse", 0, "verify fails"),
	HD_OPTION_BOOL("fail_setup", 0, "setup fails"),
	HD_OPTION_BOOL("fail_handle", 0, "handle fails after its answer"),
	HD_OPTION_END,
};

/* Opened with O_APPEND: each line arrives whole, whoever writes. */
static int transcript_fd = -1;

static void
note(const char *call)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s\n", call);

	(void)!write(transcript_fd, line, (size_t)n);
}

static int
on_server_start(struct hd_server *server)
{
	transcript_fd =
		open(hd_option_string(server, "transcript"), O_WRONLY | O_APPEND | O_CLOEXEC);
	return transcript_fd < 0 ? -errno : 0;
}

static int
on_verify(struct hd_request *req)
{
	note("verify");
	return hd_option_bool(hd_request_server(req), "refuse") ? -EPERM : 0;
}

static void
on_error(struct hd_request *req, int error)
{
	(void)req;
	(void)error;
	note("handle_error");
}

HD_HANDLER(.name = "sys_order", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS, .options = options,
	   .server_start = on_server_start, .verify = on_verify, .handle_error = on_error);

int
setup(struct hd_request *req)
{
	note("setup");
	return hd_option_bool(hd_request_server(req), "fail_setup") ? -EIO : 0;
}

/* Answers each line with the same in capitals, and the last with "end" when the client closed its
 * side or the datagram has ended. */
int
handle(struct hd_request *req)
{
	char line[256];
	ssize_t n;

	note("handle");
	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (line[i] >= 'a' && line[i] <= 'z')
				line[i] = (char)(line[i] - 'a' + 'A');
		}
		if (hd_sendall(req, line, (size_t)n) < 0)
			break;
		if (strcmp(line, "FAIL\n") == 0)
			return -EIO;
		if (strcmp(line, "BYE\n") == 0)
			return 0;
	}
	if (n == 0)
		(void)hd_printf(req, "end\n");
	return hd_option_bool(hd_request_server(req), "fail_handle") ? -EIO : (int)n;
}

void
finish(struct hd_request *req)
{
	(void)req;
	note("finish");
}
