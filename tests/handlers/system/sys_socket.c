/*
 * sys_socket - tells of its client and of its sockets, and breaks those that it shares: one command
 * a line or a datagram.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "script.h"

/* where a worker has the sockets that clients come to */
#define FIRST_SOCKET 8

HD_HANDLER(.name = "sys_socket", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

static void
op_client(struct script *script, char *argument)
{
	(void)argument;
	script_say(script, "%s ", hd_client_name(script->req));
}

/* The family of the address that the client reached. */
static void
op_family(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, hd_local_address(script->req, NULL)->sa_family);
}

/* An option of the connection, by level and number. */
static void
op_option(struct script *script, char *argument)
{
	char *end;
	int level = (int)strtol(argument, &end, 10), option = (int)strtol(end, NULL, 10);
	int value = 0;
	socklen_t length = sizeof(value);

	if (getsockopt(hd_fd(script->req), level, option, &value, &length) < 0)
		value = -errno;
	script_say_number(script, value);
}

static void
op_congestion(struct script *script, char *argument)
{
	char name[17] = "";
	socklen_t length = sizeof(name) - 1;

	(void)argument;
	(void)getsockopt(hd_fd(script->req), IPPROTO_TCP, 13 /* TCP_CONGESTION */, name, &length);
	script_say(script, "%s ", name);
}

static void
op_variable(struct script *script, char *argument)
{
	const char *value = getenv(argument);

	script_say(script, "%s ", value != NULL ? value : "unset");
}

static void
op_user(struct script *script, char *argument)
{
	(void)argument;
	script_say(script, "%d %d ", (int)geteuid(), (int)getpid());
}

/* What clients come to: of all kinds, connections excepted. */
static void
break_sockets(struct script *script, bool is_closed)
{
	int count = 0;

	for (int fd = FIRST_SOCKET; fd < 256; fd++) {
		int is_listening = 0, type = 0;
		socklen_t length = sizeof(int);

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) < 0 ||
		    (type == SOCK_STREAM && !is_listening))
			continue;
		(void)(is_closed ? close(fd) : shutdown(fd, SHUT_RDWR));
		count++;
	}
	script_say_number(script, count);
}

static void
op_shut(struct script *script, char *argument)
{
	(void)argument;
	break_sockets(script, false);
}

/* The copies of this process. */
static void
op_close(struct script *script, char *argument)
{
	(void)argument;
	break_sockets(script, true);
}

static const struct script_op ops[] = {
	{"client", op_client},
	{"family", op_family},
	{"option", op_option},
	{"congestion", op_congestion},
	{"variable", op_variable},
	{"user", op_user},
	{"shut", op_shut},
	{"close", op_close},
	{NULL, NULL},
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
