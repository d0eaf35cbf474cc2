/*
 * test_line.c - numbers, moments and texts that are put together by hand are what the C library
 * would have made of them, and a line never outgrows its room.
 */
#include "base/line.h"

#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "unit.h"

#define ROOM 64
#define RANDOM_NUMBERS 200000

static char room[ROOM + 1];
static struct line line;

static void
begin(size_t limit)
{
	memset(room, '#', sizeof(room));
	line = (struct line){.data = room, .limit = limit};
}

static void
expect(const char *text)
{
	ck_assert_uint_eq(line.length, strlen(text));
	ck_assert_msg(memcmp(room, text, line.length) == 0, "%.*s, not %s", (int)line.length, room,
		      text);
	ck_assert_int_eq(room[line.length], '#');
}

/* The same numbers each time (xorshift), of all lengths. */
static uint64_t
next_number(void)
{
	static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> (state & 63);
}

static void
expect_number(uint64_t value)
{
	char text[ROOM];

	begin(ROOM);
	line_add_u64(&line, value);
	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	expect(text);
	begin(ROOM);
	line_add_i64(&line, (int64_t)value);
	(void)snprintf(text, sizeof(text), "%" PRId64, (int64_t)value);
	expect(text);
	for (unsigned digits = 1; digits <= 20; digits++) {
		begin(ROOM);
		line_add_padded(&line, value, digits);
		(void)snprintf(text, sizeof(text), "%0*" PRIu64, (int)digits, value);
		expect(text);
	}
}

START_TEST(numbers_are_those_of_printf)
{
	static const uint64_t edges[] = {
		0, 1, 9, 10, 99, 100, 999, 1000, INT64_MAX, (uint64_t)INT64_MIN, UINT64_MAX,
	};

	for (int i = 0; i < UNIT_COUNT(edges); i++)
		expect_number(edges[i]);
	for (uint64_t ten = 1; ten <= UINT64_MAX / 10; ten *= 10) {
		expect_number(ten);
		expect_number(ten - 1);
		expect_number(0 - ten);
	}
	for (int i = 0; i < RANDOM_NUMBERS / 20; i++)
		expect_number(next_number());
}
END_TEST

/* By the C library, which rounds to zero where this one goes back. */
static void
expect_moment(int64_t ns)
{
	time_t seconds = (time_t)(ns / CLOCK_NS_PER_S);
	int64_t rest = ns % CLOCK_NS_PER_S;
	char date[32], text[ROOM];
	struct tm tm;

	if (rest < 0) {
		seconds--;
		rest += CLOCK_NS_PER_S;
	}
	ck_assert_ptr_nonnull(gmtime_r(&seconds, &tm));
	ck_assert_uint_gt(strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm), 0);
	(void)snprintf(text, sizeof(text), "%s.%03dZ", date, (int)(rest / CLOCK_NS_PER_MS));
	begin(ROOM);
	line_add_moment(&line, ns);
	ck_assert_uint_eq(line.length, LINE_MOMENT_LENGTH);
	expect(text);
}

START_TEST(moments_are_those_of_the_calendar)
{
	const int64_t day_ns = 86400 * CLOCK_NS_PER_S;

	expect_moment(0);
	expect_moment(-1);
	expect_moment(-CLOCK_NS_PER_S);
	expect_moment(INT64_MIN);
	expect_moment(INT64_MAX);
	/* each day that there is, its first or its last moment: 1677 to 2262 */
	for (int64_t day = INT64_MIN / day_ns; day <= INT64_MAX / day_ns - 1; day++) {
		expect_moment(day * day_ns + (day % 2 == 0 ? day_ns - 1 : 0));
	}
	for (int i = 0; i < RANDOM_NUMBERS / 4; i++)
		expect_moment((int64_t)next_number());
}
END_TEST

START_TEST(line_is_cut_where_its_room_ends)
{
	for (size_t limit = 0; limit < 30; limit++) {
		static const char whole[] = "ab18446744073709551615\\ncdef";
		size_t most;

		begin(limit);
		line_add_text(&line, "ab");
		line_add_u64(&line, UINT64_MAX);
		ck_assert_uint_eq(line.length, limit < 22 ? limit : 22);
		ck_assert_int_eq(room[limit], '#');
		/* an escape is there whole or not at all; it uses the byte behind it */
		line_add_escaped(&line, "\ncdef", 5, false);
		ck_assert_uint_le(line.length, limit);
		ck_assert_int_eq(memcmp(room, whole, line.length), 0);
		ck_assert_int_eq(room[limit + 1], '#');
		most = limit < sizeof(whole) - 1 ? limit : sizeof(whole) - 1;
		ck_assert_uint_eq(line.length, limit == 23 ? 22 : most);
	}
}
END_TEST

/* Byte by byte, as slowly as can be: wherever a byte stands in a word, it is seen. */
START_TEST(a_byte_to_be_escaped_is_found_wherever_it_stands)
{
	char text[41], out[512], expected[512];

	for (int byte = 0; byte < 0x80; byte++) {
		for (size_t at = 0; at + 1 < sizeof(text); at++) {
			for (int is_json = 0; is_json < 2; is_json++) {
				size_t n;

				memset(text, at % 2 == 0 ? '~' : ' ', sizeof(text) - 1);
				text[at] = (char)byte;
				n = is_json ? text_escape_json(text, sizeof(text) - 1, out,
							       sizeof(out))
					    : text_escape(text, sizeof(text) - 1, out, sizeof(out));
				memcpy(expected, text, at);
				n -= at;
				if (is_json)
					n -= text_escape_json(text + at, 1, expected + at, 16);
				else
					n -= text_escape(text + at, 1, expected + at, 16);
				ck_assert_uint_eq(n, sizeof(text) - 2 - at);
				(void)strncat(expected, text + at + 1, sizeof(text) - 2 - at);
				expected[strlen(out)] = '\0';
				ck_assert_str_eq(out, expected);
				ck_assert_int_eq(strpbrk(out, "\n\t\r\033\177") == NULL, 1);
			}
		}
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("line");

	tcase_add_test(cases, numbers_are_those_of_printf);
	tcase_add_test(cases, moments_are_those_of_the_calendar);
	tcase_add_test(cases, line_is_cut_where_its_room_ends);
	tcase_add_test(cases, a_byte_to_be_escaped_is_found_wherever_it_stands);
	tcase_set_timeout(cases, 30);
	return unit_run("line", cases);
}
