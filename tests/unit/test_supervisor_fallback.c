/*
 * test_supervisor_fallback.c - which deaths count, and when they are too many.
 */
#include "supervisor/fallback.h"

#include <signal.h>

#include "base/clock.h"
#include "supervisor/plan.h"
#include "unit.h"

#define S CLOCK_NS_PER_S

static struct fallback
new_fallback(struct config *config)
{
	struct fallback fallback = FALLBACK_NONE;

	fallback.config = config;
	return fallback;
}

START_TEST(the_third_crash_within_the_time_is_one_too_many)
{
	const struct conf_rollback rollback = {.crashes = 3, .within_ms = 60000};
	struct fallback fallback = new_fallback(config_new("/"));

	ck_assert(!fallback_count_crash(&fallback, &rollback, 100 * S));
	ck_assert(!fallback_count_crash(&fallback, &rollback, 130 * S));
	ck_assert(fallback_count_crash(&fallback, &rollback, 160 * S));
	fallback_clear(&fallback);
}
END_TEST

START_TEST(crashes_that_come_slower_are_not)
{
	const struct conf_rollback rollback = {.crashes = 3, .within_ms = 60000};
	struct fallback fallback = new_fallback(config_new("/"));

	for (int64_t i = 0; i < 50; i++)
		ck_assert(!fallback_count_crash(&fallback, &rollback, i * 31 * S));
	ck_assert(fallback_count_crash(&fallback, &rollback, 49 * 31 * S + 1));
	fallback_clear(&fallback);
}
END_TEST

START_TEST(one_crash_can_be_enough)
{
	const struct conf_rollback rollback = {.crashes = 1, .within_ms = 1000};
	struct fallback fallback = new_fallback(config_new("/"));

	ck_assert(fallback_count_crash(&fallback, &rollback, S));
	fallback_clear(&fallback);
}
END_TEST

START_TEST(nothing_counts_with_nothing_to_go_back_to_or_when_it_is_off)
{
	const struct conf_rollback on = {.crashes = 1, .within_ms = 1000};
	const struct conf_rollback off = {.crashes = 0, .within_ms = 1000};
	struct fallback none = FALLBACK_NONE;
	struct fallback fallback = new_fallback(config_new("/"));

	ck_assert(!fallback_count_crash(&none, &on, S));
	ck_assert(!fallback_count_crash(&fallback, &off, S));
	fallback_clear(&fallback);
	fallback_clear(&none);
}
END_TEST

START_TEST(faults_and_exits_count_and_orders_do_not)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
	static const int orders[] = {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		ck_assert(fallback_is_crash(faults[i]));
		ck_assert(fallback_is_crash(faults[i] | 0x80)); /* with a core */
	}
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		ck_assert(!fallback_is_crash(orders[i]));
	ck_assert(fallback_is_crash(0));
	ck_assert(fallback_is_crash(3 << 8));
}
END_TEST

START_TEST(plan_rows_are_told_in_words)
{
	static const struct {
		struct plan_row row;
		const char *name, *sentence;
	} cases[] = {
		{{"a", 0, 0}, "unchanged", "'a' unchanged"},
		{{"a", PLAN_SETTINGS, 1},
		 "settings changed",
		 "'a' settings changed (drains 1 connection)"},
		{{"a", PLAN_SETTINGS | PLAN_HANDLER, 0},
		 "handler changed",
		 "'a' handler changed, settings changed"},
		{{"a", PLAN_ADDRESS, 0}, "address changed", "'a' address changed"},
		{{"a", PLAN_ADDED, 0}, "added", "'a' added"},
		{{"a", PLAN_REMOVED, 12}, "removed", "'a' removed (drains 12 connections)"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *sentence = plan_sentence(&cases[i].row);

		ck_assert_str_eq(sentence, cases[i].sentence);
		ck_assert_str_eq(plan_change_name(cases[i].row.changes), cases[i].name);
		free(sentence);
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("fallback");

	tcase_add_test(cases, the_third_crash_within_the_time_is_one_too_many);
	tcase_add_test(cases, crashes_that_come_slower_are_not);
	tcase_add_test(cases, one_crash_can_be_enough);
	tcase_add_test(cases, nothing_counts_with_nothing_to_go_back_to_or_when_it_is_off);
	tcase_add_test(cases, faults_and_exits_count_and_orders_do_not);
	tcase_add_test(cases, plan_rows_are_told_in_words);
	return unit_run("supervisor_fallback", cases);
}
