/*
 * line.c - numbers and moments as text, by hand.
 */
#include "base/line.h"

#include "base/clock.h"
#include "base/text.h"

#define LINE_NUMBER_SIZE 20   /* of the longest: 2^64 - 1 */
#define LINE_SECOND_LENGTH 20 /* of a moment, without the milliseconds */
#define LINE_S_PER_DAY 86400
/* Of the calendar, which comes again after 400 years. They begin on 1 March, so that a leap day is
 * the last of its year. */
#define LINE_DAYS_PER_ERA 146097
#define LINE_DAYS_TO_1970 719468

/* Two digits for each number below 100: half as many divisions. */
static const char line_pairs[] = "00010203040506070809101112131415161718192021222324"
				 "25262728293031323334353637383940414243444546474849"
				 "50515253545556575859606162636465666768697071727374"
				 "75767778798081828384858687888990919293949596979899";

void
line_add_cut(struct line *line, const char *bytes, size_t size)
{
	size_t left = line->limit - line->length;

	if (size > left)
		size = left;
	memcpy(line->data + line->length, bytes, size);
	line->length += size;
}

static char *
line_put_pair(char *end, unsigned pair)
{
	memcpy(end - 2, line_pairs + (size_t)2 * pair, 2);
	return end - 2;
}

void
line_add_padded(struct line *line, uint64_t value, unsigned digits)
{
	char number[LINE_NUMBER_SIZE], *at = number + sizeof(number);
	unsigned small;

	if (digits > sizeof(number))
		digits = sizeof(number);
	for (; value > UINT32_MAX; value /= 100)
		at = line_put_pair(at, (unsigned)(value % 100));
	for (small = (unsigned)value; small >= 100; small /= 100)
		at = line_put_pair(at, small % 100);
	if (small >= 10)
		at = line_put_pair(at, small);
	else
		*--at = (char)('0' + small);
	while ((size_t)(number + sizeof(number) - at) < digits)
		*--at = '0';
	line_add_bytes(line, at, (size_t)(number + sizeof(number) - at));
}

void
line_add_u64(struct line *line, uint64_t value)
{
	line_add_padded(line, value, 1);
}

void
line_add_i64(struct line *line, int64_t value)
{
	if (value < 0)
		line_add_bytes(line, "-", 1);
	line_add_u64(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* Two digits, and what stands behind them. */
static char *
line_put_two(char *at, unsigned value, char behind)
{
	memcpy(at, line_pairs + (size_t)2 * value, 2);
	at[2] = behind;
	return at + 3;
}

/* Neither a lock nor a time zone, as in gmtime(): nothing that a forked child could find taken. The
 * 64 bits of nanoseconds begin in 1677, so that `since` is never negative. */
static void
line_format_second(int64_t second, char *at)
{
	uint64_t since = (uint64_t)(second + (int64_t)LINE_DAYS_TO_1970 * LINE_S_PER_DAY);
	unsigned days = (unsigned)(since / LINE_S_PER_DAY);
	unsigned rest = (unsigned)(since % LINE_S_PER_DAY);
	unsigned era = days / LINE_DAYS_PER_ERA, day = days % LINE_DAYS_PER_ERA;
	unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	unsigned day_of_year = day - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * day_of_year + 2) / 153; /* 0: March */

	year += era * 400 + (month >= 10);
	memcpy(at, line_pairs + (size_t)2 * (year / 100), 2);
	at = line_put_two(at + 2, year % 100, '-');
	at = line_put_two(at, month < 10 ? month + 3 : month - 9, '-');
	at = line_put_two(at, day_of_year - (153 * month + 2) / 5 + 1, 'T');
	at = line_put_two(at, rest / 3600, ':');
	at = line_put_two(at, rest / 60 % 60, ':');
	(void)line_put_two(at, rest % 60, '.');
}

/* Each thread keeps the text of the second that it has written last: thousands fall into one. */
void
line_add_moment(struct line *line, int64_t realtime_ns)
{
	static _Thread_local struct {
		int64_t second;
		char text[LINE_SECOND_LENGTH];
		bool is_there;
	} last;
	int64_t ms = realtime_ns / CLOCK_NS_PER_MS - (realtime_ns % CLOCK_NS_PER_MS < 0);
	int64_t second = ms / 1000 - (ms % 1000 < 0);
	unsigned rest = (unsigned)(ms - second * 1000);
	char text[LINE_MOMENT_LENGTH];

	if (!last.is_there || last.second != second) {
		line_format_second(second, last.text);
		last.second = second;
		last.is_there = true;
	}
	memcpy(text, last.text, LINE_SECOND_LENGTH);
	text[LINE_SECOND_LENGTH] = (char)('0' + rest / 100);
	(void)line_put_two(text + LINE_SECOND_LENGTH + 1, rest % 100, 'Z');
	line_add_bytes(line, text, sizeof(text));
}

void
line_add_escaped(struct line *line, const char *text, size_t size, bool is_json)
{
	size_t left = line->limit - line->length + 1; /* with the NUL */
	char *at = line->data + line->length;

	line->length += is_json ? text_escape_json(text, size, at, left)
				: text_escape(text, size, at, left);
}
