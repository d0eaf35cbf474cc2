/*
 * fiber_stack.h - stacks of fibers: mappings of their own, each with a guard below it. Memory is
 * taken by pages that were touched only.
 */
#ifndef CONCURRENCY_FIBER_STACK_H
#define CONCURRENCY_FIBER_STACK_H

#include <stddef.h>

struct fiber_stack {
	unsigned char *low; /* behind the guard */
	size_t size;
};

/* What stands below each stack and is never to be touched: more than a page, since a function with
 * a large frame reaches that far in one step. */
#define FIBER_STACK_GUARD ((size_t)64 * 1024)

/* At least `size` bytes. 0 or a negative errno: -ENOMEM also where the system allows no more
 * mappings (vm.max_map_count). */
int fiber_stack_make(size_t size, struct fiber_stack *ret);
void fiber_stack_free(struct fiber_stack *stack);

/* Gives back what is not in use: all below `used`. Does nothing if that is not within the stack: a
 * handler may have stacks of its own. */
void fiber_stack_trim(const struct fiber_stack *stack, const void *used);

#endif
