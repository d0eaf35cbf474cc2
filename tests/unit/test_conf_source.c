/*
 * test_conf_source.c - the lines that a report shows, read from where they stand.
 */
#include "conf/source.h"

#include "conf_cases.h"

START_TEST(offending_lines_are_found_where_they_are_missing)
{
	struct report report = {0};
	const char *path = cases_path("a");

	cases_write("a", "one\ntwo\n\nfour");
	for (unsigned line = 0; line <= 5; line++)
		report_error(&report, path, line, "wrong");
	report_error(&report, "/none", 1, "wrong");
	report_error(&report, NULL, 1, "wrong");
	report_add(&report, false, path, 1, "known", "wrong");
	source_find_lines(&report);
	ck_assert_ptr_null(report.entries[0].source);
	ck_assert_str_eq(report.entries[1].source, "one");
	ck_assert_str_eq(report.entries[2].source, "two");
	ck_assert_str_eq(report.entries[3].source, "");
	ck_assert_str_eq(report.entries[4].source, "four");
	ck_assert_ptr_null(report.entries[5].source);
	ck_assert_ptr_null(report.entries[6].source);
	ck_assert_ptr_null(report.entries[7].source);
	ck_assert_str_eq(report.entries[8].source, "known");
	report_free(&report);
}
END_TEST

START_TEST(lines_of_several_files_are_found_in_any_order)
{
	struct report report = {0};

	cases_write("a", "a1\na2\n");
	cases_write("b", "b1\nb2\n");
	report_error(&report, cases_path("a"), 2, "wrong");
	report_error(&report, cases_path("b"), 1, "wrong");
	report_error(&report, cases_path("a"), 1, "wrong");
	source_find_lines(&report);
	ck_assert_str_eq(report.entries[0].source, "a2");
	ck_assert_str_eq(report.entries[1].source, "b1");
	ck_assert_str_eq(report.entries[2].source, "a1");
	report_free(&report);
}
END_TEST

/* The process would wait for ever, or show what is no text, or take the memory of the machine. */
START_TEST(only_lines_of_files_of_a_bounded_size_are_read)
{
	struct report report = {0};

	cases_write("large", "one\n");
	ck_assert_int_eq(truncate(cases_path("large"), (off_t)SOURCE_SIZE_MAX + 1), 0);
	ck_assert_int_eq(mkfifo(cases_path("pipe"), 0600), 0);
	report_error(&report, cases_path("large"), 1, "wrong");
	report_error(&report, cases_path("pipe"), 1, "wrong");
	report_error(&report, cases_directory, 1, "wrong");
	report_error(&report, "/dev/zero", 1, "wrong");
	source_find_lines(&report);
	for (size_t i = 0; i < report.count; i++)
		ck_assert_ptr_null(report.entries[i].source);
	report_free(&report);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("source");

	tcase_add_checked_fixture(cases, cases_setup, cases_teardown);
	tcase_add_test(cases, offending_lines_are_found_where_they_are_missing);
	tcase_add_test(cases, lines_of_several_files_are_found_in_any_order);
	tcase_add_test(cases, only_lines_of_files_of_a_bounded_size_are_read);
	return cases_run(cases, "conf_source");
}
