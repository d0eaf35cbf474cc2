/*
 * fiber_context.h - a flow of control of its own, on a stack of its own: switching from one to
 * another saves and restores registers only.
 *
 * On x86-64 and aarch64 that is a few lines of assembly; elsewhere, or with
 * -DHANDLERD_FIBER_CONTEXT=ucontext, ucontext(3), which makes a system call each time.
 */
#ifndef CONCURRENCY_FIBER_CONTEXT_H
#define CONCURRENCY_FIBER_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#if defined(FIBER_CONTEXT_UCONTEXT)
#include <ucontext.h>

struct fiber_context {
	ucontext_t registers;
};
#else
/* What was running stands on its own stack. */
struct fiber_context {
	void *sp;
};
#endif

/* Prepares a flow that begins with main(argument), which must not return, on the stack of `size`
 * bytes from `low` on. */
void fiber_context_make(struct fiber_context *context, void *low, size_t size, void (*main)(void *),
			void *argument);

/* Leaves the running flow for another; returns when somebody switches back. */
void fiber_context_switch(struct fiber_context *from, struct fiber_context *to);

/* How far the stack of a flow that was left is in use; NULL: not known. */
const void *fiber_context_stack_pointer(const struct fiber_context *context);

/* Whether the processor keeps a second, hidden stack of return addresses for this thread, which a
 * switch would leave behind. */
bool fiber_context_has_shadow_stack(void);

#endif
