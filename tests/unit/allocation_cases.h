/*
 * allocation_cases.h - counts every malloc of the process while is_counting.
 */
#ifndef TESTS_ALLOCATION_CASES_H
#define TESTS_ALLOCATION_CASES_H

#include <stdatomic.h>

#include "unit.h"

static _Atomic unsigned long allocations;
static _Atomic bool is_counting;

static void
count_allocation(void)
{
	if (is_counting)
		allocations++;
}

#if UNIT_IS_SANITIZED
/* <sanitizer/allocator_interface.h>, which not every gcc brings */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
					      void (*on_free)(const volatile void *));

static void
on_malloc(const volatile void *p, size_t size)
{
	(void)p, (void)size;
	count_allocation();
}

static void
on_free(const volatile void *p)
{
	(void)p;
	count_allocation();
}

static void
watch(void)
{
	(void)__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}
#else
/* The whole process uses these in place of the C library's, which do the work. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

void *
malloc(size_t size)
{
	count_allocation();
	return __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	count_allocation();
	return __libc_calloc(count, size);
}

void *
realloc(void *p, size_t size)
{
	count_allocation();
	return __libc_realloc(p, size);
}

void
free(void *p)
{
	if (p != NULL)
		count_allocation();
	__libc_free(p);
}

static void
watch(void)
{
}
#endif

#endif
