/*
 * sys_server - the calls about the listener, the request, other connections, options and the log.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "script.h"

static const struct hd_option options[] = {
	HD_OPTION_INT("count", 5, -10, 100, "an int"),
	HD_OPTION_BOOL("loud", 1, "a bool"),
	HD_OPTION_STRING("greeting", "hello \"you\"", "a string"),
	HD_OPTION_STRING("unset", NULL, "a string without a default"),
	HD_OPTION_PATH("file", "/dev/null", "a path"),
	HD_OPTION_SIZE("most", 64 * 1024, 1, INT64_C(1) << 40, "a size"),
	HD_OPTION_DURATION("pause", 1500, -1, 86400000, "a duration"),
	HD_OPTION_LIST("items", "a list"),
	HD_OPTION_END,
};

struct shared {
	_Atomic int64_t counter;
	char zeros[8192];
};

/* What server_start finds, for the tests to ask. */
static struct started {
	struct shared *shared;
	pid_t pid;
	int64_t count;
	bool refuses_nothing; /* hd_server_shared(0) gave NULL */
} started;

static int
on_server_start(struct hd_server *server)
{
	started.shared = hd_server_shared(server, sizeof(*started.shared));
	started.pid = getpid();
	started.count = hd_option_int(server, "count");
	started.refuses_nothing = hd_server_shared(server, 0) == NULL;
	hd_server_set_data(server, &started);
	hd_server_log(server, HD_LOG_INFO, "server_start of %s", hd_server_name(server));
	return started.shared != NULL ? 0 : -ENOMEM;
}

static void
on_server_stop(struct hd_server *server)
{
	hd_server_log(server, HD_LOG_INFO, "server_stop of %s", hd_server_name(server));
}

static int
on_child_start(struct hd_server *server)
{
	hd_server_log(server, HD_LOG_DEBUG, "child_start");
	return 0;
}

static void
on_child_stop(struct hd_server *server)
{
	hd_server_log(server, HD_LOG_INFO, "child_stop");
}

static void
on_service(struct hd_server *server)
{
	hd_server_log(server, HD_LOG_INFO, "service_actions in %d", (int)getpid());
}

HD_HANDLER(.name = "sys_server", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS,
	   .options = options, .server_start = on_server_start, .server_stop = on_server_stop,
	   .child_start = on_child_start, .child_stop = on_child_stop,
	   .service_actions = on_service);

static void
say_address(struct script *script, const struct sockaddr *address, socklen_t length)
{
	char text[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;

	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		(void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		port = ntohs(in->sin_port);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;

		(void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		port = ntohs(in6->sin6_port);
	}
	script_say(script, "%s %s %u %u ", address->sa_family == AF_INET ? "inet" : "inet6", text,
		   port, (unsigned)length);
}

static void
op_client(struct script *script, char *argument)
{
	socklen_t length;
	const struct sockaddr *address = hd_client_address(script->req, &length);

	(void)argument;
	(void)hd_client_address(script->req, NULL);
	say_address(script, address, length);
	script_say(script, "%s ", hd_client_name(script->req));
}

static void
op_local(struct script *script, char *argument)
{
	socklen_t length;
	const struct sockaddr *address = hd_local_address(script->req, &length);

	(void)argument;
	say_address(script, address, length);
}

static void
op_facts(struct script *script, char *argument)
{
	struct hd_server *server = hd_request_server(script->req);

	(void)argument;
	script_say(script,
		   "name=%s data=%d datagram=%d cred=%d draining=%d late_shared=%d none=%d ",
		   hd_server_name(server), hd_server_data(server) == &started,
		   hd_is_datagram(script->req), hd_client_cred(script->req, NULL, NULL, NULL),
		   hd_draining(script->req), hd_server_shared(server, 8) != NULL,
		   started.refuses_nothing);
}

static void
op_pids(struct script *script, char *argument)
{
	(void)argument;
	script_say(script, "%d %d ", (int)started.pid, (int)getpid());
}

static void
op_count(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, atomic_fetch_add(&started.shared->counter, 1) + 1);
}

static void
op_data(struct script *script, char *argument)
{
	static int mark;

	(void)argument;
	script_say(script, "%d ", hd_data(script->req) == NULL);
	hd_set_data(script->req, &mark);
	script_say(script, "%d ", hd_data(script->req) == &mark);
	for (int idle = 0; idle < 3; idle++)
		script_say(script, "%d ", hd_set_idle(script->req, idle == 0 ? 5 : idle == 1));
}

/* So many pieces of growing size; each must be zero, aligned and its own. */
static void
op_alloc(struct script *script, char *argument)
{
	char *pieces[200] = {0};
	int count = atoi(argument), wrong = 0;

	for (int i = 0; i < count && i < 200; i++) {
		size_t size = (size_t)i * 97;

		pieces[i] = hd_alloc(script->req, size);
		wrong += pieces[i] == NULL || (uintptr_t)pieces[i] % _Alignof(max_align_t) != 0;
		for (size_t j = 0; j < size; j++)
			wrong += pieces[i][j] != 0;
		memset(pieces[i], i + 1, size);
	}
	for (int i = 1; i < count && i < 200; i++)
		wrong += pieces[i][0] != (char)(i + 1) || pieces[i][i * 97 - 1] != (char)(i + 1);
	script_say_number(script, wrong);
	script_say(script, "%d ", hd_alloc(script->req, SIZE_MAX - 8) == NULL);
}

static void
op_options(struct script *script, char *argument)
{
	struct hd_server *server = hd_request_server(script->req);
	const char *unset = hd_option_string(server, "unset");

	(void)argument;
	script_say(script, "%" PRId64 "|%d|%s|%s|%s|%" PRIu64 "|%" PRId64 "|%u",
		   hd_option_int(server, "count"), hd_option_bool(server, "loud"),
		   hd_option_string(server, "greeting"), unset != NULL ? unset : "NULL",
		   hd_option_string(server, "file"), hd_option_size(server, "most"),
		   hd_option_ms(server, "pause"), hd_option_count(server, "items"));
	for (unsigned i = 0; i < hd_option_count(server, "items"); i++)
		script_say(script, "|%s", hd_option_item(server, "items", i));
	script_say(script, "|%s ", hd_option_item(server, "items", 1000) == NULL ? "-" : "?");
}

/* Asking for what no row declares is a programming error. */
static void
op_undeclared(struct script *script, char *argument)
{
	script_say_number(script, hd_option_int(hd_request_server(script->req), argument));
}

/* Level, then text in hexadecimal. */
static void
op_log(struct script *script, char *argument)
{
	char *hex;
	int level = (int)strtol(argument, &hex, 10);
	char text[2048];
	size_t length = 0;
	unsigned byte;

	for (hex++; length < sizeof(text) - 1 && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		text[length++] = (char)byte;
	text[length] = '\0';
	hd_log(script->req, level, "%s", text);
	script_say(script, "logged ");
}

static void
op_log_long(struct script *script, char *argument)
{
	hd_log(script->req, HD_LOG_WARNING, "long %*s", atoi(argument), "tail");
	script_say(script, "logged ");
}

static void
op_id(struct script *script, char *argument)
{
	(void)argument;
	script_say(script, "%" PRIu64 " ", hd_request_id(script->req));
}

static void
op_wake(struct script *script, char *argument)
{
	script_say_number(script,
			  hd_wake(hd_request_server(script->req), strtoull(argument, NULL, 10)));
}

static void
op_poll(struct script *script, char *argument)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	script_say_number(script, hd_poll(script->req, &row, 1, atoi(argument)));
}

static void
run_offloaded(void *argument)
{
	*(int *)argument += 41;
}

static void
op_offload(struct script *script, char *argument)
{
	int value = atoi(argument);

	script_say_number(script, hd_offload(script->req, run_offloaded, &value));
	script_say_number(script, value);
}

/* Timeout and address; replaces the connection there was. */
static void
op_connect(struct script *script, char *argument)
{
	char *address;
	int timeout_ms = (int)strtol(argument, &address, 10), error = 0;

	script->connected = hd_connect(script->req, address + 1, timeout_ms, &error);
	if (script->connected == NULL)
		script_say(script, "%d ", error);
	else
		script_say(script, "connected %s ", hd_client_name(script->connected));
}

/* Sends a line over the other connection and tells the answer. */
static void
op_via(struct script *script, char *argument)
{
	char line[256];
	ssize_t n;

	if (hd_printf(script->connected, "%s\n", argument) < 0)
		script_say(script, "cannot print ");
	n = hd_readline(script->connected, line, sizeof(line));
	if (n <= 0)
		script_say_number(script, n);
	else
		script_say(script, "%.*s ", (int)n - 1, line);
}

static void
op_close(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, hd_close(script->connected));
	script->connected = NULL;
}

static void
op_close_own(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, hd_close(script->req));
}

int
handle(struct hd_request *req)
{
	static const struct script_op ops[] = {
		{"client", op_client},
		{"local", op_local},
		{"facts", op_facts},
		{"pids", op_pids},
		{"count", op_count},
		{"data", op_data},
		{"alloc", op_alloc},
		{"options", op_options},
		{"log", op_log},
		{"log_long", op_log_long},
		{"id", op_id},
		{"wake", op_wake},
		{"poll", op_poll},
		{"offload", op_offload},
		{"connect", op_connect},
		{"via", op_via},
		{"close", op_close},
		{"close_own", op_close_own},
		{"undeclared", op_undeclared},
		{NULL, NULL},
	};

	return script_run(req, ops);
}
