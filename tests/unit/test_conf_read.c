/*
 * test_conf_read.c - files and directories: what is opened, in which order, and that a file which
 * lost its end is noticed.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "conf/source.h"
#include "conf_cases.h"

static const char sample[] =
	"/* A sample with\n   something of everything. */\n"
	"handler_path = [ \"/srv/one\", \"/srv/two\" ];\n"
	"user = \"nobody\";  # \"quoted\"\n"
	"start_timeout = \"20s\";\n"
	"max_generations = 35;\n"
	"log = { level = \"debug\"; connections = \"all\"; };\n"
	"defaults = {\n\tconcurrency = \"forking\";\n\tmax_connections = 100;\n"
	"\tforking = { max_children = 50; connections_per_child = 10 };\n"
	"\toptions = { greeting = \"good \" \"day\"; };\n};\n"
	"listeners = (\n"
	"  { name = \"a\"; address = \"127.0.0.1:7001\"; handler = \"echo\"; },\n"
	"  {\n    name = \"b\"; // second\n"
	"    address = [ \"127.0.0.1:7002\", \"[::1]:7002\" ];\n"
	"    handler = \"/srv/greet.so\";\n"
	"    concurrency = \"threading\";\n"
	"    threading = { max_threads = 16; idle_timeout = \"1min\"; };\n"
	"    options = { repeat = 12; list = [ \"x\", \"y\" ]; loud = true; };\n"
	"    environment = { TZ = \"UTC\"; };\n"
	"  }\n"
	");\n"
	"// the end /* and more\n";

START_TEST(file_cut_at_any_byte_is_refused_or_means_the_same)
{
	struct config *whole = cases_accept(sample);
	char *expected = cases_emit(whole);
	size_t accepted = 0;

	for (size_t length = 0; length < strlen(sample); length++) {
		struct report report = {0};
		struct config *config;
		char *text;

		cases_write_bytes("handlerd.conf", sample, length);
		config = cases_load(&report);
		ck_assert((config == NULL) == (report.errors > 0));
		if (config != NULL) {
			text = cases_emit(config);
			ck_assert_msg(strcmp(text, expected) == 0, "cut at %zu", length);
			free(text);
			accepted++;
		}
		config_free(config);
		report_free(&report);
	}
	/* behind the last bracket: ';', a line end, and the comment, of which one '/' is no start
	 */
	ck_assert_uint_eq(accepted, strlen("\n;") + strlen("// the end /* and more\n") - 1);
	free(expected);
	config_free(whole);
}
END_TEST

START_TEST(part_cut_at_any_byte_is_refused_or_means_the_same)
{
	static const char part[] =
		"# a part\nlisteners = (\n  { name = \"p\"; address = "
		"\"127.0.0.1:7101\"; handler = \"echo\"; backlog = 1234; }\n);\n";
	struct config *config;
	char *expected, *text;

	cases_write("handlerd.conf", "listeners = ( );");
	cases_make_directory("listeners.d");
	cases_write("listeners.d/p.conf", part);
	config = cases_load(&(struct report){0});
	ck_assert_ptr_nonnull(config);
	expected = cases_emit(config);
	config_free(config);
	for (size_t length = 0; length < strlen(part); length++) {
		struct report report = {0};

		cases_write_bytes("listeners.d/p.conf", part, length);
		config = cases_load(&report);
		if (config != NULL) {
			text = cases_emit(config);
			ck_assert_msg(strcmp(text, expected) == 0, "cut at %zu", length);
			free(text);
		}
		ck_assert((config == NULL) == (length < strlen(part) - 2));
		config_free(config);
		report_free(&report);
	}
	free(expected);
}
END_TEST

START_TEST(main_file_without_listeners_is_refused)
{
	cases_expect("", 0, "has no 'listeners'");
	cases_expect("// nothing\n", 0, "has no 'listeners'");
	cases_expect("user = \"nobody\";\n", 0, "has no 'listeners'");
}
END_TEST

START_TEST(mistyped_listeners_gives_one_error)
{
	cases_expect("listener = ( " CASES_LISTENER " );", 1, "did you mean 'listeners'?");
}
END_TEST

START_TEST(listeners_may_be_empty)
{
	struct config *config = cases_accept("listeners = ( );");

	ck_assert_uint_eq(config->listener_count, 0);
	ck_assert_uint_eq(config->file_count, 1);
	ck_assert_str_eq(config->files[0], cases_main);
	config_free(config);
}
END_TEST

/* Two files that differ at their beginning and at their end, each in place of the other by turns.
 */
static _Noreturn void
swap_files(void)
{
	char main_file[256], texts[2][256], next[256];

	(void)snprintf(main_file, sizeof(main_file), "%s", cases_path("handlerd.conf"));
	(void)snprintf(texts[0], sizeof(texts[0]), "%s", cases_path("one"));
	(void)snprintf(texts[1], sizeof(texts[1]), "%s", cases_path("two"));
	(void)snprintf(next, sizeof(next), "%s", cases_path("next"));
	for (unsigned i = 0;; i++) {
		/* of two names of one file, rename(2) leaves both */
		(void)unlink(next);
		if (link(texts[i % 2], next) < 0)
			_exit(1);
		(void)rename(next, main_file);
	}
}

static void
write_swapped(const char *name, int number)
{
	FILE *file = fopen(cases_path(name), "we");

	ck_assert_ptr_nonnull(file);
	(void)fprintf(file, "max_generations = %d;\n", number);
	for (int i = 0; i < 1000; i++)
		(void)fprintf(file, "# nothing in between but what takes its time to read\n");
	(void)fprintf(file, "drain_timeout = \"%dms\";\nlisteners = ( " CASES_LISTENER " );\n",
		      number);
	ck_assert_int_eq(fclose(file), 0);
}

START_TEST(file_that_is_replaced_while_it_is_read_is_one_or_the_other)
{
	int seen[2] = {0};
	pid_t swapper;

	write_swapped("one", 10);
	write_swapped("two", 20);
	ck_assert_int_eq(link(cases_path("one"), cases_main), 0);
	swapper = fork();
	ck_assert_int_ge(swapper, 0);
	if (swapper == 0)
		swap_files();
	for (int i = 0; i < 500 || seen[0] == 0 || seen[1] == 0; i++) {
		struct report report = {0};
		struct config *config = cases_load(&report);

		ck_assert_ptr_nonnull(config);
		ck_assert_int_eq(config->max_generations, config->drain_timeout_ms);
		seen[config->max_generations / 20]++;
		config_free(config);
		report_free(&report);
	}
	(void)kill(swapper, SIGKILL);
	ck_assert_int_eq(waitpid(swapper, NULL, 0), swapper);
}
END_TEST

START_TEST(missing_file_is_told_by_its_name)
{
	struct report report = {0};

	ck_assert_ptr_null(cases_load(&report));
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_str_eq(report.entries[0].file, cases_main);
	ck_assert_ptr_nonnull(strstr(report.entries[0].text, "there is no such file"));
	report_free(&report);
}
END_TEST

START_TEST(directory_in_place_of_the_file_is_refused)
{
	struct report report = {0};

	cases_make_directory("handlerd.conf");
	ck_assert_ptr_null(cases_load(&report));
	ck_assert_uint_eq(report.errors, 1);
	report_free(&report);
}
END_TEST

START_TEST(fifo_is_refused_without_waiting)
{
	struct report report = {0};

	ck_assert_int_eq(mkfifo(cases_main, 0644), 0);
	ck_assert_ptr_null(cases_load(&report));
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_ptr_nonnull(strstr(report.entries[0].text, "not a regular file"));
	report_free(&report);
}
END_TEST

START_TEST(file_at_the_size_limit_is_read_and_one_byte_more_is_refused)
{
	char *text = memory_zero(1, SOURCE_SIZE_MAX + 1);
	struct report report = {0};
	struct config *config;

	memset(text, ' ', SOURCE_SIZE_MAX + 1);
	memcpy(text, "listeners = ( );", strlen("listeners = ( );"));
	cases_write_bytes("handlerd.conf", text, SOURCE_SIZE_MAX);
	config = cases_load(&report);
	ck_assert_ptr_nonnull(config);
	config_free(config);
	cases_write_bytes("handlerd.conf", text, SOURCE_SIZE_MAX + 1);
	ck_assert_ptr_null(cases_load(&report));
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_ptr_nonnull(strstr(report.entries[0].text, "larger than 256 KiB"));
	free(text);
	report_free(&report);
}
END_TEST

START_TEST(relative_path_works_and_is_shown_as_given)
{
	struct report report = {0};
	struct config *config;

	ck_assert_int_eq(chdir(cases_directory), 0);
	cases_write("handlerd.conf", "listeners = ( ); usr = 1;");
	cases_make_directory("listeners.d");
	cases_write("listeners.d/a.conf", "listeners = ( " CASES_LISTENER " );");
	ck_assert_ptr_null(cases_load_file("handlerd.conf", &report));
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_str_eq(report.entries[0].file, "handlerd.conf");
	report_free(&report);
	cases_write("handlerd.conf", "listeners = ( );");
	config = cases_load_file("./handlerd.conf", &report);
	ck_assert_ptr_nonnull(config);
	ck_assert_str_eq(config->files[1], "./listeners.d/a.conf");
	ck_assert_str_eq(config->listeners[0].origin.file, "./listeners.d/a.conf");
	config_free(config);
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

static void
write_part(const char *name, const char *listener, unsigned port)
{
	char *path = memory_format("listeners.d/%s", name);
	char *text = memory_format("listeners = ( { name = \"%s\"; address = \"127.0.0.1:%u\"; "
				   "handler = \"echo\"; } );",
				   listener, port);

	cases_write(path, text);
	free(path);
	free(text);
}

START_TEST(parts_are_read_in_c_order_after_the_main_file)
{
	struct config *config;

	cases_make_directory("listeners.d");
	write_part("b.conf", "b", 7012);
	write_part("B.conf", "B", 7013);
	write_part("a-1.conf", "a-1", 7014);
	write_part("10.conf", "ten", 7015);
	write_part("9.conf", "nine", 7016);
	write_part(".hidden.conf", "hidden", 7017);
	write_part("x.conf~", "backup", 7018);
	write_part("x.conf.dpkg-old", "old", 7019);
	write_part(".conf", "nameless", 7020);
	config = cases_accept("listeners = ( " CASES_LISTENER " );");
	ck_assert_uint_eq(config->listener_count, 6);
	ck_assert_str_eq(config->listeners[0].name, "a");
	ck_assert_str_eq(config->listeners[1].name, "ten");
	ck_assert_str_eq(config->listeners[2].name, "nine");
	ck_assert_str_eq(config->listeners[3].name, "B");
	ck_assert_str_eq(config->listeners[4].name, "a-1");
	ck_assert_str_eq(config->listeners[5].name, "b");
	ck_assert_uint_eq(config->file_count, 6);
	config_free(config);
}
END_TEST

START_TEST(part_may_hold_nothing_but_listeners)
{
	struct report report = {0};
	char *all;

	cases_make_directory("listeners.d");
	cases_write("listeners.d/a.conf", "listeners = ( );\nuser = \"x\";\ndefaults = { };\n");
	cases_write("listeners.d/b.conf", "");
	cases_write("listeners.d/c.conf", "listners = ( );");
	ck_assert_ptr_null(cases_load_text("listeners = ( );", &report));
	all = cases_text(&report);
	ck_assert_msg(report.errors == 4, "%s", all);
	ck_assert_ptr_nonnull(strstr(all, "a.conf:2: a file of listeners.d holds 'listeners' and "
					  "nothing else; put into the main file: 'user'"));
	ck_assert_ptr_nonnull(strstr(all, "a.conf:3:"));
	ck_assert_ptr_nonnull(strstr(all, "b.conf: has no 'listeners'"));
	ck_assert_ptr_nonnull(strstr(all, "did you mean 'listeners' by 'listners'?"));
	free(all);
	report_free(&report);
}
END_TEST

START_TEST(defaults_of_the_main_file_reach_the_parts)
{
	struct config *config;

	cases_make_directory("listeners.d");
	write_part("b.conf", "b", 7012);
	config = cases_accept("defaults = { backlog = 7; }; listeners = ( );");
	ck_assert_int_eq(config->listeners[0].backlog, 7);
	config_free(config);
}
END_TEST

START_TEST(file_that_cannot_be_parsed_does_not_hide_the_others)
{
	struct report report = {0};
	char *all;

	cases_make_directory("listeners.d");
	cases_write("listeners.d/1.conf", "listeners = ( { nam = \"x\"; } );");
	cases_write("listeners.d/2.conf", "listeners = ( { name = \"x\" ");
	cases_write("listeners.d/3.conf", "listeners = ( { name = \"y\"; backlog = -1; } );");
	ck_assert_ptr_null(
		cases_load_text("user = ;\nusr = 1; user = 2;\nlisteners = ( );", &report));
	all = cases_text(&report);
	/* main: 1; 1.conf: key, address, handler; 2.conf: 1; 3.conf: backlog, address, handler */
	ck_assert_msg(report.errors == 8, "%s", all);
	ck_assert_uint_eq(report.entries[0].line, 1);
	ck_assert_str_eq(report.entries[0].file, cases_main);
	ck_assert_ptr_nonnull(strstr(all, "2.conf:1: syntax error: the '{' that opens here"));
	free(all);
	report_free(&report);
}
END_TEST

START_TEST(part_that_is_no_file_is_refused_without_waiting)
{
	struct report report = {0};

	cases_make_directory("listeners.d");
	cases_make_directory("listeners.d/d.conf");
	ck_assert_int_eq(mkfifo(cases_path("listeners.d/f.conf"), 0644), 0);
	ck_assert_int_eq(symlink("nowhere", cases_path("listeners.d/s.conf")), 0);
	ck_assert_ptr_null(cases_load_text("listeners = ( );", &report));
	ck_assert_uint_eq(report.errors, 3);
	report_free(&report);
}
END_TEST

START_TEST(file_in_place_of_the_directory_is_refused)
{
	struct report report = {0};

	cases_write("listeners.d", "");
	ck_assert_ptr_null(cases_load_text("listeners = ( );", &report));
	ck_assert_uint_eq(report.errors, 1);
	report_free(&report);
}
END_TEST

START_TEST(root_reads_only_what_root_alone_can_write)
{
	struct report report = {0};
	struct config *config;
	unsigned expected = geteuid() == 0 ? 2 : 0;

	cases_make_directory("listeners.d");
	write_part("a.conf", "a", 7012);
	write_part("b.conf", "b", 7013);
	write_part("c.conf", "c", 7014);
	ck_assert_int_eq(chmod(cases_path("listeners.d/a.conf"), 0664), 0);
	ck_assert_int_eq(chmod(cases_path("listeners.d/b.conf"), 0646), 0);
	config = cases_load_text("listeners = ( );", &report);
	ck_assert_uint_eq(report.errors, expected);
	config_free(config);
	report_free(&report);

	ck_assert_int_eq(chmod(cases_path("listeners.d"), 0777), 0);
	config = cases_load(&report);
	ck_assert((config == NULL) == (geteuid() == 0));
	config_free(config);
	report_free(&report);

	ck_assert_int_eq(chmod(cases_main, 0666), 0);
	config = cases_load(&report);
	ck_assert((config == NULL) == (geteuid() == 0));
	config_free(config);
	report_free(&report);
}
END_TEST

START_TEST(file_behind_a_symbolic_link_is_read)
{
	struct config *config;

	cases_write("real", "listeners = ( );");
	ck_assert_int_eq(symlink("real", cases_main), 0);
	config = cases_load(&(struct report){0});
	ck_assert_ptr_nonnull(config);
	config_free(config);
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
	struct report report = {0};
	int before = dup(0), after;

	(void)close(before);
	cases_make_directory("listeners.d");
	cases_make_directory("listeners.d/d.conf");
	write_part("a.conf", "a", 7012);
	ck_assert_ptr_null(cases_load_text("listeners = ( );", &report));
	report_free(&report);
	after = dup(0);
	(void)close(after);
	ck_assert_int_eq(before, after);
}
END_TEST

START_TEST(each_error_comes_with_its_line_of_the_file)
{
	struct report report = {0};

	ck_assert_ptr_null(cases_load_text("listeners = (\r\n\t{ adress\t= 5; name = \"a\";\r\n"
					   "handler = \"x\"; }\r\n);\r\n",
					   &report));
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_uint_eq(report.entries[0].line, 2);
	ck_assert_str_eq(report.entries[0].source, " { adress = 5; name = \"a\";");
	report_free(&report);
}
END_TEST

START_TEST(long_line_is_shown_cut)
{
	struct report report = {0};
	char text[600];

	(void)snprintf(text, sizeof(text), "listeners = ( ); usr = 1; // %0500d", 0);
	ck_assert_ptr_null(cases_load_text(text, &report));
	ck_assert_uint_lt(strlen(report.entries[0].source), 250);
	ck_assert_ptr_nonnull(strstr(report.entries[0].source, "0 ..."));
	report_free(&report);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("read");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, file_cut_at_any_byte_is_refused_or_means_the_same);
	tcase_add_test(cases, part_cut_at_any_byte_is_refused_or_means_the_same);
	tcase_add_test(cases, main_file_without_listeners_is_refused);
	tcase_add_test(cases, mistyped_listeners_gives_one_error);
	tcase_add_test(cases, listeners_may_be_empty);
	tcase_add_test(cases, file_that_is_replaced_while_it_is_read_is_one_or_the_other);
	tcase_add_test(cases, missing_file_is_told_by_its_name);
	tcase_add_test(cases, directory_in_place_of_the_file_is_refused);
	tcase_add_test(cases, fifo_is_refused_without_waiting);
	tcase_add_test(cases, file_at_the_size_limit_is_read_and_one_byte_more_is_refused);
	tcase_add_test(cases, relative_path_works_and_is_shown_as_given);
	tcase_add_test(cases, parts_are_read_in_c_order_after_the_main_file);
	tcase_add_test(cases, part_may_hold_nothing_but_listeners);
	tcase_add_test(cases, defaults_of_the_main_file_reach_the_parts);
	tcase_add_test(cases, file_that_cannot_be_parsed_does_not_hide_the_others);
	tcase_add_test(cases, part_that_is_no_file_is_refused_without_waiting);
	tcase_add_test(cases, file_in_place_of_the_directory_is_refused);
	tcase_add_test(cases, root_reads_only_what_root_alone_can_write);
	tcase_add_test(cases, file_behind_a_symbolic_link_is_read);
	tcase_add_test(cases, no_descriptor_is_left_open);
	tcase_add_test(cases, each_error_comes_with_its_line_of_the_file);
	tcase_add_test(cases, long_line_is_shown_cut);
	return cases_run(cases, "conf_read");
}
