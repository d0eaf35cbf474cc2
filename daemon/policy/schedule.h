/*
 * schedule.h - when a listener is open: local times of the day, worked out ahead into moments, so
 * that whoever asks compares numbers and needs neither a time zone nor a clock that never steps.
 */
#ifndef POLICY_SCHEDULE_H
#define POLICY_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/day_span.h"

#define SCHEDULE_MOST_SPANS 32
#define SCHEDULE_MOST_TURNS 160
/* How far it is worked out. */
#define SCHEDULE_AHEAD_S (26 * 60 * 60)

struct schedule {
	uint32_t has_times; /* 0: it is always open */
	uint32_t is_open;   /* before the first turn */
	uint32_t count;
	uint32_t unused;
	int64_t turns_s[SCHEDULE_MOST_TURNS]; /* since 1970: open becomes closed, or the reverse */
};

/* Works out the day to come, in the time zone of this process, as it is now. No spans: always open.
 */
void schedule_make(const struct day_span *spans, size_t count, int64_t now_s, struct schedule *ret);

/* Whether it is open at that moment. */
static inline bool
schedule_is_open(const struct schedule *schedule, int64_t now_s)
{
	uint32_t is_open = schedule->is_open;

	if (schedule->has_times == 0)
		return true;
	for (uint32_t i = 0; i < schedule->count && i < SCHEDULE_MOST_TURNS; i++) {
		if (schedule->turns_s[i] > now_s)
			break;
		is_open ^= 1;
	}
	return is_open != 0;
}

/* The next turn after that moment; 0: none is known. */
int64_t schedule_next_turn(const struct schedule *schedule, int64_t now_s);

#endif
