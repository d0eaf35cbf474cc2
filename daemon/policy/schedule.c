/*
 * schedule.c - looks at every minute of the day to come. Summer time makes minutes that come twice
 * and others that never come; asking the C library for each of them leaves nothing to be wrong.
 */
#include "policy/schedule.h"

#include <string.h>
#include <time.h>

#define SCHEDULE_MINUTE_S 60
/* A clock that was set back a little meets what was so before. */
#define SCHEDULE_BEHIND_S 120

static bool
schedule_is_within(const struct day_span *spans, size_t count, time_t when)
{
	struct tm local;
	unsigned minute;

	if (localtime_r(&when, &local) == NULL)
		return false;
	minute = (unsigned)(local.tm_hour * 60 + local.tm_min);
	for (size_t i = 0; i < count; i++) {
		if (day_span_has(&spans[i], minute))
			return true;
	}
	return false;
}

void
schedule_make(const struct day_span *spans, size_t count, int64_t now_s, struct schedule *ret)
{
	time_t from_s = (time_t)(now_s - SCHEDULE_BEHIND_S);
	struct tm local;
	bool is_open;

	memset(ret, 0, sizeof(*ret));
	if (count == 0)
		return;
	/* the zone may have been changed since it was read */
	tzset();
	/* where a minute of the wall's clock begins */
	if (localtime_r(&from_s, &local) != NULL)
		from_s -= local.tm_sec;
	is_open = schedule_is_within(spans, count, from_s);
	ret->has_times = 1;
	ret->is_open = is_open;
	for (int64_t at_s = from_s; at_s < now_s + SCHEDULE_AHEAD_S; at_s += SCHEDULE_MINUTE_S) {
		if (schedule_is_within(spans, count, (time_t)at_s) == is_open)
			continue;
		if (ret->count == SCHEDULE_MOST_TURNS)
			return;
		is_open = !is_open;
		ret->turns_s[ret->count++] = at_s;
	}
}

int64_t
schedule_next_turn(const struct schedule *schedule, int64_t now_s)
{
	for (uint32_t i = 0; i < schedule->count; i++) {
		if (schedule->turns_s[i] > now_s)
			return schedule->turns_s[i];
	}
	return 0;
}
