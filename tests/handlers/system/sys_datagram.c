/*
 * sys_datagram - what its first line tells it to: a list of operations as in sys_stream. The bytes
 * behind that line are there to be read. Where no operation says anything there is no reply.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "script.h"

static int on_verify(struct hd_request *req);

HD_HANDLER(.name = "sys_datagram", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS, .verify = on_verify);

/* So that a test knows which have begun. */
static int
on_verify(struct hd_request *req)
{
	hd_log(req, HD_LOG_INFO, "begins");
	return 0;
}

/* Sends back what there is, in pieces of so many bytes, one hd_recv each. */
static void
op_echo(struct script *script, char *argument)
{
	size_t size = (size_t)atol(argument);
	char *buf = hd_alloc(script->req, size);
	ssize_t n;

	while ((n = hd_recv(script->req, buf, size)) > 0) {
		if (hd_sendall(script->req, buf, (size_t)n) < 0)
			return;
	}
}

/* How long the pieces are that hd_recv returns for such a buffer, up to the 0. */
static void
op_pieces(struct script *script, char *argument)
{
	size_t size = (size_t)atol(argument);
	char *buf = hd_alloc(script->req, size);
	ssize_t n;

	do {
		n = hd_recv(script->req, buf, size);
		script_say_number(script, n);
	} while (n > 0);
}

/* Adds so many bytes to the reply in one call, and logs what that returned. */
static void
op_add(struct script *script, char *argument)
{
	size_t size = (size_t)atol(argument);
	void *bytes = hd_alloc(script->req, size);
	ssize_t n = hd_send(script->req, bytes, size);

	hd_log(script->req, HD_LOG_INFO, "add %zu returned %zd", size, n);
}

static void
op_kill(struct script *script, char *argument)
{
	(void)script;
	(void)argument;
	(void)raise(SIGKILL);
}

/* To an address as Python writes it: HOST PORT, or @NAME; "hello" at once. */
static void
op_to(struct script *script, char *argument)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const char *port = strchr(argument, ' ');
	ssize_t n;

	if (argument[0] == '@') {
		size_t length = strlen(argument + 1);

		memcpy(un.sun_path + 1, argument + 1, length);
		n = hd_sendto(script->req, "hello", 5, (const struct sockaddr *)&un,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
	} else {
		in.sin_port = htons((uint16_t)atoi(port));
		argument[port - argument] = '\0';
		(void)inet_pton(AF_INET, argument, &in.sin_addr);
		n = hd_sendto(script->req, "hello", 5, (const struct sockaddr *)&in, sizeof(in));
	}
	script_say_number(script, n);
}

/* To the client itself, at once: so many bytes. */
static void
op_back(struct script *script, char *argument)
{
	socklen_t length;
	const struct sockaddr *to = hd_client_address(script->req, &length);
	size_t size = (size_t)atol(argument);
	void *bytes = hd_alloc(script->req, size);

	script_say_number(script, hd_sendto(script->req, bytes, size, to, length));
}

/* Says so to the client at once, and waits until something is in the pipe of that name. */
static void
op_gate(struct script *script, char *argument)
{
	socklen_t length;
	const struct sockaddr *to = hd_client_address(script->req, &length);
	int fd = open(argument, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0) {
		script_say_number(script, -errno);
		return;
	}
	if (hd_is_datagram(script->req))
		(void)hd_sendto(script->req, "waits", 5, to, length);
	r = hd_wait(script->req, fd, POLLIN, -1);
	(void)close(fd);
	if (r < 0)
		script_say_number(script, r);
}

/* Waits until draining begins. */
static void
op_drained(struct script *script, char *argument)
{
	(void)argument;
	while (!hd_draining(script->req) && hd_sleep(script->req, 10) == 0)
		;
}

static void
op_pid(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, getpid());
}

static void
op_name(struct script *script, char *argument)
{
	(void)argument;
	script_say(script, "%s ", hd_client_name(script->req));
}

static void
op_cred(struct script *script, char *argument)
{
	pid_t pid = -1;
	uid_t uid = 4711;
	gid_t gid = 4711;

	(void)argument;
	script_say_number(script, hd_client_cred(script->req, &pid, &uid, &gid));
	script_say(script, "%d %u %u ", (int)pid, (unsigned)uid, (unsigned)gid);
}

static void
op_is_datagram(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, hd_is_datagram(script->req));
}

/* Which request this is. */
static void
op_id(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, (int64_t)hd_request_id(script->req));
}

static void
op_poll(struct script *script, char *argument)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN | POLLOUT};

	if (strchr(argument, 'r') != NULL)
		row.events = POLLIN;
	script_say_number(script, hd_poll(script->req, &row, 1, atoi(argument)));
	script_say_number(script, row.revents);
}

static void
op_fail(struct script *script, char *argument)
{
	(void)argument;
	script->error = -EIO;
}

static void
op_log(struct script *script, char *argument)
{
	hd_log(script->req, HD_LOG_INFO, "%s", argument);
}

static void
op_recv(struct script *script, char *argument)
{
	char buf[8192];

	script_say_bytes(script, hd_recv(script->req, buf, (size_t)atol(argument)), buf);
}

/* Logs what hd_recv returned: at the end of a session nobody is there to be told. */
static void
op_recv_log(struct script *script, char *argument)
{
	char buf[8192];

	hd_log(script->req, HD_LOG_INFO, "recv returned %zd",
	       hd_recv(script->req, buf, (size_t)atol(argument)));
}

int
handle(struct hd_request *req)
{
	static const struct script_op ops[] = {
		{"echo", op_echo}, {"pieces", op_pieces},   {"add", op_add},
		{"kill", op_kill}, {"to", op_to},	    {"back", op_back},
		{"gate", op_gate}, {"drained", op_drained}, {"pid", op_pid},
		{"name", op_name}, {"cred", op_cred},	    {"is_datagram", op_is_datagram},
		{"id", op_id},	   {"poll", op_poll},	    {"fail", op_fail},
		{"log", op_log},   {"recv", op_recv},	    {"recv_log", op_recv_log},
		{NULL, NULL},
	};

	return script_run(req, ops);
}
