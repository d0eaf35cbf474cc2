/*
 * test_report.c - what is wrong is gathered, in order, with its place.
 */
#include "base/report.h"

#include "unit.h"

static char *
print(const struct report *report)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	report_print(report, out);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

START_TEST(entries_are_copied_and_warnings_are_no_errors)
{
	struct report report = {0};
	char file[] = "a.conf", source[] = "port = x";

	report_add(&report, false, file, 3, source, "first");
	memset(file, '#', sizeof(file) - 1);
	memset(source, '#', sizeof(source) - 1);
	report_warning(&report, "b.conf", 0, "second %d", 2);
	report_error(&report, NULL, 0, "third %s", "x");
	ck_assert_uint_eq(report.count, 3);
	ck_assert_uint_eq(report.errors, 2);
	ck_assert_str_eq(report.entries[0].file, "a.conf");
	ck_assert_str_eq(report.entries[0].source, "port = x");
	ck_assert(report.entries[1].is_warning);
	ck_assert_str_eq(report.entries[1].text, "second 2");
	ck_assert_ptr_null(report.entries[2].file);
	report_free(&report);
	ck_assert_uint_eq(report.count, 0);
	ck_assert_ptr_null(report.entries);
}
END_TEST

START_TEST(sentence_begins_with_the_place_as_far_as_it_is_known)
{
	struct report report = {0};
	static const char *const expected[] = {"a.conf:3: one", "a.conf: two", "three"};

	report_error(&report, "a.conf", 3, "one");
	report_error(&report, "a.conf", 0, "two");
	report_error(&report, NULL, 0, "three");
	for (size_t i = 0; i < report.count; i++) {
		char *sentence = report_sentence(&report.entries[i]);

		ck_assert_str_eq(sentence, expected[i]);
		free(sentence);
	}
	report_free(&report);
}
END_TEST

START_TEST(print_shows_everything_with_the_offending_line)
{
	struct report report = {0};
	char *text;

	report_add(&report, false, "a.conf", 3, "port = x", "wrong");
	report_warning(&report, NULL, 0, "odd");
	text = print(&report);
	ck_assert_str_eq(text, "a.conf:3: wrong\n     3 | port = x\nodd (warning)\n");
	free(text);
	report_free(&report);
}
END_TEST

START_TEST(print_is_safe_for_a_terminal_and_one_entry_stays_one)
{
	struct report report = {0};
	char *text;

	report_add(&report, false, "a\x1b[31m.conf", 3, "port\t= \x9b\x07", "wrong\nb.conf: good");
	text = print(&report);
	ck_assert_str_eq(text, "a\\x1b[31m.conf:3: wrong\\nb.conf: good\n"
			       "     3 | port\\t= \\x9b\\x07\n");
	free(text);
	report_free(&report);
}
END_TEST

START_TEST(many_entries_keep_their_order)
{
	struct report report = {0};
	char expected[32];

	for (unsigned i = 0; i < 1000; i++)
		report_error(&report, NULL, 0, "entry %u", i);
	ck_assert_uint_eq(report.errors, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(expected, sizeof(expected), "entry %u", i);
		ck_assert_str_eq(report.entries[i].text, expected);
	}
	report_free(&report);
}
END_TEST

START_TEST(empty_report_prints_nothing_and_frees)
{
	struct report report = {0};
	char *text = print(&report);

	ck_assert_str_eq(text, "");
	free(text);
	report_free(&report);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("report");

	tcase_add_test(cases, entries_are_copied_and_warnings_are_no_errors);
	tcase_add_test(cases, sentence_begins_with_the_place_as_far_as_it_is_known);
	tcase_add_test(cases, print_shows_everything_with_the_offending_line);
	tcase_add_test(cases, print_is_safe_for_a_terminal_and_one_entry_stays_one);
	tcase_add_test(cases, many_entries_keep_their_order);
	tcase_add_test(cases, empty_report_prints_nothing_and_frees);
	return unit_run("report", cases);
}
