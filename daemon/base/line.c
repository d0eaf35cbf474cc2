/*
 * line.c - numbers and moments as text, by hand.
 */
#include "base/line.h"

#include "base/clock.h"
#include "base/text.h"

#define LINE_NUMBER_SIZE 20 /* of the longest: 2^64 - 1 */
#define LINE_S_PER_DAY 86400
/* Of the calendar, which comes again after 400 years. They begin on 1 March, so that a leap day is
 * the last of its year. */
#define LINE_DAYS_PER_ERA 146097
#define LINE_DAYS_TO_1970 719468

void
line_add_bytes(struct line *line, const char *bytes, size_t size)
{
	size_t left = line->limit - line->length;

	if (size > left)
		size = left;
	memcpy(line->data + line->length, bytes, size);
	line->length += size;
}

void
line_add_padded(struct line *line, uint64_t value, unsigned digits)
{
	char number[LINE_NUMBER_SIZE];
	size_t at = sizeof(number);

	if (digits > sizeof(number))
		digits = sizeof(number);
	do {
		number[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (sizeof(number) - at < digits)
		number[--at] = '0';
	line_add_bytes(line, number + at, sizeof(number) - at);
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

static char *
line_put(char *at, unsigned value, unsigned digits, char behind)
{
	for (unsigned i = digits; i-- > 0; value /= 10)
		at[i] = (char)('0' + value % 10);
	at[digits] = behind;
	return at + digits + 1;
}

/* Neither a lock nor a time zone, as in gmtime(): nothing that a forked child could find taken. */
void
line_add_moment(struct line *line, int64_t realtime_ns)
{
	int64_t ms = realtime_ns / CLOCK_NS_PER_MS - (realtime_ns % CLOCK_NS_PER_MS < 0);
	int64_t second = ms / 1000 - (ms % 1000 < 0);
	/* never negative: 64 bits of nanoseconds begin in 1677 */
	uint64_t since = (uint64_t)(second + (int64_t)LINE_DAYS_TO_1970 * LINE_S_PER_DAY);
	unsigned days = (unsigned)(since / LINE_S_PER_DAY);
	unsigned rest = (unsigned)(since % LINE_S_PER_DAY);
	unsigned era = days / LINE_DAYS_PER_ERA, day = days % LINE_DAYS_PER_ERA;
	unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	unsigned day_of_year = day - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * day_of_year + 2) / 153; /* 0: March */
	char text[LINE_MOMENT_LENGTH], *at = text;

	at = line_put(at, era * 400 + year + (month >= 10), 4, '-');
	at = line_put(at, month < 10 ? month + 3 : month - 9, 2, '-');
	at = line_put(at, day_of_year - (153 * month + 2) / 5 + 1, 2, 'T');
	at = line_put(at, rest / 3600, 2, ':');
	at = line_put(at, rest / 60 % 60, 2, ':');
	at = line_put(at, rest % 60, 2, '.');
	(void)line_put(at, (unsigned)(ms - second * 1000), 3, 'Z');
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
