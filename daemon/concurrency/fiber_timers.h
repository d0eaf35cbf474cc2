/*
 * fiber_timers.h - when fibers must be woken: a heap of one timer for each that has a deadline.
 *
 * A timer is not moved when its fiber waits anew, which each message would do: it goes off at the
 * time of an older wait, and is then set to the deadline that holds.
 */
#ifndef CONCURRENCY_FIBER_TIMERS_H
#define CONCURRENCY_FIBER_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct fiber;

struct fiber_timers {
	struct fiber **heap; /* from 1 on: the soonest first */
	uint32_t count, room;
};

/* Room for one more fiber. 0 or -ENOMEM. */
int fiber_timers_reserve(struct fiber_timers *timers, uint32_t fibers);
void fiber_timers_free(struct fiber_timers *timers);

/* Sets the timer of a fiber to when_ns, or leaves one that goes off before. */
void fiber_timers_set(struct fiber_timers *timers, struct fiber *fiber, int64_t when_ns);
void fiber_timers_remove(struct fiber_timers *timers, struct fiber *fiber);

/* When the next one goes off; FIBER_NEVER. */
int64_t fiber_timers_next_ns(const struct fiber_timers *timers);
/* Takes one that has gone off by now; NULL: none. */
struct fiber *fiber_timers_take(struct fiber_timers *timers, int64_t now_ns);

#endif
