/*
 * test_cancel.c - draining ends what is idle and spares what is not; the deadline ends every wait,
 * and nobody outlives it.
 */
#include "flow_cases.h"

#include <sys/eventfd.h>

static char buf[100];
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

/* Messages of five bytes, read through stdio; idle is said after each, where a message ends. */
START_TEST(request_that_says_idle_after_a_whole_message_ends_when_draining_begins)
{
	FILE *in = hd_makefile(&req, "r");
	struct flow_call call;

	client_send("12345");
	ck_assert_int_eq(hd_set_idle(&req, 0), 0);
	ck_assert_uint_eq(fread(buf, 1, 5, in), 5);
	ck_assert_int_eq(hd_set_idle(&req, 1), 0);
	flow_start_waiting(&call, call_gets);
	server_begin_drain(&server);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
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

int
main(void)
{
	TCase *cases = tcase_create("cancel");

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
	tcase_add_test(cases,
		       request_that_says_idle_after_a_whole_message_ends_when_draining_begins);
	tcase_add_test(cases, busy_request_goes_on_when_draining_begins);
	tcase_add_test(cases, idleness_ends_with_its_connection);
	return unit_run("cancel", cases);
}
