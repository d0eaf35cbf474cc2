/*
 * fiber_stack: guards, and memory that is given back.
 */
#include "concurrency/fiber_stack.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "unit.h"

static size_t page;

static size_t
count_resident(const struct fiber_stack *stack)
{
	unsigned char pages[1024];
	size_t count = 0;

	ck_assert_uint_le(stack->size / page, sizeof(pages));
	ck_assert_int_eq(mincore(stack->low, stack->size, pages), 0);
	for (size_t i = 0; i < stack->size / page; i++)
		count += pages[i] & 1;
	return count;
}

START_TEST(size_is_rounded_up_to_pages_and_nothing_is_touched)
{
	struct fiber_stack stack;

	ck_assert_int_eq(fiber_stack_make(5 * page - 1, &stack), 0);
	ck_assert_uint_eq(stack.size, 5 * page);
	ck_assert_uint_eq((uintptr_t)stack.low % page, 0);
	ck_assert_uint_eq(count_resident(&stack), 0);
	stack.low[0] = stack.low[stack.size - 1] = 1;
	ck_assert_uint_eq(count_resident(&stack), 2);
	fiber_stack_free(&stack);
	ck_assert_ptr_null(stack.low);
	/* once more does no harm */
	fiber_stack_free(&stack);
}
END_TEST

/* Each of these must end the test's process. */
static const size_t below[] = {1, 4096, FIBER_STACK_GUARD / 2, FIBER_STACK_GUARD};

START_TEST(below_it_nothing_may_be_touched)
{
	struct fiber_stack stack;

	(void)signal(SIGSEGV, SIG_DFL);
	ck_assert_int_eq(fiber_stack_make(4 * page, &stack), 0);
	*(volatile unsigned char *)(stack.low - below[_i]) = 1;
}
END_TEST

START_TEST(neighbours_are_guarded_too)
{
	struct fiber_stack stacks[64];

	for (size_t i = 0; i < 64; i++) {
		ck_assert_int_eq(fiber_stack_make(4 * page, &stacks[i]), 0);
		memset(stacks[i].low, (int)i, stacks[i].size);
	}
	for (size_t i = 0; i < 64; i++) {
		ck_assert_uint_eq(stacks[i].low[0], i);
		ck_assert_uint_eq(stacks[i].low[stacks[i].size - 1], i);
		fiber_stack_free(&stacks[i]);
	}
}
END_TEST

START_TEST(what_is_not_in_use_is_given_back)
{
	struct fiber_stack stack;

	ck_assert_int_eq(fiber_stack_make(16 * page, &stack), 0);
	memset(stack.low, 7, stack.size);
	ck_assert_uint_eq(count_resident(&stack), 16);
	fiber_stack_trim(&stack, stack.low + 14 * page + page / 2);
	ck_assert_uint_eq(count_resident(&stack), 2);
	/* the page that is in use, and what a function may use below its stack pointer, stay */
	ck_assert_uint_eq(stack.low[14 * page], 7);
	fiber_stack_trim(&stack, stack.low + 15 * page + 100);
	ck_assert_uint_eq(stack.low[14 * page], 7);
	/* a handler waits on a stack of its own */
	fiber_stack_trim(&stack, stack.low + stack.size + 5 * page);
	fiber_stack_trim(&stack, stack.low - 5 * page);
	ck_assert_uint_eq(count_resident(&stack), 2);
	ck_assert_uint_eq(stack.low[15 * page], 7);
	/* all of it is in use */
	fiber_stack_trim(&stack, stack.low);
	ck_assert_uint_eq(count_resident(&stack), 2);
	fiber_stack_free(&stack);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("fiber_stack");

	page = (size_t)sysconf(_SC_PAGESIZE);
	tcase_add_test(cases, size_is_rounded_up_to_pages_and_nothing_is_touched);
	if (!UNIT_IS_SANITIZED)
		tcase_add_loop_test_raise_signal(cases, below_it_nothing_may_be_touched, SIGSEGV, 0,
						 UNIT_COUNT(below));
	tcase_add_test(cases, neighbours_are_guarded_too);
	tcase_add_test(cases, what_is_not_in_use_is_given_back);
	return unit_run("fiber_stack", cases);
}
