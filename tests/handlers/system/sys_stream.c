/*
 * sys_stream - every call that reads, writes or waits, one operation each.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "script.h"

HD_HANDLER(.name = "sys_stream", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

static void
op_recv(struct script *script, char *argument)
{
	char buf[8192];
	size_t size = (size_t)atol(argument);

	script_say_bytes(script, hd_recv(script->req, buf, size), buf);
}

static void
op_recvfrom(struct script *script, char *argument)
{
	struct sockaddr_storage from;
	socklen_t length = sizeof(from), own_length;
	const struct sockaddr *own = hd_client_address(script->req, &own_length);
	char buf[8192];

	script_say_bytes(script,
			 hd_recvfrom(script->req, buf, (size_t)atol(argument),
				     (struct sockaddr *)&from, &length),
			 buf);
	script_say(script, "%s ",
		   length == own_length && memcmp(own, &from, length) == 0 ? "same" : "other");
}

static void
op_recvall(struct script *script, char *argument)
{
	char buf[8192];

	script_say_bytes(script, hd_recvall(script->req, buf, (size_t)atol(argument)), buf);
}

static void
op_readline(struct script *script, char *argument)
{
	char buf[8192];
	size_t size = (size_t)atol(argument);
	ssize_t n;

	memset(buf, 'x', sizeof(buf));
	n = hd_readline(script->req, buf, size);
	script_say_bytes(script, n, buf);
	if (n >= 0 && buf[n] != '\0')
		script_say(script, "no-nul ");
}

static void
op_timeout(struct script *script, char *argument)
{
	int r = hd_set_timeout(script->req, atoi(argument));

	if (r < 0)
		script_say_number(script, r);
}

/* stdio */

static void
op_fgets(struct script *script, char *argument)
{
	FILE *in = hd_makefile(script->req, "r");
	char buf[8192];

	errno = 0;
	if (in == NULL || fgets(buf, atoi(argument), in) == NULL)
		script_say_number(script, -errno);
	else
		script_say_bytes(script, (int64_t)strlen(buf), buf);
}

static void
op_fread(struct script *script, char *argument)
{
	FILE *in = hd_makefile(script->req, "r");
	char buf[8192];

	script_say_bytes(script, (int64_t)fread(buf, 1, (size_t)atol(argument), in), buf);
}

static void
op_ungetc(struct script *script, char *argument)
{
	script_say_number(script, ungetc(argument[0], hd_makefile(script->req, "r")));
}

static void
op_fputs(struct script *script, char *argument)
{
	if (fputs(argument, hd_makefile(script->req, "w")) == EOF)
		script_say_number(script, -errno);
}

static void
op_fclose(struct script *script, char *argument)
{
	FILE *stream = hd_makefile(script->req, argument);

	script_say_number(script, fclose(stream));
}

static void
op_makefile(struct script *script, char *argument)
{
	errno = 0;
	if (hd_makefile(script->req, argument) == NULL)
		script_say_number(script, -errno);
	else
		script_say(script, "%s ",
			   hd_makefile(script->req, argument) == hd_makefile(script->req, argument)
				   ? "same"
				   : "other");
}

/* Output */

static void
op_printf(struct script *script, char *argument)
{
	int r = hd_printf(script->req, "%s", argument);

	if (r != 0)
		script_say_number(script, r);
}

/* So many characters in one call. */
static void
op_print_long(struct script *script, char *argument)
{
	script_say_number(script, hd_printf(script->req, "%*s", atoi(argument), "end"));
}

static void
op_send(struct script *script, char *argument)
{
	script_say_number(script, hd_send(script->req, argument, strlen(argument)));
}

static void
op_sendall(struct script *script, char *argument)
{
	int r = hd_sendall(script->req, argument, strlen(argument));

	if (r != 0)
		script_say_number(script, r);
}

/* So many megabytes. */
static void
op_flood(struct script *script, char *argument)
{
	static const char block[65536];
	int r = 0;

	for (int i = 0; i < atoi(argument) * 16 && r == 0; i++)
		r = hd_sendall(script->req, block, sizeof(block));
	script_say_number(script, r);
}

/* Each character as a piece of its own, with empty pieces between. */
static void
op_sendallv(struct script *script, char *argument)
{
	struct iovec pieces[400] = {0};
	int count = 0;

	for (; argument[0] != '\0' && count < 399; argument++) {
		pieces[count++] = (struct iovec){.iov_base = argument, .iov_len = 1};
		pieces[count++] = (struct iovec){0};
	}
	script_say_number(script, hd_sendallv(script->req, pieces, count));
}

static void
op_sendto(struct script *script, char *argument)
{
	socklen_t length;
	const struct sockaddr *to = hd_client_address(script->req, &length);

	script_say_number(script, hd_sendto(script->req, argument, strlen(argument), to, length));
}

/* A temporary file "0123456789"; the argument is offset and count. */
static void
op_sendfile(struct script *script, char *argument)
{
	int fd = memfd_create("numbers", MFD_CLOEXEC);
	char *end;
	int64_t offset = strtoll(argument, &end, 10);
	uint64_t count = strcmp(end, " end") == 0 ? HD_TO_END : strtoull(end, NULL, 10);

	if (write(fd, "0123456789", 10) == 10 && lseek(fd, 2, SEEK_SET) == 2)
		script_say_number(script, hd_sendfile(script->req, fd, offset, count));
	script_say_number(script, lseek(fd, 0, SEEK_CUR));
	(void)close(fd);
}

/* A pipe that holds "pipe-data"; the argument is the count. */
static void
op_sendpipe(struct script *script, char *argument)
{
	uint64_t count = strcmp(argument, "end") == 0 ? HD_TO_END : strtoull(argument, NULL, 10);
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0 || write(ends[1], "pipe-data", 9) != 9)
		return;
	(void)close(ends[1]);
	script_say_number(script, hd_sendfile(script->req, ends[0], -1, count));
	(void)close(ends[0]);
}

/* A file of so many KiB. */
static void
op_sendzeros(struct script *script, char *argument)
{
	int fd = memfd_create("zeros", MFD_CLOEXEC);
	int64_t size = atoi(argument) * INT64_C(1024);

	if (ftruncate(fd, size) == 0 && hd_sendfile(script->req, fd, 0, (uint64_t)size) != size)
		script_say(script, "sendfile failed ");
	(void)close(fd);
}

/* Whether there are so many bytes of memory. */
static void
op_alloc(struct script *script, char *argument)
{
	script_say_number(script, hd_alloc(script->req, (size_t)atol(argument)) != NULL);
}

static void
op_flush(struct script *script, char *argument)
{
	(void)argument;
	if (hd_flush(script->req) != 0)
		script_say(script, "flush failed ");
}

static void
op_shutdown(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, hd_shutdown_write(script->req));
}

/* Waiting */

static void
op_sleep(struct script *script, char *argument)
{
	script_say_number(script, hd_sleep(script->req, (unsigned)atoi(argument)));
}

/* On an eventfd that is readable ("ready"), never is ("never") or is closed ("closed"). */
static void
op_wait(struct script *script, char *argument)
{
	int fd = eventfd(strcmp(argument, "ready") == 0, EFD_CLOEXEC);

	if (strcmp(argument, "closed") == 0)
		(void)close(fd);
	script_say_number(script, hd_wait(script->req, fd, POLLIN, 100));
	(void)close(fd);
}

/* The client and an eventfd; the argument is the timeout. */
static void
op_poll(struct script *script, char *argument)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct pollfd rows[2] = {
		{.fd = HD_CLIENT, .events = POLLIN},
		{.fd = fd, .events = POLLIN},
	};

	script_say_number(script, hd_poll(script->req, rows, 2, atoi(argument)));
	script_say(script, "%d %d ", rows[0].revents, rows[1].revents);
	if (rows[0].fd != HD_CLIENT || rows[1].fd != fd)
		script_say(script, "rows changed ");
	(void)close(fd);
}

static void
op_poll_many(struct script *script, char *argument)
{
	struct pollfd rows[1025];
	unsigned count = (unsigned)atoi(argument);

	for (unsigned i = 0; i < 1025; i++)
		rows[i] = (struct pollfd){.fd = -1};
	rows[0] = (struct pollfd){.fd = HD_CLIENT, .events = POLLOUT};
	script_say_number(script, hd_poll(script->req, rows, count, 0));
}

static void
op_fd(struct script *script, char *argument)
{
	int type = 0;
	socklen_t length = sizeof(type);

	(void)argument;
	script_say_number(script,
			  getsockopt(hd_fd(script->req), SOL_SOCKET, SO_TYPE, &type, &length) == 0
				  ? type
				  : -errno);
}

int
handle(struct hd_request *req)
{
	static const struct script_op ops[] = {
		{"recv", op_recv},
		{"recvfrom", op_recvfrom},
		{"recvall", op_recvall},
		{"readline", op_readline},
		{"timeout", op_timeout},
		{"fgets", op_fgets},
		{"fread", op_fread},
		{"ungetc", op_ungetc},
		{"fputs", op_fputs},
		{"fclose", op_fclose},
		{"makefile", op_makefile},
		{"printf", op_printf},
		{"long", op_print_long},
		{"send", op_send},
		{"sendall", op_sendall},
		{"flood", op_flood},
		{"sendallv", op_sendallv},
		{"sendto", op_sendto},
		{"sendfile", op_sendfile},
		{"sendpipe", op_sendpipe},
		{"sendzeros", op_sendzeros},
		{"alloc", op_alloc},
		{"flush", op_flush},
		{"shutdown", op_shutdown},
		{"sleep", op_sleep},
		{"wait", op_wait},
		{"poll", op_poll},
		{"poll_many", op_poll_many},
		{"fd", op_fd},
		{NULL, NULL},
	};

	return script_run(req, ops);
}
