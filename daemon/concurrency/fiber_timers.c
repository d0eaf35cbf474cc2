/*
 * fiber_timers.c - a binary heap in which each fiber knows its place.
 */
#include "concurrency/fiber_timers.h"

#include <errno.h>
#include <stdlib.h>

#include "concurrency/fiber.h"

int
fiber_timers_reserve(struct fiber_timers *timers, uint32_t fibers)
{
	uint32_t room = timers->room > 0 ? timers->room : 64;
	struct fiber **heap;

	if (fibers < timers->room)
		return 0;
	while (room <= fibers)
		room *= 2;
	heap = realloc(timers->heap, room * sizeof(struct fiber *));
	if (heap == NULL)
		return -ENOMEM;
	timers->heap = heap;
	timers->room = room;
	return 0;
}

void
fiber_timers_free(struct fiber_timers *timers)
{
	free(timers->heap);
	*timers = (struct fiber_timers){0};
}

static void
fiber_timers_put(struct fiber_timers *timers, uint32_t at, struct fiber *fiber)
{
	timers->heap[at] = fiber;
	fiber->timer = at;
}

/* Moves a fiber from `at` to where it belongs. */
static void
fiber_timers_settle(struct fiber_timers *timers, uint32_t at, struct fiber *fiber)
{
	while (at > 1 && timers->heap[at / 2]->timer_ns > fiber->timer_ns) {
		fiber_timers_put(timers, at, timers->heap[at / 2]);
		at /= 2;
	}
	for (;;) {
		uint32_t child = 2 * at;

		if (child > timers->count)
			break;
		if (child < timers->count &&
		    timers->heap[child + 1]->timer_ns < timers->heap[child]->timer_ns)
			child++;
		if (timers->heap[child]->timer_ns >= fiber->timer_ns)
			break;
		fiber_timers_put(timers, at, timers->heap[child]);
		at = child;
	}
	fiber_timers_put(timers, at, fiber);
}

void
fiber_timers_set(struct fiber_timers *timers, struct fiber *fiber, int64_t when_ns)
{
	if (fiber->timer != 0 && fiber->timer_ns <= when_ns)
		return;
	fiber->timer_ns = when_ns;
	fiber_timers_settle(timers, fiber->timer != 0 ? fiber->timer : ++timers->count, fiber);
}

void
fiber_timers_remove(struct fiber_timers *timers, struct fiber *fiber)
{
	uint32_t at = fiber->timer;
	struct fiber *last;

	if (at == 0)
		return;
	fiber->timer = 0;
	last = timers->heap[timers->count--];
	if (last != fiber)
		fiber_timers_settle(timers, at, last);
}

int64_t
fiber_timers_next_ns(const struct fiber_timers *timers)
{
	return timers->count > 0 ? timers->heap[1]->timer_ns : FIBER_NEVER;
}

struct fiber *
fiber_timers_take(struct fiber_timers *timers, int64_t now_ns)
{
	struct fiber *fiber;

	if (fiber_timers_next_ns(timers) > now_ns)
		return NULL;
	fiber = timers->heap[1];
	fiber_timers_remove(timers, fiber);
	return fiber;
}
