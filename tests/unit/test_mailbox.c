/*
 * test_mailbox.c - one UDP peer: its datagrams in order, its time, and the end of both.
 */
#include "datagram_cases.h"

#include <limits.h>

#include "base/clock.h"

#define LONG_NS (60 * CLOCK_NS_PER_S)
#define MOST 64

static struct mailbox mailbox;
static _Atomic uint64_t queued;

/* A request that serves the client of this test. */
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
	open_peer(LONG_NS);
}

static void
close_flow(void)
{
	request_close(&req);
	mailbox_destroy(&mailbox);
	udp_teardown();
}

/* The same with another timeout. */
static void
open_again(int64_t timeout_ns)
{
	request_close(&req);
	mailbox_destroy(&mailbox);
	open_peer(timeout_ns);
}

static void
put(const char *text)
{
	ck_assert_int_eq(mailbox_put(&mailbox, text, strlen(text), MOST), 0);
}

static void
expect(const char *text)
{
	char buf[64];

	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), (ssize_t)strlen(text));
	ck_assert_mem_eq(buf, text, strlen(text));
}

START_TEST(each_call_receives_one_datagram_in_order)
{
	uint64_t unread = 0;

	put("one");
	put("two");
	expect("one");
	put("three");
	expect("two");
	ck_assert_uint_eq(mailbox.asked, 11 + 3 * REPLY_HEADER_SIZE);
	ck_assert_uint_eq(queued, 5);
	/* another session begins with what is left */
	ck_assert(mailbox_begin_again(&mailbox, &unread));
	expect("three");
	ck_assert(!mailbox_begin_again(&mailbox, &unread));
	ck_assert_uint_eq(unread, 0);
	ck_assert_uint_eq(queued, 0);
	ck_assert_uint_eq(req.bytes_in, 11);
}
END_TEST

START_TEST(those_that_are_thrown_away_are_the_oldest)
{
	uint64_t unread = 0;

	put("one");
	put("two");
	put("three");
	expect("one");
	ck_assert(mailbox_begin_again(&mailbox, &unread));
	ck_assert(mailbox_drop(&mailbox));
	ck_assert_uint_eq(queued, 5);
	expect("three");
	put("four");
	ck_assert(!mailbox_drop(&mailbox));
	ck_assert_uint_eq(queued, 0);
	put("five");
	expect("five");
}
END_TEST

START_TEST(session_that_reads_nothing_costs_the_oldest)
{
	uint64_t unread = 0, asked;

	put("one");
	put("two");
	asked = mailbox.asked;
	mailbox.answered = 7;
	ck_assert(mailbox_begin_again(&mailbox, &unread));
	ck_assert_uint_eq(unread, 1);
	expect("two");
	ck_assert(!mailbox_begin_again(&mailbox, &unread));
	ck_assert_uint_eq(unread, 1);
	put("three");
	ck_assert(!mailbox_begin_again(&mailbox, &unread));
	ck_assert_uint_eq(unread, 2);
	/* nothing is asked twice, and nothing that was answered is forgotten */
	ck_assert_uint_eq(mailbox.asked, asked + 5 + REPLY_HEADER_SIZE);
	ck_assert_uint_eq(mailbox.answered, 7);
}
END_TEST

START_TEST(all_mailboxes_together_have_a_bound)
{
	queued = MAILBOX_MOST_QUEUED - 3;
	put("one");
	ck_assert_int_eq(mailbox_put(&mailbox, "x", 1, MOST), -ENOBUFS);
	expect("one");
	put("two");
	expect("two");
	ck_assert_uint_eq(queued, MAILBOX_MOST_QUEUED - 3);
	queued = 0;
}
END_TEST

START_TEST(one_that_is_too_many_is_thrown_away)
{
	char text[16];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MOST; i++) {
			(void)snprintf(text, sizeof(text), "%d", i);
			put(text);
		}
		ck_assert_int_eq(mailbox_put(&mailbox, "x", 1, MOST), -ENOBUFS);
		expect("0");
		put("last");
		ck_assert_int_eq(mailbox_put(&mailbox, "x", 1, MOST), -ENOBUFS);
		for (int i = 1; i < MOST; i++) {
			(void)snprintf(text, sizeof(text), "%d", i);
			expect(text);
		}
		expect("last");
		(void)hd_set_timeout(&req, 0);
		ck_assert_int_eq(hd_recv(&req, text, sizeof(text)), -ETIMEDOUT);
	}
}
END_TEST

START_TEST(rest_of_one_that_does_not_fit_is_gone)
{
	char buf[4];

	put("too long");
	put("next");
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), -EMSGSIZE);
	ck_assert_mem_eq(buf, "too ", 4);
	/* it was asked all the same, as what was not read yet was */
	ck_assert_uint_eq(mailbox.asked, 8 + 4 + 2 * REPLY_HEADER_SIZE);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 4);
	ck_assert_mem_eq(buf, "next", 4);
	ck_assert(!request_is_reason(&req, -EMSGSIZE));
}
END_TEST

START_TEST(lines_and_files_see_one_stream_of_all_datagrams)
{
	char buf[16];
	FILE *in = hd_makefile(&req, "r");

	put("one\ntw");
	put("o\nthree\nfour\nfi");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 4);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 4);
	ck_assert_str_eq(buf, "two\n");
	ck_assert_ptr_nonnull(fgets(buf, sizeof(buf), in));
	ck_assert_str_eq(buf, "three\n");
	ck_assert_int_eq(hd_recvall(&req, buf, 3), 3);
	ck_assert_mem_eq(buf, "fou", 3);
	put("ve");
	expect("r\nfi");
	expect("ve");
	(void)hd_set_timeout(&req, 0);
	put("six");
	ck_assert_int_eq(hd_recvall(&req, buf, 5), -ETIMEDOUT);
	/* what has come stays */
	expect("six");
}
END_TEST

static long
receive(void)
{
	char buf[16];

	return hd_recv(&req, buf, sizeof(buf));
}

START_TEST(waiting_ends_with_mail)
{
	struct flow_call call;

	ck_assert_int_eq(hd_set_timeout(&req, _i == 0 ? -1 : 30000), 0);
	flow_start_waiting(&call, receive);
	put("hello");
	ck_assert_int_eq(flow_end_call(&call), 5);
}
END_TEST

START_TEST(waiting_ends_when_the_mailbox_is_closed)
{
	struct flow_call call;
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	flow_start_waiting(&call, receive);
	mailbox_close(&mailbox);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	ck_assert(request_is_reason(&req, -ECANCELED));
	/* what comes is read, then it is over; and the event stays, whatever is taken */
	put("one");
	put("two");
	expect("one");
	expect("two");
	ck_assert_int_eq(hd_poll(&req, &row, 1, -1), 1);
	ck_assert_int_eq(receive(), -ECANCELED);
	ck_assert_int_eq(hd_poll(&req, &row, 1, -1), 1);
}
END_TEST

START_TEST(waiting_ends_with_draining_and_with_its_deadline)
{
	struct flow_call call;

	flow_start_waiting(&call, receive);
	if (_i == 0)
		server_begin_drain(&server);
	else
		server_cancel_requests(&server);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	/* after the deadline even mail is nobody's */
	put("late");
	ck_assert_int_eq(receive(), _i == 0 ? 4 : -ECANCELED);
	ck_assert_int_eq(hd_send(&req, "x", 1), _i == 0 ? 1 : -ECANCELED);
}
END_TEST

START_TEST(peer_that_begins_while_draining_reads_what_it_has)
{
	atomic_store(&server.is_draining, true);
	open_again(LONG_NS);
	put("one");
	expect("one");
	ck_assert_int_eq(receive(), -ECANCELED);
}
END_TEST

START_TEST(timeout_of_the_request_is_no_end)
{
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(hd_set_timeout(&req, i), 0);
		ck_assert_int_eq(receive(), -ETIMEDOUT);
		ck_assert(request_is_reason(&req, -ETIMEDOUT));
	}
	put("hello");
	expect("hello");
}
END_TEST

START_TEST(timeout_of_the_session_reads_as_the_end)
{
	open_again(2 * CLOCK_NS_PER_MS);
	/* mail that waits is older than the end */
	put("hello");
	while (clock_now_ns() < mailbox_deadline_ns(&mailbox))
		(void)sched_yield();
	expect("hello");
	ck_assert_int_eq(hd_set_timeout(&req, _i == 0 ? -1 : 30000), 0);
	ck_assert_int_eq(receive(), 0);
	ck_assert_int_eq(receive(), 0);
	ck_assert(req.is_end_seen);
}
END_TEST

START_TEST(every_datagram_begins_the_time_anew_even_one_thrown_away)
{
	int64_t before = mailbox_deadline_ns(&mailbox), after;

	while (clock_now_ns() + LONG_NS <= before)
		(void)sched_yield();
	put("x");
	after = mailbox_deadline_ns(&mailbox);
	ck_assert_int_gt(after, before);
	while (clock_now_ns() + LONG_NS <= after)
		(void)sched_yield();
	ck_assert_int_eq(mailbox_put(&mailbox, "x", 1, 1), -ENOBUFS);
	ck_assert_int_gt(mailbox_deadline_ns(&mailbox), after);
}
END_TEST

START_TEST(each_output_is_a_datagram_at_once)
{
	struct iovec iov[2] = {{.iov_base = (void *)(uintptr_t) "a", .iov_len = 1},
			       {.iov_base = (void *)(uintptr_t) "b", .iov_len = 1}};
	static char big[DATAGRAM_MOST + 1];

	mailbox.asked = 1000;
	ck_assert_int_eq(hd_send(&req, "one", 3), 3);
	udp_expect("one");
	ck_assert_int_eq(hd_sendall(&req, "", 0), 0);
	udp_expect("");
	ck_assert_int_eq(hd_sendallv(&req, iov, 2), 0);
	udp_expect("ab");
	ck_assert_int_eq(hd_printf(&req, "pri"), 0);
	ck_assert_int_eq(hd_printf(&req, "nted"), 0);
	client_expect_nothing();
	ck_assert_int_eq(hd_flush(&req), 0);
	udp_expect("printed");
	ck_assert_int_eq(hd_send(&req, big, DATAGRAM_MOST + 1), -EMSGSIZE);
	ck_assert_uint_eq(mailbox.answered, 3 + 0 + 2 + 7 + 4 * REPLY_HEADER_SIZE);
	ck_assert_int_eq(hd_shutdown_write(&req), 0);
	ck_assert_int_eq(hd_send(&req, "x", 1), -EPIPE);
	client_expect_nothing();
	/* it still hears */
	put("hello");
	expect("hello");
}
END_TEST

START_TEST(many_pieces_are_one_datagram)
{
	enum { PIECES = IOV_MAX + 76 };
	static struct iovec iov[PIECES];
	static char got[PIECES + 1];

	mailbox.asked = 10000;
	for (int i = 0; i < PIECES; i++)
		iov[i] = (struct iovec){.iov_base = (void *)(uintptr_t) "p", .iov_len = 1};
	ck_assert_int_eq(hd_sendallv(&req, iov, PIECES), 0);
	ck_assert_int_eq(recv(client, got, sizeof(got), 0), PIECES);
	ck_assert_uint_eq(strspn(got, "p"), PIECES);
	client_expect_nothing();
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("mailbox");

	tcase_add_checked_fixture(cases, open_flow, close_flow);
	tcase_add_test(cases, each_call_receives_one_datagram_in_order);
	tcase_add_test(cases, one_that_is_too_many_is_thrown_away);
	tcase_add_test(cases, those_that_are_thrown_away_are_the_oldest);
	tcase_add_test(cases, session_that_reads_nothing_costs_the_oldest);
	tcase_add_test(cases, all_mailboxes_together_have_a_bound);
	tcase_add_test(cases, rest_of_one_that_does_not_fit_is_gone);
	tcase_add_test(cases, lines_and_files_see_one_stream_of_all_datagrams);
	tcase_add_loop_test(cases, waiting_ends_with_mail, 0, 2);
	tcase_add_test(cases, waiting_ends_when_the_mailbox_is_closed);
	tcase_add_loop_test(cases, waiting_ends_with_draining_and_with_its_deadline, 0, 2);
	tcase_add_test(cases, peer_that_begins_while_draining_reads_what_it_has);
	tcase_add_test(cases, timeout_of_the_request_is_no_end);
	tcase_add_loop_test(cases, timeout_of_the_session_reads_as_the_end, 0, 2);
	tcase_add_test(cases, every_datagram_begins_the_time_anew_even_one_thrown_away);
	tcase_add_test(cases, each_output_is_a_datagram_at_once);
	tcase_add_test(cases, many_pieces_are_one_datagram);
	return unit_run("mailbox", cases);
}
