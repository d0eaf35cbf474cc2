/*
 * test_sessions.c - UDP peers, each with a request of its own: told apart, bounded, begun again,
 * drained.
 */
#include "mode_cases.h"

static int gate_fd, begun_fd;

/* Numbers what it reads: so it shows which datagrams were of one session. */
static int
handle_peer(struct hd_request *req)
{
	char buf[64];
	int count = 0;
	ssize_t n;

	while ((n = hd_recv(req, buf, sizeof(buf))) > 0) {
		/* what a client may ask for */
		if (buf[0] == 'G') {
			fd_raise_event(begun_fd);
			(void)hd_wait(req, gate_fd, POLLIN, -1);
		}
		if (buf[0] == 'T')
			pthread_exit(NULL);
		(void)hd_printf(req, "%d:%.*s", ++count, (int)n, buf);
		(void)hd_flush(req);
		if (buf[0] == 'E' || buf[0] == 'G')
			return 0;
	}
	if (n == -ECANCELED)
		(void)hd_sendall(req, "bye", 3);
	return (int)n;
}

static void
prepare_sessions(void)
{
	prepare_on(SOCK_DGRAM, INADDR_ANY);
	server.handler.handle = handle_peer;
	mode.session_timeout_ns = 60 * CLOCK_NS_PER_S;
	gate_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	begun_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static uint64_t
count_drops(enum scoreboard_drop reason)
{
	return scoreboard_sum(board, LIMIT).dropped[reason];
}

static int
two_peers(void)
{
	int a = call("127.0.0.1"), b = call("127.0.0.1");

	if (!ask(a, "a") || !hears(a, "1:a") || !ask(b, "b") || !hears(b, "1:b"))
		return 1;
	return ask(a, "c") && ask(a, "d") && ask(b, "e") && hears(a, "2:c") && hears(a, "3:d") &&
			       hears(b, "2:e")
		       ? 0
		       : 2;
}

START_TEST(each_peer_has_its_own_session)
{
	serve(&concurrency_threading, two_peers, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(2, 0);
}
END_TEST

/* From one port to two addresses of this machine, which it takes answers from. */
static int
one_peer_and_two_addresses(void)
{
	struct sockaddr_in own = {0}, in = {.sin_family = AF_INET, .sin_port = port};
	static const char *const hosts[] = {"127.0.0.2", "127.0.0.3"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (int i = 0; i < 4; i++) {
		socklen_t length = sizeof(own);
		char back[8];

		(void)inet_pton(AF_INET, hosts[i % 2], &in.sin_addr);
		if (sendto(fd, "x", 1, 0, (struct sockaddr *)&in, sizeof(in)) != 1 ||
		    recvfrom(fd, back, sizeof(back), 0, (struct sockaddr *)&own, &length) != 3 ||
		    back[0] != '1' + i / 2 || own.sin_addr.s_addr != in.sin_addr.s_addr)
			return 1 + i;
	}
	return 0;
}

START_TEST(peer_of_two_addresses_has_two_sessions)
{
	serve(&concurrency_threading, one_peer_and_two_addresses, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(2, 0);
}
END_TEST

/* The handler returns while there is mail: it is the next session's. */
static int
more_than_was_read(void)
{
	struct pollfd row = {.fd = begun_fd, .events = POLLIN};
	int fd = call("127.0.0.1"), other = call("127.0.0.1");

	if (!ask(fd, "Go") || poll(&row, 1, 5000) != 1 || !ask(fd, "a") || !ask(fd, "b"))
		return 1;
	/* one thread receives for all: when this one is answered, the others have arrived */
	if (!ask(other, "End") || !hears(other, "1:End"))
		return 2;
	fd_raise_event(gate_fd);
	return hears(fd, "1:Go") && hears(fd, "1:a") && hears(fd, "2:b") ? 0 : 3;
}

START_TEST(mail_that_was_not_read_begins_another_session)
{
	serve(&concurrency_threading, more_than_was_read, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3, 0);
}
END_TEST

static int
many_peers(void)
{
	int fds[3 * LIMIT];

	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		fds[i] = call("127.0.0.1");
		if (!ask(fds[i], "a") || !ask(fds[i], "b") || !ask(fds[i], "End"))
			return 1;
	}
	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		if (!hears(fds[i], "1:a") || !hears(fds[i], "2:b") || !hears(fds[i], "3:End"))
			return 2;
	}
	return 0;
}

/* Answers without reading. */
static int
handle_unread(struct hd_request *req)
{
	return hd_sendall(req, "no", 2);
}

static int
refuse(struct hd_request *req)
{
	(void)req;
	return -EACCES;
}

static int
three_for_nothing(void)
{
	int fd = call("127.0.0.1");

	return ask(fd, "a") && hears(fd, "no") && ask(fd, "b") && hears(fd, "no") && ask(fd, "c") &&
			       hears(fd, "no")
		       ? 0
		       : 1;
}

START_TEST(session_that_reads_nothing_begins_once_for_each_datagram)
{
	server.handler.handle = handle_unread;
	serve(&concurrency_threading, three_for_nothing, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3, 0);
	ck_assert_uint_eq(count_drops(SCOREBOARD_UNREAD), 3);
}
END_TEST

static int
three_refused(void)
{
	int fd = call("127.0.0.1");

	for (int i = 0; i < 3; i++) {
		if (!ask(fd, "a"))
			return 1;
		while (count_drops(SCOREBOARD_UNREAD) <= (uint64_t)i)
			(void)sched_yield();
	}
	return 0;
}

START_TEST(peer_that_is_refused_is_refused_once_for_each_datagram)
{
	server.handler.descriptor.verify = refuse;
	serve(&concurrency_threading, three_refused, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3, 0);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).refused, 3);
}
END_TEST

static const struct concurrency_ops *const pools[] = {&concurrency_threading, &concurrency_serial};

START_TEST(peers_above_the_number_of_threads_wait_their_turn)
{
	serve(pools[_i], many_peers, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3 * LIMIT, 0);
}
END_TEST

static int
silent_peers(void)
{
	int fds[2 * LIMIT];

	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		fds[i] = call("127.0.0.1");
		if (!ask(fds[i], "a"))
			return 1;
	}
	for (int i = 0; i < UNIT_COUNT(fds); i++) {
		if (!hears(fds[i], "1:a"))
			return 2;
	}
	return 0;
}

START_TEST(session_that_times_out_makes_room)
{
	mode.session_timeout_ns = 10 * CLOCK_NS_PER_MS;
	serve(pools[_i], silent_peers, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(2 * LIMIT, 0);
}
END_TEST

static int
too_many_peers(void)
{
	int a = call("127.0.0.1"), b = call("127.0.0.1"), c = call("127.0.0.1");

	if (!ask(a, "a") || !hears(a, "1:a") || !ask(b, "b") || !hears(b, "1:b"))
		return 1;
	/* the answer to the second shows that the first was looked at */
	if (!ask(c, "c") || !ask(a, "d") || !hears(a, "2:d"))
		return 2;
	if (scoreboard_sum(board, LIMIT).dropped[SCOREBOARD_SESSIONS_FULL] != 1)
		return 3;
	if (!ask(a, "End") || !hears(a, "3:End"))
		return 4;
	/* it is over once it is counted, or a moment later */
	while (scoreboard_count_open(board, LIMIT) > 1)
		(void)sched_yield();
	for (;;) {
		struct pollfd row = {.fd = c, .events = POLLIN};

		if (!ask(c, "x"))
			return 5;
		if (poll(&row, 1, 10) == 1)
			return 0;
	}
}

START_TEST(peer_above_max_sessions_is_dropped_until_one_ends)
{
	mode.max_sessions = 2;
	serve(&concurrency_threading, too_many_peers, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(3, 0);
	ck_assert_uint_ge(count_drops(SCOREBOARD_SESSIONS_FULL), 1);
}
END_TEST

static int
what_no_session_takes(void)
{
	struct pollfd row = {.fd = begun_fd, .events = POLLIN};
	int fd = call("127.0.0.1"), other = call("127.0.0.1");
	char text[66] = {0};

	memset(text, 'x', sizeof(text) - 1);
	if (!ask(fd, "") || !ask(fd, text) || !ask(fd, "Go") || poll(&row, 1, 5000) != 1)
		return 1;
	/* the first is in the handler, 64 wait */
	for (int i = 0; i < 64 + 5; i++) {
		if (!ask(fd, "x"))
			return 2;
	}
	if (!ask(other, "End") || !hears(other, "1:End"))
		return 3;
	fd_raise_event(gate_fd);
	if (!hears(fd, "1:Go"))
		return 4;
	for (int i = 1; i <= 64; i++) {
		char back[24];

		(void)snprintf(back, sizeof(back), "%d:x", i);
		if (!hears(fd, back))
			return 5;
	}
	return ask(fd, "y") && hears(fd, "65:y") ? 0 : 6;
}

START_TEST(what_no_session_takes_is_counted)
{
	serve(&concurrency_threading, what_no_session_takes, drain);
	ck_assert_int_eq(clients_status, 0);
	ck_assert_uint_eq(count_drops(SCOREBOARD_EMPTY), 1);
	ck_assert_uint_eq(count_drops(SCOREBOARD_TOO_LONG), 1);
	ck_assert_uint_eq(count_drops(SCOREBOARD_QUEUE_FULL), 5);
	check_totals(3, 0);
}
END_TEST

static int peers[LIMIT];

static int
some_that_stay(void)
{
	for (int i = 0; i < UNIT_COUNT(peers); i++) {
		if (!ask(peers[i], "a") || !hears(peers[i], "1:a"))
			return 1;
	}
	return 0;
}

START_TEST(open_sessions_end_when_draining_begins)
{
	for (int i = 0; i < UNIT_COUNT(peers); i++)
		peers[i] = call("127.0.0.1");
	serve(&concurrency_threading, some_that_stay, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(LIMIT, 0);
	for (int i = 0; i < UNIT_COUNT(peers); i++)
		ck_assert(hears(peers[i], "bye"));
}
END_TEST

static void
drain_and_open_the_gate(void)
{
	drain();
	fd_raise_event(gate_fd);
}

static int
one_that_serves_and_one_that_waits(void)
{
	struct pollfd row = {.fd = begun_fd, .events = POLLIN};
	int last = call("127.0.0.1");

	if (!ask(peers[0], "Go") || poll(&row, 1, 5000) != 1 || !ask(peers[1], "a"))
		return 1;
	/* what is dropped is seen: then the one before was received */
	if (!ask(last, ""))
		return 2;
	while (scoreboard_sum(board, LIMIT).dropped[SCOREBOARD_EMPTY] == 0)
		(void)sched_yield();
	return 0;
}

/* What this worker has received no other will ever see. */
START_TEST(session_that_waits_for_a_thread_is_served_while_draining)
{
	peers[0] = call("127.0.0.1");
	peers[1] = call("127.0.0.1");
	serve(&concurrency_serial, one_that_serves_and_one_that_waits, drain_and_open_the_gate);
	ck_assert_int_eq(clients_status, 0);
	ck_assert(hears(peers[0], "1:Go"));
	check_totals(2, 0);
	ck_assert(hears(peers[1], "1:a"));
}
END_TEST

static int
some_that_end_their_thread(void)
{
	int fd = call("127.0.0.1");

	for (int i = 0; i < LIMIT; i++) {
		if (!ask(fd, "T"))
			return 1;
	}
	while (scoreboard_sum(board, LIMIT).failed < LIMIT)
		(void)sched_yield();
	return two_peers();
}

START_TEST(handler_that_ends_its_thread_costs_that_session_only)
{
	serve(&concurrency_threading, some_that_end_their_thread, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(LIMIT + 2, 0);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("sessions");

	tcase_set_timeout(cases, 20);
	tcase_add_checked_fixture(cases, prepare_sessions, NULL);
	tcase_add_test(cases, each_peer_has_its_own_session);
	tcase_add_test(cases, peer_of_two_addresses_has_two_sessions);
	tcase_add_test(cases, mail_that_was_not_read_begins_another_session);
	tcase_add_test(cases, session_that_reads_nothing_begins_once_for_each_datagram);
	tcase_add_test(cases, peer_that_is_refused_is_refused_once_for_each_datagram);
	tcase_add_loop_test(cases, peers_above_the_number_of_threads_wait_their_turn, 0, 2);
	tcase_add_loop_test(cases, session_that_times_out_makes_room, 0, 2);
	tcase_add_test(cases, peer_above_max_sessions_is_dropped_until_one_ends);
	tcase_add_test(cases, what_no_session_takes_is_counted);
	tcase_add_test(cases, open_sessions_end_when_draining_begins);
	tcase_add_test(cases, session_that_waits_for_a_thread_is_served_while_draining);
	tcase_add_test(cases, handler_that_ends_its_thread_costs_that_session_only);
	return unit_run("sessions", cases);
}
