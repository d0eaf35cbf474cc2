/*
 * test_handler_time.c - what the time handler tells at known moments.
 */
#include "unit.h"

#include <handlerd/handler.h>
#include <string.h>
#include <time.h>

/* The handler with a clock and a connection of this test's own. */
#define hd_sendall fake_sendall
#define time(result) fake_time(result)

static time_t now;
static unsigned char answer[8];
static size_t answer_size;

static time_t
fake_time(time_t *result)
{
	ck_assert_ptr_null(result);
	return now;
}

static int
fake_sendall(struct hd_request *req, const void *buf, size_t size)
{
	(void)req;
	ck_assert_uint_le(size, sizeof(answer));
	memcpy(answer, buf, size);
	answer_size = size;
	return 0;
}

#include "../../handlers/time/time.c"

static void
expect(time_t moment, const char *bytes)
{
	now = moment;
	ck_assert_int_eq(handle(NULL), 0);
	ck_assert_uint_eq(answer_size, 4);
	ck_assert_mem_eq(answer, bytes, 4);
}

START_TEST(moments_of_the_protocol_are_told_with_the_highest_byte_first)
{
	expect(0, "\x83\xaa\x7e\x80");	       /* 2,208,988,800: 1 January 1970 */
	expect(189302400, "\x8e\xf3\x05\x00"); /* 2,398,291,200: 1 January 1976 */
	expect(420595200, "\x9c\xbc\x44\x80"); /* 2,629,584,000: 1 May 1983 */
}
END_TEST

START_TEST(count_starts_again_when_its_bits_are_used_up)
{
	expect(2085978495, "\xff\xff\xff\xff");
	expect(2085978496, "\0\0\0\0");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("handler_time");

	tcase_add_test(cases, moments_of_the_protocol_are_told_with_the_highest_byte_first);
	tcase_add_test(cases, count_starts_again_when_its_bits_are_used_up);
	return unit_run("handler_time", cases);
}
