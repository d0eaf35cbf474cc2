/*
 * day_span.c - reads a part of a day.
 */
#include "base/day_span.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define DAY_SPAN_SHOWN 40

/* Two digits; -1: they are none. */
static int
day_span_digits(const char *text)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return -1;
	return (text[0] - '0') * 10 + (text[1] - '0');
}

/* "HH:MM", of which the first five characters are looked at; -1: it is none. */
static int
day_span_minute(const char *text)
{
	int hour, minute;

	if (strlen(text) < 5 || text[2] != ':')
		return -1;
	hour = day_span_digits(text);
	minute = day_span_digits(text + 3);
	if (hour < 0 || minute < 0 || minute > 59 || hour * 60 + minute > DAY_SPAN_MINUTES)
		return -1;
	return hour * 60 + minute;
}

int
day_span_parse(const char *text, struct day_span *ret, char **ret_reason)
{
	bool is_shaped = strlen(text) == 11 && text[5] == '-';
	int from = is_shaped ? day_span_minute(text) : -1;
	int to = is_shaped ? day_span_minute(text + 6) : -1;
	char shown[DAY_SPAN_SHOWN];

	(void)text_escape(text, strlen(text), shown, sizeof(shown));
	if (from < 0 || to < 0 || from == DAY_SPAN_MINUTES) {
		*ret_reason = memory_format("'%s' is no part of a day: write HH:MM-HH:MM, from "
					    "00:00 to 24:00, such as 08:00-18:00 or 22:00-06:00",
					    shown);
		return -EINVAL;
	}
	if (from == to) {
		*ret_reason = memory_format("'%s' is empty; the whole day is 00:00-24:00", shown);
		return -EINVAL;
	}
	*ret = (struct day_span){.from = (unsigned)from, .to = (unsigned)to};
	return 0;
}

bool
day_span_has(const struct day_span *span, unsigned minute)
{
	if (span->from < span->to)
		return minute >= span->from && minute < span->to;
	return minute >= span->from || minute < span->to;
}
