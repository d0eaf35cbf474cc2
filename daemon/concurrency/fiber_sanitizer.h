/*
 * fiber_sanitizer.h - what AddressSanitizer, ThreadSanitizer and valgrind are told of stacks and
 * switches. Empty in other builds.
 */
#ifndef CONCURRENCY_FIBER_SANITIZER_H
#define CONCURRENCY_FIBER_SANITIZER_H

#include "concurrency/fiber.h"

#if defined(FIBER_HAS_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(FIBER_HAS_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

/* Frames are larger, and what the tools intercept takes stack, too. */
#if defined(FIBER_HAS_ASAN) || defined(FIBER_HAS_TSAN)
#define FIBER_STACK_FACTOR 4
#else
#define FIBER_STACK_FACTOR 1
#endif

/* A fiber has a stack. */
static inline void
fiber_sanitizer_begin(struct fiber *fiber)
{
#if defined(FIBER_HAS_ASAN)
	fiber->flow.stack_low = fiber->stack.low;
	fiber->flow.stack_size = fiber->stack.size;
#endif
#if defined(FIBER_HAS_TSAN)
	fiber->flow.tsan = __tsan_create_fiber(0);
#endif
#if defined(VALGRIND_STACK_REGISTER)
	fiber->tools.valgrind_id =
		VALGRIND_STACK_REGISTER(fiber->stack.low, fiber->stack.low + fiber->stack.size);
#endif
	(void)fiber;
}

static inline void
fiber_sanitizer_end(struct fiber *fiber)
{
#if defined(FIBER_HAS_TSAN)
	__tsan_destroy_fiber(fiber->flow.tsan);
#endif
#if defined(VALGRIND_STACK_DEREGISTER)
	VALGRIND_STACK_DEREGISTER(fiber->tools.valgrind_id);
#endif
	(void)fiber;
}

/* The running flow is the loop of a thread. */
static inline void
fiber_sanitizer_begin_thread(struct fiber_flow *flow)
{
#if defined(FIBER_HAS_TSAN)
	flow->tsan = __tsan_get_current_fiber();
#endif
	(void)flow;
}

static inline void
fiber_sanitizer_leave(struct fiber_flow *from, const struct fiber_flow *to)
{
#if defined(FIBER_HAS_ASAN)
	__sanitizer_start_switch_fiber(&from->fake_stack, to->stack_low, to->stack_size);
#endif
#if defined(FIBER_HAS_TSAN)
	__tsan_switch_to_fiber(to->tsan, 0);
#endif
	(void)from;
	(void)to;
}

/* `flow` runs again, or for the first time; `from` was left for it. */
static inline void
fiber_sanitizer_enter(struct fiber_flow *flow, struct fiber_flow *from)
{
#if defined(FIBER_HAS_ASAN)
	__sanitizer_finish_switch_fiber(flow->fake_stack, &from->stack_low, &from->stack_size);
#endif
	(void)flow;
	(void)from;
}

#endif
