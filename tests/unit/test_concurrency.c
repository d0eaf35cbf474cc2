/*
 * test_concurrency.c - the same connections through every mode: served, bounded, drained, and
 * counted. The clients are another process, whose exit status tells what it met.
 */
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
						      &concurrency_serial};

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
on_broken(struct concurrency *which)
{
	ck_assert_ptr_eq(which, &mode);
	if (brokens++ == 0)
		drain();
}

static int
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

static void
prepare(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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
	server.board = board;
	server.waiter = &waiter_blocking;
	server.handler.name = "test";
	server.handler.handle = handle_echo;
	server.handler.descriptor.flags = HD_STREAM | HD_THREADS;
	ck_assert_int_eq(loop_init(&loop), 0);
	listener = listen_open_tcp((struct sockaddr *)&in, sizeof(in), false, 0, &step);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(listen_get_address(listener, &addr, &length), 0);
	port = ((struct sockaddr_in *)(void *)&addr)->sin_port;
	mode = (struct concurrency){
		.server = &server,
		.loop = &loop,
		.board = board,
		.sockets = &listener,
		.socket_count = 1,
		.limit = LIMIT,
		.min_threads = 2,
		.idle_timeout_ns = 10 * CLOCK_NS_PER_S,
		.stack_size = 256 * 1024,
		.spare_children = 3,
		.connections_per_child = 1,
		.on_quiet = on_quiet,
		.on_empty = on_empty,
		.on_broken = on_broken,
	};
	ck_assert_int_eq(
		older_open(&mode.older, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 0, NULL, 0), 0);
	ck_assert_int_eq(concurrency_init(&mode), 0);
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
static void
serve(const struct concurrency_ops *ops, int (*run_clients)(void), void (*done)(void))
{
	pid_t pid;

	mode.ops = ops;
	ck_assert_int_eq(ops->prepare(&mode), 0);
	ops->accept(&mode);
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

static void
check_totals(uint64_t accepted, uint64_t crashed)
{
	struct scoreboard_totals totals = scoreboard_sum(board, LIMIT);

	ck_assert_uint_eq(totals.accepted, accepted);
	ck_assert_uint_eq(totals.crashed, crashed);
	ck_assert_uint_eq(totals.finished + totals.refused + totals.crashed, accepted);
	ck_assert_uint_eq(scoreboard_count_open(board, LIMIT), 0);
}

/* In the client process. */

static int
dial(void)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0 ? fd : -1;
}

static bool
says(int fd, const char *text)
{
	char back[64];
	size_t length = strlen(text);

	return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length &&
	       recv(fd, back, length, MSG_WAITALL) == (ssize_t)length &&
	       memcmp(text, back, length) == 0;
}

static bool
is_over(int fd)
{
	char byte;

	return recv(fd, &byte, 1, 0) <= 0;
}

static int
one_after_the_other(void)
{
	for (int i = 0; i < 50; i++) {
		int fd = dial();

		if (fd < 0 || !says(fd, "hello") || !says(fd, "again"))
			return 1;
		(void)shutdown(fd, SHUT_WR);
		if (!is_over(fd))
			return 2;
		(void)close(fd);
	}
	return 0;
}

START_TEST(clients_one_after_the_other_are_served_and_counted)
{
	serve(modes[_i], one_after_the_other, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(50, 0);
}
END_TEST

static int
many_at_once(void)
{
	int fds[3 * LIMIT];

	for (int i = 0; i < UNIT_COUNT(fds); i++)
		fds[i] = dial();
	/* each is served when one before it has ended, and there are never more than the limit */
	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		if (!says(fds[i], "hello"))
			return 1;
		if (scoreboard_count_open(board, LIMIT) > LIMIT)
			return 2;
		(void)close(fds[i]);
	}
	return 0;
}

START_TEST(clients_above_the_limit_wait_their_turn)
{
	serve(modes[_i], many_at_once, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3 * LIMIT, 0);
}
END_TEST

static int
stay_idle(void)
{
	int fd = dial();

	/* the parent drains as soon as this process is gone, its copy stays in another */
	if (fd < 0 || !says(fd, "hello"))
		return 1;
	if (fork() == 0)
		_exit(is_over(fd) ? 0 : 1);
	return 0;
}

/* A child that waits in the kernel learns of it by a signal, which TSan would hold back. */
static bool
is_deaf(int i)
{
	return UNIT_IS_TSAN && modes[i] == &concurrency_forking;
}

START_TEST(idle_connection_ends_when_draining_begins)
{
	if (is_deaf(_i))
		return;
	serve(modes[_i], stay_idle, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(1, 0);
}
END_TEST

static int
stay_busy(void)
{
	int fd = dial();

	if (fd < 0 || !says(fd, "Busy"))
		return 1;
	if (fork() == 0)
		_exit(is_over(fd) ? 0 : 1);
	return 0;
}

static void
drain_and_cancel(void)
{
	drain();
	/* what is in the middle of something goes on until the deadline */
	ck_assert_int_eq(empties, 0);
	server_cancel_requests(&server);
	mode.ops->cancel(&mode);
}

START_TEST(busy_connection_ends_at_the_deadline)
{
	if (is_deaf(_i))
		return;
	serve(modes[_i], stay_busy, drain_and_cancel);
	ck_assert_int_eq(clients_status, 0);
	check_totals(1, 0);
}
END_TEST

static int
nobody(void)
{
	return 0;
}

START_TEST(draining_without_a_client_ends_at_once)
{
	serve(modes[_i], nobody, drain);
	check_totals(0, 0);
}
END_TEST

static int
one_and_another(void)
{
	int first = dial(), second = dial();

	if (!says(first, "hello"))
		return 1;
	(void)close(first);
	/* the second is never accepted */
	return second >= 0 ? 0 : 2;
}

static void
do_nothing(void)
{
}

START_TEST(once_serves_one_connection_and_ends_by_itself)
{
	mode.is_once = true;
	serve(modes[_i], one_and_another, do_nothing);
	check_totals(1, 0);
}
END_TEST

static int
one_that_kills(void)
{
	int victim = dial(), killer = dial();

	if (!says(victim, "hello"))
		return 1;
	if (send(killer, "X", 1, MSG_NOSIGNAL) != 1 || !is_over(killer))
		return 2;
	/* nobody else is affected */
	return says(victim, "still here") && one_after_the_other() == 0 ? 0 : 3;
}

START_TEST(killed_child_costs_its_own_connection_only)
{
	serve(&concurrency_forking, one_that_kills, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(52, 1);
}
END_TEST

static int
some_that_end_their_thread(void)
{
	for (int i = 0; i < 2 * LIMIT; i++) {
		int fd = dial();

		if (send(fd, "T", 1, MSG_NOSIGNAL) != 1 || !is_over(fd))
			return 1;
		(void)close(fd);
	}
	return one_after_the_other();
}

START_TEST(handler_that_ends_its_thread_costs_that_connection_only)
{
	serve(_i == 0 ? &concurrency_threading : &concurrency_serial, some_that_end_their_thread,
	      drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(2 * LIMIT + 50, 0);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).failed, 2 * LIMIT);
}
END_TEST

static int
one_that_breaks_the_listener(void)
{
	int fd = dial();

	return fd >= 0 && says(fd, "Shut") ? 0 : 1;
}

START_TEST(listening_socket_that_a_handler_shut_down_is_told_and_spins_nowhere)
{
	struct rusage usage;

	serve(modes[_i], one_that_breaks_the_listener, do_nothing);
	ck_assert_int_eq(clients_status, 0);
	ck_assert_int_ge(brokens, 1);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
	ck_assert_int_lt(usage.ru_utime.tv_sec, 1);
	check_totals(1, 0);
}
END_TEST

static int
count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	int count = 0;

	while ((entry = readdir(tasks)) != NULL)
		count += entry->d_name[0] != '.';
	(void)closedir(tasks);
	return count;
}

static void
drain_after_idle_threads_have_left(void)
{
	/* this one, the two that stay, and the sanitizer's */
	while (count_threads() > 4)
		(void)sched_yield();
	drain();
}

START_TEST(threads_of_a_crowd_leave_when_it_is_over)
{
	mode.idle_timeout_ns = 5 * CLOCK_NS_PER_MS;
	serve(&concurrency_threading, many_at_once, drain_after_idle_threads_have_left);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3 * LIMIT, 0);
}
END_TEST

START_TEST(children_are_all_reaped)
{
	int status;

	mode.connections_per_child = 7;
	serve(&concurrency_forking, one_after_the_other, drain);
	check_totals(50, 0);
	ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

static int actions;

static void
on_service(struct hd_server *which)
{
	ck_assert_ptr_eq(which, &server);
	actions++;
}

START_TEST(service_actions_run_in_the_control_flow)
{
	server.handler.descriptor.service_actions = on_service;
	mode.ops = modes[_i];
	ck_assert_int_eq(mode.ops->prepare(&mode), 0);
	mode.ops->service(&mode);
	ck_assert_int_eq(actions, 1);
	mode.ops->accept(&mode);
	drain();
	ck_assert_int_eq(loop_run(&loop), 0);
}
END_TEST

START_TEST(stop_leaves_no_child_behind)
{
	int status;

	mode.ops = &concurrency_forking;
	/* also before anything was prepared */
	mode.ops->stop(&mode);
	ck_assert_int_eq(mode.ops->prepare(&mode), 0);
	mode.ops->stop(&mode);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_gt(waitpid(-1, &status, 0), 0);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	ck_assert_int_eq(waitpid(-1, &status, 0), -1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("concurrency");

	/* a forked child closes the worker's channel by its number */
	while (open("/dev/null", O_RDONLY) <= WORKER_FD_SOCKETS)
		;
	tcase_set_timeout(cases, 10);
	tcase_add_checked_fixture(cases, prepare, NULL);
	tcase_add_loop_test(cases, clients_one_after_the_other_are_served_and_counted, 0, 3);
	tcase_add_loop_test(cases, clients_above_the_limit_wait_their_turn, 0, 3);
	tcase_add_loop_test(cases, idle_connection_ends_when_draining_begins, 0, 3);
	tcase_add_loop_test(cases, busy_connection_ends_at_the_deadline, 0, 3);
	tcase_add_loop_test(cases, draining_without_a_client_ends_at_once, 0, 3);
	tcase_add_loop_test(cases, once_serves_one_connection_and_ends_by_itself, 0, 3);
	tcase_add_test(cases, killed_child_costs_its_own_connection_only);
	tcase_add_loop_test(cases, handler_that_ends_its_thread_costs_that_connection_only, 0, 2);
	tcase_add_loop_test(
		cases, listening_socket_that_a_handler_shut_down_is_told_and_spins_nowhere, 0, 3);
	tcase_add_test(cases, threads_of_a_crowd_leave_when_it_is_over);
	tcase_add_test(cases, children_are_all_reaped);
	tcase_add_loop_test(cases, service_actions_run_in_the_control_flow, 0, 3);
	tcase_add_test(cases, stop_leaves_no_child_behind);
	return unit_run("concurrency", cases);
}
