/*
 * test_session.c - one order of calls, whatever fails; the numbers add up, and the last answer
 * reaches the client.
 */
#include "flow_cases.h"

#include "api/connect.h"
#include "api/session.h"
#include "base/clock.h"

/* What each step returns, and the calls there were, one letter each. */
static struct {
	int verify, setup, handle;
	bool prints;
} says;
static char trace[64];
static int told_error;
static void *allocated;

static void
note(const char *what)
{
	(void)strcat(trace, what);
}

static int
on_verify(struct hd_request *request)
{
	(void)request;
	note("v");
	return says.verify;
}

static int
on_setup(struct hd_request *request)
{
	note("s");
	if (says.prints)
		ck_assert_int_eq(hd_printf(request, "setup "), 0);
	return says.setup;
}

static int
on_handle(struct hd_request *request)
{
	note("h");
	allocated = hd_alloc(request, 100);
	if (says.prints)
		ck_assert_int_eq(hd_printf(request, "handle "), 0);
	return says.handle;
}

static void
on_finish(struct hd_request *request)
{
	note("f");
	if (says.prints)
		ck_assert_int_eq(hd_printf(request, "finish "), 0);
}

static void
on_error(struct hd_request *request, int error)
{
	note("e");
	told_error = error;
	/* memory of the request is still there */
	if (allocated != NULL)
		memset(allocated, 1, 100);
	if (says.prints)
		ck_assert_int_eq(hd_printf(request, "error"), 0);
}

static void
prepare(void)
{
	flow_setup();
	server.handler.setup = on_setup;
	server.handler.handle = on_handle;
	server.handler.finish = on_finish;
	server.handler.descriptor.verify = on_verify;
	server.handler.descriptor.handle_error = on_error;
	log_set_level(0);
}

static const struct order {
	int verify, setup, handle;
	const char *calls;
	int error;
	unsigned finished, refused, failed;
} orders[] = {
	{0, 0, 0, "vshf", 0, 1, 0, 0},
	{1, 7, 9, "vshf", 0, 1, 0, 0},
	{-EPERM, 0, 0, "v", 0, 0, 1, 0},
	{-ECONNRESET, 0, 0, "v", 0, 0, 1, 0},
	{0, -EIO, 0, "vse", -EIO, 1, 0, 1},
	{0, 0, -EIO, "vshfe", -EIO, 1, 0, 1},
	/* the connection has not produced these: they are the handler's own errors */
	{0, 0, -ECONNRESET, "vshfe", -ECONNRESET, 1, 0, 1},
	{0, 0, -EPIPE, "vshfe", -EPIPE, 1, 0, 1},
	{0, -ETIMEDOUT, 0, "vse", -ETIMEDOUT, 1, 0, 1},
	{0, 0, -ECANCELED, "vshfe", -ECANCELED, 1, 0, 1},
	{0, 0, INT32_MIN, "vshfe", INT32_MIN, 1, 0, 1},
};

START_TEST(calls_come_in_order_whatever_fails)
{
	const struct order *order = &orders[_i];
	struct scoreboard_totals totals;

	says.verify = order->verify;
	says.setup = order->setup;
	says.handle = order->handle;
	(void)shutdown(client, SHUT_WR);
	session_run(&req);
	ck_assert_str_eq(trace, order->calls);
	ck_assert_int_eq(told_error, order->error);
	totals = scoreboard_sum(board, 4);
	ck_assert_uint_eq(totals.accepted, 1);
	ck_assert_uint_eq(totals.finished, order->finished);
	ck_assert_uint_eq(totals.refused, order->refused);
	ck_assert_uint_eq(totals.failed, order->failed);
	ck_assert_uint_eq(board->slots[0].connection_id, 0);
	ck_assert_int_eq(req.fd, -1);
	ck_assert_uint_eq(hd_request_id(&req), 0);
	client_expect_end();
}
END_TEST

START_TEST(functions_a_handler_lacks_are_left_out)
{
	server.handler.setup = NULL;
	server.handler.finish = NULL;
	server.handler.descriptor.verify = NULL;
	server.handler.descriptor.handle_error = NULL;
	says.handle = -EIO;
	(void)shutdown(client, SHUT_WR);
	session_run(&req);
	ck_assert_str_eq(trace, "h");
	ck_assert_uint_eq(board->slots[0].failed, 1);
}
END_TEST

START_TEST(what_was_printed_reaches_the_client_even_after_an_error)
{
	says.prints = true;
	says.handle = -EIO;
	(void)shutdown(client, SHUT_WR);
	session_run(&req);
	client_expect("setup handle finish error");
	client_expect_end();
}
END_TEST

static int
handle_reset(struct hd_request *request)
{
	char byte;
	struct linger now = {.l_onoff = 1};

	note("h");
	(void)setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(client);
	client = -1;
	return (int)hd_recv(request, &byte, 1);
}

static int
handle_pipe(struct hd_request *request)
{
	note("h");
	(void)close(client);
	client = -1;
	return hd_sendall(request, "x", 1);
}

static int
handle_timeout(struct hd_request *request)
{
	char byte;

	note("h");
	(void)hd_set_timeout(request, 0);
	return (int)hd_recv(request, &byte, 1);
}

static int
handle_cancel(struct hd_request *request)
{
	note("h");
	server_cancel_requests(&server);
	return hd_sleep(request, 1000);
}

static int (*const reasons[])(struct hd_request *) = {handle_reset, handle_pipe, handle_timeout,
						      handle_cancel};

START_TEST(end_of_the_connection_is_a_reason_and_no_error)
{
	flow_teardown();
	flow_open_server();
	flow_connect_tcp();
	server.handler = (struct server_handler){.name = "test", .handle = reasons[_i]};
	server.handler.finish = on_finish;
	server.handler.descriptor.handle_error = on_error;
	session_run(&req);
	ck_assert_str_eq(trace, "hf");
	ck_assert_uint_eq(board->slots[0].failed, 0);
	ck_assert_uint_eq(board->slots[0].finished, 1);
}
END_TEST

static int
handle_answer(struct hd_request *request)
{
	return hd_sendall(request, "the last answer", 15);
}

static long
call_session(void)
{
	session_run(&req);
	return 0;
}

/* The client has sent more than is read: closing at once would be a reset, which takes the answer
 * away from it. */
START_TEST(unread_input_does_not_swallow_the_last_answer)
{
	struct flow_call call;
	char chunk[1000] = "";

	request_close(&req);
	(void)close(client);
	flow_connect_tcp();
	server.handler.handle = handle_answer;
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(send(client, chunk, sizeof(chunk), MSG_NOSIGNAL), sizeof(chunk));
	flow_start_call(&call, call_session);
	client_expect("the last answer");
	client_expect_end();
	/* it still sends; then it closes, and the session ends */
	ck_assert_int_eq(send(client, chunk, sizeof(chunk), MSG_NOSIGNAL), sizeof(chunk));
	(void)shutdown(client, SHUT_WR);
	ck_assert_int_eq(flow_end_call(&call), 0);
	ck_assert_int_eq(recv(client, chunk, 1, 0), 0);
}
END_TEST

START_TEST(client_that_never_closes_is_waited_for_a_second_at_most)
{
	int64_t began = clock_now_ns();

	server.handler.handle = handle_answer;
	session_run(&req);
	ck_assert_int_ge(clock_now_ns() - began, 900 * CLOCK_NS_PER_MS);
	ck_assert_int_le(clock_now_ns() - began, 2000 * CLOCK_NS_PER_MS);
	client_expect("the last answer");
	client_expect_end();
}
END_TEST

START_TEST(client_that_sends_for_ever_is_read_to_a_limit)
{
	struct flow_call call;
	char chunk[4096] = "";
	size_t sent = 0;
	ssize_t n;

	server.handler.handle = handle_answer;
	flow_start_call(&call, call_session);
	while ((n = send(client, chunk, sizeof(chunk), MSG_NOSIGNAL)) > 0)
		sent += (size_t)n;
	ck_assert_int_eq(flow_end_call(&call), 0);
	ck_assert_uint_ge(sent, 65536);
}
END_TEST

START_TEST(cancelling_ends_the_wait_for_the_client)
{
	struct flow_call call;
	int64_t began = clock_now_ns();

	server.handler.handle = handle_answer;
	flow_start_waiting(&call, call_session);
	server_cancel_requests(&server);
	ck_assert_int_eq(flow_end_call(&call), 0);
	ck_assert_int_lt(clock_now_ns() - began, 900 * CLOCK_NS_PER_MS);
}
END_TEST

START_TEST(abandoned_session_calls_nothing_and_is_counted)
{
	int before;

	/* as when a handler has ended its thread */
	ck_assert_ptr_nonnull(hd_makefile(&req, "w"));
	before = unit_count_fds();
	session_abandon(&req);
	ck_assert_str_eq(trace, "");
	ck_assert_uint_eq(board->slots[0].failed, 1);
	ck_assert_uint_eq(board->slots[0].finished, 1);
	ck_assert_int_eq(req.fd, -1);
	ck_assert_int_eq(unit_count_fds(), before - 1);
	ck_assert_ptr_null(req.writer);
}
END_TEST

START_TEST(thousand_sessions_leave_nothing_open)
{
	int before = unit_count_fds();
	struct scoreboard_totals totals;

	for (int i = 0; i < 1000; i++) {
		says.verify = i % 7 == 0 ? -EPERM : 0;
		says.setup = i % 5 == 0 ? -EIO : 0;
		says.handle = i % 3 == 0 ? -EIO : 0;
		trace[0] = '\0';
		(void)shutdown(client, SHUT_WR);
		session_run(&req);
		(void)close(client);
		flow_connect_unix();
	}
	totals = scoreboard_sum(board, 4);
	ck_assert_uint_eq(totals.accepted, 1001);
	ck_assert_uint_eq(totals.finished + totals.refused, 1000);
	ck_assert_uint_eq(totals.refused, 143);
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("session");

	tcase_add_checked_fixture(cases, prepare, flow_teardown);
	tcase_add_loop_test(cases, calls_come_in_order_whatever_fails, 0, UNIT_COUNT(orders));
	tcase_add_test(cases, functions_a_handler_lacks_are_left_out);
	tcase_add_test(cases, what_was_printed_reaches_the_client_even_after_an_error);
	tcase_add_loop_test(cases, end_of_the_connection_is_a_reason_and_no_error, 0,
			    UNIT_COUNT(reasons));
	tcase_add_test(cases, unread_input_does_not_swallow_the_last_answer);
	tcase_add_test(cases, client_that_never_closes_is_waited_for_a_second_at_most);
	tcase_add_test(cases, client_that_sends_for_ever_is_read_to_a_limit);
	tcase_add_test(cases, cancelling_ends_the_wait_for_the_client);
	tcase_add_test(cases, abandoned_session_calls_nothing_and_is_counted);
	tcase_add_test(cases, thousand_sessions_leave_nothing_open);
	return unit_run("session", cases);
}
