/*
 * test_supervisor_identities.c - who the workers become.
 */
#include "supervisor/identities.h"

#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>

#include "unit.h"

#define ORDINARY 65533 /* an account that does not exist */

static struct config *config;
static struct identities identities;

/* Of the top level, after look_up. */
#define TOP (identities.rows[0].identity)
static struct report report;

static void
prepare(void)
{
	config = config_new("/usr/lib/handlerd");
	config->user_origin = (struct conf_origin){.file = "a.conf", .line = 3};
	config->group_origin = (struct conf_origin){.file = "a.conf", .line = 4};
}

static void
clean(void)
{
	free(config->user);
	free(config->group);
	config->user = config->group = NULL;
	config_free(config);
	identities_free(&identities);
	report_free(&report);
}

static bool
look_up(const char *user, const char *group)
{
	config->user = user != NULL ? strdup(user) : NULL;
	config->group = group != NULL ? strdup(group) : NULL;
	return identities_look_up(config, &identities, &report);
}

static void
expect_error(unsigned line, const char *text)
{
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_str_eq(report.entries[0].file, "a.conf");
	ck_assert_uint_eq(report.entries[0].line, line);
	ck_assert_str_eq(report.entries[0].text, text);
}

START_TEST(root_becomes_the_user_asked_for)
{
	const struct passwd *nobody = getpwnam("nobody");

	if (geteuid() != 0 || nobody == NULL)
		return;
	ck_assert(look_up("nobody", NULL));
	ck_assert_uint_eq(report.count, 0);
	ck_assert(TOP.is_dropped);
	ck_assert_uint_eq(TOP.uid, nobody->pw_uid);
	ck_assert_uint_eq(TOP.gid, nobody->pw_gid);
	ck_assert_str_eq(TOP.user, "nobody");
	ck_assert_str_eq(TOP.home, nobody->pw_dir);
	/* its own group is among them, root's are not */
	ck_assert_uint_ge(TOP.group_count, 1);
	for (uint32_t i = 0; i < TOP.group_count; i++)
		ck_assert_uint_ne(TOP.groups[i], 0);
}
END_TEST

START_TEST(group_asked_for_replaces_the_users_own)
{
	const struct group *daemon = getgrnam("daemon");

	if (geteuid() != 0 || daemon == NULL || getpwnam("nobody") == NULL)
		return;
	ck_assert(look_up("nobody", "daemon"));
	ck_assert_uint_eq(TOP.gid, daemon->gr_gid);
}
END_TEST

START_TEST(unknown_names_are_told_with_their_place)
{
	if (geteuid() != 0)
		return;
	ck_assert(!look_up("no-such-user-here", NULL));
	expect_error(3, "there is no user 'no-such-user-here'");
	clean();
	prepare();
	ck_assert(!look_up("nobody", "no-such-group-here"));
	expect_error(4, "there is no group 'no-such-group-here'");
}
END_TEST

START_TEST(without_an_account_workers_are_nobody_and_that_is_told)
{
	if (geteuid() != 0 || getpwnam("handlerd") != NULL)
		return;
	ck_assert(look_up(NULL, NULL));
	ck_assert_uint_eq(report.errors, 0);
	ck_assert_uint_eq(report.count, 1);
	ck_assert_ptr_nonnull(strstr(report.entries[0].text, "workers run as 'nobody'"));
	ck_assert_str_eq(TOP.user, "nobody");
	ck_assert_uint_ne(TOP.uid, 0);
}
END_TEST

START_TEST(root_stays_root_only_where_it_is_written_and_with_a_warning)
{
	if (geteuid() != 0)
		return;
	ck_assert(look_up("root", NULL));
	ck_assert_uint_eq(TOP.uid, 0);
	ck_assert_uint_eq(report.count, 1);
	ck_assert(report.entries[0].is_warning);
	ck_assert_uint_eq(report.entries[0].line, 3);
}
END_TEST

/* In a grandchild that is another user; the status tells. */
static int
look_up_as(uid_t uid, gid_t gid, const char *user, const char *group)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		bool is_known;
		size_t errors;

		if (setgid(gid) < 0 || setuid(uid) < 0)
			_exit(9);
		errors = report.errors;
		is_known = look_up(user, group);
		if (is_known != (report.errors == errors))
			_exit(8);
		if (is_known && (TOP.is_dropped || TOP.uid != uid))
			_exit(7);
		_exit(is_known ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
look_up_as_ordinary(const char *user, const char *group)
{
	return look_up_as(ORDINARY, ORDINARY, user, group);
}

START_TEST(ordinary_user_can_only_be_itself)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(look_up_as_ordinary(NULL, NULL), 0);
	ck_assert_int_eq(look_up_as_ordinary("nobody", NULL), 1);
	ck_assert_int_eq(look_up_as_ordinary(NULL, "daemon"), 1);
	ck_assert_int_eq(look_up_as_ordinary("no-such-user-here", NULL), 1);
	ck_assert_int_eq(look_up_as_ordinary("root", NULL), 1);
}
END_TEST

static bool
look_up_control(const char *name, bool is_dropped, uid_t uid, gid_t gid)
{
	const struct group *daemon = getgrnam("daemon");
	gid_t more = daemon != NULL ? daemon->gr_gid : 0, found = (gid_t)-1;
	struct identity member = {
		.is_dropped = is_dropped,
		.uid = uid,
		.gid = gid,
		.groups = &more,
		.group_count = 1,
		.user = (char *)(uintptr_t) "somebody",
	};
	struct identities_row row = {.identity = member};
	struct identities workers = {.rows = &row, .count = 1};
	bool is_given, is_good;

	free(config->control_group);
	config->control_group = name != NULL ? strdup(name) : NULL;
	config->control_group_origin = (struct conf_origin){.file = "a.conf", .line = 5};
	is_good = identities_look_up_control(config, &workers, &is_given, &found, &report);
	ck_assert(is_given == (name != NULL));
	if (is_good && name != NULL)
		ck_assert_uint_eq(found, getgrnam(name)->gr_gid);
	return is_good;
}

START_TEST(group_that_may_look_is_none_of_the_workers)
{
	if (getgrnam("daemon") == NULL || getgrnam("adm") == NULL)
		return;
	ck_assert(look_up_control(NULL, true, 5, 5));
	ck_assert(look_up_control("adm", true, 5, 5));
	ck_assert_uint_eq(report.count, 0);
	ck_assert(!look_up_control("daemon", true, 5, 5));
	expect_error(5, "control_group: 'daemon' is a group of the workers (user 'somebody'): "
			"handlers could look at everybody's connections; take a group of its own");
	report_free(&report);
	ck_assert(!look_up_control("adm", true, 5, getgrnam("adm")->gr_gid));
	report_free(&report);
	ck_assert(!look_up_control("no-such-group-here", true, 5, 5));
	expect_error(5, "control_group: there is no group 'no-such-group-here'");
}
END_TEST

START_TEST(group_of_workers_that_may_do_everything_is_of_no_account)
{
	if (getgrnam("daemon") == NULL)
		return;
	ck_assert(look_up_control("daemon", false, 5, 5));
	ck_assert(look_up_control("daemon", true, 0, 0));
}
END_TEST

/* A listener of the configuration with these names of its own. */
static struct conf_listener *
add_listener(const char *name, const char *user, const char *group)
{
	struct conf_listener *listener = config_add_listener(config, name, "echo");

	listener->origin = (struct conf_origin){
		.file = "a.conf",
		.line = 100 + (unsigned)config->listener_count,
	};
	listener->user = user != NULL ? strdup(user) : NULL;
	listener->group = group != NULL ? strdup(group) : NULL;
	return listener;
}

START_TEST(each_listener_that_may_not_be_another_is_told)
{
	const struct passwd *nobody = getpwnam("nobody");
	int status;
	pid_t pid;

	if (geteuid() != 0 || nobody == NULL)
		return;
	(void)add_listener("a", "root", NULL);
	(void)add_listener("b", "root", NULL);
	conf_texts_add(&add_listener("c", NULL, NULL)->groups, "daemon");
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(nobody->pw_gid) < 0 ||
		    setuid(nobody->pw_uid) < 0)
			_exit(9);
		(void)look_up(NULL, NULL);
		_exit(report.errors == 3 && report.entries[0].line == 101 &&
				      report.entries[1].line == 102 && report.entries[2].line == 103
			      ? 0
			      : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(errors_from_before_are_not_this_look_ups)
{
	const struct passwd *nobody = getpwnam("nobody");

	report_error(&report, NULL, 0, "something else");
	ck_assert(look_up(geteuid() == 0 ? "nobody" : NULL, NULL));
	if (geteuid() != 0 || nobody == NULL)
		return;
	clean();
	prepare();
	report_error(&report, NULL, 0, "something else");
	ck_assert_int_eq(look_up_as(nobody->pw_uid, nobody->pw_gid, "nobody", NULL), 0);
}
END_TEST

/* Of a listener, after look_up. */
static const struct identity *
of(size_t index)
{
	return identities_find(&identities, config, &config->listeners[index]);
}

START_TEST(each_listener_is_who_it_says_or_who_the_top_level_says)
{
	const struct passwd *nobody = getpwnam("nobody");
	gid_t daemon_gid, nobody_gid;

	if (geteuid() != 0 || nobody == NULL || getgrnam("adm") == NULL)
		return;
	nobody_gid = nobody->pw_gid;
	if (getpwnam("daemon") == NULL)
		return;
	daemon_gid = getpwnam("daemon")->pw_gid;
	(void)add_listener("a", NULL, NULL);
	(void)add_listener("b", "daemon", NULL);
	(void)add_listener("c", NULL, "daemon");
	(void)add_listener("d", "nobody", NULL);
	ck_assert(look_up("nobody", "adm"));
	ck_assert_uint_eq(report.count, 0);
	ck_assert_str_eq(of(0)->user, "nobody");
	ck_assert_uint_eq(of(0)->gid, getgrnam("adm")->gr_gid);
	/* the top level's group goes with the top level's user */
	ck_assert_str_eq(of(1)->user, "daemon");
	ck_assert_uint_eq(of(1)->gid, daemon_gid);
	ck_assert_str_eq(of(2)->user, "nobody");
	ck_assert_uint_eq(of(2)->gid, daemon_gid);
	ck_assert_uint_eq(of(3)->gid, nobody_gid);
	ck_assert_uint_eq(identities.count, 4);
}
END_TEST

START_TEST(groups_are_those_of_the_list_each_once)
{
	struct conf_listener *listener;

	if (geteuid() != 0 || getgrnam("adm") == NULL || getgrnam("daemon") == NULL)
		return;
	listener = add_listener("a", "nobody", NULL);
	conf_texts_add(&listener->groups, "adm");
	conf_texts_add(&listener->groups, "daemon");
	conf_texts_add(&listener->groups, "adm");
	listener = add_listener("b", "nobody", NULL);
	listener->groups.items = malloc(1);
	ck_assert(look_up("nobody", NULL));
	ck_assert_uint_eq(of(0)->group_count, 2);
	ck_assert_uint_eq(of(0)->groups[0], getgrnam("adm")->gr_gid);
	ck_assert_uint_eq(of(0)->groups[1], getgrnam("daemon")->gr_gid);
	/* an empty list is none */
	ck_assert_uint_eq(of(1)->group_count, 0);
}
END_TEST

START_TEST(names_of_listeners_that_there_are_not_are_all_told)
{
	struct conf_listener *listener;

	if (geteuid() != 0)
		return;
	(void)add_listener("a", "no-such-user-here", NULL);
	(void)add_listener("b", "no-such-user-here", NULL);
	(void)add_listener("c", "nobody", "no-such-group-here");
	listener = add_listener("d", "nobody", NULL);
	conf_texts_add(&listener->groups, "nogroup");
	conf_texts_add(&listener->groups, "no-such-group-there");
	ck_assert(!look_up("nobody", NULL));
	ck_assert_uint_eq(report.errors, 4);
	ck_assert_str_eq(report.entries[0].text, "there is no user 'no-such-user-here'");
	ck_assert_uint_eq(report.entries[0].line, 101);
	ck_assert_uint_eq(report.entries[1].line, 102);
	ck_assert_str_eq(report.entries[2].text, "there is no group 'no-such-group-here'");
	ck_assert_str_eq(report.entries[3].text, "groups: there is no group 'no-such-group-there'");
}
END_TEST

START_TEST(each_listener_that_stays_root_is_warned_of)
{
	if (geteuid() != 0)
		return;
	(void)add_listener("a", "root", NULL);
	(void)add_listener("b", "root", NULL);
	(void)add_listener("c", NULL, NULL);
	ck_assert(look_up("nobody", NULL));
	ck_assert_uint_eq(report.count, 2);
	ck_assert_ptr_nonnull(strstr(report.entries[0].text, "listener 'a': workers run as root"));
	ck_assert_ptr_nonnull(strstr(report.entries[1].text, "listener 'b': workers run as root"));
	ck_assert_uint_eq(of(0)->uid, 0);
	ck_assert_uint_ne(of(2)->uid, 0);
}
END_TEST

START_TEST(default_account_that_nobody_takes_is_of_no_account)
{
	if (geteuid() != 0)
		return;
	(void)add_listener("a", "nobody", NULL);
	ck_assert(look_up(NULL, NULL));
	ck_assert_uint_eq(report.count, 0);
	ck_assert_uint_eq(identities.count, 1);
}
END_TEST

START_TEST(group_of_one_listeners_workers_may_not_look)
{
	struct conf_listener *listener;
	bool is_given;
	gid_t gid;

	if (geteuid() != 0 || getgrnam("adm") == NULL)
		return;
	(void)add_listener("a", NULL, NULL);
	listener = add_listener("b", "nobody", NULL);
	conf_texts_add(&listener->groups, "adm");
	ck_assert(look_up("nobody", NULL));
	config->control_group = strdup("adm");
	config->control_group_origin = (struct conf_origin){.file = "a.conf", .line = 5};
	ck_assert(!identities_look_up_control(config, &identities, &is_given, &gid, &report));
	expect_error(5,
		     "control_group: 'adm' is a group of the workers of listener 'b' (user "
		     "'nobody'): handlers could look at everybody's connections; take a group of "
		     "its own");
}
END_TEST

START_TEST(nothing_is_left_behind)
{
	int before = unit_count_fds(), status;

	for (int i = 0; i < 3; i++) {
		(void)look_up(geteuid() == 0 ? "nobody" : NULL, NULL);
		clean();
		prepare();
	}
	ck_assert_int_eq(unit_count_fds(), before);
	ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("identities");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, root_becomes_the_user_asked_for);
	tcase_add_test(cases, group_asked_for_replaces_the_users_own);
	tcase_add_test(cases, unknown_names_are_told_with_their_place);
	tcase_add_test(cases, without_an_account_workers_are_nobody_and_that_is_told);
	tcase_add_test(cases, root_stays_root_only_where_it_is_written_and_with_a_warning);
	tcase_add_test(cases, ordinary_user_can_only_be_itself);
	tcase_add_test(cases, group_that_may_look_is_none_of_the_workers);
	tcase_add_test(cases, group_of_workers_that_may_do_everything_is_of_no_account);
	tcase_add_test(cases, errors_from_before_are_not_this_look_ups);
	tcase_add_test(cases, each_listener_is_who_it_says_or_who_the_top_level_says);
	tcase_add_test(cases, groups_are_those_of_the_list_each_once);
	tcase_add_test(cases, names_of_listeners_that_there_are_not_are_all_told);
	tcase_add_test(cases, each_listener_that_stays_root_is_warned_of);
	tcase_add_test(cases, default_account_that_nobody_takes_is_of_no_account);
	tcase_add_test(cases, group_of_one_listeners_workers_may_not_look);
	tcase_add_test(cases, each_listener_that_may_not_be_another_is_told);
	tcase_add_test(cases, nothing_is_left_behind);
	return unit_run("supervisor_identities", cases);
}
