/*
 * test_supervisor_overload.c - who refuses new work, in which order, and until when.
 */
#include "supervisor/overload.h"

#include "base/clock.h"
#include "unit.h"

#define S CLOCK_NS_PER_S
#define MIB (UINT64_C(1) << 20)

static struct overload_trends trends;

/* The row that begins at that time when this lacks, or -1. */
static int
decide(struct overload_row *rows, int count, int64_t memory, int64_t load, int64_t now_ns)
{
	struct machine_state state = {.memory = memory, .load = load};
	int found = -1;

	overload_decide(rows, (size_t)count, &state, &trends, now_ns);
	for (int i = 0; i < count; i++) {
		if (rows[i].begins) {
			ck_assert_int_eq(found, -1);
			found = i;
		}
	}
	return found;
}

START_TEST(nobody_refuses_below_the_limits)
{
	struct overload_row row = {.memory_limit = 800, .load_limit = 8000, .may_shed = true};

	ck_assert_int_eq(decide(&row, 1, 799, 7999, 9 * S), -1);
	ck_assert_int_eq(decide(&row, 1, 800, 0, 9 * S), 0);
	ck_assert_int_eq(decide(&row, 1, 0, 8000, 9 * S), 0);
	/* what is not known is no reason */
	ck_assert_int_eq(decide(&row, 1, -1, -1, 9 * S), -1);
	row.memory_limit = row.load_limit = 0;
	ck_assert_int_eq(decide(&row, 1, 1000, 99000, 9 * S), -1);
}
END_TEST

START_TEST(one_that_has_grown_most_begins_and_the_next_follows_after_2_seconds)
{
	struct overload_row rows[] = {
		{.memory_limit = 800,
		 .may_shed = true,
		 .memory_grown = 10 * MIB,
		 .ticks_grown = 90},
		{.memory_limit = 800, .may_shed = true, .memory_grown = 30 * MIB},
		{.memory_limit = 800, .may_shed = true, .memory_grown = 20 * MIB},
	};

	ck_assert_int_eq(decide(rows, 3, 850, -1, 9 * S), 1);
	rows[1].is_shedding = true;
	ck_assert_int_eq(decide(rows, 3, 900, -1, 11 * S - 1), -1);
	ck_assert_int_eq(decide(rows, 3, 900, -1, 11 * S), 2);
	rows[2].is_shedding = true;
	ck_assert_int_eq(decide(rows, 3, 900, -1, 12 * S), -1);
	ck_assert_int_eq(decide(rows, 3, 900, -1, 13 * S), 0);
	rows[0].is_shedding = true;
	ck_assert_int_eq(decide(rows, 3, 900, -1, 20 * S), -1);
}
END_TEST

START_TEST(nobody_joins_in_while_it_gets_better)
{
	struct overload_row rows[] = {
		{.memory_limit = 800, .may_shed = true, .memory_grown = 30 * MIB},
		{.memory_limit = 800, .may_shed = true, .memory_grown = 20 * MIB},
	};

	ck_assert_int_eq(decide(rows, 2, 950, -1, 9 * S), 0);
	rows[0].is_shedding = true;
	ck_assert_int_eq(decide(rows, 2, 949, -1, 11 * S), -1);
	ck_assert_int_eq(decide(rows, 2, 949, -1, 13 * S - 1), -1);
	ck_assert_int_eq(decide(rows, 2, 940, -1, 13 * S), -1);
	/* and no more */
	ck_assert_int_eq(decide(rows, 2, 940, -1, 15 * S), 1);
}
END_TEST

START_TEST(who_has_hardly_grown_does_not_join_in)
{
	struct overload_row rows[] = {
		{.memory_limit = 800,
		 .load_limit = 4000,
		 .may_shed = true,
		 .is_shedding = true,
		 .memory_grown = 160 * MIB,
		 .ticks_grown = 3000},
		{.memory_limit = 800,
		 .load_limit = 4000,
		 .may_shed = true,
		 .memory_grown = 2 * MIB,
		 .ticks_grown = 100},
		{.memory_limit = 800, .load_limit = 4000, .may_shed = true},
	};

	ck_assert_int_eq(decide(rows, 3, 900, 5000, 10 * S), -1);
	ck_assert_int_eq(decide(rows, 3, 900, 5000, 30 * S), -1);
	rows[1].memory_grown = 11 * MIB;
	ck_assert_int_eq(decide(rows, 3, 900, 5000, 30 * S), 1);
	/* of none there is no part, whoever has a part of next to nothing */
	rows[0].memory_grown = rows[1].memory_grown = 1 * MIB - 1;
	rows[0].ticks_grown = rows[1].ticks_grown = 50;
	ck_assert_int_eq(decide(rows, 3, 900, 5000, 60 * S), -1);
}
END_TEST

START_TEST(after_an_upgrade_it_is_first_seen_whether_it_gets_better)
{
	struct overload_row rows[] = {
		{.memory_limit = 800, .may_shed = true, .is_shedding = true},
		{.memory_limit = 800, .may_shed = true, .memory_grown = 20 * MIB},
	};

	ck_assert_int_eq(decide(rows, 2, 950, -1, 9 * S), -1);
	ck_assert_int_eq(decide(rows, 2, 950, -1, 11 * S - 1), -1);
	ck_assert_int_eq(decide(rows, 2, 950, -1, 11 * S), 1);
}
END_TEST

START_TEST(load_is_told_by_the_processors_that_were_used)
{
	struct overload_row rows[] = {
		{.load_limit = 4000, .may_shed = true, .memory_grown = 90 * MIB, .ticks_grown = 10},
		{.load_limit = 4000, .may_shed = true, .ticks_grown = 50},
		/* its limit is higher */
		{.load_limit = 9000, .may_shed = true, .ticks_grown = 70},
	};

	ck_assert_int_eq(decide(rows, 3, 100, 5000, 9 * S), 1);
	ck_assert_int_eq(decide(rows, 3, 100, 9000, 9 * S), 2);
	/* memory goes first */
	rows[0].memory_limit = 90;
	ck_assert_int_eq(decide(rows, 3, 100, 9000, 9 * S), 0);
}
END_TEST

START_TEST(of_the_load_it_takes_15_seconds_to_see_that_it_gets_no_better)
{
	struct overload_row rows[] = {
		{.load_limit = 4000, .may_shed = true, .ticks_grown = 3000},
		{.load_limit = 4000, .may_shed = true, .ticks_grown = 2000},
	};

	ck_assert_int_eq(decide(rows, 2, -1, 5000, 9 * S), 0);
	rows[0].is_shedding = true;
	ck_assert_int_eq(decide(rows, 2, -1, 6000, 24 * S - 1), -1);
	ck_assert_int_eq(decide(rows, 2, -1, 4900, 24 * S), -1);
	ck_assert_int_eq(decide(rows, 2, -1, 4900, 39 * S), 1);
}
END_TEST

START_TEST(one_that_accepts_nothing_is_passed_over)
{
	struct overload_row rows[] = {
		{.memory_limit = 800, .may_shed = false, .memory_grown = 30 * MIB},
		{.memory_limit = 800, .may_shed = true, .memory_grown = 0},
	};

	ck_assert_int_eq(decide(rows, 2, 850, -1, 9 * S), 1);
	rows[1].may_shed = false;
	ck_assert_int_eq(decide(rows, 2, 850, -1, 9 * S), -1);
}
END_TEST

START_TEST(each_ends_when_both_are_below_its_own_limits_by_a_margin)
{
	struct overload_row rows[] = {
		{.memory_limit = 800, .load_limit = 8000, .may_shed = true, .is_shedding = true},
		{.memory_limit = 900, .may_shed = true, .is_shedding = true},
	};

	ck_assert_int_eq(decide(rows, 2, 870, 0, 9 * S), -1);
	ck_assert(!rows[0].ends && !rows[1].ends);
	ck_assert_int_eq(decide(rows, 2, 854, 0, 9 * S), -1);
	ck_assert(!rows[0].ends && rows[1].ends);
	ck_assert_int_eq(decide(rows, 1, 759, 7200, 9 * S), -1);
	ck_assert(!rows[0].ends);
	ck_assert_int_eq(decide(rows, 1, 760, 7199, 9 * S), -1);
	ck_assert(!rows[0].ends);
	ck_assert_int_eq(decide(rows, 1, 759, 7199, 9 * S), -1);
	ck_assert(rows[0].ends);
}
END_TEST

START_TEST(one_whose_limits_are_gone_or_not_known_any_more_ends)
{
	struct overload_row row = {.may_shed = true, .is_shedding = true};

	ck_assert_int_eq(decide(&row, 1, 1000, 99000, 9 * S), -1);
	ck_assert(row.ends);
	row = (struct overload_row){.memory_limit = 1, .is_shedding = true};
	ck_assert_int_eq(decide(&row, 1, -1, -1, 9 * S), -1);
	ck_assert(row.ends);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("overload");

	tcase_add_test(cases, nobody_refuses_below_the_limits);
	tcase_add_test(cases, one_that_has_grown_most_begins_and_the_next_follows_after_2_seconds);
	tcase_add_test(cases, nobody_joins_in_while_it_gets_better);
	tcase_add_test(cases, who_has_hardly_grown_does_not_join_in);
	tcase_add_test(cases, after_an_upgrade_it_is_first_seen_whether_it_gets_better);
	tcase_add_test(cases, of_the_load_it_takes_15_seconds_to_see_that_it_gets_no_better);
	tcase_add_test(cases, load_is_told_by_the_processors_that_were_used);
	tcase_add_test(cases, one_that_accepts_nothing_is_passed_over);
	tcase_add_test(cases, each_ends_when_both_are_below_its_own_limits_by_a_margin);
	tcase_add_test(cases, one_whose_limits_are_gone_or_not_known_any_more_ends);
	return unit_run("overload", cases);
}
