/*
 * mode_cases.h - one worker's flows of control in every mode, and clients in another process, whose
 * exit status tells what they met.
 */
#ifndef TESTS_MODE_CASES_H
#define TESTS_MODE_CASES_H

#include "concurrency/concurrency.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "api/wait.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "ipc/protocol.h"
#include "net/listen.h"
#include "unit.h"

#define LIMIT 8

static const struct concurrency_ops *const modes[] = {&concurrency_threading, &concurrency_forking,
						      &concurrency_serial, &concurrency_fibers};

static struct hd_server server;
static struct scoreboard *board;
static struct loop loop;
static struct concurrency mode;
static int listener, quiets, empties;
static uint16_t port;
static struct loop_source clients;
static int clients_status;
static void (*on_clients_done)(void);

static void
on_quiet(struct concurrency *which)
{
	ck_assert_ptr_eq(which, &mode);
	quiets++;
}

static void
on_empty(struct concurrency *which)
{
	ck_assert_ptr_eq(which, &mode);
	ck_assert_int_eq(quiets, 1);
	empties++;
	loop_stop(&loop);
}

static int brokens;
static void drain(void);

static void
on_crash(struct concurrency *which, int status)
{
	(void)which;
	(void)status;
}

static void
on_broken(struct concurrency *which)
{
	ck_assert_ptr_eq(which, &mode);
	if (brokens++ == 0)
		drain();
}

static inline int
handle_echo(struct hd_request *req)
{
	char buf[64];
	ssize_t n;

	hd_set_idle(req, 1);
	while ((n = hd_recv(req, buf, sizeof(buf))) > 0) {
		/* what a client may ask for */
		if (buf[0] == 'X')
			raise(SIGKILL);
		if (buf[0] == 'T')
			pthread_exit(NULL);
		if (buf[0] == 'B')
			hd_set_idle(req, 0);
		if (buf[0] == 'S')
			(void)shutdown(listener, SHUT_RDWR);
		if (hd_sendall(req, buf, (size_t)n) < 0)
			break;
	}
	return 0;
}

/* One listening socket of this type on a free port of `host`. */
static void
prepare_on(int type, in_addr_t host)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
	struct sockaddr_storage addr;
	socklen_t length;
	const char *step;
	sigset_t set;

	log_set_level(0);
	/* as in a worker: children are born with it blocked */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	board = mmap(NULL, scoreboard_size(LIMIT), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_int_eq(server_init(&server, "front", 1), 0);
	server.board = server.admission.board = board;
	server.waiter = &waiter_blocking; /* unless a mode brings its own */
	server.handler.name = "test";
	server.handler.handle = handle_echo;
	server.handler.descriptor.flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS;
	server.max_datagram = 64;
	ck_assert_int_eq(loop_init(&loop), 0);
	listener = listen_open(&(struct listen_spec){.type = type,
						     .addr = (struct sockaddr *)&in,
						     .length = sizeof(in)},
			       &step);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(listen_get_address(listener, &addr, &length), 0);
	port = ((struct sockaddr_in *)(void *)&addr)->sin_port;
	mode = (struct concurrency){
		.server = &server,
		.loop = &loop,
		.board = board,
		.sockets = &listener,
		.socket_count = 1,
		.is_datagram = type == SOCK_DGRAM,
		.max_sessions = 4 * LIMIT,
		.limit = LIMIT,
		.min_threads = 2,
		.idle_timeout_ns = 10 * CLOCK_NS_PER_S,
		.stack_size = 256 * 1024,
		.fiber_threads = 1,
		.spare_children = 3,
		.connections_per_child = 1,
		.on_quiet = on_quiet,
		.on_empty = on_empty,
		.on_crash = on_crash,
		.on_broken = on_broken,
	};
	ck_assert_int_eq(
		older_open(&mode.older, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 0, NULL, NULL, 0),
		0);
	ck_assert_int_eq(concurrency_init(&mode), 0);
}

static inline void
prepare(void)
{
	prepare_on(SOCK_STREAM, INADDR_LOOPBACK);
}

static void
on_client_event(struct loop_source *source, uint32_t events)
{
	siginfo_t info = {0};

	(void)events;
	ck_assert_int_eq(waitid(P_PIDFD, (id_t)source->fd, &info, WEXITED), 0);
	clients_status = info.si_status;
	loop_remove(&loop, source);
	(void)close(source->fd);
	on_clients_done();
}

static void
drain(void)
{
	server_begin_drain(&server);
	mode.ops->drain(&mode);
}

/* Serves what the client process does, then ends in `done`; returns when no flow is left. */
static inline void
serve(const struct concurrency_ops *ops, int (*run_clients)(void), void (*done)(void))
{
	pid_t pid;

	mode.ops = ops;
	server.waiter = mode.ops->waiter;
	ck_assert_int_eq(ops->prepare(&mode), 0);
	concurrency_accept(&mode);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(run_clients());
	on_clients_done = done;
	clients = (struct loop_source){.fd = pidfd_open(pid, 0), .on_event = on_client_event};
	ck_assert_int_eq(loop_add(&loop, &clients, EPOLLIN), 0);
	ck_assert_int_eq(loop_run(&loop), 0);
	ck_assert_int_eq(quiets, 1);
	ck_assert_int_eq(empties, 1);
}

static inline void
check_totals(uint64_t accepted, uint64_t crashed)
{
	struct scoreboard_totals totals = scoreboard_sum(board, LIMIT);

	ck_assert_uint_eq(totals.accepted, accepted);
	ck_assert_uint_eq(totals.crashed, crashed);
	ck_assert_uint_eq(totals.finished + totals.refused + totals.crashed, accepted);
	ck_assert_uint_eq(scoreboard_count_open(board, LIMIT), 0);
}

static inline void
do_nothing(void)
{
}

/* A child that waits in the kernel learns of draining by a signal, which TSan would hold back. */
static inline bool
is_deaf(int i)
{
	return UNIT_IS_TSAN && modes[i] == &concurrency_forking;
}

/* In the client process. */

/* A socket that sends datagrams to the listener, at this address of the machine. */
static inline int
call(const char *host)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return inet_pton(AF_INET, host, &in.sin_addr) == 1 &&
			       connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0
		       ? fd
		       : -1;
}

static inline bool
ask(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Whether this datagram is the next one. */
static inline bool
hears(int fd, const char *text)
{
	struct pollfd row = {.fd = fd, .events = POLLIN};
	char back[64];
	ssize_t n;

	if (poll(&row, 1, 5000) != 1)
		return false;
	n = recv(fd, back, sizeof(back), 0);
	return n == (ssize_t)strlen(text) && memcmp(back, text, (size_t)n) == 0;
}

static inline int
dial(void)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0 ? fd : -1;
}

static inline bool
says(int fd, const char *text)
{
	char back[64];
	size_t length = strlen(text);

	return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length &&
	       recv(fd, back, length, MSG_WAITALL) == (ssize_t)length &&
	       memcmp(text, back, length) == 0;
}

static inline bool
is_over(int fd)
{
	char byte;

	return recv(fd, &byte, 1, 0) <= 0;
}

#endif
