/*
 * fiber_stack.c - mmap and its guard.
 *
 * Since Linux 6.13 a guard is a mark on pages (MADV_GUARD_INSTALL) that leaves neighbouring stacks
 * one mapping together; before, it is a mapping of its own, and the system allows 65,530 by default
 * (vm.max_map_count): more than 32,000 stacks need more.
 */
#include "concurrency/fiber_stack.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static int
fiber_stack_guard(void *low)
{
	/* what the kernel does not know it refuses with EINVAL, each time */
	static _Atomic bool is_refused;

	if (!atomic_load_explicit(&is_refused, memory_order_relaxed)) {
		if (madvise(low, FIBER_STACK_GUARD, MADV_GUARD_INSTALL) == 0)
			return 0;
		if (errno != EINVAL)
			return -errno;
		atomic_store_explicit(&is_refused, true, memory_order_relaxed);
	}
	return mprotect(low, FIBER_STACK_GUARD, PROT_NONE) < 0 ? -errno : 0;
}

int
fiber_stack_make(size_t size, struct fiber_stack *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *low;
	int r;

	size = (size + page - 1) & ~(page - 1);
	low = mmap(NULL, FIBER_STACK_GUARD + size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (low == MAP_FAILED)
		return -errno;
	/* a huge page would be all of it */
	(void)madvise(low, FIBER_STACK_GUARD + size, MADV_NOHUGEPAGE);
	r = fiber_stack_guard(low);
	if (r < 0) {
		(void)munmap(low, FIBER_STACK_GUARD + size);
		return r;
	}
	*ret = (struct fiber_stack){.low = low + FIBER_STACK_GUARD, .size = size};
	return 0;
}

void
fiber_stack_free(struct fiber_stack *stack)
{
	if (stack->low != NULL)
		(void)munmap(stack->low - FIBER_STACK_GUARD, FIBER_STACK_GUARD + stack->size);
	*stack = (struct fiber_stack){0};
}

void
fiber_stack_trim(const struct fiber_stack *stack, const void *used)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	/* what is below the stack pointer a signal handler may use, and x86-64 leaves 128 bytes
	 * there to a function */
	uintptr_t high = ((uintptr_t)used - 256) & ~(page - 1);

	if (high > (uintptr_t)stack->low && (uintptr_t)used <= (uintptr_t)stack->low + stack->size)
		(void)madvise(stack->low, high - (uintptr_t)stack->low, MADV_DONTNEED);
}
