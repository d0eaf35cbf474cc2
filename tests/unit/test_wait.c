/*
 * test_wait.c - a wait ends by what it waits for, by its timeout, or by hd_wake, and no sooner.
 */
#include "flow_cases.h"

#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"

static char buf[256];

static long
call_recv(void)
{
	return hd_recv(&req, buf, 10);
}

static long
call_poll(void)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	return hd_poll(&req, &row, 1, 3600 * 1000);
}

START_TEST(timeout_is_for_each_wait)
{
	int64_t began = clock_now_ns();

	ck_assert_int_eq(hd_set_timeout(&req, 20), 0);
	ck_assert_int_eq(hd_recv(&req, buf, 1), -ETIMEDOUT);
	ck_assert_int_ge(clock_now_ns() - began, 15 * CLOCK_NS_PER_MS);
	ck_assert_int_eq(hd_readline(&req, buf, 100), -ETIMEDOUT);
	client_send("x");
	ck_assert_int_eq(hd_recv(&req, buf, 1), 1);
	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	ck_assert_int_eq(hd_recv(&req, buf, 1), -ETIMEDOUT);
	ck_assert(request_is_reason(&req, -ETIMEDOUT));
}
END_TEST

START_TEST(timeout_can_be_taken_back)
{
	struct flow_call call;

	ck_assert_int_eq(hd_set_timeout(&req, 1), 0);
	ck_assert_int_eq(hd_recv(&req, buf, 1), -ETIMEDOUT);
	ck_assert_int_eq(hd_set_timeout(&req, -1), 0);
	flow_start_waiting(&call, call_recv);
	client_send("x");
	ck_assert_int_eq(flow_end_call(&call), 1);
}
END_TEST

START_TEST(timeout_does_not_reach_the_next_connection)
{
	struct flow_call call;

	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	flow_start_waiting(&call, call_recv);
	client_send("x");
	ck_assert_int_eq(flow_end_call(&call), 1);
}
END_TEST

START_TEST(sleep_lasts_and_flushes_first)
{
	int64_t began = clock_now_ns();

	ck_assert_int_eq(hd_printf(&req, "soon"), 0);
	ck_assert_int_eq(hd_sleep(&req, 15), 0);
	ck_assert_int_ge(clock_now_ns() - began, 15 * CLOCK_NS_PER_MS);
	client_expect("soon");
	ck_assert_int_eq(hd_sleep(&req, 0), 0);
}
END_TEST

START_TEST(wait_tells_the_events_of_a_descriptor)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_eq(hd_wait(&req, fd, POLLIN, 0), -ETIMEDOUT);
	ck_assert_int_eq(hd_wait(&req, fd, POLLIN, 5), -ETIMEDOUT);
	fd_raise_event(fd);
	ck_assert_int_eq(hd_wait(&req, fd, POLLIN, -1), POLLIN);
	ck_assert_int_eq(hd_wait(&req, fd, POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
	ck_assert_int_eq(hd_wait(&req, -1, POLLIN, 0), -EBADF);
	(void)close(fd);
	ck_assert_int_eq(hd_wait(&req, fd, POLLIN, 0), -EBADF);
}
END_TEST

START_TEST(poll_knows_the_client_and_its_buffers)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd rows[3] = {
		{.fd = HD_CLIENT, .events = POLLIN},
		{.fd = fd, .events = POLLIN},
		{.fd = -1, .events = POLLIN},
	};

	ck_assert_int_eq(hd_poll(&req, rows, 1, 0), 0);
	ck_assert_int_eq(rows[0].fd, HD_CLIENT);
	ck_assert_int_eq(hd_poll(&req, rows, 3, -1), 1);
	ck_assert_int_eq(rows[1].revents, POLLIN);
	ck_assert_int_eq(rows[0].revents, 0);
	client_send("line\nmore");
	ck_assert_int_eq(hd_poll(&req, rows, 1, -1), 1);
	ck_assert_int_eq(rows[0].revents, POLLIN);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 5);
	/* nothing is in the socket any more, but in the buffer */
	ck_assert_int_eq(hd_poll(&req, rows, 1, -1), 1);
	ck_assert_int_eq(rows[0].revents, POLLIN);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 4);
	ck_assert_int_eq(hd_poll(&req, rows, 1, 0), 0);
	ck_assert_int_eq(hd_poll(&req, NULL, 0, 0), 0);
	ck_assert_int_eq(hd_poll(&req, rows, 1025, 0), -EINVAL);
	rows[0].events = POLLOUT;
	ck_assert_int_eq(hd_poll(&req, rows, 1, -1), 1);
	ck_assert_int_eq(rows[0].revents, POLLOUT);
}
END_TEST

START_TEST(poll_of_many_rows_keeps_them_apart)
{
	static struct pollfd rows[1024];
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	for (int i = 0; i < 1024; i++)
		rows[i] = (struct pollfd){.fd = i % 2 == 0 ? fd : -1, .events = POLLIN};
	ck_assert_int_eq(hd_poll(&req, rows, 1024, -1), 512);
	for (int i = 0; i < 1024; i++)
		ck_assert_int_eq(rows[i].revents, i % 2 == 0 ? POLLIN : 0);
	(void)close(fd);
}
END_TEST

START_TEST(poll_leaves_the_descriptors_of_its_rows_alone)
{
	struct pollfd rows[2] = {
		{.fd = HD_CLIENT, .events = POLLIN},
		{.fd = hd_fd(&req), .events = POLLIN},
	};

	ck_assert_int_eq(hd_poll(&req, rows, 2, 0), 0);
	ck_assert_int_eq(rows[0].fd, HD_CLIENT);
	ck_assert_int_eq(rows[1].fd, hd_fd(&req));
}
END_TEST

START_TEST(wake_ends_the_current_or_the_next_poll_once)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	struct flow_call call;
	uint64_t id = hd_request_id(&req);

	/* before the first poll, before a later one, and during one */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(hd_wake(&server, id), 0);
		ck_assert_int_eq(hd_wake(&server, id), 0);
		ck_assert_int_eq(hd_poll(&req, &row, 1, -1), -EINTR);
		ck_assert_int_eq(hd_poll(&req, &row, 1, 0), 0);
	}
	flow_start_waiting(&call, call_poll);
	ck_assert_int_eq(hd_wake(&server, id), 0);
	ck_assert_int_eq(flow_end_call(&call), -EINTR);
	ck_assert_int_eq(hd_poll(&req, &row, 1, 0), 0);
}
END_TEST

START_TEST(wake_of_nobody_is_told)
{
	uint64_t id = hd_request_id(&req);

	ck_assert_int_eq(hd_wake(&server, 0), -ESRCH);
	ck_assert_int_eq(hd_wake(&server, id + 1), -ESRCH);
	ck_assert_int_eq(hd_wake(&server, UINT64_MAX), -ESRCH);
	request_close(&req);
	ck_assert_int_eq(hd_wake(&server, id), -ESRCH);
	flow_connect_unix();
	ck_assert_int_eq(hd_wake(&server, id), -ESRCH);
	ck_assert_int_eq(hd_wake(&server, hd_request_id(&req)), 0);
}
END_TEST

/* A wait of 30 ms that nothing ends: it must last, now and the next time. */
static void
expect_quiet_polls(void)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	for (int i = 0; i < 2; i++) {
		int64_t began = clock_now_ns();

		ck_assert_int_eq(hd_poll(&req, &row, 1, 30), 0);
		ck_assert_msg(clock_now_ns() - began >= 30 * CLOCK_NS_PER_MS,
			      "a poll of 30 ms with nothing to do took %lld us",
			      (long long)(clock_now_ns() - began) / 1000);
	}
}

START_TEST(wake_of_the_last_connection_does_not_reach_the_next)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	ck_assert_int_eq(hd_poll(&req, &row, 1, 0), 0);
	ck_assert_int_eq(hd_wake(&server, hd_request_id(&req)), 0);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	expect_quiet_polls();
}
END_TEST

static _Atomic bool is_over;

static void *
wake_again_and_again(void *argument)
{
	uint64_t id = *(uint64_t *)argument;

	while (!is_over)
		(void)hd_wake(&server, id);
	return NULL;
}

START_TEST(wakes_that_cross_a_poll_leave_nothing_behind)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	uint64_t id = hd_request_id(&req);
	pthread_t thread;

	for (int round = 0; round < 40; round++) {
		is_over = false;
		ck_assert_int_eq(pthread_create(&thread, NULL, wake_again_and_again, &id), 0);
		for (int i = 0; i < 1000; i++)
			(void)hd_poll(&req, &row, 1, 0);
		is_over = true;
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		while (hd_poll(&req, &row, 1, 0) == -EINTR)
			;
		row = (struct pollfd){.fd = req.wake_fd, .events = POLLIN};
		ck_assert_msg(poll(&row, 1, 0) == 0,
			      "nothing is to be told, but every poll will end at once");
		row = (struct pollfd){.fd = HD_CLIENT, .events = POLLIN};
	}
}
END_TEST

static void
run(void *argument)
{
	*(int *)argument = 42;
}

START_TEST(offload_has_run_when_it_returns)
{
	int answer = 0;

	ck_assert_int_eq(hd_printf(&req, "wait"), 0);
	ck_assert_int_eq(hd_offload(&req, run, &answer), 0);
	ck_assert_int_eq(answer, 42);
	client_expect("wait");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("wait");

	tcase_add_checked_fixture(cases, flow_setup, flow_teardown);
	tcase_add_test(cases, timeout_is_for_each_wait);
	tcase_add_test(cases, timeout_can_be_taken_back);
	tcase_add_test(cases, timeout_does_not_reach_the_next_connection);
	tcase_add_test(cases, sleep_lasts_and_flushes_first);
	tcase_add_test(cases, wait_tells_the_events_of_a_descriptor);
	tcase_add_test(cases, poll_knows_the_client_and_its_buffers);
	tcase_add_test(cases, poll_of_many_rows_keeps_them_apart);
	tcase_add_test(cases, poll_leaves_the_descriptors_of_its_rows_alone);
	tcase_add_test(cases, wake_ends_the_current_or_the_next_poll_once);
	tcase_add_test(cases, wake_of_nobody_is_told);
	tcase_add_test(cases, wake_of_the_last_connection_does_not_reach_the_next);
	tcase_add_test(cases, wakes_that_cross_a_poll_leave_nothing_behind);
	tcase_add_test(cases, offload_has_run_when_it_returns);
	return unit_run("wait", cases);
}
