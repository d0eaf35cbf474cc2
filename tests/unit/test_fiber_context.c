/*
 * fiber_context: what a switch keeps, and where a flow begins. CMake builds it a second time with
 * ucontext.
 */
#include "concurrency/fiber_context.h"

#include <fenv.h>
#include <stdint.h>
#include <string.h>

#include "unit.h"

#define STACK_SIZE 65536

/* each for one flow: a sanitizer remembers the frames of the one before */
static _Alignas(16) unsigned char stacks[4][STACK_SIZE];
static struct fiber_context loop, flows[2];
static void *given;
static bool was_aligned;
static int turns[2], rounding[2];

static void
run_once(void *argument)
{
	/* what the compiler keeps on the stack with aligned moves */
	volatile _Alignas(16) char local[16] = {0};

	given = argument;
	was_aligned = ((uintptr_t)local & 15) == 0;
	for (;;)
		fiber_context_switch(&flows[0], &loop);
}

START_TEST(flow_begins_with_its_argument_on_its_own_aligned_stack)
{
	fiber_context_make(&flows[0], stacks[0], STACK_SIZE, run_once, &turns);
	fiber_context_switch(&loop, &flows[0]);
	ck_assert_ptr_eq(given, &turns);
	ck_assert(was_aligned);
	/* an odd size leaves the alignment alone */
	fiber_context_make(&flows[0], stacks[1], STACK_SIZE - 24, run_once, NULL);
	fiber_context_switch(&loop, &flows[0]);
	ck_assert_ptr_null(given);
	ck_assert(was_aligned);
}
END_TEST

/* More values than there are registers that a function preserves: all must be there after each
 * switch. */
static uint64_t __attribute__((noinline)) mix(uint64_t seed, struct fiber_context *self)
{
	uint64_t a = seed * 3, b = seed * 5, c = seed * 7, d = seed * 11, e = seed * 13,
		 f = seed * 17, g = seed * 19, h = seed * 23;
	double x = (double)seed * 0.5, y = (double)seed * 0.25;

	for (int i = 0; i < 50; i++) {
		fiber_context_switch(self, &loop);
		a += b ^ c;
		b += c ^ d;
		c += d ^ e;
		d += e ^ f;
		e += f ^ g;
		f += g ^ h;
		g += h ^ a;
		h += a ^ b;
		x += y * 1.5;
		y += x * 0.125;
	}
	return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ (uint64_t)(x + y);
}

static uint64_t mixed[2];

static void
run_mix(void *argument)
{
	struct fiber_context *self = argument;
	int which = self == &flows[1];

	mixed[which] = mix(which == 0 ? 12345 : 67890, self);
	for (;;)
		fiber_context_switch(self, &loop);
}

START_TEST(registers_of_flows_do_not_meet)
{
	uint64_t alone[2];

	/* one after the other, then in turn */
	for (int which = 0; which < 2; which++) {
		fiber_context_make(&flows[which], stacks[which], STACK_SIZE, run_mix,
				   &flows[which]);
		for (int i = 0; i <= 50; i++)
			fiber_context_switch(&loop, &flows[which]);
		alone[which] = mixed[which];
	}
	ck_assert_uint_ne(alone[0], alone[1]);
	memset(mixed, 0, sizeof(mixed));
	for (int which = 0; which < 2; which++)
		fiber_context_make(&flows[which], stacks[2 + which], STACK_SIZE, run_mix,
				   &flows[which]);
	for (int i = 0; i <= 50; i++) {
		fiber_context_switch(&loop, &flows[0]);
		fiber_context_switch(&loop, &flows[1]);
	}
	ck_assert_uint_eq(mixed[0], alone[0]);
	ck_assert_uint_eq(mixed[1], alone[1]);
}
END_TEST

static void
run_rounding(void *argument)
{
	struct fiber_context *self = argument;
	int which = self == &flows[1];

	(void)fesetround(which == 0 ? FE_UPWARD : FE_TOWARDZERO);
	for (;;) {
		turns[which]++;
		rounding[which] = fegetround();
		fiber_context_switch(self, &loop);
	}
}

START_TEST(rounding_belongs_to_the_flow_that_has_set_it)
{
	memset(turns, 0, sizeof(turns));
	for (int which = 0; which < 2; which++)
		fiber_context_make(&flows[which], stacks[which], STACK_SIZE, run_rounding,
				   &flows[which]);
	for (int i = 0; i < 3; i++) {
		for (int which = 0; which < 2; which++) {
			fiber_context_switch(&loop, &flows[which]);
			ck_assert_int_eq(fegetround(), FE_TONEAREST);
		}
		ck_assert_int_eq(rounding[0], FE_UPWARD);
		ck_assert_int_eq(rounding[1], FE_TOWARDZERO);
	}
	ck_assert_int_eq(turns[0], 3);
	ck_assert_int_eq(turns[1], 3);
}
END_TEST

START_TEST(machine_without_a_shadow_stack_is_seen_as_one)
{
	/* where the tests run there is none: the kernel and the C library must be told to have one
	 */
	ck_assert(!fiber_context_has_shadow_stack());
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("fiber_context");

	/* its own flows are not known to a sanitizer */
	if (UNIT_IS_TSAN)
		return 0;
	tcase_add_test(cases, flow_begins_with_its_argument_on_its_own_aligned_stack);
	tcase_add_test(cases, registers_of_flows_do_not_meet);
	tcase_add_test(cases, rounding_belongs_to_the_flow_that_has_set_it);
	tcase_add_test(cases, machine_without_a_shadow_stack_is_seen_as_one);
	return unit_run("fiber_context", cases);
}
