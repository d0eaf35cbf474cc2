/*
 * test_supervisor_backoff.c - the pauses before a dead worker is replaced.
 */
#include "supervisor/backoff.h"

#include "base/clock.h"
#include "unit.h"

#define MS CLOCK_NS_PER_MS
#define S CLOCK_NS_PER_S
/* The monotonic clock never shows 0. */
#define BEGIN (1000 * S)

START_TEST(death_before_ready_doubles_from_one_second_to_sixty)
{
	static const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
	struct backoff backoff = {0};
	int64_t now = BEGIN;

	for (int i = 0; i < UNIT_COUNT(seconds); i++) {
		int64_t delay = backoff_next(&backoff, false, 0, now);

		ck_assert_int_eq(delay, seconds[i] * S);
		now += delay;
	}
}
END_TEST

START_TEST(crash_is_replaced_at_once_five_times_in_ten_seconds)
{
	static const int64_t later_ms[] = {200, 400, 800, 1000, 1000, 1000};
	struct backoff backoff = {0};
	int64_t now = BEGIN;

	for (int i = 0; i < BACKOFF_BURST; i++) {
		ck_assert_int_eq(backoff_next(&backoff, true, MS, now), 0);
		now += MS;
	}
	for (int i = 0; i < UNIT_COUNT(later_ms); i++) {
		int64_t delay = backoff_next(&backoff, true, MS, now);

		ck_assert_int_eq(delay, later_ms[i] * MS);
		now += delay;
	}
}
END_TEST

START_TEST(never_more_than_five_at_once_in_any_ten_seconds)
{
	enum { MOST = 1000 };
	static int64_t at_once[MOST];
	struct backoff backoff = {0};
	int64_t now = BEGIN;
	int count = 0;

	/* a handler that crashes 37 ms after each start, for ten minutes */
	while (now < BEGIN + 600 * S && count < MOST) {
		int64_t delay = backoff_next(&backoff, true, 37 * MS, now);

		ck_assert_int_le(delay, S);
		if (delay == 0)
			at_once[count++] = now;
		now += delay + 37 * MS;
	}
	ck_assert_int_gt(count, 100);
	for (int i = BACKOFF_BURST; i < count; i++)
		ck_assert_int_ge(at_once[i] - at_once[i - BACKOFF_BURST], 10 * S);
}
END_TEST

START_TEST(ten_seconds_of_life_forgive_everything)
{
	struct backoff backoff = {0};
	int64_t now = BEGIN;

	for (int i = 0; i < 10; i++)
		(void)backoff_next(&backoff, true, MS, now);
	ck_assert_int_gt(backoff_next(&backoff, true, 10 * S - 1, now), 0);
	for (int i = 0; i < BACKOFF_BURST; i++)
		ck_assert_int_eq(backoff_next(&backoff, true, 10 * S, now), 0);
	for (int i = 0; i < 3; i++)
		(void)backoff_next(&backoff, false, 0, now);
	ck_assert_int_eq(backoff_next(&backoff, true, 10 * S, now), 0);
	ck_assert_int_eq(backoff_next(&backoff, false, 0, now), S);
}
END_TEST

START_TEST(crash_ends_a_row_of_early_deaths_and_not_the_other_way_round)
{
	struct backoff backoff = {0};
	int64_t now = BEGIN;

	ck_assert_int_eq(backoff_next(&backoff, false, 0, now), S);
	ck_assert_int_eq(backoff_next(&backoff, false, 0, now), 2 * S);
	ck_assert_int_eq(backoff_next(&backoff, true, MS, now), 0);
	ck_assert_int_eq(backoff_next(&backoff, false, 0, now), S);
	for (int i = 1; i < BACKOFF_BURST; i++)
		ck_assert_int_eq(backoff_next(&backoff, true, MS, now), 0);
	ck_assert_int_eq(backoff_next(&backoff, true, MS, now), 200 * MS);
	(void)backoff_next(&backoff, false, 0, now);
	ck_assert_int_eq(backoff_next(&backoff, true, MS, now), 400 * MS);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("backoff");

	tcase_add_test(cases, death_before_ready_doubles_from_one_second_to_sixty);
	tcase_add_test(cases, crash_is_replaced_at_once_five_times_in_ten_seconds);
	tcase_add_test(cases, never_more_than_five_at_once_in_any_ten_seconds);
	tcase_add_test(cases, ten_seconds_of_life_forgive_everything);
	tcase_add_test(cases, crash_ends_a_row_of_early_deaths_and_not_the_other_way_round);
	return unit_run("supervisor_backoff", cases);
}
