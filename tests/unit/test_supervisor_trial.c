/*
 * test_supervisor_trial.c - a new version is asked before it is trusted; whatever it does, there is
 * one sentence about it, and nothing is left.
 */
#include "supervisor/trial.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/memory.h"
#include "unit.h"

static struct loop loop;
static struct trial trial;
static char *told_version, *told_why;
static int overs, state_fd;

static void
on_over(struct trial *over, const char *version, const char *why)
{
	ck_assert_ptr_eq(over, &trial);
	ck_assert_int_eq(over->pid, 0);
	free(told_version);
	free(told_why);
	told_version = memory_text(version);
	told_why = memory_text(why);
	overs++;
	loop_stop(&loop);
}

static void
setup(void)
{
	unit_make_directory();
	ck_assert_int_eq(loop_init(&loop), 0);
	state_fd = fd_sealed_memfd("state", "{}", 2);
	trial = (struct trial){.on_over = on_over};
	overs = 0;
}

static void
teardown(void)
{
	int status;

	trial_abandon(&trial);
	loop_close(&loop);
	(void)close(state_fd);
	free(told_version);
	free(told_why);
	told_version = told_why = NULL;
	ck_assert_int_eq(waitpid(-1, &status, 0), -1);
	unit_remove_directory();
}

static void
try(const char *path, int64_t timeout_ms)
{
	int program_fd = open(path, O_RDONLY | O_CLOEXEC), before;

	ck_assert_msg(program_fd >= 0, "%s", path);
	loop.is_stopped = false;
	before = unit_count_fds();
	ck_assert_int_eq(trial_start(&trial, &loop, program_fd, state_fd, timeout_ms), 0);
	ck_assert_int_eq(loop_run(&loop), 0);
	ck_assert_int_eq(overs, 1);
	ck_assert_int_eq(unit_count_fds(), before);
	ck_assert_ptr_null(loop.timers);
	(void)close(program_fd);
}

static const char *
program(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/tests/upgrade/%s", TEST_BUILD_DIR, name);
	return path;
}

START_TEST(program_that_passes_tells_its_version)
{
	try(program("passes"), 10000);
	ck_assert_ptr_null(told_why);
	ck_assert_str_eq(told_version, "9.9.9");
}
END_TEST

static const struct failure {
	const char *name, *why;
} failures[] = {
	{"silent", "it knows of no self-test; is it handlerd?"},
	{"crashes", "its self-test was killed by signal 6 (Aborted)"},
	{"refuses", "it understands no state of version 1"},
	{"/bin/false", "its self-test exited with status 1 and gave no reason"},
	{"/bin/true", "it knows of no self-test; is it handlerd?"},
};

START_TEST(program_that_fails_is_told_of_in_a_sentence)
{
	const struct failure *failure = &failures[_i];

	try(failure->name[0] == '/' ? failure->name : program(failure->name), 10000);
	ck_assert_ptr_null(told_version);
	ck_assert_str_eq(told_why, failure->why);
}
END_TEST

START_TEST(program_that_hangs_is_killed)
{
	try(program("hangs"), 50);
	ck_assert_str_eq(told_why, "its self-test did not end within 0 s");
	overs = 0;
	/* and one whose output nobody reads */
	try(program("floods"), 50);
	ck_assert_str_eq(told_why, "its self-test did not end within 0 s");
}
END_TEST

START_TEST(file_that_is_no_program_is_told_of)
{
	static const char script[] = "#!/bin/sh\necho 'self-test passed: handlerd 1'\n";
	const char *path = unit_path("text");

	unit_write_file(path, "hello\n", 6);
	try(path, 10000);
	ck_assert_str_eq(told_why, "it cannot be executed: Permission denied");
	ck_assert_int_eq(chmod(path, 0755), 0);
	overs = 0;
	try(path, 10000);
	ck_assert_str_eq(told_why, "it cannot be executed: it is no program for this machine");
	unit_write_file(path, script, sizeof(script) - 1);
	overs = 0;
	try(path, 10000);
	ck_assert_str_eq(told_why, "it cannot be executed: it is no program for this machine");
}
END_TEST

START_TEST(it_is_given_the_state_and_nothing_of_ours)
{
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", "/nowhere", 1), 0);
	try(program("lists"), 10000);
	ck_assert_int_eq(unsetenv("NOTIFY_SOCKET"), 0);
	ck_assert_str_eq(told_why, "0 1 2 3 ");
}
END_TEST

START_TEST(one_that_is_abandoned_reports_nothing)
{
	int program_fd = open(program("hangs"), O_RDONLY | O_CLOEXEC);
	int before = unit_count_fds();
	pid_t pid;

	ck_assert_int_eq(trial_start(&trial, &loop, program_fd, state_fd, 10000), 0);
	pid = trial.pid;
	trial_abandon(&trial);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(overs, 0);
	ck_assert_int_eq(unit_count_fds(), before);
	ck_assert_ptr_null(loop.timers);
	trial_abandon(&trial);
	(void)close(program_fd);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("trial");

	tcase_set_timeout(cases, 30);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, program_that_passes_tells_its_version);
	tcase_add_loop_test(cases, program_that_fails_is_told_of_in_a_sentence, 0,
			    UNIT_COUNT(failures));
	tcase_add_test(cases, program_that_hangs_is_killed);
	tcase_add_test(cases, file_that_is_no_program_is_told_of);
	tcase_add_test(cases, it_is_given_the_state_and_nothing_of_ours);
	tcase_add_test(cases, one_that_is_abandoned_reports_nothing);
	return unit_run("supervisor_trial", cases);
}
