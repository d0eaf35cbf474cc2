/*
 * test_handler_chargen.c - what chargen answers to a datagram: never more than three times of what
 * came, headers included.
 */
#include "unit.h"

#include <errno.h>
#include <handlerd/handler.h>
#include <string.h>

/* The handler with calls of this test's own under it. */
#define hd_recv fake_recv
#define hd_sendall fake_sendall
#define hd_is_datagram fake_is_datagram
#define hd_draining fake_draining

static size_t question; /* bytes of the datagram that were not read yet */
static int recv_error;
static size_t reply;
static unsigned replies;
static char text[8192];

static ssize_t
fake_recv(struct hd_request *req, void *buf, size_t size)
{
	size_t n = size < question ? size : question;

	(void)req;
	if (recv_error < 0)
		return recv_error;
	memset(buf, 'q', n);
	question -= n;
	return (ssize_t)n;
}

static int
fake_sendall(struct hd_request *req, const void *buf, size_t size)
{
	(void)req;
	ck_assert_uint_le(size, sizeof(text));
	memcpy(text, buf, size);
	reply = size;
	replies++;
	return 0;
}

static int
fake_is_datagram(const struct hd_request *req)
{
	(void)req;
	return 1;
}

static int
fake_draining(const struct hd_request *req)
{
	(void)req;
	return 0;
}

#include "../../handlers/chargen/chargen.c"

static size_t
ask(size_t length)
{
	question = length;
	replies = 0;
	ck_assert_int_eq(handle(NULL), 0);
	ck_assert_uint_eq(replies, 1);
	return reply;
}

START_TEST(reply_is_at_most_three_times_the_question_with_headers)
{
	for (size_t length = 0; length <= 2000; length++) {
		size_t got = ask(length);

		ck_assert_uint_le(got, 512);
		ck_assert_uint_le(got + 28, 3 * (length + 28));
	}
}
END_TEST

START_TEST(reply_is_as_long_as_it_may_be)
{
	ck_assert_uint_eq(ask(0), 56);
	ck_assert_uint_eq(ask(1), 59);
	ck_assert_uint_eq(ask(10), 86);
	ck_assert_uint_eq(ask(151), 509);
	ck_assert_uint_eq(ask(152), 512);
	ck_assert_uint_eq(ask(512), 512);
	ck_assert_uint_eq(ask(65507), 512);
}
END_TEST

START_TEST(reply_is_the_beginning_of_the_pattern)
{
	ck_assert_uint_eq(ask(1000), 512);
	for (size_t i = 0; i < 512; i++) {
		size_t line = i / 74, column = i % 74;
		char expected = (char)(32 + (line + column) % 95);

		if (column >= 72)
			expected = column == 72 ? '\r' : '\n';
		ck_assert_int_eq(text[i], expected);
	}
}
END_TEST

START_TEST(question_that_cannot_be_read_has_no_reply)
{
	replies = 0;
	recv_error = -ECANCELED;
	ck_assert_int_eq(handle(NULL), -ECANCELED);
	ck_assert_uint_eq(replies, 0);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("handler_chargen");

	tcase_add_test(cases, reply_is_at_most_three_times_the_question_with_headers);
	tcase_add_test(cases, reply_is_as_long_as_it_may_be);
	tcase_add_test(cases, reply_is_the_beginning_of_the_pattern);
	tcase_add_test(cases, question_that_cannot_be_read_has_no_reply);
	return unit_run("handler_chargen", cases);
}
