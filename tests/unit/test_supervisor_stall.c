/*
 * test_supervisor_stall.c - when a worker counts as stalled.
 */
#include "supervisor/stall.h"

#include "unit.h"

#define S CLOCK_NS_PER_S

static struct stall stall;

static void
clean(void)
{
	stall = (struct stall){0};
}

/* Looks every 5 s from one second to another, with nothing accepted. */
static bool
wait_in_vain(int from_s, int to_s, uint64_t taken)
{
	bool has_changed = false;

	for (int s = from_s; s <= to_s; s += 5)
		has_changed |= stall_note(&stall, true, taken, s * S);
	return has_changed;
}

START_TEST(clients_that_wait_for_30_seconds_in_vain_make_it_stalled_once)
{
	ck_assert(!wait_in_vain(100, 125, 7));
	ck_assert(!stall.is_stalled);
	ck_assert(stall_note(&stall, true, 7, 130 * S));
	ck_assert(stall.is_stalled);
	ck_assert(!wait_in_vain(135, 600, 7));
	ck_assert(stall.is_stalled);
}
END_TEST

START_TEST(one_that_is_accepted_begins_the_time_anew)
{
	ck_assert(!wait_in_vain(100, 125, 7));
	ck_assert(!wait_in_vain(130, 155, 8));
	ck_assert(!stall.is_stalled);
	ck_assert(wait_in_vain(160, 160, 8));
}
END_TEST

START_TEST(moment_without_anybody_waiting_begins_the_time_anew)
{
	ck_assert(!wait_in_vain(100, 125, 7));
	ck_assert(!stall_note(&stall, false, 0, 126 * S));
	ck_assert(!wait_in_vain(127, 152, 7));
	ck_assert(!stall.is_stalled);
}
END_TEST

START_TEST(stalled_one_that_accepts_is_stalled_no_more)
{
	ck_assert(wait_in_vain(100, 130, 7));
	ck_assert(stall_note(&stall, true, 8, 135 * S));
	ck_assert(!stall.is_stalled);
	ck_assert(wait_in_vain(140, 165, 8));
	ck_assert(stall_note(&stall, false, 0, 170 * S));
	ck_assert(!stall.is_stalled);
}
END_TEST

START_TEST(number_that_a_worker_turns_back_is_as_good_as_another)
{
	ck_assert(!wait_in_vain(100, 125, UINT64_MAX));
	ck_assert(!wait_in_vain(130, 155, 0));
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("stall");

	tcase_add_checked_fixture(cases, NULL, clean);
	tcase_add_test(cases, clients_that_wait_for_30_seconds_in_vain_make_it_stalled_once);
	tcase_add_test(cases, one_that_is_accepted_begins_the_time_anew);
	tcase_add_test(cases, moment_without_anybody_waiting_begins_the_time_anew);
	tcase_add_test(cases, stalled_one_that_accepts_is_stalled_no_more);
	tcase_add_test(cases, number_that_a_worker_turns_back_is_as_good_as_another);
	return unit_run("stall", cases);
}
