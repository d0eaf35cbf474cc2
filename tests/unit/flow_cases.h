/*
 * flow_cases.h - one flow of control with an open connection, as a handler has it, and the client
 * at its other end; and calls that run in a thread until they wait.
 */
#ifndef TESTS_FLOW_CASES_H
#define TESTS_FLOW_CASES_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "api/request.h"
#include "api/server.h"
#include "api/stream.h"
#include "api/wait.h"
#include "unit.h"

static struct hd_server server;
static struct hd_request req;
static struct scoreboard *board;
static int client = -1;

static inline void
flow_open_server(void)
{
	board = aligned_alloc(64, scoreboard_size(4));
	ck_assert_ptr_nonnull(board);
	memset(board, 0, scoreboard_size(4));
	scoreboard_use_slot(board, 3);
	ck_assert_int_eq(server_init(&server, "front", 3), 0);
	server.board = server.admission.board = board;
	server.waiter = &waiter_blocking;
	server.handler.name = "test";
	ck_assert_int_eq(request_init(&req, &server, &board->slots[0]), 0);
}

/* Gives the request one end of a connection; the other is `client`. */
static inline void
flow_connect_unix(void)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNIX};
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	client = ends[1];
	request_open(&req, ends[0], &addr, sizeof(sa_family_t));
}

/* The same over TCP on the loopback. */
static inline void
flow_connect_tcp(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_storage addr;
	socklen_t length = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd;

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &length), 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
	length = sizeof(addr);
	fd = accept4(listener, (struct sockaddr *)&addr, &length, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	(void)close(listener);
	request_open(&req, fd, &addr, length);
}

/* Fixtures. */
static inline void
flow_setup(void)
{
	flow_open_server();
	flow_connect_unix();
}

static inline void
flow_teardown(void)
{
	file_close_streams(&req);
	request_close(&req);
	request_destroy(&req);
	server_destroy(&server);
	free(board);
	if (client >= 0)
		(void)close(client);
	client = -1;
}

static inline void
client_send(const char *text)
{
	ck_assert_int_eq(send(client, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Exactly this comes next at the client. */
static inline void
client_expect(const char *text)
{
	char buf[4096];
	size_t have = 0;

	ck_assert_uint_lt(strlen(text), sizeof(buf));
	while (have < strlen(text)) {
		ssize_t n = recv(client, buf + have, strlen(text) - have, 0);

		ck_assert_msg(n > 0, "expected '%s', got '%.*s' and %zd", text, (int)have, buf, n);
		have += (size_t)n;
	}
	buf[have] = '\0';
	ck_assert_str_eq(buf, text);
}

/* Nothing is there now. */
static inline void
client_expect_nothing(void)
{
	char byte;

	ck_assert_int_eq(recv(client, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

static inline void
client_expect_end(void)
{
	char byte;

	ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
}

/* Fills the way to the client until not one byte more goes in. */
static inline void
flow_fill_output(void)
{
	static char zeros[65536];

	for (size_t size = sizeof(zeros); size > 0; size /= 2) {
		while (send(req.fd, zeros, size, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			;
	}
}

/* A call that a thread makes, as a handler's flow would. */
struct flow_call {
	long (*call)(void);
	long result;
	pthread_t thread;
	_Atomic pid_t tid;
};

static inline void *
flow_run_call(void *argument)
{
	struct flow_call *call = argument;

	call->tid = (pid_t)syscall(SYS_gettid);
	call->result = call->call();
	return NULL;
}

/* Whether the thread sleeps in the kernel. */
static inline bool
flow_is_asleep(pid_t tid)
{
	char path[64], text[512];
	const char *state;
	FILE *file;
	size_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	file = fopen(path, "re");
	if (file == NULL)
		return true; /* it is over already */
	n = fread(text, 1, sizeof(text) - 1, file);
	(void)fclose(file);
	text[n] = '\0';
	state = strrchr(text, ')');
	return state != NULL && state[2] == 'S';
}

static inline void
flow_start_call(struct flow_call *call, long (*function)(void))
{
	*call = (struct flow_call){.call = function, .result = -12345};
	ck_assert_int_eq(pthread_create(&call->thread, NULL, flow_run_call, call), 0);
	while (call->tid == 0)
		(void)sched_yield();
}

/* Begins a call and returns once it waits. */
static inline void
flow_start_waiting(struct flow_call *call, long (*function)(void))
{
	flow_start_call(call, function);
	while (!flow_is_asleep(call->tid))
		(void)sched_yield();
}

static inline long
flow_end_call(struct flow_call *call)
{
	ck_assert_int_eq(pthread_join(call->thread, NULL), 0);
	return call->result;
}

/* Returns once the request has taken everything that its client has sent. */
static inline void
flow_wait_taken(void)
{
	int readable = 1;

	while (ioctl(req.fd, FIONREAD, &readable) == 0 && readable > 0)
		(void)sched_yield();
}

#endif
