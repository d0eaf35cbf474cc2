/*
 * test_conf_access.c - access lists of the configuration and their files: what is refused, at which
 * line, and what a file is while it is written.
 */
#include <errno.h>
#include <fcntl.h>

#include "conf/access_file.h"
#include "conf_cases.h"

static struct access_file file;
static struct report report;

static void
setup(void)
{
	report = (struct report){0};
	file = (struct access_file){.count = 0};
}

static void
teardown(void)
{
	access_file_free(&file);
	report_free(&report);
}

static int
parse(const char *text, bool is_unix)
{
	return access_file_parse("/list", text, strlen(text), is_unix, &file, &report);
}

static void
check_told(unsigned line, const char *words)
{
	for (size_t i = 0; i < report.count; i++) {
		if (report.entries[i].line == line && strstr(report.entries[i].text, words) != NULL)
			return;
	}
	ck_abort_msg("line %u: nothing like '%s' is told", line, words);
}

START_TEST(comments_blanks_and_line_ends_are_no_matter)
{
	ck_assert_int_eq(
		parse("# a\n\n \t\nallow 10.0.0.0/8#b\r\n\tdeny  ::1 \r\nallow all\n", false), 0);
	ck_assert_uint_eq(file.count, 3);
	ck_assert_uint_eq(file.entries[0].line, 4);
	ck_assert(file.entries[0].is_allow);
	ck_assert_uint_eq(file.entries[1].line, 5);
	ck_assert(!file.entries[1].is_allow);
	ck_assert_uint_eq(file.entries[2].line, 6);
	ck_assert_int_eq(file.entries[2].entry.kind, ACCESS_ALL);
}
END_TEST

START_TEST(an_empty_file_is_an_empty_list)
{
	ck_assert_int_eq(parse("", false), 0);
	ck_assert_uint_eq(file.count, 0);
	ck_assert_int_eq(parse("#\n", true), 0);
	ck_assert_uint_eq(file.count, 0);
}
END_TEST

START_TEST(a_last_line_without_an_end_is_refused)
{
	ck_assert_int_lt(parse("deny 10.0.0.1\ndeny 10.0.0.3", false), 0);
	check_told(2, "has no end");
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_int_lt(parse("deny 10.0.0.1\n# a comm", false), 0);
	ck_assert_int_lt(parse(" ", false), 0);
	check_told(1, "has no end");
}
END_TEST

START_TEST(every_line_that_is_wrong_is_told)
{
	ck_assert_int_lt(parse("allow 10.0.0.1/8\ndeny\nALLOW all\nallow a b\nallow uid:1\n"
			       "allow user:x\nallow 10.0.0.0/8\n",
			       false),
			 0);
	check_told(1, "has bits behind its prefix");
	check_told(2, "there is nothing behind deny");
	check_told(3, "'ALLOW all' does not begin with allow or deny");
	check_told(4, "has more than one entry");
	check_told(5, "is no Unix socket");
	check_told(6, "names are looked up in the configuration only");
	ck_assert_uint_eq(report.errors, 6);
	ck_assert_uint_eq(file.count, 0);
}
END_TEST

START_TEST(a_file_for_unix_clients_has_no_addresses)
{
	ck_assert_int_lt(parse("allow uid:0\nallow 10.0.0.0/8\n", true), 0);
	check_told(2, "whose clients have no addresses");
}
END_TEST

START_TEST(of_very_many_errors_the_first_are_told_and_the_others_counted)
{
	char text[5000] = "";

	for (int i = 0; i < 100; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "nonsense %d\n",
			       i);
	ck_assert_int_lt(parse(text, false), 0);
	ck_assert_uint_eq(report.errors, 21);
	ck_assert_str_eq(report.entries[20].text, "80 more lines are wrong");
}
END_TEST

START_TEST(bytes_that_are_no_text_are_refused)
{
	static const char text[] = "allow 10.0.0.0/8\0\ndeny \x1b[31m\n";
	char line[1001];

	ck_assert_int_lt(access_file_parse("/list", text, sizeof(text) - 1, false, &file, &report),
			 0);
	check_told(1, "NUL");
	check_told(2, "\\x1b[31m");
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	ck_assert_int_lt(parse(line, false), 0);
	check_told(1, "too long");
}
END_TEST

START_TEST(more_entries_than_may_be_are_refused)
{
	static const char line[] = "deny 10.0.0.0/8\n";
	size_t count = ACCESS_FILE_ENTRIES_MAX + 1, size = sizeof(line) - 1;
	char *text = memory_zero(count, size);

	for (size_t i = 0; i < count; i++)
		memcpy(text + i * size, line, size);
	ck_assert_int_lt(access_file_parse("/list", text, count * size, false, &file, &report), 0);
	check_told(ACCESS_FILE_ENTRIES_MAX + 1, "there are more than 400000 entries");
	ck_assert_int_eq(
		access_file_parse("/list", text, (count - 1) * size, false, &file, &report), 0);
	free(text);
}
END_TEST

START_TEST(a_file_that_somebody_writes_is_left_alone)
{
	int fd;

	cases_write("list", "deny 10.0.0.0/8\n");
	fd = open(cases_path("list"), O_WRONLY | O_APPEND | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(access_file_read(cases_path("list"), false, &file, &report), -EAGAIN);
	check_told(0, "is being written to");
	(void)close(fd);
	ck_assert_int_eq(access_file_read(cases_path("list"), false, &file, &report), 0);
	ck_assert_uint_eq(file.count, 1);
}
END_TEST

START_TEST(versions_are_told_apart)
{
	struct access_file again;

	cases_write("list", "deny 10.0.0.0/8\n");
	ck_assert_int_eq(access_file_read(cases_path("list"), false, &file, &report), 0);
	ck_assert_int_eq(access_file_read(cases_path("list"), false, &again, &report), 0);
	ck_assert(access_file_is_same(&file.st, &again.st));
	access_file_free(&again);
	/* of the same size */
	cases_write("list", "deny 11.0.0.0/8\n");
	ck_assert_int_eq(access_file_read(cases_path("list"), false, &again, &report), 0);
	ck_assert(!access_file_is_same(&file.st, &again.st));
	access_file_free(&again);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	ck_assert_int_eq(access_file_read(cases_path("none"), false, &file, &report), -ENOENT);
	check_told(0, "there is no such file");
	ck_assert_int_eq(mkfifo(cases_path("fifo"), 0600), 0);
	ck_assert_int_lt(access_file_read(cases_path("fifo"), false, &file, &report), 0);
	ck_assert_int_lt(access_file_read(cases_directory, false, &file, &report), 0);
	ck_assert_uint_eq(report.errors, 3);
}
END_TEST

static const char *
list_of(const struct conf_texts *texts)
{
	static char text[256];

	text[0] = '\0';
	for (size_t i = 0; i < texts->count; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s@%u ",
			       texts->items[i], texts->lines[i]);
	return text;
}

START_TEST(each_entry_knows_its_line)
{
	struct config *config = cases_accept("listeners = ( { name = \"a\"; address = \"*:1\";\n"
					     "handler = \"x\"; access = {\n"
					     "allow = [ \"10.0.0.0/8\",\n\"::1\" ];\n"
					     "deny = \"10.1.0.0/16\"; }; } );");

	ck_assert_str_eq(list_of(&config->listeners[0].access.allow), "10.0.0.0/8@3 ::1@4 ");
	ck_assert_str_eq(list_of(&config->listeners[0].access.deny), "10.1.0.0/16@5 ");
	config_free(config);
}
END_TEST

START_TEST(an_own_list_replaces_that_of_defaults)
{
	struct config *config = cases_accept(
		"defaults = { access = { allow = [ \"10.0.0.0/8\", \"uid:0\" ]; deny = \"::1\"; }; "
		"};\n"
		"listeners = ( { name = \"a\"; address = \"*:1\"; handler = \"x\";\n"
		"access = { allow = \"all\"; }; },\n"
		"{ name = \"b\"; protocol = \"unix\"; address = \"@b\"; handler = \"x\"; } );");

	ck_assert_str_eq(list_of(&config->listeners[0].access.allow), "all@3 ");
	ck_assert_str_eq(list_of(&config->listeners[0].access.deny), "::1@1 ");
	ck_assert_str_eq(list_of(&config->listeners[1].access.allow), "uid:0@1 ");
	ck_assert_str_eq(list_of(&config->listeners[1].access.deny), "");
	config_free(config);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("conf_access");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, comments_blanks_and_line_ends_are_no_matter);
	tcase_add_test(cases, an_empty_file_is_an_empty_list);
	tcase_add_test(cases, a_last_line_without_an_end_is_refused);
	tcase_add_test(cases, every_line_that_is_wrong_is_told);
	tcase_add_test(cases, a_file_for_unix_clients_has_no_addresses);
	tcase_add_test(cases, of_very_many_errors_the_first_are_told_and_the_others_counted);
	tcase_add_test(cases, bytes_that_are_no_text_are_refused);
	tcase_add_test(cases, more_entries_than_may_be_are_refused);
	tcase_add_test(cases, a_file_that_somebody_writes_is_left_alone);
	tcase_add_test(cases, versions_are_told_apart);
	tcase_add_test(cases, what_is_no_file_is_refused);
	tcase_add_test(cases, each_entry_knows_its_line);
	tcase_add_test(cases, an_own_list_replaces_that_of_defaults);
	return cases_run(cases, "conf_access");
}
