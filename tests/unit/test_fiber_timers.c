/*
 * fiber_timers: the heap against a list that is searched.
 */
#include "concurrency/fiber_timers.h"

#include <stdlib.h>

#include "concurrency/fiber.h"
#include "unit.h"

#define FIBERS 300

static struct fiber_timers timers;
static struct fiber *fibers;

static void
set_up(void)
{
	fibers = calloc(FIBERS, sizeof(*fibers));
	ck_assert_ptr_nonnull(fibers);
	for (uint32_t i = 0; i < FIBERS; i++)
		ck_assert_int_eq(fiber_timers_reserve(&timers, i + 1), 0);
}

static void
tear_down(void)
{
	fiber_timers_free(&timers);
	free(fibers);
}

START_TEST(without_timers_there_is_no_next_one)
{
	ck_assert_int_eq(fiber_timers_next_ns(&timers), FIBER_NEVER);
	ck_assert_ptr_null(fiber_timers_take(&timers, INT64_MAX - 1));
	fiber_timers_remove(&timers, &fibers[0]);
}
END_TEST

START_TEST(later_time_leaves_a_timer_where_it_is)
{
	fiber_timers_set(&timers, &fibers[0], 100);
	fiber_timers_set(&timers, &fibers[0], 200);
	ck_assert_int_eq(fiber_timers_next_ns(&timers), 100);
	fiber_timers_set(&timers, &fibers[0], 50);
	ck_assert_int_eq(fiber_timers_next_ns(&timers), 50);
	ck_assert_uint_eq(timers.count, 1);
	ck_assert_ptr_null(fiber_timers_take(&timers, 49));
	ck_assert_ptr_eq(fiber_timers_take(&timers, 50), &fibers[0]);
	ck_assert_ptr_null(fiber_timers_take(&timers, 1000));
}
END_TEST

/* The soonest of those that are set, found the slow way. */
static int64_t
find_next(const int64_t *when)
{
	int64_t next = FIBER_NEVER;

	for (int i = 0; i < FIBERS; i++) {
		if (when[i] < next)
			next = when[i];
	}
	return next;
}

START_TEST(order_is_that_of_a_list_that_is_searched)
{
	int64_t when[FIBERS], now = 0;
	unsigned seed = 1;

	for (int i = 0; i < FIBERS; i++)
		when[i] = FIBER_NEVER;
	for (int step = 0; step < 20000; step++) {
		int i = rand_r(&seed) % FIBERS;
		int64_t at = now + rand_r(&seed) % 1000;

		switch (rand_r(&seed) % 4) {
		case 0:
		case 1:
			fiber_timers_set(&timers, &fibers[i], at);
			if (at < when[i])
				when[i] = at;
			break;
		case 2:
			fiber_timers_remove(&timers, &fibers[i]);
			when[i] = FIBER_NEVER;
			break;
		default:
			now += rand_r(&seed) % 20;
			for (;;) {
				struct fiber *fiber = fiber_timers_take(&timers, now);

				if (fiber == NULL)
					break;
				ck_assert_int_eq(when[fiber - fibers], find_next(when));
				ck_assert_uint_eq(fiber->timer, 0);
				when[fiber - fibers] = FIBER_NEVER;
			}
			ck_assert_int_gt(find_next(when), now);
			break;
		}
		ck_assert_int_eq(fiber_timers_next_ns(&timers), find_next(when));
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("fiber_timers");

	tcase_add_checked_fixture(cases, set_up, tear_down);
	tcase_add_test(cases, without_timers_there_is_no_next_one);
	tcase_add_test(cases, later_time_leaves_a_timer_where_it_is);
	tcase_add_test(cases, order_is_that_of_a_list_that_is_searched);
	return unit_run("fiber_timers", cases);
}
