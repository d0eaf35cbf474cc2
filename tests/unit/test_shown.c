/*
 * test_shown.c - what a request shows of itself in its slot while it is served.
 */
#include "api/session.h"
#include "flow_cases.h"

static struct scoreboard_connection
shown(void)
{
	struct scoreboard_connection connection = {0};

	(void)scoreboard_read_connection(board, 0, &connection);
	return connection;
}

static const char *
shown_peer(void)
{
	static char name[PEER_NAME_SIZE];
	struct scoreboard_connection connection = shown();

	return scoreboard_format_peer(&connection, name, sizeof(name));
}

START_TEST(a_tcp_client_is_shown_by_the_name_that_handlers_see)
{
	flow_connect_tcp();
	ck_assert_ptr_nonnull(strstr(shown_peer(), "127.0.0.1:"));
	ck_assert_str_eq(shown_peer(), hd_client_name(&req));
	ck_assert_uint_eq(shown().id, hd_request_id(&req));
	ck_assert_int_eq(shown().opened_ns, req.opened_ns);
	ck_assert_int_eq(shown().phase, SCOREBOARD_VERIFY);
}
END_TEST

START_TEST(a_unix_client_is_shown_by_pid_and_uid)
{
	char expected[64];

	flow_connect_unix();
	(void)snprintf(expected, sizeof(expected), "unix pid %d uid %d", (int)getpid(),
		       (int)getuid());
	ck_assert_str_eq(shown_peer(), expected);
	ck_assert_str_eq(shown_peer(), hd_client_name(&req));
}
END_TEST

START_TEST(a_client_without_a_name_is_unknown)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	client = ends[1];
	request_open(&req, ends[0], &addr, sizeof(sa_family_t));
	ck_assert_str_eq(shown_peer(), "unknown");
	ck_assert_str_eq(shown_peer(), hd_client_name(&req));
}
END_TEST

START_TEST(bytes_are_shown_as_they_are_counted_and_begin_anew)
{
	char buf[16];

	flow_connect_tcp();
	client_send("hello");
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 5);
	ck_assert_uint_eq(shown().bytes_in, 5);
	ck_assert_uint_eq(shown().bytes_out, 0);
	ck_assert_int_eq(hd_sendall(&req, "abc", 3), 0);
	ck_assert_int_eq(hd_printf(&req, "%d", 12), 0);
	ck_assert_uint_eq(shown().bytes_out, 3);
	ck_assert_int_eq(hd_flush(&req), 0);
	ck_assert_uint_eq(shown().bytes_out, 5);
	request_close(&req);
	(void)close(client);
	flow_connect_tcp();
	ck_assert_uint_eq(shown().bytes_in, 0);
	ck_assert_uint_eq(shown().bytes_out, 0);
}
END_TEST

static enum scoreboard_phase seen[8];
static int seen_count;

static void
look(void)
{
	ck_assert_int_lt(seen_count, UNIT_COUNT(seen));
	seen[seen_count++] = shown().phase;
}

static int
setup_idle(struct hd_request *which)
{
	look();
	(void)hd_set_idle(which, 1);
	look();
	return 0;
}

static int
handle_phases(struct hd_request *which)
{
	look();
	(void)hd_set_idle(which, 0);
	look();
	(void)hd_set_idle(which, 1);
	look();
	return 0;
}

static void
finish_phases(struct hd_request *which)
{
	(void)which;
	look();
}

START_TEST(the_phase_follows_the_calls)
{
	static const enum scoreboard_phase expected[] = {
		SCOREBOARD_VERIFY, SCOREBOARD_VERIFY, SCOREBOARD_IDLE,
		SCOREBOARD_HANDLE, SCOREBOARD_IDLE,   SCOREBOARD_FINISH,
	};

	server.handler.setup = setup_idle;
	server.handler.handle = handle_phases;
	server.handler.finish = finish_phases;
	flow_connect_tcp();
	(void)close(client);
	client = -1;
	session_run(&req);
	ck_assert_int_eq(seen_count, UNIT_COUNT(expected));
	for (int i = 0; i < seen_count; i++)
		ck_assert_int_eq(seen[i], expected[i]);
	ck_assert_int_eq(shown().phase, SCOREBOARD_CLOSE);
	ck_assert_uint_eq(shown().id, 0);
}
END_TEST

START_TEST(ids_go_on_from_where_the_board_says)
{
	board->next_connection_id = 3 * SCOREBOARD_IDS_PER_WORKER;
	flow_connect_tcp();
	ck_assert_uint_eq(hd_request_id(&req), 3 * SCOREBOARD_IDS_PER_WORKER + 1);
	ck_assert_uint_eq(shown().id, 3 * SCOREBOARD_IDS_PER_WORKER + 1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("shown");

	tcase_add_checked_fixture(cases, flow_open_server, flow_teardown);
	tcase_add_test(cases, a_tcp_client_is_shown_by_the_name_that_handlers_see);
	tcase_add_test(cases, a_unix_client_is_shown_by_pid_and_uid);
	tcase_add_test(cases, a_client_without_a_name_is_unknown);
	tcase_add_test(cases, bytes_are_shown_as_they_are_counted_and_begin_anew);
	tcase_add_test(cases, the_phase_follows_the_calls);
	tcase_add_test(cases, ids_go_on_from_where_the_board_says);
	return unit_run("shown", cases);
}
