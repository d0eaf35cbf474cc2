/*
 * fiber.c - making fibers, and switching between them and the loop of their thread.
 */
#include "concurrency/fiber.h"

#include <stdlib.h>

#include "api/session.h"
#include "base/check.h"
#include "base/fd.h"
#include "concurrency/crash.h"
#include "concurrency/fiber_sanitizer.h"
#include "concurrency/fiber_thread.h"

/* System calls that do not wait, from one turn to the next. */
#define FIBER_SHARE 32
/* Beginnings of stacks, and how far they are from each other. */
#define FIBER_COLOURS 8
#define FIBER_LINE 128

/* To the loop; returns when the loop resumes it. */
static void
fiber_leave(struct fiber *fiber)
{
	struct fiber_flow *loop = &fiber->thread->flow;

	fiber_sanitizer_leave(&fiber->flow, loop);
	fiber_context_switch(&fiber->flow.context, &loop->context);
	fiber_sanitizer_enter(&fiber->flow, loop);
}

static void
fiber_main(void *argument)
{
	struct fiber *fiber = argument;

	fiber_sanitizer_enter(&fiber->flow, &fiber->thread->flow);
	for (;;) {
		session_run(&fiber->request);
		fiber->state = FIBER_FREE;
		fiber_leave(fiber);
	}
}

/* Were all stacks in use from the same place of a page on, those of many fibers would be in each
 * other's way in the processor's caches. */
static size_t
fiber_find_colour(const struct fiber *fiber)
{
	return ((uintptr_t)fiber->stack.low / (FIBER_STACK_GUARD + fiber->stack.size)) %
	       FIBER_COLOURS * FIBER_LINE;
}

struct fiber *
fiber_make(struct fiber_thread *thread)
{
	struct fibers *fibers = thread->fibers;
	struct fiber *fiber = aligned_alloc(_Alignof(struct fiber), sizeof(*fiber));

	if (fiber == NULL)
		return NULL;
	*fiber = (struct fiber){0};
	if (fiber_stack_make(fibers->stack_size, &fiber->stack) < 0) {
		free(fiber);
		return NULL;
	}
	fiber->thread = thread;
	fiber->deadline_ns = FIBER_NEVER;
	/* a mutex is all it needs; it cannot fail on Linux */
	(void)request_init(&fiber->request, fibers->mode->server, &fibers->mode->board->slots[0]);
	fiber->request.watch.flow = fiber;
	fiber_sanitizer_begin(fiber);
	fiber_context_make(&fiber->flow.context, fiber->stack.low,
			   fiber->stack.size - fiber_find_colour(fiber), fiber_main, fiber);
	return fiber;
}

/* Nobody else knows it any more, but for a wake-up that came too late. */
static void
fiber_leave_inbox(struct fiber *fiber)
{
	struct fiber_thread *thread = fiber->thread;

	(void)pthread_mutex_lock(&thread->inbox_lock);
	for (struct fiber **at = &thread->woken; *at != NULL; at = &(*at)->next_woken) {
		if (*at == fiber) {
			*at = fiber->next_woken;
			break;
		}
	}
	(void)pthread_mutex_unlock(&thread->inbox_lock);
}

void
fiber_destroy(struct fiber *fiber)
{
	CHECK(fiber->state == FIBER_FREE);
	request_destroy(&fiber->request);
	fiber_leave_inbox(fiber);
	fiber_timers_remove(&fiber->thread->timers, fiber);
	fiber_sanitizer_end(fiber);
	fiber_stack_free(&fiber->stack);
	free(fiber);
}

void
fiber_resume(struct fiber *fiber)
{
	struct fiber_thread *thread = fiber->thread;

	fiber->state = FIBER_RUNNING;
	fiber->idle_rounds = 0;
	fiber->request.share = FIBER_SHARE;
	crash_set_flow(fiber->request.slot, fiber->stack.low, FIBER_STACK_GUARD);
	atomic_store_explicit(&thread->current, fiber, memory_order_relaxed);
	atomic_store_explicit(&thread->current_slot, fiber->request.slot, memory_order_relaxed);
	atomic_store_explicit(&thread->turns,
			      atomic_load_explicit(&thread->turns, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	if (thread->exceptions != NULL)
		*thread->exceptions = fiber->exceptions;
	fiber_sanitizer_leave(&thread->flow, &fiber->flow);
	fiber_context_switch(&thread->flow.context, &fiber->flow.context);
	fiber_sanitizer_enter(&thread->flow, &fiber->flow);
	if (thread->exceptions != NULL)
		fiber->exceptions = *thread->exceptions;
	atomic_store_explicit(&thread->current, NULL, memory_order_relaxed);
	crash_set_flow(NULL, NULL, 0);
	if (fiber->state == FIBER_FREE)
		fiber_supply_give(fiber, true);
}

void
fiber_park(struct fiber *fiber, int64_t deadline_ns)
{
	fiber->deadline_ns = deadline_ns;
	fiber->is_late = false;
	if (deadline_ns != FIBER_NEVER)
		fiber_timers_set(&fiber->thread->timers, fiber, deadline_ns);
	fiber->state = FIBER_PARKED;
	fiber_leave(fiber);
	fiber->deadline_ns = FIBER_NEVER;
}

void
fiber_queue(struct fiber *fiber)
{
	struct fiber_thread *thread = fiber->thread;

	if (fiber->state != FIBER_PARKED)
		return;
	fiber->state = FIBER_QUEUED;
	fiber->next = NULL;
	*thread->last_queued = fiber;
	thread->last_queued = &fiber->next;
}

void
fiber_yield(struct fiber *fiber)
{
	fiber->state = FIBER_PARKED;
	fiber_queue(fiber);
	fiber_leave(fiber);
}

/* Under the lock of the inbox. */
static void
fiber_put_in_inbox(struct fiber *fiber)
{
	struct fiber_thread *thread = fiber->thread;

	if (fiber->is_in_inbox)
		return;
	if (thread->woken == NULL)
		fd_raise_event(thread->wake_fd);
	fiber->is_in_inbox = true;
	fiber->next_woken = thread->woken;
	thread->woken = fiber;
}

void
fiber_wake(struct fiber *fiber)
{
	struct fiber_thread *thread = fiber->thread;

	if (thread == fiber_thread_self && fiber->state != FIBER_RUNNING) {
		fiber_queue(fiber);
		return;
	}
	(void)pthread_mutex_lock(&thread->inbox_lock);
	fiber_put_in_inbox(fiber);
	(void)pthread_mutex_unlock(&thread->inbox_lock);
}

void
fiber_wake_done(struct fiber *fiber, _Atomic bool *is_done)
{
	struct fiber_thread *thread = fiber->thread;

	(void)pthread_mutex_lock(&thread->inbox_lock);
	fiber_put_in_inbox(fiber);
	/* the fiber may see it now; but it does not go while the lock is held */
	atomic_store_explicit(is_done, true, memory_order_release);
	(void)pthread_mutex_unlock(&thread->inbox_lock);
}
