/*
 * test_cpus.c - sets of processors are read to the last character, and written as they are read.
 */
#include "base/cpus.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>

#include "unit.h"

static const struct {
	const char *text;
	const char *written;
	size_t count;
} good[] = {
	{"0", "0", 1},	       {"0-3", "0-3", 4},	  {"6-6", "6", 1},
	{"0-3,6", "0-3,6", 5}, {"6,0-3,2-4", "0-4,6", 6}, {"007", "7", 1},
	{"63,64", "63-64", 2}, {"8191", "8191", 1},	  {"0-8191", "0-8191", 8192},
};

START_TEST(what_is_read_is_written_the_same)
{
	struct cpus cpus = {0}, again = {0};
	char *text;

	ck_assert_int_eq(cpus_parse(good[_i].text, &cpus), 0);
	ck_assert_uint_eq(cpus_count(&cpus), good[_i].count);
	text = cpus_format(&cpus);
	ck_assert_str_eq(text, good[_i].written);
	ck_assert_int_eq(cpus_parse(text, &again), 0);
	ck_assert(cpus_equal(&cpus, &again));
	free(text);
}
END_TEST

static const struct {
	const char *text;
	int error;
} bad[] = {
	{"", -EINVAL},
	{" ", -EINVAL},
	{"a", -EINVAL},
	{"-", -EINVAL},
	{"-1", -EINVAL},
	{"1-", -EINVAL},
	{"3-1", -EINVAL},
	{"1-2-3", -EINVAL},
	{"1,", -EINVAL},
	{",1", -EINVAL},
	{"1,,2", -EINVAL},
	{"1 ", -EINVAL},
	{"+1", -EINVAL},
	{"0x1", -EINVAL},
	{"1;2", -EINVAL},
	{"8192", -ERANGE},
	{"0-8192", -ERANGE},
	{"99999999999999999999", -ERANGE},
	{"1-4294967296", -ERANGE},
	{"1\n", -EINVAL},
};

START_TEST(what_is_no_processor_is_refused_and_changes_nothing)
{
	struct cpus cpus = {0}, before;

	cpus_add(&cpus, 5);
	before = cpus;
	ck_assert_int_eq(cpus_parse(bad[_i].text, &cpus), bad[_i].error);
	ck_assert(cpus_equal(&cpus, &before));
}
END_TEST

START_TEST(sets_are_added_up_and_compared)
{
	struct cpus a = {0}, b = {0}, both, rest;
	char *text;

	ck_assert_int_eq(cpus_parse("0-3", &a), 0);
	ck_assert_int_eq(cpus_parse("8", &a), 0);
	ck_assert_int_eq(cpus_parse("2-8", &b), 0);
	both = cpus_common(&a, &b);
	text = cpus_format(&both);
	ck_assert_str_eq(text, "2-3,8");
	free(text);
	rest = cpus_without(&a, &b);
	text = cpus_format(&rest);
	ck_assert_str_eq(text, "0-1");
	free(text);
	ck_assert(cpus_has(&a, 8) && !cpus_has(&a, 4) && !cpus_has(&a, CPUS_MOST));
	rest = cpus_without(&a, &a);
	text = cpus_format(&rest);
	ck_assert_str_eq(text, "");
	ck_assert_uint_eq(cpus_count(&rest), 0);
	free(text);
}
END_TEST

START_TEST(kernel_says_which_there_are_and_takes_one_of_them)
{
	struct cpus online, own, one = {0}, back, none = {0};
	unsigned first = 0;

	ck_assert_int_eq(cpus_read_online(&online), 0);
	ck_assert_int_eq(cpus_get_affinity(&own), 0);
	ck_assert_uint_gt(cpus_count(&online), 0);
	back = cpus_without(&own, &online);
	ck_assert_uint_eq(cpus_count(&back), 0);
	while (!cpus_has(&own, first))
		first++;
	cpus_add(&one, first);
	ck_assert_int_eq(cpus_set_affinity(&one), 0);
	ck_assert_int_eq(cpus_get_affinity(&back), 0);
	ck_assert(cpus_equal(&one, &back));
	ck_assert_int_eq(sched_getcpu(), (int)first);
	cpus_add(&none, CPUS_MOST - 1);
	ck_assert_int_eq(cpus_set_affinity(&none), -EINVAL);
	ck_assert_int_eq(cpus_set_affinity(&own), 0);
}
END_TEST

/* Whatever the characters, what is taken can be written and is read the same. */
START_TEST(any_text_is_refused_or_read_the_same_again)
{
	static const char letters[] = "0123456789-,-,-, x";
	unsigned seed = 1;

	for (int round = 0; round < 200000; round++) {
		char text[16];
		size_t length = (size_t)(seed >> 8) % (sizeof(text) - 1);
		struct cpus cpus = {0}, again = {0};
		char *written;

		for (size_t i = 0; i < length; i++) {
			seed = seed * 1103515245U + 12345U;
			text[i] = letters[(seed >> 16) % (sizeof(letters) - 1)];
		}
		text[length] = '\0';
		seed = seed * 1103515245U + 12345U;
		if (cpus_parse(text, &cpus) < 0) {
			ck_assert_uint_eq(cpus_count(&cpus), 0);
			continue;
		}
		written = cpus_format(&cpus);
		ck_assert_msg(cpus_parse(written, &again) == 0 && cpus_equal(&cpus, &again),
			      "'%s' is written as '%s'", text, written);
		free(written);
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("cpus");

	tcase_add_loop_test(cases, what_is_read_is_written_the_same, 0, UNIT_COUNT(good));
	tcase_add_loop_test(cases, what_is_no_processor_is_refused_and_changes_nothing, 0,
			    UNIT_COUNT(bad));
	tcase_add_test(cases, sets_are_added_up_and_compared);
	tcase_add_test(cases, kernel_says_which_there_are_and_takes_one_of_them);
	tcase_add_test(cases, any_text_is_refused_or_read_the_same_again);
	return unit_run("cpus", cases);
}
