/*
 * fiber_supply.c - the fibers of a thread: made when they are needed, kept for the next connection,
 * each with a slot of the scoreboard while it serves; and given back when they were not needed for
 * a while.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/clock.h"
#include "concurrency/fiber_thread.h"

/* Fibers that were not needed for so long go, but for a few. */
#define FIBER_SUPPLY_TIDY_NS (5 * CLOCK_NS_PER_S)
#define FIBER_SUPPLY_KEPT 64
/* So many in one step. */
#define FIBER_SUPPLY_STEP 64
/* After so many rounds without a turn, what a stack does not need goes. */
#define FIBER_SUPPLY_IDLE_ROUNDS 2

/* A place in the table for one more fiber. Its index, or -ENOMEM. */
static int64_t
fiber_supply_find_place(struct fiber_thread *thread)
{
	uint32_t room = thread->room > 0 ? 2 * thread->room : 64;
	struct fiber **table;

	if (thread->used < thread->room)
		return thread->used++;
	for (uint32_t i = 0; i < thread->used; i++) {
		if (thread->table[i] == NULL)
			return i;
	}
	table = realloc(thread->table, room * sizeof(struct fiber *));
	if (table == NULL)
		return -ENOMEM;
	for (uint32_t i = thread->room; i < room; i++)
		table[i] = NULL;
	thread->table = table;
	thread->room = room;
	return thread->used++;
}

static struct fiber *
fiber_supply_make(struct fiber_thread *thread)
{
	int64_t index = fiber_supply_find_place(thread);
	struct fiber *fiber;

	if (index < 0 || fiber_timers_reserve(&thread->timers, thread->fiber_count + 1) < 0)
		return NULL;
	fiber = fiber_make(thread);
	if (fiber == NULL)
		return NULL;
	fiber->index = (uint32_t)index;
	thread->table[index] = fiber;
	thread->fiber_count++;
	if (thread->tidy_ns == FIBER_NEVER && thread->fiber_count > FIBER_SUPPLY_KEPT) {
		thread->tidy_ns = clock_now_ns() + FIBER_SUPPLY_TIDY_NS;
		thread->least_free = thread->free_count;
	}
	return fiber;
}

static void
fiber_supply_destroy(struct fiber *fiber)
{
	struct fiber_thread *thread = fiber->thread;

	thread->table[fiber->index] = NULL;
	thread->fiber_count--;
	fiber_destroy(fiber);
	while (thread->used > 0 && thread->table[thread->used - 1] == NULL)
		thread->used--;
}

/* One of the slots that the threads share. */
static struct scoreboard_slot *
fiber_supply_take_slot(struct fibers *fibers)
{
	struct scoreboard *board = fibers->mode->board;
	uint32_t slot = UINT32_MAX;

	(void)pthread_mutex_lock(&fibers->lock);
	if (fibers->free_slot_count > 0) {
		slot = fibers->free_slots[--fibers->free_slot_count];
		scoreboard_use_slot(board, slot);
	}
	(void)pthread_mutex_unlock(&fibers->lock);
	return slot == UINT32_MAX ? NULL : &board->slots[slot];
}

static void
fiber_supply_give_slot(struct fibers *fibers, const struct scoreboard_slot *slot)
{
	(void)pthread_mutex_lock(&fibers->lock);
	fibers->free_slots[fibers->free_slot_count++] =
		(uint32_t)(slot - fibers->mode->board->slots);
	(void)pthread_mutex_unlock(&fibers->lock);
}

/* A fiber of one thread alone keeps its slot as long as it is there: nobody else needs it. */
static bool
fiber_supply_find_slot(struct fiber *fiber)
{
	struct scoreboard_slot *slot;

	if (fiber->has_slot)
		return true;
	slot = fiber_supply_take_slot(fiber->thread->fibers);
	if (slot == NULL)
		return false;
	/* others look at it under the lock */
	(void)pthread_mutex_lock(&fiber->request.lock);
	fiber->request.slot = slot;
	(void)pthread_mutex_unlock(&fiber->request.lock);
	fiber->has_slot = true;
	return true;
}

static void
fiber_supply_lose_slot(struct fiber *fiber)
{
	if (!fiber->has_slot)
		return;
	fiber->has_slot = false;
	fiber_supply_give_slot(fiber->thread->fibers, fiber->request.slot);
}

/* Of fibers that serve something; others read it. */
static void
fiber_supply_count(struct fiber_thread *thread, int more)
{
	uint32_t active = atomic_load_explicit(&thread->active, memory_order_relaxed);

	atomic_store_explicit(&thread->active, active + (uint32_t)more, memory_order_release);
}

struct fiber *
fiber_supply_take(struct fiber_thread *thread)
{
	struct fiber *fiber = thread->free;

	if (fiber != NULL) {
		thread->free = fiber->next;
		thread->free_count--;
		if (thread->free_count < thread->least_free)
			thread->least_free = thread->free_count;
	} else {
		if (thread->fibers->thread_count == 1 &&
		    thread->fiber_count >= thread->fibers->limit) {
			thread->obstacles |= FIBER_AT_LIMIT;
			return NULL;
		}
		fiber = fiber_supply_make(thread);
	}
	if (fiber == NULL) {
		thread->obstacles |= FIBER_IS_SHORT;
		return NULL;
	}
	/* what the kernel tells of the one before is no more of interest */
	fiber->use++;
	if (fiber_supply_find_slot(fiber)) {
		fiber_supply_count(thread, 1);
		return fiber;
	}
	thread->obstacles |= FIBER_AT_LIMIT;
	fiber->next = thread->free;
	thread->free = fiber;
	thread->free_count++;
	return NULL;
}

void
fiber_supply_give(struct fiber *fiber, bool has_served)
{
	struct fiber_thread *thread = fiber->thread;
	struct fibers *fibers = thread->fibers;
	struct session *session = fiber->session;

	fiber->session = NULL;
	if (session != NULL)
		session_close_peer(session);
	if (fibers->thread_count > 1)
		fiber_supply_lose_slot(fiber);
	fiber->next = thread->free;
	thread->free = fiber;
	thread->free_count++;
	fiber_supply_count(thread, -1);
	if (has_served)
		fiber_accept_on_vacancy(thread);
}

/* A round of tidying begins: those that nobody has needed since the last one are too many. */
static void
fiber_supply_begin_round(struct fiber_thread *thread)
{
	uint32_t kept = thread->free_count - thread->least_free;

	if (kept < FIBER_SUPPLY_KEPT)
		kept = FIBER_SUPPLY_KEPT;
	thread->too_many = thread->free_count > kept ? thread->free_count - kept : 0;
	thread->least_free = thread->free_count;
	thread->tidied = 0;
}

/* A few of those that are too many go: the last of the list. Returns whether there are more. */
static bool
fiber_supply_free_some(struct fiber_thread *thread)
{
	uint32_t some = thread->too_many < FIBER_SUPPLY_STEP ? thread->too_many : FIBER_SUPPLY_STEP;
	struct fiber **last = &thread->free;

	if (some == 0)
		return false;
	/* whatever was taken meanwhile was needed */
	if (some > thread->least_free)
		some = thread->least_free;
	for (uint32_t i = some; i < thread->free_count; i++)
		last = &(*last)->next;
	while (*last != NULL) {
		struct fiber *fiber = *last;

		*last = fiber->next;
		thread->free_count--;
		thread->least_free--;
		fiber_supply_lose_slot(fiber);
		fiber_supply_destroy(fiber);
	}
	thread->too_many = some == FIBER_SUPPLY_STEP ? thread->too_many - some : 0;
	/* the C library keeps what lies between others */
	if (some > 0 && thread->too_many == 0)
		(void)malloc_trim(0);
	return thread->too_many > 0;
}

/* What the stacks of some parked fibers do not need goes, if they have not run since the last
 * round: what they will do next may be as deep, but may be long in coming. Returns whether there
 * are more. */
static bool
fiber_supply_trim_some(struct fiber_thread *thread)
{
	uint32_t until = thread->tidied + FIBER_SUPPLY_STEP;

	for (; thread->tidied < until && thread->tidied < thread->used; thread->tidied++) {
		struct fiber *fiber = thread->table[thread->tidied];
		const void *sp;

		if (fiber == NULL || fiber->state == FIBER_FREE)
			continue;
		if (fiber->idle_rounds < FIBER_SUPPLY_IDLE_ROUNDS)
			fiber->idle_rounds++;
		else
			continue;
		sp = fiber_context_stack_pointer(&fiber->flow.context);
		if (fiber->idle_rounds == FIBER_SUPPLY_IDLE_ROUNDS && sp != NULL &&
		    fiber->state == FIBER_PARKED)
			fiber_stack_trim(&fiber->stack, sp);
	}
	return thread->tidied < thread->used;
}

/* Gives memory back in small steps, between which fibers run. */
void
fiber_supply_tidy(struct fiber_thread *thread, int64_t now_ns)
{
	if (thread->tidied == FIBER_TIDIED)
		fiber_supply_begin_round(thread);
	if (fiber_supply_free_some(thread) || fiber_supply_trim_some(thread)) {
		thread->tidy_ns = now_ns;
		return;
	}
	thread->tidied = FIBER_TIDIED;
	thread->tidy_ns = thread->fiber_count > FIBER_SUPPLY_KEPT ? now_ns + FIBER_SUPPLY_TIDY_NS
								  : FIBER_NEVER;
}

void
fiber_supply_close(struct fiber_thread *thread)
{
	while (thread->free != NULL) {
		struct fiber *fiber = thread->free;

		thread->free = fiber->next;
		fiber_supply_lose_slot(fiber);
		fiber_supply_destroy(fiber);
	}
	free(thread->table);
}
