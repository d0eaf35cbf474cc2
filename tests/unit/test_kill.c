/*
 * test_kill.c - one request is ended on demand: every wait of it and of what it has connected to,
 * and of no other.
 */
#include "flow_cases.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#include "api/session.h"

static char buf[100];
static char much[4 << 20];

static long
call_recv(void)
{
	return hd_recv(&req, buf, 10);
}

static long
call_send(void)
{
	return hd_sendall(&req, much, sizeof(much));
}

static long
call_sleep(void)
{
	return hd_sleep(&req, 3600 * 1000);
}

static long
call_wait(void)
{
	return hd_wait(&req, eventfd(0, EFD_CLOEXEC), POLLIN, 3600 * 1000);
}

static long
call_poll(void)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};

	return hd_poll(&req, &row, 1, 3600 * 1000);
}

static long
call_poll_other(void)
{
	struct pollfd row = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};

	return hd_poll(&req, &row, 1, -1);
}

static long (*const waits[])(void) = {
	call_recv, call_send, call_sleep, call_wait, call_poll, call_poll_other,
};

START_TEST(killing_ends_every_wait_and_the_client_sees_the_end)
{
	struct flow_call call;

	flow_start_waiting(&call, waits[_i]);
	ck_assert(server_kill_request(&server, hd_request_id(&req)));
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	ck_assert_int_eq(waits[_i](), -ECANCELED);
	if (waits[_i] != call_send)
		client_expect_end();
}
END_TEST

START_TEST(a_wait_that_begins_after_the_kill_ends_at_once)
{
	client_send("hello\n");
	ck_assert(server_kill_request(&server, hd_request_id(&req)));
	ck_assert_int_eq(waits[_i](), -ECANCELED);
}
END_TEST

START_TEST(an_id_that_is_not_served_is_nobody)
{
	uint64_t id = hd_request_id(&req);

	ck_assert(!server_kill_request(&server, id + 1));
	ck_assert(!server_kill_request(&server, 0));
	request_close(&req);
	ck_assert(!server_kill_request(&server, id));
	ck_assert(!server_kill_request(&server, 0));
}
END_TEST

START_TEST(nobody_else_is_killed)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNIX};
	static struct hd_request other;
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(request_init(&other, &server, &board->slots[1]), 0);
	request_open(&other, ends[0], &addr, sizeof(sa_family_t));
	ck_assert(server_kill_request(&server, hd_request_id(&other)));
	ck_assert_int_eq(hd_recv(&other, buf, 10), -ECANCELED);
	client_send("hello");
	ck_assert_int_eq(hd_recv(&req, buf, 10), 5);
	ck_assert_int_eq(hd_sleep(&req, 1), 0);
	request_close(&other);
	request_destroy(&other);
	(void)close(ends[1]);
}
END_TEST

START_TEST(the_next_connection_of_the_flow_is_not_killed)
{
	struct flow_call call;

	flow_start_waiting(&call, call_sleep);
	ck_assert(server_kill_request(&server, hd_request_id(&req)));
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	ck_assert_int_eq(hd_sleep(&req, 1), 0);
	client_send("hello");
	ck_assert_int_eq(hd_recv(&req, buf, 10), 5);
}
END_TEST

static struct hd_request *upstream;

static long
call_upstream(void)
{
	return hd_recv(upstream, buf, 10);
}

static char upstream_address[32];

/* A listening socket that takes what upstream_address connects. */
static int
listen_upstream(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(in);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(listener, 5), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &length), 0);
	(void)snprintf(upstream_address, sizeof(upstream_address), "tcp:127.0.0.1:%u",
		       ntohs(in.sin_port));
	return listener;
}

START_TEST(what_the_handler_has_connected_to_ends_too)
{
	int listener = listen_upstream(), error;
	struct flow_call call;

	upstream = hd_connect(&req, upstream_address, 1000, &error);
	ck_assert_ptr_nonnull(upstream);
	flow_start_waiting(&call, call_upstream);
	ck_assert(server_kill_request(&server, hd_request_id(&req)));
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	ck_assert_ptr_null(hd_connect(&req, upstream_address, 1000, &error));
	ck_assert_int_eq(hd_close(upstream), 0);
	(void)close(listener);
}
END_TEST

/* A request of hd_connect may connect in its turn. */
START_TEST(what_that_has_connected_to_ends_too)
{
	int listener = listen_upstream(), error;
	struct hd_request *first = hd_connect(&req, upstream_address, 1000, &error);
	struct flow_call call;

	ck_assert_ptr_nonnull(first);
	upstream = hd_connect(first, upstream_address, 1000, &error);
	ck_assert_ptr_nonnull(upstream);
	flow_start_waiting(&call, call_upstream);
	ck_assert(server_kill_request(&server, hd_request_id(&req)));
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	/* with its parent: whoever looks for it later finds neither */
	ck_assert_int_eq(hd_close(first), 0);
	ck_assert_ptr_eq(server.requests, &req);
	ck_assert_ptr_null(req.next);
	(void)close(listener);
}
END_TEST

static int
handle_killed(struct hd_request *which)
{
	ck_assert(server_kill_request(&server, hd_request_id(which)));
	return hd_sleep(which, 3600 * 1000);
}

START_TEST(the_log_says_that_it_was_killed_and_no_handler_failed)
{
	char text[4096] = "";
	int log_fd = memfd_create("log", MFD_CLOEXEC);

	log_open(LOG_TARGET_STDERR, log_fd, false, LOG_LEVEL_DEBUG, "test");
	server.connection_log.has_all = true;
	server.handler.handle = handle_killed;
	session_run(&req);
	ck_assert_int_gt(pread(log_fd, text, sizeof(text) - 1, 0), 0);
	ck_assert_msg(strstr(text, "connection ended: killed; 0 bytes in") != NULL, "%s", text);
	ck_assert_ptr_null(strstr(text, "failed"));
	ck_assert_uint_eq(board->slots[0].failed, 0);
	ck_assert_uint_eq(board->slots[0].finished, 1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("kill");

	tcase_add_checked_fixture(cases, flow_setup, flow_teardown);
	tcase_add_loop_test(cases, killing_ends_every_wait_and_the_client_sees_the_end, 0,
			    UNIT_COUNT(waits));
	tcase_add_loop_test(cases, a_wait_that_begins_after_the_kill_ends_at_once, 0,
			    UNIT_COUNT(waits));
	tcase_add_test(cases, an_id_that_is_not_served_is_nobody);
	tcase_add_test(cases, nobody_else_is_killed);
	tcase_add_test(cases, the_next_connection_of_the_flow_is_not_killed);
	tcase_add_test(cases, what_the_handler_has_connected_to_ends_too);
	tcase_add_test(cases, what_that_has_connected_to_ends_too);
	tcase_add_test(cases, the_log_says_that_it_was_killed_and_no_handler_failed);
	return unit_run("kill", cases);
}
