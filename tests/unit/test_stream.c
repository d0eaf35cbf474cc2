/*
 * test_stream.c - bytes out: all of them, in order, to readers that take their time.
 */
#include "flow_cases.h"

#include <limits.h>

#define MUCH (4 << 20)

static char *much;

static void
prepare(void)
{
	flow_setup();
	much = malloc(MUCH);
	ck_assert_ptr_nonnull(much);
	for (size_t i = 0; i < MUCH; i++)
		much[i] = (char)(i * 7 + i / 251);
}

static void
clean(void)
{
	free(much);
	flow_teardown();
}

/* Reads `size` bytes in small pieces and compares. */
static void
client_expect_much(size_t size)
{
	char buf[3000];
	size_t have = 0;

	while (have < size) {
		ssize_t n = recv(client, buf, sizeof(buf), 0);

		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(memcmp(buf, much + have, (size_t)n), 0);
		have += (size_t)n;
	}
	ck_assert_uint_eq(have, size);
}

static long
send_much(void)
{
	return hd_sendall(&req, much, MUCH);
}

START_TEST(sendall_reaches_a_slow_reader_whole)
{
	struct flow_call call;

	flow_start_waiting(&call, send_much);
	client_expect_much(MUCH);
	ck_assert_int_eq(flow_end_call(&call), 0);
	ck_assert_uint_eq(req.bytes_out, MUCH);
	client_expect_nothing();
}
END_TEST

static long
send_pieces(void)
{
	enum { PIECES = 1000 };
	static struct iovec iov[PIECES], before[PIECES];
	long r;

	/* more than one sendmsg takes, some of them empty */
	for (size_t i = 0; i < PIECES; i++)
		iov[i] = (struct iovec){.iov_base = much + i / 2 * (MUCH / 500),
					.iov_len = i % 2 == 0 ? MUCH / 500 : 0};
	memcpy(before, iov, sizeof(iov));
	r = hd_sendallv(&req, iov, PIECES);
	return memcmp(before, iov, sizeof(iov)) == 0 ? r : -1;
}

START_TEST(sendallv_sends_every_piece_and_leaves_the_array_alone)
{
	struct flow_call call;

	flow_start_waiting(&call, send_pieces);
	client_expect_much(MUCH / 500 * 500);
	ck_assert_int_eq(flow_end_call(&call), 0);
	client_expect_nothing();
	ck_assert_int_eq(hd_sendallv(&req, NULL, 0), 0);
	ck_assert_int_eq(hd_sendallv(&req, NULL, -1), -EINVAL);
	ck_assert_int_eq(hd_sendallv(&req, NULL, INT_MIN), -EINVAL);
}
END_TEST

START_TEST(send_may_be_short_and_says_so)
{
	ssize_t n = 0;

	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	n = hd_send(&req, much, MUCH);
	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, MUCH);
	flow_fill_output();
	ck_assert_int_eq(hd_send(&req, much, MUCH), -ETIMEDOUT);
	ck_assert_int_eq(hd_send(&req, much, 0), 0);
	ck_assert(request_is_reason(&req, -ETIMEDOUT));
}
END_TEST

START_TEST(sending_to_nobody_is_a_broken_pipe_and_no_signal)
{
	(void)close(client);
	client = -1;
	ck_assert_int_eq(hd_sendall(&req, "x", 1), -EPIPE);
	ck_assert_int_eq(hd_send(&req, "x", 1), -EPIPE);
	ck_assert_int_eq(hd_sendallv(&req, &(struct iovec){"x", 1}, 1), -EPIPE);
	ck_assert(request_is_reason(&req, -EPIPE));
}
END_TEST

START_TEST(sendto_is_for_datagrams)
{
	ck_assert_int_eq(hd_sendto(&req, "x", 1, NULL, 0), -EOPNOTSUPP);
	ck_assert_int_eq(hd_is_datagram(&req), 0);
}
END_TEST

START_TEST(printed_text_leaves_in_order_before_anything_sent)
{
	ck_assert_int_eq(hd_printf(&req, "%d-%s ", 1, "one"), 0);
	ck_assert_int_eq(hd_printf(&req, "%s", ""), 0);
	ck_assert_int_eq(hd_printf(&req, "two "), 0);
	client_expect_nothing();
	ck_assert_int_eq(hd_sendall(&req, "three ", 6), 0);
	ck_assert_int_eq(hd_printf(&req, "four "), 0);
	ck_assert_int_eq(hd_send(&req, "five ", 5), 5);
	ck_assert_int_eq(hd_printf(&req, "six "), 0);
	ck_assert_int_eq(hd_sendallv(&req, &(struct iovec){"seven ", 6}, 1), 0);
	ck_assert_int_eq(hd_printf(&req, "eight"), 0);
	ck_assert_int_eq(hd_flush(&req), 0);
	ck_assert_int_eq(hd_flush(&req), 0);
	client_expect("1-one two three four five six seven eight");
	client_expect_nothing();
}
END_TEST

START_TEST(printed_text_of_any_length_is_whole)
{
	static char text[10000], all[30000];

	memset(text, 'x', sizeof(text));
	/* around the size of the buffer, with something before and behind */
	for (int length = 4080; length < 4110; length++) {
		int n;

		ck_assert_int_eq(hd_printf(&req, "<%d>", length), 0);
		ck_assert_int_eq(hd_printf(&req, "%.*s", length, text), 0);
		ck_assert_int_eq(hd_printf(&req, "</>"), 0);
		ck_assert_int_eq(hd_flush(&req), 0);
		n = snprintf(all, sizeof(all), "<%d>%.*s</>", length, length, text);
		for (ssize_t at = 0; at < n;) {
			char back[5000];
			ssize_t r = recv(client, back, sizeof(back), 0);

			ck_assert_int_gt(r, 0);
			ck_assert_int_eq(memcmp(back, all + at, (size_t)r), 0);
			at += r;
		}
	}
	client_expect_nothing();
}
END_TEST

START_TEST(output_that_failed_is_not_sent_twice)
{
	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	flow_fill_output();
	ck_assert_int_eq(hd_printf(&req, "lost"), 0);
	ck_assert_int_eq(hd_flush(&req), -ETIMEDOUT);
	ck_assert_int_eq(hd_flush(&req), 0);
}
END_TEST

START_TEST(shutdown_flushes_and_ends_the_output_alone)
{
	char byte;

	ck_assert_int_eq(hd_printf(&req, "bye"), 0);
	ck_assert_int_eq(hd_shutdown_write(&req), 0);
	client_expect("bye");
	client_expect_end();
	client_send("x");
	ck_assert_int_eq(hd_recv(&req, &byte, 1), 1);
	ck_assert_int_eq(hd_sendall(&req, "x", 1), -EPIPE);
	ck_assert_int_eq(hd_shutdown_write(&req), 0);
}
END_TEST

START_TEST(timeout_ends_a_send_that_waits)
{
	ck_assert_int_eq(hd_set_timeout(&req, 20), 0);
	ck_assert_int_eq(hd_sendall(&req, much, MUCH), -ETIMEDOUT);
	ck_assert_int_eq(hd_set_timeout(&req, -2), -EINVAL);
	ck_assert_int_eq(hd_set_timeout(&req, INT_MIN), -EINVAL);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("stream");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, sendall_reaches_a_slow_reader_whole);
	tcase_add_test(cases, sendallv_sends_every_piece_and_leaves_the_array_alone);
	tcase_add_test(cases, send_may_be_short_and_says_so);
	tcase_add_test(cases, sending_to_nobody_is_a_broken_pipe_and_no_signal);
	tcase_add_test(cases, sendto_is_for_datagrams);
	tcase_add_test(cases, printed_text_leaves_in_order_before_anything_sent);
	tcase_add_test(cases, printed_text_of_any_length_is_whole);
	tcase_add_test(cases, output_that_failed_is_not_sent_twice);
	tcase_add_test(cases, shutdown_flushes_and_ends_the_output_alone);
	tcase_add_test(cases, timeout_ends_a_send_that_waits);
	return unit_run("stream", cases);
}
