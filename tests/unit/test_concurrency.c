/*
 * test_concurrency.c - the same connections through every mode: served, bounded, drained, and
 * counted.
 */
#include "mode_cases.h"

static int
one_after_the_other(void)
{
	for (int i = 0; i < 50; i++) {
		int fd = dial();

		if (fd < 0 || !says(fd, "hello") || !says(fd, "again"))
			return 1;
		(void)shutdown(fd, SHUT_WR);
		if (!is_over(fd))
			return 2;
		(void)close(fd);
	}
	return 0;
}

START_TEST(clients_one_after_the_other_are_served_and_counted)
{
	serve(modes[_i], one_after_the_other, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(50, 0);
}
END_TEST

static int
many_at_once(void)
{
	int fds[3 * LIMIT];

	for (int i = 0; i < UNIT_COUNT(fds); i++)
		fds[i] = dial();
	/* each is served when one before it has ended, and there are never more than the limit */
	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		if (!says(fds[i], "hello"))
			return 1;
		if (scoreboard_count_open(board, LIMIT) > LIMIT)
			return 2;
		(void)close(fds[i]);
	}
	return 0;
}

START_TEST(clients_above_the_limit_wait_their_turn)
{
	serve(modes[_i], many_at_once, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3 * LIMIT, 0);
}
END_TEST

static int
stay_idle(void)
{
	int fd = dial();

	/* the parent drains as soon as this process is gone, its copy stays in another */
	if (fd < 0 || !says(fd, "hello"))
		return 1;
	if (fork() == 0)
		_exit(is_over(fd) ? 0 : 1);
	return 0;
}

START_TEST(idle_connection_ends_when_draining_begins)
{
	if (is_deaf(_i))
		return;
	serve(modes[_i], stay_idle, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(1, 0);
}
END_TEST

static int
stay_busy(void)
{
	int fd = dial();

	if (fd < 0 || !says(fd, "Busy"))
		return 1;
	if (fork() == 0)
		_exit(is_over(fd) ? 0 : 1);
	return 0;
}

static void
drain_and_cancel(void)
{
	drain();
	/* what is in the middle of something goes on until the deadline */
	ck_assert_int_eq(empties, 0);
	server_cancel_requests(&server);
	concurrency_cancel(&mode);
}

START_TEST(busy_connection_ends_at_the_deadline)
{
	if (is_deaf(_i))
		return;
	serve(modes[_i], stay_busy, drain_and_cancel);
	ck_assert_int_eq(clients_status, 0);
	check_totals(1, 0);
}
END_TEST

static int
nobody(void)
{
	return 0;
}

START_TEST(draining_without_a_client_ends_at_once)
{
	serve(modes[_i], nobody, drain);
	check_totals(0, 0);
}
END_TEST

static int
one_and_another(void)
{
	int first = dial(), second = dial();

	if (!says(first, "hello"))
		return 1;
	(void)close(first);
	/* the second is never accepted */
	return second >= 0 ? 0 : 2;
}

START_TEST(once_serves_one_connection_and_ends_by_itself)
{
	mode.is_once = true;
	serve(modes[_i], one_and_another, do_nothing);
	check_totals(1, 0);
}
END_TEST

static int
one_that_kills(void)
{
	int victim = dial(), killer = dial();

	if (!says(victim, "hello"))
		return 1;
	if (send(killer, "X", 1, MSG_NOSIGNAL) != 1 || !is_over(killer))
		return 2;
	/* nobody else is affected */
	return says(victim, "still here") && one_after_the_other() == 0 ? 0 : 3;
}

START_TEST(killed_child_costs_its_own_connection_only)
{
	serve(&concurrency_forking, one_that_kills, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(52, 1);
}
END_TEST

static int
some_that_end_their_thread(void)
{
	for (int i = 0; i < 2 * LIMIT; i++) {
		int fd = dial();

		if (send(fd, "T", 1, MSG_NOSIGNAL) != 1 || !is_over(fd))
			return 1;
		(void)close(fd);
	}
	return one_after_the_other();
}

START_TEST(handler_that_ends_its_thread_costs_that_connection_only)
{
	serve(_i == 0 ? &concurrency_threading : &concurrency_serial, some_that_end_their_thread,
	      drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(2 * LIMIT + 50, 0);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).failed, 2 * LIMIT);
}
END_TEST

static int
one_that_breaks_the_listener(void)
{
	int fd = dial();

	return fd >= 0 && says(fd, "Shut") ? 0 : 1;
}

START_TEST(listening_socket_that_a_handler_shut_down_is_told_and_spins_nowhere)
{
	struct rusage usage;

	serve(modes[_i], one_that_breaks_the_listener, do_nothing);
	ck_assert_int_eq(clients_status, 0);
	ck_assert_int_ge(brokens, 1);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
	ck_assert_int_lt(usage.ru_utime.tv_sec, 1);
	check_totals(1, 0);
}
END_TEST

static int
count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	int count = 0;

	while ((entry = readdir(tasks)) != NULL)
		count += entry->d_name[0] != '.';
	(void)closedir(tasks);
	return count;
}

static void
drain_after_idle_threads_have_left(void)
{
	/* this one and the two that stay; TSan has two of its own */
	while (count_threads() > 3 + 2 * UNIT_IS_TSAN)
		(void)sched_yield();
	drain();
}

START_TEST(threads_of_a_crowd_leave_when_it_is_over)
{
	mode.idle_timeout_ns = 5 * CLOCK_NS_PER_MS;
	serve(&concurrency_threading, many_at_once, drain_after_idle_threads_have_left);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3 * LIMIT, 0);
}
END_TEST

START_TEST(children_are_all_reaped)
{
	int status;

	mode.connections_per_child = 7;
	serve(&concurrency_forking, one_after_the_other, drain);
	check_totals(50, 0);
	ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

static int actions;

static void
on_service(struct hd_server *which)
{
	ck_assert_ptr_eq(which, &server);
	actions++;
}

START_TEST(service_actions_run_in_the_control_flow)
{
	server.handler.descriptor.service_actions = on_service;
	mode.ops = modes[_i];
	server.waiter = mode.ops->waiter;
	ck_assert_int_eq(mode.ops->prepare(&mode), 0);
	mode.ops->service(&mode);
	ck_assert_int_eq(actions, 1);
	concurrency_accept(&mode);
	drain();
	ck_assert_int_eq(loop_run(&loop), 0);
}
END_TEST

START_TEST(stop_leaves_no_child_behind)
{
	int status;

	mode.ops = &concurrency_forking;
	server.waiter = mode.ops->waiter;
	/* also before anything was prepared */
	concurrency_stop(&mode);
	ck_assert_int_eq(mode.ops->prepare(&mode), 0);
	concurrency_stop(&mode);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_gt(waitpid(-1, &status, 0), 0);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	ck_assert_int_eq(waitpid(-1, &status, 0), -1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("concurrency");

	/* a forked child closes the worker's channel by its number */
	while (open("/dev/null", O_RDONLY) <= WORKER_FD_SOCKETS)
		;
	tcase_set_timeout(cases, 10);
	tcase_add_checked_fixture(cases, prepare, NULL);
	tcase_add_loop_test(cases, clients_one_after_the_other_are_served_and_counted, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, clients_above_the_limit_wait_their_turn, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, idle_connection_ends_when_draining_begins, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, busy_connection_ends_at_the_deadline, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, draining_without_a_client_ends_at_once, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, once_serves_one_connection_and_ends_by_itself, 0,
			    UNIT_COUNT(modes));
	tcase_add_test(cases, killed_child_costs_its_own_connection_only);
	tcase_add_loop_test(cases, handler_that_ends_its_thread_costs_that_connection_only, 0, 2);
	tcase_add_loop_test(cases,
			    listening_socket_that_a_handler_shut_down_is_told_and_spins_nowhere, 0,
			    UNIT_COUNT(modes));
	tcase_add_test(cases, threads_of_a_crowd_leave_when_it_is_over);
	tcase_add_test(cases, children_are_all_reaped);
	tcase_add_loop_test(cases, service_actions_run_in_the_control_flow, 0, UNIT_COUNT(modes));
	tcase_add_test(cases, stop_leaves_no_child_behind);
	return unit_run("concurrency", cases);
}
