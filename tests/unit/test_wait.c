/*
 * test_wait.c - every wait ends: by what it waits for, by its timeout, by hd_wake, by draining, or
 * by the deadline, which nobody outlives.
 */
#include "flow_cases.h"

#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"

static char buf[65536];
static char much[4 << 20];

static long
call_recv(void)
{
	return hd_recv(&req, buf, 10);
}

static long
call_recvall(void)
{
	return hd_recvall(&req, buf, 10);
}

static long
call_readline(void)
{
	return hd_readline(&req, buf, 100);
}

static long
call_send(void)
{
	return hd_sendall(&req, much, sizeof(much));
}

static long
call_sleep(void)
{
	return hd_sleep(&req, 3600 * 1000);
}

static long
call_wait(void)
{
	return hd_wait(&req, eventfd(0, EFD_CLOEXEC), POLLIN, 3600 * 1000);
}

static long
call_poll(void)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	return hd_poll(&req, &row, 1, 3600 * 1000);
}

static long
call_poll_other(void)
{
	struct pollfd row = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};

	return hd_poll(&req, &row, 1, -1);
}

static long
call_gets(void)
{
	return fgets(buf, 100, hd_makefile(&req, "r")) != NULL ? 1 : -errno;
}

static long (*const waits[])(void) = {
	call_recv, call_recvall, call_readline,	  call_send, call_sleep,
	call_wait, call_poll,	 call_poll_other, call_gets,
};

START_TEST(cancelling_from_another_thread_ends_every_wait)
{
	struct flow_call call;

	flow_start_waiting(&call, waits[_i]);
	server_cancel_requests(&server);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	/* sticky: also what begins later, also what could be served at once */
	ck_assert_int_eq(waits[_i](), -ECANCELED);
	if (waits[_i] != call_gets)
		ck_assert(request_is_reason(&req, -ECANCELED));
}
END_TEST

START_TEST(wait_that_begins_after_cancelling_ends_at_once)
{
	client_send("hello\n");
	server_cancel_requests(&server);
	ck_assert_int_eq(waits[_i](), -ECANCELED);
}
END_TEST

START_TEST(request_that_is_opened_after_the_deadline_is_cancelled)
{
	request_close(&req);
	(void)close(client);
	server_cancel_requests(&server);
	flow_connect_unix();
	ck_assert_int_eq(hd_recv(&req, buf, 10), -ECANCELED);
	ck_assert_int_eq(hd_sleep(&req, 1000), -ECANCELED);
}
END_TEST

/* A deadline visits one request after the other; the last must not take the news for its timeout.
 */
START_TEST(wait_among_many_requests_is_cancelled_and_never_timed_out)
{
	enum { MANY = 400 };
	static struct hd_request others[MANY];
	struct sockaddr_storage addr = {.ss_family = AF_UNIX};
	struct flow_call call;

	for (int i = 0; i < MANY; i++) {
		int ends[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		(void)close(ends[1]);
		ck_assert_int_eq(request_init(&others[i], &server, &board->slots[1]), 0);
		request_open(&others[i], ends[0], &addr, sizeof(sa_family_t));
	}
	flow_start_waiting(&call, _i == 0 ? call_wait : call_poll);
	server_cancel_requests(&server);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	for (int i = 0; i < MANY; i++) {
		request_close(&others[i]);
		request_destroy(&others[i]);
	}
}
END_TEST

/* A client that has said something: one that has not may be about to. */
static void
become_acquainted(void)
{
	client_send("a");
	ck_assert_int_eq(hd_recv(&req, buf, 1), 1);
}

static long (*const idle_waits[])(void) = {call_recv, call_recvall, call_readline, call_poll,
					   call_gets};

START_TEST(idle_request_with_nothing_to_read_ends_when_draining_begins)
{
	struct flow_call call;

	become_acquainted();
	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	ck_assert_int_eq(hd_set_idle(&req, 1), 1);
	flow_start_waiting(&call, idle_waits[_i]);
	server_begin_drain(&server);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	ck_assert_int_eq(hd_draining(&req), 1);
	/* the client may still be told something */
	ck_assert_int_eq(hd_sendall(&req, "bye", 3), 0);
	client_expect("bye");
}
END_TEST

START_TEST(idle_request_that_waits_later_ends_at_once)
{
	become_acquainted();
	server_begin_drain(&server);
	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	ck_assert_int_eq(idle_waits[_i](), -ECANCELED);
}
END_TEST

START_TEST(idle_request_still_reads_what_has_arrived)
{
	become_acquainted();
	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	client_send("0123456789\n");
	server_begin_drain(&server);
	ck_assert_int_ge(idle_waits[_i](), 1);
}
END_TEST

START_TEST(idle_request_reads_what_arrived_before_it_waited_again)
{
	become_acquainted();
	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	client_send("one\ntwo\n");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 4);
	server_begin_drain(&server);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 4);
	ck_assert_str_eq(buf, "two\n");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), -ECANCELED);
}
END_TEST

START_TEST(client_that_has_just_connected_is_spared_until_it_has_spoken)
{
	struct flow_call call;

	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	flow_start_waiting(&call, call_readline);
	server_begin_drain(&server);
	client_send("hello\n");
	ck_assert_int_eq(flow_end_call(&call), 6);
	ck_assert_int_eq(hd_recv(&req, buf, 1), -ECANCELED);
}
END_TEST

START_TEST(client_that_stays_silent_is_spared_for_a_second_only)
{
	struct flow_call call;

	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	flow_start_waiting(&call, idle_waits[_i]);
	server_begin_drain(&server);
	/* a second later */
	req.opened_ns -= REQUEST_FRESH_NS;
	server_begin_drain(&server);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
}
END_TEST

/* In the middle of a message: it may still come whole. */
static struct {
	long (*call)(void);
	const char *first, *rest;
	long result;
} const halves[] = {
	{call_readline, "half", " line\n", 10},
	{call_recvall, "01234", "56789", 10},
	{call_gets, "half", " line\n", 1},
};

START_TEST(idle_request_with_half_a_message_goes_on)
{
	struct flow_call call;

	become_acquainted();
	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	client_send(halves[_i].first);
	flow_start_call(&call, halves[_i].call);
	flow_wait_taken();
	while (!flow_is_asleep(call.tid))
		(void)sched_yield();
	server_begin_drain(&server);
	client_send(halves[_i].rest);
	ck_assert_int_eq(flow_end_call(&call), halves[_i].result);
}
END_TEST

START_TEST(busy_request_goes_on_when_draining_begins)
{
	struct flow_call call;

	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	ck_assert_int_eq(hd_set_idle(&req, 0), 1);
	flow_start_waiting(&call, call_recv);
	server_begin_drain(&server);
	client_send("x");
	ck_assert_int_eq(flow_end_call(&call), 1);
	server_cancel_requests(&server);
	ck_assert_int_eq(hd_recv(&req, buf, 1), -ECANCELED);
}
END_TEST

START_TEST(idleness_ends_with_its_connection)
{
	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	ck_assert_int_eq(hd_set_idle(&req, 0), 0);
	ck_assert_int_eq(hd_draining(&req), 0);
}
END_TEST

START_TEST(timeout_is_for_each_wait)
{
	int64_t began = clock_now_ns();

	ck_assert_int_eq(hd_set_timeout(&req, 20), 0);
	ck_assert_int_eq(hd_recv(&req, buf, 1), -ETIMEDOUT);
	ck_assert_int_ge(clock_now_ns() - began, 15 * CLOCK_NS_PER_MS);
	ck_assert_int_eq(hd_readline(&req, buf, 100), -ETIMEDOUT);
	client_send("x");
	ck_assert_int_eq(hd_recv(&req, buf, 1), 1);
	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	ck_assert_int_eq(hd_recv(&req, buf, 1), -ETIMEDOUT);
	ck_assert(request_is_reason(&req, -ETIMEDOUT));
}
END_TEST

START_TEST(timeout_can_be_taken_back)
{
	struct flow_call call;

	ck_assert_int_eq(hd_set_timeout(&req, 1), 0);
	ck_assert_int_eq(hd_recv(&req, buf, 1), -ETIMEDOUT);
	ck_assert_int_eq(hd_set_timeout(&req, -1), 0);
	flow_start_waiting(&call, call_recv);
	client_send("x");
	ck_assert_int_eq(flow_end_call(&call), 1);
}
END_TEST

START_TEST(timeout_does_not_reach_the_next_connection)
{
	struct flow_call call;

	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	flow_start_waiting(&call, call_recv);
	client_send("x");
	ck_assert_int_eq(flow_end_call(&call), 1);
}
END_TEST

START_TEST(sleep_lasts_and_flushes_first)
{
	int64_t began = clock_now_ns();

	ck_assert_int_eq(hd_printf(&req, "soon"), 0);
	ck_assert_int_eq(hd_sleep(&req, 15), 0);
	ck_assert_int_ge(clock_now_ns() - began, 15 * CLOCK_NS_PER_MS);
	client_expect("soon");
	ck_assert_int_eq(hd_sleep(&req, 0), 0);
}
END_TEST

START_TEST(wait_tells_the_events_of_a_descriptor)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_eq(hd_wait(&req, fd, POLLIN, 0), -ETIMEDOUT);
	ck_assert_int_eq(hd_wait(&req, fd, POLLIN, 5), -ETIMEDOUT);
	fd_raise_event(fd);
	ck_assert_int_eq(hd_wait(&req, fd, POLLIN, -1), POLLIN);
	ck_assert_int_eq(hd_wait(&req, fd, POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
	ck_assert_int_eq(hd_wait(&req, -1, POLLIN, 0), -EBADF);
	(void)close(fd);
	ck_assert_int_eq(hd_wait(&req, fd, POLLIN, 0), -EBADF);
}
END_TEST

START_TEST(poll_knows_the_client_and_its_buffers)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd rows[3] = {
		{.fd = HD_CLIENT, .events = POLLIN},
		{.fd = fd, .events = POLLIN},
		{.fd = -1, .events = POLLIN},
	};

	ck_assert_int_eq(hd_poll(&req, rows, 1, 0), 0);
	ck_assert_int_eq(rows[0].fd, HD_CLIENT);
	ck_assert_int_eq(hd_poll(&req, rows, 3, -1), 1);
	ck_assert_int_eq(rows[1].revents, POLLIN);
	ck_assert_int_eq(rows[0].revents, 0);
	client_send("line\nmore");
	ck_assert_int_eq(hd_poll(&req, rows, 1, -1), 1);
	ck_assert_int_eq(rows[0].revents, POLLIN);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 5);
	/* nothing is in the socket any more, but in the buffer */
	ck_assert_int_eq(hd_poll(&req, rows, 1, -1), 1);
	ck_assert_int_eq(rows[0].revents, POLLIN);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 4);
	ck_assert_int_eq(hd_poll(&req, rows, 1, 0), 0);
	ck_assert_int_eq(hd_poll(&req, NULL, 0, 0), 0);
	ck_assert_int_eq(hd_poll(&req, rows, 1025, 0), -EINVAL);
	rows[0].events = POLLOUT;
	ck_assert_int_eq(hd_poll(&req, rows, 1, -1), 1);
	ck_assert_int_eq(rows[0].revents, POLLOUT);
}
END_TEST

START_TEST(poll_of_many_rows_keeps_them_apart)
{
	static struct pollfd rows[1024];
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	for (int i = 0; i < 1024; i++)
		rows[i] = (struct pollfd){.fd = i % 2 == 0 ? fd : -1, .events = POLLIN};
	ck_assert_int_eq(hd_poll(&req, rows, 1024, -1), 512);
	for (int i = 0; i < 1024; i++)
		ck_assert_int_eq(rows[i].revents, i % 2 == 0 ? POLLIN : 0);
	(void)close(fd);
}
END_TEST

START_TEST(poll_leaves_the_descriptors_of_its_rows_alone)
{
	struct pollfd rows[2] = {
		{.fd = HD_CLIENT, .events = POLLIN},
		{.fd = hd_fd(&req), .events = POLLIN},
	};

	ck_assert_int_eq(hd_poll(&req, rows, 2, 0), 0);
	ck_assert_int_eq(rows[0].fd, HD_CLIENT);
	ck_assert_int_eq(rows[1].fd, hd_fd(&req));
}
END_TEST

START_TEST(wake_ends_the_current_or_the_next_poll_once)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	struct flow_call call;
	uint64_t id = hd_request_id(&req);

	/* before the first poll, before a later one, and during one */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(hd_wake(&server, id), 0);
		ck_assert_int_eq(hd_wake(&server, id), 0);
		ck_assert_int_eq(hd_poll(&req, &row, 1, -1), -EINTR);
		ck_assert_int_eq(hd_poll(&req, &row, 1, 0), 0);
	}
	flow_start_waiting(&call, call_poll);
	ck_assert_int_eq(hd_wake(&server, id), 0);
	ck_assert_int_eq(flow_end_call(&call), -EINTR);
	ck_assert_int_eq(hd_poll(&req, &row, 1, 0), 0);
}
END_TEST

START_TEST(wake_of_nobody_is_told)
{
	uint64_t id = hd_request_id(&req);

	ck_assert_int_eq(hd_wake(&server, 0), -ESRCH);
	ck_assert_int_eq(hd_wake(&server, id + 1), -ESRCH);
	ck_assert_int_eq(hd_wake(&server, UINT64_MAX), -ESRCH);
	request_close(&req);
	ck_assert_int_eq(hd_wake(&server, id), -ESRCH);
	flow_connect_unix();
	ck_assert_int_eq(hd_wake(&server, id), -ESRCH);
	ck_assert_int_eq(hd_wake(&server, hd_request_id(&req)), 0);
}
END_TEST

/* A wait of 30 ms that nothing ends: it must last, now and the next time. */
static void
expect_quiet_polls(void)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	for (int i = 0; i < 2; i++) {
		int64_t began = clock_now_ns();

		ck_assert_int_eq(hd_poll(&req, &row, 1, 30), 0);
		ck_assert_msg(clock_now_ns() - began >= 30 * CLOCK_NS_PER_MS,
			      "a poll of 30 ms with nothing to do took %lld us",
			      (long long)(clock_now_ns() - began) / 1000);
	}
}

START_TEST(wake_of_the_last_connection_does_not_reach_the_next)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	ck_assert_int_eq(hd_poll(&req, &row, 1, 0), 0);
	ck_assert_int_eq(hd_wake(&server, hd_request_id(&req)), 0);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	expect_quiet_polls();
}
END_TEST

static _Atomic bool is_over;

static void *
wake_again_and_again(void *argument)
{
	uint64_t id = *(uint64_t *)argument;

	while (!is_over)
		(void)hd_wake(&server, id);
	return NULL;
}

START_TEST(wakes_that_cross_a_poll_leave_nothing_behind)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	uint64_t id = hd_request_id(&req);
	pthread_t thread;

	for (int round = 0; round < 40; round++) {
		is_over = false;
		ck_assert_int_eq(pthread_create(&thread, NULL, wake_again_and_again, &id), 0);
		for (int i = 0; i < 1000; i++)
			(void)hd_poll(&req, &row, 1, 0);
		is_over = true;
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		while (hd_poll(&req, &row, 1, 0) == -EINTR)
			;
		row = (struct pollfd){.fd = req.wake_fd, .events = POLLIN};
		ck_assert_msg(poll(&row, 1, 0) == 0,
			      "nothing is to be told, but every poll will end at once");
		row = (struct pollfd){.fd = HD_CLIENT, .events = POLLIN};
	}
}
END_TEST

static void
run(void *argument)
{
	*(int *)argument = 42;
}

START_TEST(offload_has_run_when_it_returns)
{
	int answer = 0;

	ck_assert_int_eq(hd_printf(&req, "wait"), 0);
	ck_assert_int_eq(hd_offload(&req, run, &answer), 0);
	ck_assert_int_eq(answer, 42);
	client_expect("wait");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("wait");

	tcase_add_checked_fixture(cases, flow_setup, flow_teardown);
	tcase_add_loop_test(cases, cancelling_from_another_thread_ends_every_wait, 0,
			    UNIT_COUNT(waits));
	tcase_add_loop_test(cases, wait_that_begins_after_cancelling_ends_at_once, 0,
			    UNIT_COUNT(waits));
	tcase_add_test(cases, request_that_is_opened_after_the_deadline_is_cancelled);
	tcase_add_loop_test(cases, wait_among_many_requests_is_cancelled_and_never_timed_out, 0, 2);
	tcase_add_loop_test(cases, idle_request_with_nothing_to_read_ends_when_draining_begins, 0,
			    UNIT_COUNT(idle_waits));
	tcase_add_loop_test(cases, idle_request_that_waits_later_ends_at_once, 0,
			    UNIT_COUNT(idle_waits));
	tcase_add_loop_test(cases, idle_request_still_reads_what_has_arrived, 0,
			    UNIT_COUNT(idle_waits));
	tcase_add_test(cases, idle_request_reads_what_arrived_before_it_waited_again);
	tcase_add_test(cases, client_that_has_just_connected_is_spared_until_it_has_spoken);
	tcase_add_loop_test(cases, client_that_stays_silent_is_spared_for_a_second_only, 0,
			    UNIT_COUNT(idle_waits));
	tcase_add_loop_test(cases, idle_request_with_half_a_message_goes_on, 0, UNIT_COUNT(halves));
	tcase_add_test(cases, busy_request_goes_on_when_draining_begins);
	tcase_add_test(cases, idleness_ends_with_its_connection);
	tcase_add_test(cases, timeout_is_for_each_wait);
	tcase_add_test(cases, timeout_can_be_taken_back);
	tcase_add_test(cases, timeout_does_not_reach_the_next_connection);
	tcase_add_test(cases, sleep_lasts_and_flushes_first);
	tcase_add_test(cases, wait_tells_the_events_of_a_descriptor);
	tcase_add_test(cases, poll_knows_the_client_and_its_buffers);
	tcase_add_test(cases, poll_of_many_rows_keeps_them_apart);
	tcase_add_test(cases, poll_leaves_the_descriptors_of_its_rows_alone);
	tcase_add_test(cases, wake_ends_the_current_or_the_next_poll_once);
	tcase_add_test(cases, wake_of_nobody_is_told);
	tcase_add_test(cases, wake_of_the_last_connection_does_not_reach_the_next);
	tcase_add_test(cases, wakes_that_cross_a_poll_leave_nothing_behind);
	tcase_add_test(cases, offload_has_run_when_it_returns);
	return unit_run("wait", cases);
}
