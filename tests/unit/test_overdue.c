/*
 * test_overdue.c - which step is due for a request that takes too long, and when to look again.
 */
#include "concurrency/overdue.h"

#include "concurrency/concurrency.h"
#include "unit.h"

#define S CLOCK_NS_PER_S
#define TIMEOUT (5 * S)
#define LATER (1000 * S)

static void
check(struct overdue_row row, int64_t now_ns, enum overdue_step step, int64_t next_ns)
{
	int64_t next = LATER;

	ck_assert_int_eq(overdue_judge(&row, TIMEOUT, now_ns, &next), step);
	ck_assert_int_eq(next, next_ns);
}

START_TEST(each_step_comes_in_its_time_and_not_before)
{
	struct overdue_row row = {.id = 1, .opened_ns = 100 * S};

	check(row, 100 * S, OVERDUE_NOTHING, 105 * S);
	check(row, 105 * S - 1, OVERDUE_NOTHING, 105 * S);
	check(row, 105 * S, OVERDUE_CANCEL, LATER);
	/* its time counts from when it was cancelled, however late that was */
	row.cancelled_ns = 110 * S;
	check(row, 111 * S - 1, OVERDUE_NOTHING, 111 * S);
	check(row, 111 * S, OVERDUE_ABORT, LATER);
	row.aborted_ns = 120 * S;
	check(row, 121 * S - 1, OVERDUE_NOTHING, 121 * S);
	check(row, 121 * S, OVERDUE_KILL, LATER);
}
END_TEST

START_TEST(next_look_is_never_put_off)
{
	struct overdue_row row = {.id = 1, .opened_ns = 100 * S};
	int64_t next = 102 * S;

	ck_assert_int_eq(overdue_judge(&row, TIMEOUT, 101 * S, &next), OVERDUE_NOTHING);
	ck_assert_int_eq(next, 102 * S);
}
END_TEST

static int looks;
static struct loop loop;

static void
look(struct overdue *overdue, int64_t now_ns, int64_t *next_ns)
{
	ck_assert_int_eq(*next_ns, now_ns + overdue->mode->handler_timeout_ns);
	*next_ns = now_ns;
	if (++looks == 3)
		loop_stop(&loop);
}

START_TEST(looks_keep_a_distance_of_10_ms)
{
	struct concurrency mode = {.loop = &loop, .handler_timeout_ns = 100 * CLOCK_NS_PER_MS};
	int64_t began_ns = clock_now_ns();
	struct overdue overdue = {0};

	ck_assert_int_eq(loop_init(&loop), 0);
	overdue_start(&overdue, &mode, look);
	ck_assert_int_eq(loop_run(&loop), 0);
	ck_assert_int_ge(clock_now_ns() - began_ns, 120 * CLOCK_NS_PER_MS);
	loop_close(&loop);
}
END_TEST

START_TEST(without_a_limit_nothing_is_armed)
{
	struct concurrency mode = {.loop = &loop};
	struct overdue overdue = {0};

	ck_assert_int_eq(loop_init(&loop), 0);
	overdue_start(&overdue, &mode, look);
	ck_assert_ptr_null(loop.timers);
	loop_close(&loop);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("overdue");

	tcase_add_test(cases, each_step_comes_in_its_time_and_not_before);
	tcase_add_test(cases, next_look_is_never_put_off);
	tcase_add_test(cases, looks_keep_a_distance_of_10_ms);
	tcase_add_test(cases, without_a_limit_nothing_is_armed);
	return unit_run("overdue", cases);
}
