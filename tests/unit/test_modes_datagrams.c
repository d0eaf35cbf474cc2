/*
 * test_modes_datagrams.c - datagrams through every mode: served, counted, drained, and none of them
 * in anybody's way.
 */
#include "mode_cases.h"

#include "concurrency/acceptor.h"
#include "concurrency/forked.h"

static int begun_fd, asker;

static int
handle_datagram(struct hd_request *req)
{
	char buf[64], text[32];
	ssize_t n = hd_recv(req, buf, sizeof(buf));

	/* what a client may ask for */
	if (n > 0 && buf[0] == 'X')
		raise(SIGKILL);
	if (n > 0 && buf[0] == 'T')
		pthread_exit(NULL);
	if (n > 0 && buf[0] == 'S')
		(void)shutdown(listener, SHUT_RDWR);
	if (n > 0 && buf[0] == 'P')
		return hd_sendall(req, text,
				  (size_t)snprintf(text, sizeof(text), "%d", (int)getpid()));
	if (n > 0 && buf[0] == 'D') {
		fd_raise_event(begun_fd);
		while (!hd_draining(req))
			(void)sched_yield();
	}
	return hd_sendall(req, buf, n > 0 ? (size_t)n : 0);
}

static void
prepare_datagrams(void)
{
	prepare_on(SOCK_DGRAM, INADDR_LOOPBACK);
	server.handler.handle = handle_datagram;
	begun_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static int
one_after_the_other(void)
{
	for (int i = 0; i < 50; i++) {
		int fd = call("127.0.0.1");
		char text[24];

		(void)snprintf(text, sizeof(text), "hello %d", i);
		if (!ask(fd, text) || !hears(fd, text))
			return 1;
		(void)close(fd);
	}
	return 0;
}

START_TEST(datagrams_one_after_the_other_are_answered_and_counted)
{
	serve(modes[_i], one_after_the_other, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(50, 0);
}
END_TEST

static int
many_at_once(void)
{
	int fds[4 * LIMIT];
	char text[24];

	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		fds[i] = call("127.0.0.1");
		(void)snprintf(text, sizeof(text), "%d", i);
		for (int k = 0; k < 3; k++) {
			if (!ask(fds[i], text))
				return 1;
		}
	}
	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		(void)snprintf(text, sizeof(text), "%d", i);
		for (int k = 0; k < 3; k++) {
			if (!hears(fds[i], text))
				return 2;
		}
	}
	return 0;
}

START_TEST(burst_of_many_clients_is_answered_each_to_its_own)
{
	serve(modes[_i], many_at_once, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(12 * LIMIT, 0);
}
END_TEST

static int
long_and_empty_ones(void)
{
	static const char zeros[65];
	int fd = call("127.0.0.1");
	char most[65] = {0};

	memset(most, 'm', sizeof(most) - 1);
	for (int i = 0; i < 20; i++) {
		if (send(fd, zeros, sizeof(zeros), 0) != sizeof(zeros) || !ask(fd, "") ||
		    !hears(fd, "") || !ask(fd, most) || !hears(fd, most))
			return 1;
	}
	return 0;
}

START_TEST(long_ones_are_counted_and_empty_ones_served)
{
	serve(modes[_i], long_and_empty_ones, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(40, 0);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).dropped[SCOREBOARD_TOO_LONG], 20);
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

START_TEST(once_serves_one_datagram_and_ends_by_itself)
{
	char left[8];

	asker = call("127.0.0.1");
	ck_assert(ask(asker, "one") && ask(asker, "two"));
	mode.is_once = true;
	serve(modes[_i], nobody, do_nothing);
	ck_assert(hears(asker, "one"));
	check_totals(1, 0);
	/* nobody has taken the second */
	ck_assert_int_eq(recv(listener, left, sizeof(left), MSG_DONTWAIT), 3);
}
END_TEST

static int
one_that_takes_long(void)
{
	struct pollfd row = {.fd = begun_fd, .events = POLLIN};

	return ask(asker, "Drain") && poll(&row, 1, 5000) == 1 ? 0 : 1;
}

START_TEST(datagram_that_is_served_while_draining_begins_is_answered)
{
	char back[8];

	if (is_deaf(_i))
		return;
	asker = call("127.0.0.1");
	serve(modes[_i], one_that_takes_long, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(1, 0);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).dropped[SCOREBOARD_UNSENT], 0);
	ck_assert_int_eq(recv(asker, back, sizeof(back), MSG_DONTWAIT), 5);
}
END_TEST

static int
some_that_kill(void)
{
	int fd = call("127.0.0.1");

	for (int i = 0; i < 3; i++) {
		if (!ask(fd, "X"))
			return 1;
	}
	return one_after_the_other();
}

START_TEST(killed_child_costs_its_own_datagram_only)
{
	serve(&concurrency_forking, some_that_kill, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(53, 3);
}
END_TEST

static int
some_that_end_their_thread(void)
{
	int fd = call("127.0.0.1");

	for (int i = 0; i < 2 * LIMIT; i++) {
		if (!ask(fd, "T"))
			return 1;
	}
	return one_after_the_other();
}

START_TEST(handler_that_ends_its_thread_costs_that_datagram_only)
{
	serve(_i == 0 ? &concurrency_threading : &concurrency_serial, some_that_end_their_thread,
	      drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(2 * LIMIT + 50, 0);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).failed, 2 * LIMIT);
}
END_TEST

static int
one_that_breaks_the_socket(void)
{
	return ask(call("127.0.0.1"), "Shut") ? 0 : 1;
}

START_TEST(socket_that_a_handler_shut_down_is_told)
{
	serve(modes[_i], one_that_breaks_the_socket, do_nothing);
	ck_assert_int_eq(clients_status, 0);
	ck_assert_int_ge(brokens, 1);
	check_totals(1, 0);
}
END_TEST

/* How many times in a row another child answers. */
static int
count_children(void)
{
	int fd = call("127.0.0.1"), count = 0, last = 0;

	for (int i = 0; i < 20; i++) {
		struct pollfd row = {.fd = fd, .events = POLLIN};
		char text[24] = "";

		if (!ask(fd, "P") || poll(&row, 1, 5000) != 1 ||
		    recv(fd, text, sizeof(text) - 1, 0) <= 0)
			return 99;
		count += atoi(text) != last;
		last = atoi(text);
	}
	return count;
}

START_TEST(child_serves_its_share_of_datagrams_and_no_more)
{
	static const struct {
		uint64_t share;
		int least, most;
	} shares[] = {{1, 20, 20}, {7, 3, 20}, {0, 1, 20}};
	int status;

	mode.connections_per_child = shares[_i].share;
	serve(&concurrency_forking, count_children, drain);
	ck_assert_int_ge(clients_status, shares[_i].least);
	ck_assert_int_le(clients_status, shares[_i].most);
	check_totals(20, 0);
	ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

static int
one_datagram(void)
{
	return ask(asker, "hello") && hears(asker, "hello") ? 0 : 1;
}

/* Whether this process's only child sleeps. */
static bool
is_child_asleep(void)
{
	char path[64], text[512] = "";
	int child = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	ck_assert_int_eq(fscanf(file, "%d", &child), 1);
	(void)fclose(file);
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", child);
	file = fopen(path, "re");
	ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, file), 0);
	(void)fclose(file);
	return strrchr(text, ')')[2] == 'S';
}

/* A datagram and the draining that begins come at the same moment. */
static void
ask_and_drain(void)
{
	while (!is_child_asleep())
		(void)sched_yield();
	atomic_store(&board->child_phase, FORKED_DRAIN);
	ck_assert(ask(asker, "again"));
	ck_assert(hears(asker, "again"));
	drain();
}

/* The wake-up was for this child alone: no other process is told of that datagram. */
START_TEST(child_that_was_woken_serves_though_draining_has_begun)
{
	asker = call("127.0.0.1");
	mode.limit = mode.spare_children = 1;
	mode.connections_per_child = 0;
	serve(&concurrency_forking, one_datagram, ask_and_drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(2, 0);
}
END_TEST

/* A wake-up that comes with the drain event is nobody else's. */
START_TEST(socket_that_is_ready_when_draining_begins_is_told)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct concurrency many = mode;
	struct acceptor acceptor;
	int fds[6];

	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		in.sin_port = 0;
		ck_assert_int_eq(bind(fds[i], (struct sockaddr *)&in, sizeof(in)), 0);
	}
	many.sockets = fds;
	many.socket_count = UNIT_COUNT(fds);
	many.is_open = true;
	ck_assert_int_eq(acceptor_open(&acceptor, &many), 0);
	ck_assert_uint_eq(acceptor_reach(&acceptor), 4);
	/* the event comes first */
	fd_raise_event(many.drain_fd);
	ck_assert_int_eq(getsockname(fds[4], (struct sockaddr *)&in, &(socklen_t){sizeof(in)}), 0);
	ck_assert_int_eq(sendto(fds[0], "x", 1, 0, (struct sockaddr *)&in, sizeof(in)), 1);
	ck_assert_int_eq(acceptor_wait(&acceptor, -1), -ECANCELED);
	ck_assert_uint_eq(acceptor.next, 4);
	server.is_draining = true;
	ck_assert_uint_eq(acceptor_reach(&acceptor), 6);
	acceptor_close(&acceptor);
	for (int i = 0; i < UNIT_COUNT(fds); i++)
		(void)close(fds[i]);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("modes_datagrams");

	/* a forked child closes the worker's channel by its number */
	while (open("/dev/null", O_RDONLY) <= WORKER_FD_SOCKETS)
		;
	tcase_set_timeout(cases, 20);
	tcase_add_checked_fixture(cases, prepare_datagrams, NULL);
	tcase_add_loop_test(cases, datagrams_one_after_the_other_are_answered_and_counted, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, burst_of_many_clients_is_answered_each_to_its_own, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, long_ones_are_counted_and_empty_ones_served, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, draining_without_a_client_ends_at_once, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, once_serves_one_datagram_and_ends_by_itself, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, datagram_that_is_served_while_draining_begins_is_answered, 0,
			    UNIT_COUNT(modes));
	tcase_add_test(cases, killed_child_costs_its_own_datagram_only);
	tcase_add_loop_test(cases, handler_that_ends_its_thread_costs_that_datagram_only, 0, 2);
	tcase_add_loop_test(cases, socket_that_a_handler_shut_down_is_told, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, child_serves_its_share_of_datagrams_and_no_more, 0, 3);
	tcase_add_test(cases, child_that_was_woken_serves_though_draining_has_begun);
	tcase_add_test(cases, socket_that_is_ready_when_draining_begins_is_told);
	return unit_run("modes_datagrams", cases);
}
