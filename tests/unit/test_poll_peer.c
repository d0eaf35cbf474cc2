/*
 * test_poll_peer.c - hd_poll of a UDP peer: mail, the end of its time, wakes and cancellation.
 */
#include "datagram_cases.h"

#include "base/clock.h"

static struct mailbox mailbox;
static _Atomic uint64_t queued;
static struct pollfd rows[2];
static int pipe_ends[2];
static int timeout_ms;

static void
open_peer(int64_t timeout_ns)
{
	udp_arrive("first", 5);
	ck_assert_int_eq(mailbox_init(&mailbox, timeout_ns, &queued), 0);
	request_open_peer(&req, &receiver, &arrived, &mailbox);
}

static void
open_flow(void)
{
	udp_setup();
	open_peer(60 * CLOCK_NS_PER_S);
	ck_assert_int_eq(pipe2(pipe_ends, O_CLOEXEC), 0);
	rows[0] = (struct pollfd){.fd = HD_CLIENT, .events = POLLIN};
	rows[1] = (struct pollfd){.fd = pipe_ends[0], .events = POLLIN};
	timeout_ms = -1;
}

static void
close_flow(void)
{
	request_close(&req);
	mailbox_destroy(&mailbox);
	(void)close(pipe_ends[0]);
	(void)close(pipe_ends[1]);
	udp_teardown();
}

/* The same with a session that has come to its end. */
static void
open_ended(void)
{
	request_close(&req);
	mailbox_destroy(&mailbox);
	open_peer(1);
	while (clock_now_ns() < mailbox_deadline_ns(&mailbox))
		(void)sched_yield();
}

static void
put(const char *text)
{
	ck_assert_int_eq(mailbox_put(&mailbox, text, strlen(text), 64), 0);
}

static long
poll_both(void)
{
	return hd_poll(&req, rows, 2, timeout_ms);
}

static long
poll_pipe(void)
{
	return hd_poll(&req, rows + 1, 1, timeout_ms);
}

START_TEST(mail_is_input)
{
	struct flow_call call;
	char buf[8];

	timeout_ms = 0;
	ck_assert_int_eq(poll_both(), 0);
	timeout_ms = _i == 0 ? -1 : 30000;
	flow_start_waiting(&call, poll_both);
	put("hello");
	ck_assert_int_eq(flow_end_call(&call), 1);
	ck_assert_int_eq(rows[0].revents, POLLIN);
	ck_assert_int_eq(rows[1].revents, 0);
	/* as long as there is some */
	put("again");
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 5);
	ck_assert_int_eq(poll_both(), 1);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 5);
	timeout_ms = 0;
	ck_assert_int_eq(poll_both(), 0);
}
END_TEST

START_TEST(rest_of_a_line_is_input)
{
	char buf[8];

	put("a\nb");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 2);
	ck_assert_int_eq(poll_both(), 1);
	ck_assert_int_eq(rows[0].revents, POLLIN);
}
END_TEST

START_TEST(output_never_waits)
{
	rows[0].events = POLLIN | POLLOUT;
	ck_assert_int_eq(poll_both(), 1);
	ck_assert_int_eq(rows[0].revents, POLLOUT);
}
END_TEST

START_TEST(other_descriptors_are_seen)
{
	ck_assert_int_eq(write(pipe_ends[1], "x", 1), 1);
	ck_assert_int_eq(poll_both(), 1);
	ck_assert_int_eq(rows[0].revents, 0);
	ck_assert_int_eq(rows[1].revents, POLLIN);
}
END_TEST

START_TEST(end_of_the_session_is_input)
{
	char buf[8];

	open_ended();
	timeout_ms = _i == 0 ? -1 : 30000;
	ck_assert_int_eq(poll_both(), 1);
	ck_assert_int_eq(rows[0].revents, POLLIN);
	ck_assert_int_eq(rows[1].revents, 0);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 0);
}
END_TEST

START_TEST(own_timeout_comes_first)
{
	timeout_ms = 1;
	ck_assert_int_eq(poll_both(), 0);
	ck_assert_int_eq(rows[0].revents, 0);
}
END_TEST

/* Who does not ask for the client is not told of it, least of all by a timeout. */
START_TEST(end_of_the_session_is_no_event_of_other_descriptors)
{
	struct flow_call call;

	open_ended();
	if (_i == 1)
		rows[0].events = 0;
	flow_start_waiting(&call, _i == 0 ? poll_pipe : poll_both);
	ck_assert_int_eq(write(pipe_ends[1], "x", 1), 1);
	ck_assert_int_eq(flow_end_call(&call), 1);
	ck_assert_int_eq(rows[1].revents, POLLIN);
}
END_TEST

START_TEST(wake_ends_the_current_or_the_next_poll_once)
{
	struct flow_call call;

	flow_start_waiting(&call, poll_both);
	ck_assert_int_eq(hd_wake(&server, hd_request_id(&req)), 0);
	ck_assert_int_eq(flow_end_call(&call), -EINTR);
	ck_assert_int_eq(hd_wake(&server, hd_request_id(&req)), 0);
	ck_assert_int_eq(poll_both(), -EINTR);
	timeout_ms = 0;
	ck_assert_int_eq(poll_both(), 0);
}
END_TEST

START_TEST(cancellation_ends_it)
{
	struct flow_call call;

	flow_start_waiting(&call, poll_both);
	server_cancel_requests(&server);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	ck_assert_int_eq(poll_both(), -ECANCELED);
}
END_TEST

START_TEST(draining_is_input_and_the_call_tells)
{
	struct flow_call call;
	char buf[8];

	(void)hd_set_idle(&req, _i);
	flow_start_waiting(&call, poll_both);
	server_begin_drain(&server);
	ck_assert_int_eq(flow_end_call(&call), 1);
	ck_assert_int_eq(rows[0].revents, POLLIN);
	ck_assert_int_eq(poll_both(), 1);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), -ECANCELED);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("poll_peer");

	tcase_add_checked_fixture(cases, open_flow, close_flow);
	tcase_add_loop_test(cases, mail_is_input, 0, 2);
	tcase_add_test(cases, rest_of_a_line_is_input);
	tcase_add_test(cases, output_never_waits);
	tcase_add_test(cases, other_descriptors_are_seen);
	tcase_add_loop_test(cases, end_of_the_session_is_input, 0, 2);
	tcase_add_test(cases, own_timeout_comes_first);
	tcase_add_loop_test(cases, end_of_the_session_is_no_event_of_other_descriptors, 0, 2);
	tcase_add_test(cases, wake_ends_the_current_or_the_next_poll_once);
	tcase_add_test(cases, cancellation_ends_it);
	tcase_add_loop_test(cases, draining_is_input_and_the_call_tells, 0, 2);
	return unit_run("poll_peer", cases);
}
