/*
 * test_supervisor_control_path.c - where the control socket is.
 */
#include "supervisor/control_path.h"

#include "unit.h"

static struct cmdline cmdline;
static struct config *config;
static struct control_place place;

static void
prepare(void)
{
	unit_make_directory();
	config = config_new("/usr/lib/handlerd");
	cmdline = (struct cmdline){.file = "/etc/handlerd/handlerd.conf"};
	(void)unsetenv("HANDLERD_CONTROL");
	(void)unsetenv("RUNTIME_DIRECTORY");
	(void)unsetenv("XDG_RUNTIME_DIR");
}

static void
clean(void)
{
	control_place_free(&place);
	config_free(config);
	unit_remove_directory();
}

static const char *
find(void)
{
	control_place_free(&place);
	control_place_find(&cmdline, config, &place);
	return place.path;
}

START_TEST(each_that_is_given_goes_before_the_next)
{
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/run/user/5", 1), 0);
	if (geteuid() == 0)
		ck_assert_str_eq(find(), "/run/handlerd/control.sock");
	else
		ck_assert_str_eq(find(), "/run/user/5/handlerd/control.sock");
	ck_assert(!place.is_asked && place.needs_parent);

	ck_assert_int_eq(setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1), 0);
	ck_assert_str_eq(find(), "/run/a/control.sock");
	ck_assert(!place.is_asked && !place.needs_parent);

	ck_assert_int_eq(setenv("HANDLERD_CONTROL", "/run/c", 1), 0);
	ck_assert_str_eq(find(), "/run/c");
	ck_assert(place.is_asked && !place.is_written);

	config->control = strdup("/run/d");
	ck_assert_str_eq(find(), "/run/d");
	ck_assert(place.is_asked && place.is_written);

	cmdline.control = "/run/e";
	ck_assert_str_eq(find(), "/run/e");
	ck_assert(place.is_asked && !place.is_written);
}
END_TEST

START_TEST(empty_text_is_none_but_an_empty_variable_is_not_there)
{
	ck_assert_int_eq(setenv("RUNTIME_DIRECTORY", "/run/a", 1), 0);
	ck_assert_int_eq(setenv("HANDLERD_CONTROL", "", 1), 0);
	ck_assert_str_eq(find(), "/run/a/control.sock");
	config->control = strdup("");
	ck_assert_ptr_null(find());
	cmdline.control = "";
	ck_assert_ptr_null(find());
	cmdline.control = "/run/e";
	ck_assert_str_eq(find(), "/run/e");
}
END_TEST

START_TEST(without_a_file_only_the_command_line_counts)
{
	const char *listen = "tcp:*:1";

	cmdline.listen = &listen;
	cmdline.listen_count = 1;
	ck_assert_int_eq(setenv("HANDLERD_CONTROL", "/run/c", 1), 0);
	ck_assert_ptr_null(find());
	cmdline.control = "/run/e";
	ck_assert_str_eq(find(), "/run/e");
}
END_TEST

START_TEST(relative_path_of_the_command_line_begins_where_it_was_typed)
{
	char here[4096], expected[4200];

	ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
	(void)snprintf(expected, sizeof(expected), "%s/c.sock", here);
	cmdline.control = "c.sock";
	ck_assert_str_eq(find(), expected);
}
END_TEST

START_TEST(directory_of_a_default_is_made_with_its_mode_whatever_the_umask)
{
	struct control_place made = {
		.path = (char *)(uintptr_t)unit_path("deep/control.sock"),
		.needs_parent = true,
		.parent_mode = 0755,
	};
	struct stat st;

	(void)umask(0077);
	ck_assert_int_eq(control_place_make_parent(&made), 0);
	ck_assert_int_eq(stat(unit_path("deep"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	/* one that is there stays as it is */
	ck_assert_int_eq(chmod(unit_path("deep"), 0711), 0);
	ck_assert_int_eq(control_place_make_parent(&made), 0);
	ck_assert_int_eq(stat(unit_path("deep"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0711);
	made.path = (char *)(uintptr_t)unit_path("no/such/control.sock");
	ck_assert_int_eq(control_place_make_parent(&made), -ENOENT);
	made.needs_parent = false;
	ck_assert_int_eq(control_place_make_parent(&made), 0);
}
END_TEST

START_TEST(places_are_equal_by_their_paths)
{
	struct control_place a = {.path = (char *)(uintptr_t) "/a"}, b = a, none = {0};

	b.is_asked = true;
	ck_assert(control_place_equal(&a, &b));
	ck_assert(control_place_equal(&none, &none));
	ck_assert(!control_place_equal(&a, &none));
	b.path = (char *)(uintptr_t) "/b";
	ck_assert(!control_place_equal(&a, &b));
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("control_path");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, each_that_is_given_goes_before_the_next);
	tcase_add_test(cases, empty_text_is_none_but_an_empty_variable_is_not_there);
	tcase_add_test(cases, without_a_file_only_the_command_line_counts);
	tcase_add_test(cases, relative_path_of_the_command_line_begins_where_it_was_typed);
	tcase_add_test(cases, directory_of_a_default_is_made_with_its_mode_whatever_the_umask);
	tcase_add_test(cases, places_are_equal_by_their_paths);
	return unit_run("control_path", cases);
}
