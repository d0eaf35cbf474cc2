/*
 * test_ctl_control_path.c - which socket is taken for the daemon's.
 */
#include "handlerctl/control_path.h"

#include "unit.h"

static struct control_path_clues
clues_of_nothing(void)
{
	return (struct control_path_clues){.usual = unit_path("control.sock")};
}

static void
assert_chooses(const struct control_path_clues *clues, const char *path, const char *missing)
{
	struct control_path chosen;

	control_path_choose(clues, &chosen);
	ck_assert_str_eq(chosen.path, path);
	if (missing == NULL)
		ck_assert_ptr_null(chosen.missing);
	else
		ck_assert_str_eq(chosen.missing, missing);
	control_path_free(&chosen);
}

START_TEST(the_option_comes_first)
{
	struct control_path_clues clues = clues_of_nothing();

	clues.option = "option.sock";
	clues.variable = "/variable.sock";
	clues.runtime_directory = "/run/directory";
	clues.user_directory = "/run/user/1";
	assert_chooses(&clues, "option.sock", NULL);
}
END_TEST

START_TEST(then_the_variable)
{
	struct control_path_clues clues = clues_of_nothing();

	clues.variable = "/variable.sock";
	clues.runtime_directory = "/run/directory";
	clues.user_directory = "/run/user/1";
	assert_chooses(&clues, "/variable.sock", NULL);
}
END_TEST

START_TEST(then_the_first_directory_of_systemd)
{
	struct control_path_clues clues = clues_of_nothing();

	clues.variable = "";
	clues.runtime_directory = "/run/one:/run/two";
	clues.user_directory = "/run/user/1";
	assert_chooses(&clues, "/run/one/control.sock", NULL);
	clues.runtime_directory = "/run/one";
	assert_chooses(&clues, "/run/one/control.sock", NULL);
}
END_TEST

START_TEST(then_the_usual_one_if_it_is_there)
{
	struct control_path_clues clues = clues_of_nothing();

	unit_write_file(clues.usual, "", 0);
	clues.runtime_directory = "";
	clues.user_directory = "/run/user/1";
	assert_chooses(&clues, clues.usual, NULL);
}
END_TEST

START_TEST(then_the_users_own)
{
	struct control_path_clues clues = clues_of_nothing();

	clues.user_directory = "/run/user/1";
	assert_chooses(&clues, "/run/user/1/handlerd/control.sock", clues.usual);
}
END_TEST

START_TEST(without_a_directory_of_the_user_it_is_the_usual_one)
{
	struct control_path_clues clues = clues_of_nothing();

	assert_chooses(&clues, clues.usual, NULL);
	clues.user_directory = "";
	assert_chooses(&clues, clues.usual, NULL);
}
END_TEST

START_TEST(root_has_no_daemon_of_its_own)
{
	struct control_path_clues clues = clues_of_nothing();

	clues.user_directory = "/run/user/0";
	clues.is_root = true;
	assert_chooses(&clues, clues.usual, NULL);
}
END_TEST

START_TEST(the_environment_is_asked)
{
	struct control_path_clues clues;

	(void)setenv("HANDLERD_CONTROL", "a", 1);
	(void)setenv("RUNTIME_DIRECTORY", "b", 1);
	(void)setenv("XDG_RUNTIME_DIR", "c", 1);
	control_path_gather(&clues, "d");
	ck_assert_str_eq(clues.variable, "a");
	ck_assert_str_eq(clues.runtime_directory, "b");
	ck_assert_str_eq(clues.user_directory, "c");
	ck_assert_str_eq(clues.option, "d");
	ck_assert_str_eq(clues.usual, "/run/handlerd/control.sock");
	ck_assert_int_eq(clues.is_root, geteuid() == 0);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("control_path");

	tcase_add_checked_fixture(cases, unit_make_directory, unit_remove_directory);
	tcase_add_test(cases, the_option_comes_first);
	tcase_add_test(cases, then_the_variable);
	tcase_add_test(cases, then_the_first_directory_of_systemd);
	tcase_add_test(cases, then_the_usual_one_if_it_is_there);
	tcase_add_test(cases, then_the_users_own);
	tcase_add_test(cases, without_a_directory_of_the_user_it_is_the_usual_one);
	tcase_add_test(cases, root_has_no_daemon_of_its_own);
	tcase_add_test(cases, the_environment_is_asked);
	return unit_run("ctl_control_path", cases);
}
