/*
 * day_span.h - a part of each day: "08:00-18:00" in local time. It begins with its first minute and
 * ends right before its last; "22:00-06:00" goes over midnight.
 */
#ifndef BASE_DAY_SPAN_H
#define BASE_DAY_SPAN_H

#include <stdbool.h>

#define DAY_SPAN_MINUTES (24 * 60)

struct day_span {
	unsigned from, to; /* minutes since midnight; `to` may be 24:00 */
};

/* 0, or -EINVAL with a new sentence for the caller to free: what is wrong, and what to write. */
int day_span_parse(const char *text, struct day_span *ret, char **ret_reason);

/* Whether the minute of the day is in it. */
bool day_span_has(const struct day_span *span, unsigned minute);

#endif
