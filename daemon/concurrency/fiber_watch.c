/*
 * fiber_watch.c - finds fibers that go on without waiting, and so hold up the others of their
 * thread.
 *
 * The control flow looks a few times within fibers.warn_after which fiber each thread runs, and
 * whether it is the same turn of it as before; for the threads, that is two plain stores in each
 * turn. When nothing has run between two looks it goes to sleep, and the next thread that has
 * something to do wakes it; it looks once more after that was arranged, since a turn may have
 * begun just then.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "concurrency/fiber_thread.h"

#define FIBER_WATCH_LOOKS 4
#define FIBER_WATCH_LOGGED 3

/* What was seen of a thread. */
struct fiber_seen {
	uint64_t turns;
	int64_t since_ns; /* the turn was first seen; 0: nothing ran */
	bool is_told;
};

static void
fiber_watch_tell(const struct fibers *fibers, const struct fiber_thread *thread, int64_t taken_ns)
{
	struct concurrency *mode = fibers->mode;
	const struct scoreboard_slot *slot = atomic_load(&thread->current_slot);
	struct scoreboard_connection shown = {0};
	struct log_context context;
	char peer[PEER_NAME_SIZE];
	uint64_t suppressed = 0;

	if (slot == NULL ||
	    !log_limit(&mode->server->limiters->slow, FIBER_WATCH_LOGGED, &suppressed))
		return;
	(void)scoreboard_read_connection(mode->board, (size_t)(slot - mode->board->slots), &shown);
	context = timeouts_context(mode, &shown, peer);
	context.event = LOG_EVENT_FIBER_SLOW;
	log_write(LOG_LEVEL_WARNING, &context,
		  "handler '%s' has not waited for %" PRId64
		  " ms and holds up the other fibers of its thread (fibers.warn_after): what "
		  "computes or blocks for long belongs into hd_offload",
		  mode->server->handler.name, taken_ns / CLOCK_NS_PER_MS);
	if (suppressed > 0)
		log_write(LOG_LEVEL_WARNING, &context,
			  "%" PRIu64 " more that were as slow were not logged", suppressed);
}

/* Returns whether the thread has run something since the last look, or does. */
static bool
fiber_watch_thread(const struct fibers *fibers, const struct fiber_thread *thread,
		   struct fiber_seen *seen, int64_t now_ns)
{
	bool is_running = atomic_load(&thread->current) != NULL;
	uint64_t turns = atomic_load(&thread->turns);
	bool is_same = turns == seen->turns;

	if (!is_running || !is_same || seen->since_ns == 0) {
		*seen = (struct fiber_seen){
			.turns = turns,
			.since_ns = is_running ? now_ns : 0,
		};
		return is_running || !is_same;
	}
	if (!seen->is_told && now_ns - seen->since_ns >= fibers->mode->warn_after_ns) {
		seen->is_told = true;
		fiber_watch_tell(fibers, thread, now_ns - seen->since_ns);
	}
	return true;
}

static void
fiber_watch_on_timer(struct loop_timer *timer)
{
	struct fibers *fibers = CONTAINER_OF(timer, struct fibers, watch);
	int64_t now_ns = clock_now_ns();
	bool is_busy = false;

	for (uint32_t i = 0; i < fibers->thread_count; i++)
		is_busy |=
			fiber_watch_thread(fibers, &fibers->threads[i], &fibers->seen[i], now_ns);
	if (is_busy)
		atomic_store(&fibers->is_watch_asleep, false);
	else if (atomic_exchange(&fibers->is_watch_asleep, true))
		return;
	loop_arm(fibers->mode->loop, timer, now_ns + fibers->watch_period_ns);
}

void
fiber_watch_look(struct fibers *fibers)
{
	if (fibers->seen == NULL || fibers->watch.is_armed || atomic_load(&fibers->is_watch_asleep))
		return;
	loop_arm(fibers->mode->loop, &fibers->watch, clock_now_ns() + fibers->watch_period_ns);
}

int
fiber_watch_start(struct fibers *fibers)
{
	fibers->watch.on_timer = fiber_watch_on_timer;
	if (fibers->mode->warn_after_ns == 0)
		return 0;
	fibers->watch_period_ns = fibers->mode->warn_after_ns / FIBER_WATCH_LOOKS;
	fibers->seen = calloc(fibers->thread_count, sizeof(*fibers->seen));
	atomic_store(&fibers->is_watch_asleep, true);
	return fibers->seen == NULL ? -ENOMEM : 0;
}
