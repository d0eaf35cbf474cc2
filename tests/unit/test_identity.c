/*
 * test_identity.c - the drop: nothing of root is left, nothing brings it back, and what could not
 * be done ends the worker. Each drop is a process of its own; what it finds wrong is its status.
 */
#include "worker/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cpus.h"

#include "unit.h"

#define ORDINARY 65533
#define GROUP 65531

static gid_t groups[] = {GROUP, 65530};

static struct worker_settings
settings_for(bool is_dropped, uid_t uid)
{
	return (struct worker_settings){
		.has_identity = is_dropped,
		.uid = uid,
		.gid = GROUP,
		.groups = groups,
		.group_count = 2,
		.umask = 0077,
		.supervisor_pid = getpid(),
	};
}

/* The status of a child that runs `function`. */
static int
in_child(int (*function)(const struct worker_settings *), const struct worker_settings *settings)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(function(settings));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WIFEXITED(status), 1);
	return WEXITSTATUS(status);
}

/* Whether a line of /proc/self/status is "NAME:\tVALUE". */
static bool
status_is(const char *name, const char *value)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[512], expected[128];
	bool is_same = false;

	(void)snprintf(expected, sizeof(expected), "%s:\t%s", name, value);
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		is_same = is_same || strncmp(line, expected, strlen(expected)) == 0;
	if (file != NULL)
		(void)fclose(file);
	return is_same;
}

static int
drop_and_look(const struct worker_settings *settings)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
	struct identity_failure failure;
	int death = 0;

	if (identity_drop(settings, &failure) < 0)
		return 1;
	if (!status_is("Uid", "65533\t65533\t65533\t65533"))
		return 2;
	if (!status_is("Gid", "65531\t65531\t65531\t65531"))
		return 3;
	if (!status_is("Groups", "65530 65531") && !status_is("Groups", "65531 65530"))
		return 4;
	for (int i = 0; i < UNIT_COUNT(sets); i++) {
		if (!status_is(sets[i], "0000000000000000"))
			return 10 + i;
	}
	if (!status_is("NoNewPrivs", "1"))
		return 5;
	if (prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0) < 0 || death != SIGTERM)
		return 6;
	/* and back */
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 || setgroups(0, NULL) == 0)
		return 7;
	return prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0 ? 0 : 8;
}

START_TEST(nothing_of_root_is_left_and_nothing_brings_it_back)
{
	struct worker_settings settings = settings_for(true, ORDINARY);

	if (geteuid() == 0)
		ck_assert_int_eq(in_child(drop_and_look, &settings), 0);
}
END_TEST

static int
drop_without_groups(const struct worker_settings *settings)
{
	struct identity_failure failure;

	if (identity_drop(settings, &failure) < 0)
		return 1;
	return getgroups(0, NULL) == 0 ? 0 : 2;
}

START_TEST(no_groups_means_none)
{
	struct worker_settings settings = settings_for(true, ORDINARY);

	settings.groups = NULL;
	settings.group_count = 0;
	if (geteuid() == 0)
		ck_assert_int_eq(in_child(drop_without_groups, &settings), 0);
}
END_TEST

static int
drop_to_root(const struct worker_settings *settings)
{
	struct identity_failure failure;

	if (identity_drop(settings, &failure) < 0)
		return 1;
	if (geteuid() != 0 || !status_is("NoNewPrivs", "1"))
		return 2;
	/* it was asked for with its powers */
	return status_is("CapEff", "0000000000000000") ? 3 : 0;
}

START_TEST(root_that_was_asked_for_keeps_its_powers)
{
	struct worker_settings settings = settings_for(true, 0);

	settings.gid = 0;
	if (geteuid() == 0)
		ck_assert_int_eq(in_child(drop_to_root, &settings), 0);
}
END_TEST

static int
stay_ordinary(const struct worker_settings *settings)
{
	struct identity_failure failure;

	if (setgid(GROUP) < 0 || setuid(ORDINARY) < 0)
		return 9;
	if (identity_drop(settings, &failure) < 0)
		return 1;
	if (geteuid() != ORDINARY || !status_is("NoNewPrivs", "1"))
		return 2;
	return status_is("CapPrm", "0000000000000000") ? 0 : 3;
}

START_TEST(ordinary_user_stays_who_it_is)
{
	struct worker_settings settings = settings_for(false, 0);

	if (geteuid() == 0)
		ck_assert_int_eq(in_child(stay_ordinary, &settings), 0);
}
END_TEST

static int
try_as_ordinary(const struct worker_settings *settings)
{
	struct identity_failure failure;
	int r;

	if (setgid(GROUP) < 0 || setuid(ORDINARY) < 0)
		return 9;
	r = identity_drop(settings, &failure);
	if (r != -EPERM)
		return 1;
	return strcmp(failure.step, "set the supplementary groups") == 0 ? 0 : 2;
}

START_TEST(drop_that_is_not_allowed_fails_at_its_first_step)
{
	struct worker_settings settings = settings_for(true, 65000);

	if (geteuid() == 0)
		ck_assert_int_eq(in_child(try_as_ordinary, &settings), 0);
}
END_TEST

/* Whose keyrings are used up by this; another one for each, as they come back in a while. */
#define COLLECTOR 65529
#define MOST_KEYRINGS 100000

static long
keyctl(int operation, long first, const void *second, const void *third)
{
	return syscall(SYS_keyctl, operation, first, second, third, 0);
}

static bool
has_keys(void)
{
	return keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, (void *)1, NULL) >= 0;
}

static int
drop_with_a_key(const struct worker_settings *settings)
{
	struct identity_failure failure;

	if (keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, NULL, NULL) < 0 ||
	    syscall(SYS_add_key, "user", "secret", "x", 1, KEY_SPEC_SESSION_KEYRING) < 0)
		return 9;
	if (identity_drop(settings, &failure) < 0)
		return 1;
	if (keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "secret") >= 0)
		return 2;
	return errno == ENOKEY ? 0 : 3;
}

START_TEST(keys_of_the_session_are_left_behind)
{
	struct worker_settings dropped = settings_for(true, ORDINARY);
	struct worker_settings same = settings_for(false, 0);

	if (!has_keys())
		return;
	if (geteuid() == 0)
		ck_assert_int_eq(in_child(drop_with_a_key, &dropped), 0);
	else
		ck_assert_int_eq(in_child(drop_with_a_key, &same), 0);
}
END_TEST

static int
drop_without_room_for_keys(const struct worker_settings *settings)
{
	struct identity_failure failure;
	char name[32];
	int i = 0;

	if (setgid(GROUP) < 0 || setuid(COLLECTOR - settings->has_identity) < 0)
		return 9;
	/* the first one of a process is beyond its count */
	if (keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, NULL, NULL) < 0)
		return 7;
	do {
		(void)snprintf(name, sizeof(name), "one %d", i++);
	} while (i < MOST_KEYRINGS &&
		 syscall(SYS_add_key, "keyring", name, NULL, 0, KEY_SPEC_PROCESS_KEYRING) >= 0);
	if (i == MOST_KEYRINGS || errno != EDQUOT)
		return 8;
	if (!settings->has_identity)
		return identity_drop(settings, &failure) < 0;
	if (identity_drop(settings, &failure) != -EDQUOT)
		return 1;
	return strstr(failure.advice, "kernel.keys.maxkeys") != NULL ? 0 : 2;
}

START_TEST(keyring_that_cannot_be_had_is_missed_where_another_users_are_at_stake)
{
	struct worker_settings same = settings_for(false, 0);
	struct worker_settings other = settings_for(true, ORDINARY);

	if (geteuid() != 0 || !has_keys())
		return;
	ck_assert_int_eq(in_child(drop_without_room_for_keys, &same), 0);
	ck_assert_int_eq(in_child(drop_without_room_for_keys, &other), 0);
}
END_TEST

static int
drop_as_orphan(const struct worker_settings *settings)
{
	struct identity_failure failure;

	if (identity_drop(settings, &failure) != -ESRCH)
		return 1;
	return strcmp(failure.step, "die with the supervisor") == 0 ? 0 : 2;
}

START_TEST(worker_whose_supervisor_is_gone_does_not_begin)
{
	struct worker_settings settings = settings_for(geteuid() == 0, ORDINARY);

	settings.supervisor_pid = 1;
	ck_assert_int_eq(in_child(drop_as_orphan, &settings), 0);
}
END_TEST

/* Whether a file of /proc/self says this, with the end of the line. */
static bool
file_is(const char *path, const char *value)
{
	FILE *file = fopen(path, "re");
	char line[64] = "";
	bool is_same;

	if (file == NULL)
		return false;
	is_same = fgets(line, sizeof(line), file) != NULL && strcmp(line, value) == 0;
	(void)fclose(file);
	return is_same;
}

static int
drop_and_look_at_limits(const struct worker_settings *settings)
{
	struct identity_failure failure;
	struct rlimit limit;

	if (identity_drop(settings, &failure) < 0)
		return 1;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != 77 || limit.rlim_max != 77)
		return 2;
	if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur != 0 || limit.rlim_max != 0)
		return 3;
	/* SIGXCPU first, SIGKILL a second later */
	if (getrlimit(RLIMIT_CPU, &limit) < 0 || limit.rlim_cur != 5 || limit.rlim_max != 6)
		return 4;
	errno = 0;
	if (getpriority(PRIO_PROCESS, 0) != 7 || errno != 0)
		return 5;
	if (!status_is("Cpus_allowed_list", "0\n"))
		return 6;
	if (!file_is("/proc/self/oom_score_adj", "321\n"))
		return 7;
	return umask(0) == 0027 ? 0 : 8;
}

START_TEST(limits_priority_processors_oom_score_and_umask_are_taken)
{
	struct worker_rlimit limits[] = {{RLIMIT_NOFILE, 77}, {RLIMIT_CORE, 0}, {RLIMIT_CPU, 5}};
	struct worker_settings settings = settings_for(geteuid() == 0, ORDINARY);

	settings.rlimits = limits;
	settings.rlimit_count = UNIT_COUNT(limits);
	settings.has_nice = settings.has_oom_score = true;
	settings.nice = 7;
	settings.oom_score = 321;
	settings.cpus = (char *)(uintptr_t) "0";
	settings.umask = 0027;
	ck_assert_int_eq(in_child(drop_and_look_at_limits, &settings), 0);
}
END_TEST

/* The status is which step failed. */
static int
drop_as_ordinary(const struct worker_settings *settings)
{
	static const char *const steps[] = {"set rlimits.core to 64KiB", "set nice to -3",
					    "set oom_score_adj to -900",
					    "set cpu_affinity to 8191"};
	struct identity_failure failure;
	int r;

	if (geteuid() == 0 && setuid(ORDINARY) < 0)
		return 91;
	r = identity_drop(settings, &failure);
	if (r >= 0)
		return 92;
	/* each has its advice */
	if (strlen(failure.advice) == 0)
		return 93;
	for (int i = 0; i < UNIT_COUNT(steps); i++) {
		if (strcmp(failure.step, steps[i]) == 0)
			return i;
	}
	return 94;
}

START_TEST(limit_that_may_not_be_taken_is_named_with_advice)
{
	struct worker_rlimit limit = {RLIMIT_CORE, 65536};
	struct rlimit none = {0, 0};
	struct worker_settings settings = settings_for(false, 0);

	/* of this process, which has no other use for it */
	ck_assert_int_eq(setrlimit(RLIMIT_CORE, &none), 0);
	settings.rlimits = &limit;
	settings.rlimit_count = 1;
	ck_assert_int_eq(in_child(drop_as_ordinary, &settings), 0);
	settings.rlimit_count = 0;
	settings.has_nice = true;
	settings.nice = -3;
	ck_assert_int_eq(in_child(drop_as_ordinary, &settings), 1);
	settings.has_nice = false;
	settings.has_oom_score = true;
	settings.oom_score = -900;
	ck_assert_int_eq(in_child(drop_as_ordinary, &settings), 2);
	settings.has_oom_score = false;
	settings.cpus = (char *)(uintptr_t) "8191";
	ck_assert_int_eq(in_child(drop_as_ordinary, &settings), 3);
}
END_TEST

START_TEST(limit_of_open_files_is_raised_as_far_as_it_goes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_ge(limit.rlim_max, 1000);
	limit.rlim_cur = 100;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(identity_raise_files(10, 0), 10);
	ck_assert_uint_eq(identity_raise_files(300, 0), 300);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_ge(limit.rlim_cur, 300);
	/* what is not there cannot be raised: fewer connections */
	limit.rlim_cur = limit.rlim_max = 1000;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_lt(identity_raise_files(5000, 0), 1000);
	ck_assert_uint_gt(identity_raise_files(5000, 0), 900);
	limit.rlim_cur = limit.rlim_max = 20;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(identity_raise_files(5000, 0), 1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("identity");

	tcase_add_test(cases, nothing_of_root_is_left_and_nothing_brings_it_back);
	tcase_add_test(cases, no_groups_means_none);
	tcase_add_test(cases, root_that_was_asked_for_keeps_its_powers);
	tcase_add_test(cases, ordinary_user_stays_who_it_is);
	tcase_add_test(cases, drop_that_is_not_allowed_fails_at_its_first_step);
	tcase_add_test(cases, keys_of_the_session_are_left_behind);
	tcase_add_test(cases,
		       keyring_that_cannot_be_had_is_missed_where_another_users_are_at_stake);
	tcase_add_test(cases, worker_whose_supervisor_is_gone_does_not_begin);
	tcase_add_test(cases, limits_priority_processors_oom_score_and_umask_are_taken);
	tcase_add_test(cases, limit_that_may_not_be_taken_is_named_with_advice);
	tcase_add_test(cases, limit_of_open_files_is_raised_as_far_as_it_goes);
	return unit_run("identity", cases);
}
