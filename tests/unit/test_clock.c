/*
 * test_clock.c - durations on the monotonic clock.
 */
#include "base/clock.h"

#include "unit.h"

START_TEST(clock_never_goes_back)
{
	int64_t before = clock_now_ns();

	for (int i = 0; i < 100000; i++) {
		int64_t now = clock_now_ns();

		ck_assert_int_ge(now, before);
		before = now;
	}
}
END_TEST

START_TEST(time_left_is_rounded_up_and_never_negative)
{
	int64_t now = clock_now_ns();

	ck_assert_int_eq(clock_ms_until(now), 0);
	ck_assert_int_eq(clock_ms_until(0), 0);
	ck_assert_int_eq(clock_ms_until(INT64_MIN / 4), 0);
	/* a poll that waits this long does not end before */
	ck_assert_int_eq(clock_ms_until(clock_now_ns() + 100 * CLOCK_NS_PER_S) % 1000, 0);
	ck_assert_int_le(clock_ms_until(clock_now_ns() + CLOCK_NS_PER_MS), 1);
	ck_assert_int_eq(clock_ms_until(INT64_MAX / 4), INT32_MAX);
}
END_TEST

START_TEST(none_is_a_moment_that_never_comes)
{
	int64_t now = clock_now_ns();

	ck_assert_int_gt(clock_deadline_ns(-1), now + 365 * 86400 * CLOCK_NS_PER_S);
	/* and something can still be added to it */
	ck_assert_int_gt(clock_deadline_ns(-1) + 86400 * CLOCK_NS_PER_S, clock_deadline_ns(-1));
	ck_assert_int_ge(clock_deadline_ns(0), now);
	ck_assert_int_ge(clock_deadline_ns(50), now + 50 * CLOCK_NS_PER_MS);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("clock");

	tcase_add_test(cases, clock_never_goes_back);
	tcase_add_test(cases, time_left_is_rounded_up_and_never_negative);
	tcase_add_test(cases, none_is_a_moment_that_never_comes);
	return unit_run("clock", cases);
}
