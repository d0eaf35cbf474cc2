/*
 * test_modes_kill.c - a connection is ended by its id in every mode, and its flow serves on.
 */
#include "mode_cases.h"

static int ask_fd;		 /* a handler wants to be killed */
static _Atomic uint64_t *wanted; /* its connection; shared with children */
static struct loop_source asked;
static int kills;
static int done_fd;		/* it was done */
static _Atomic int recv_result; /* of a session that was killed */

/* 'K' waits to be killed, 'L' does not listen to it; the rest is an echo. */
static int
handle_kill(struct hd_request *req)
{
	char buf[64];
	ssize_t n;

	while ((n = hd_recv(req, buf, sizeof(buf))) > 0) {
		if (buf[0] == 'K' || buf[0] == 'L') {
			atomic_store(wanted, hd_request_id(req));
			fd_raise_event(ask_fd);
		}
		while (buf[0] == 'L')
			(void)pause();
		if (buf[0] == 'K' && hd_is_datagram(req)) {
			atomic_store(&recv_result, (int)hd_recv(req, buf, sizeof(buf)));
			return 0;
		}
		if (buf[0] == 'K')
			return hd_sleep(req, 3600 * 1000);
		if (hd_sendall(req, buf, (size_t)n) < 0)
			break;
	}
	return 0;
}

static void
on_asked(struct loop_source *source, uint32_t events)
{
	(void)events;
	fd_clear_event(source->fd);
	ck_assert(!concurrency_kill(&mode, 0));
	ck_assert(!concurrency_kill(&mode, UINT64_MAX));
	ck_assert(concurrency_kill(&mode, atomic_load(wanted)));
	kills++;
	fd_raise_event(done_fd);
}

static void
prepare_kill_on(int type)
{
	prepare_on(type, INADDR_LOOPBACK);
	server.handler.handle = handle_kill;
	mode.connections_per_child = 0;
	mode.spare_children = 1;
	wanted = mmap(NULL, sizeof(*wanted), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ask_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	asked = (struct loop_source){.fd = ask_fd, .on_event = on_asked};
	ck_assert_int_eq(loop_add(&loop, &asked, EPOLLIN), 0);
}

static void
prepare_kill(void)
{
	prepare_kill_on(SOCK_STREAM);
}

static void
prepare_kill_session(void)
{
	prepare_kill_on(SOCK_DGRAM);
}

static int
one_that_is_killed(void)
{
	for (int i = 0; i < 5; i++) {
		int fd = dial();

		if (!says(fd, "hello") || !ask(fd, "K") || !is_over(fd))
			return 1;
		(void)close(fd);
	}
	return 0;
}

START_TEST(a_connection_that_waits_is_ended_and_its_flow_serves_on)
{
	if (is_deaf(_i))
		return;
	serve(modes[_i], one_that_is_killed, drain);
	ck_assert_int_eq(clients_status, 0);
	ck_assert_int_eq(kills, 5);
	check_totals(5, 0);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).failed, 0);
}
END_TEST

static int
one_that_does_not_listen(void)
{
	int fd = dial();

	if (!ask(fd, "L") || !is_over(fd))
		return 1;
	(void)close(fd);
	/* another child takes its place */
	fd = dial();
	return says(fd, "hello") ? 0 : 2;
}

START_TEST(a_child_that_does_not_end_it_is_killed)
{
	serve(&concurrency_forking, one_that_does_not_listen, drain);
	ck_assert_int_eq(clients_status, 0);
	ck_assert_int_eq(kills, 1);
	check_totals(2, 0);
}
END_TEST

static int
peer_that_is_killed(void)
{
	struct pollfd done = {.fd = done_fd, .events = POLLIN};
	int fd = call("127.0.0.1");

	if (!ask(fd, "hello") || !hears(fd, "hello"))
		return 1;
	if (!ask(fd, "K") || poll(&done, 1, 5000) != 1)
		return 2;
	/* the next session of the same peer is another one */
	return ask(fd, "again") && hears(fd, "again") ? 0 : 3;
}

START_TEST(a_session_of_datagrams_is_ended_and_the_peer_begins_another)
{
	mode.session_timeout_ns = 3600 * CLOCK_NS_PER_S;
	serve(&concurrency_threading, peer_that_is_killed, drain);
	ck_assert_int_eq(clients_status, 0);
	ck_assert_int_eq(kills, 1);
	ck_assert_int_eq(recv_result, -ECANCELED);
	check_totals(2, 0);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("modes_kill");
	TCase *sessions = tcase_create("modes_kill_sessions");

	tcase_add_checked_fixture(cases, prepare_kill, NULL);
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, a_connection_that_waits_is_ended_and_its_flow_serves_on, 0,
			    UNIT_COUNT(modes));
	tcase_add_test(cases, a_child_that_does_not_end_it_is_killed);
	tcase_add_checked_fixture(sessions, prepare_kill_session, NULL);
	tcase_add_test(sessions, a_session_of_datagrams_is_ended_and_the_peer_begins_another);
	return unit_run("modes_kill", cases) + unit_run("modes_kill_sessions", sessions);
}
