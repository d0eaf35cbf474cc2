/*
 * sys_spoil - does to the sockets that clients come to whatever leaves them useless: one command a
 * line or a datagram. It says on how many it was done, or the error of the last that refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "script.h"

/* where a worker has the sockets that clients come to, and the others that it is born with */
#define FIRST_SOCKET 8
#define MOST_SOCKETS 64

HD_HANDLER(.name = "sys_spoil", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

/* Copies, so that the daemon's own way of closing them is none. */
static int kept[MOST_SOCKETS];
static int kept_count;

static int
is_for_clients(int fd)
{
	int is_listening = 0, type = 0;
	socklen_t length = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) == 0 &&
	       (type != SOCK_STREAM || is_listening);
}

static void
spoil(struct script *script, int (*how)(int fd, const long *numbers), const char *argument)
{
	long numbers[3] = {0};
	int done = 0;

	for (size_t i = 0; i < 3; i++) {
		char *end;

		numbers[i] = strtol(argument, &end, 0);
		argument = end;
	}
	for (int fd = FIRST_SOCKET; fd < FIRST_SOCKET + MOST_SOCKETS; fd++) {
		if (!is_for_clients(fd))
			continue;
		if (how(fd, numbers) < 0) {
			script_say_number(script, -errno);
			return;
		}
		done++;
	}
	for (int i = 0; done == 0 && i < kept_count; i++)
		done += how(kept[i], numbers) == 0;
	script_say_number(script, done);
}

/* An option: level, number, value. */
static int
set_option(int fd, const long *numbers)
{
	int value = (int)numbers[2];

	return setsockopt(fd, (int)numbers[0], (int)numbers[1], &value, sizeof(value));
}

/* A filter that lets nothing through, for good. */
static int
set_filter(int fd, const long *numbers)
{
	struct sock_filter row = {.code = BPF_RET | BPF_K, .k = 0};
	struct sock_fprog program = {.len = 1, .filter = &row};
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -1;
	return numbers[0] == 0 ? 0 : setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one));
}

static int
set_blocking(int fd, const long *numbers)
{
	(void)numbers;
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

static int
set_backlog(int fd, const long *numbers)
{
	return listen(fd, (int)numbers[0]);
}

static int
shut(int fd, const long *numbers)
{
	(void)numbers;
	/* says ENOTCONN of a datagram socket, and works */
	(void)shutdown(fd, SHUT_RDWR);
	return 0;
}

static int
keep(int fd, const long *numbers)
{
	(void)numbers;
	kept[kept_count] = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_SOCKET + MOST_SOCKETS);
	return kept[kept_count] < 0 ? -1 : kept_count++;
}

static void
op_set(struct script *script, char *argument)
{
	spoil(script, set_option, argument);
}

static void
op_filter(struct script *script, char *argument)
{
	spoil(script, set_filter, argument);
}

static void
op_block(struct script *script, char *argument)
{
	spoil(script, set_blocking, argument);
}

static void
op_backlog(struct script *script, char *argument)
{
	spoil(script, set_backlog, argument);
}

static void
op_shut(struct script *script, char *argument)
{
	spoil(script, shut, argument);
}

static void
op_keep(struct script *script, char *argument)
{
	spoil(script, keep, argument);
}

static void
op_pid(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, getpid());
}

static const struct script_op ops[] = {
	{"set", op_set},   {"filter", op_filter}, {"block", op_block}, {"backlog", op_backlog},
	{"shut", op_shut}, {"keep", op_keep},	  {"pid", op_pid},     {NULL, NULL},
};

int
handle(struct hd_request *req)
{
	static _Thread_local struct script script;
	char text[256];
	ssize_t n;

	if (!hd_is_datagram(req))
		return script_run(req, ops);
	n = hd_recv(req, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	script = (struct script){.req = req};
	script_run_op(&script, ops, text);
	return hd_sendall(req, script.result, script.length > 0 ? script.length - 1 : 0);
}
