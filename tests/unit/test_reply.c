/*
 * test_reply.c - the input of one datagram, and its one reply.
 */
#include "datagram_cases.h"

static char big[DATAGRAM_MOST + 1];
static int results[4];

static int
handle_nothing(struct hd_request *request)
{
	results[0] = hd_flush(request);
	return 0;
}

static int
handle_send_nothing(struct hd_request *request)
{
	results[0] = (int)hd_send(request, NULL, 0);
	return 0;
}

static int
handle_sendall_nothing(struct hd_request *request)
{
	results[0] = hd_sendall(request, "", 0);
	return 0;
}

static int
handle_sendallv_nothing(struct hd_request *request)
{
	results[0] = hd_sendallv(request, NULL, 0);
	return 0;
}

static int
handle_print_nothing(struct hd_request *request)
{
	results[0] = hd_printf(request, "%s", "");
	return 0;
}

static int
handle_open_files(struct hd_request *request)
{
	results[0] = hd_makefile(request, "w") == NULL || hd_makefile(request, "r") == NULL;
	return 0;
}

/* Every way of output, in program order, and the file that is never closed. */
static int
handle_everything(struct hd_request *request)
{
	struct iovec iov[2] = {{.iov_base = (void *)(uintptr_t) "f", .iov_len = 1},
			       {.iov_base = (void *)(uintptr_t) "gh", .iov_len = 2}};
	FILE *out = hd_makefile(request, "w");

	(void)hd_printf(request, "a%s", "b");
	(void)fprintf(out, "c");
	(void)hd_send(request, "d", 1);
	(void)fprintf(out, "e");
	results[0] = hd_sendallv(request, iov, 2);
	results[1] = hd_sendallv(request, iov, -1);
	(void)hd_printf(request, "i");
	(void)fprintf(out, "j");
	(void)hd_flush(request);
	(void)hd_printf(request, "k");
	(void)fprintf(out, "l");
	return 1;
}

static int
handle_failing(struct hd_request *request)
{
	(void)hd_sendall(request, "secret", 6);
	(void)hd_printf(request, "secret");
	return -EIO;
}

static int
handle_after_shutdown(struct hd_request *request)
{
	(void)hd_sendall(request, "before", 6);
	results[0] = hd_shutdown_write(request);
	results[1] = (int)hd_send(request, "x", 1);
	results[2] = hd_printf(request, "x");
	results[3] = (int)hd_send(request, "", 0);
	return 0;
}

static int
handle_shutdown_alone(struct hd_request *request)
{
	results[0] = hd_shutdown_write(request);
	results[1] = hd_printf(request, "x");
	return 0;
}

static const struct {
	int (*handle)(struct hd_request *);
	const char *reply; /* NULL: none */
	int results[4];
} cases_of_output[] = {
	{handle_nothing, NULL, {0}},
	{handle_send_nothing, "", {0}},
	{handle_sendall_nothing, "", {0}},
	{handle_sendallv_nothing, "", {0}},
	{handle_print_nothing, "", {0}},
	{handle_open_files, NULL, {0}},
	{handle_everything, "abcdefghijkl", {0, -EINVAL}},
	{handle_failing, NULL, {0}},
	{handle_after_shutdown, "before", {0, -EPIPE, 0, -EPIPE}},
	{handle_shutdown_alone, NULL, {0, -EPIPE}},
};

START_TEST(reply_is_what_was_sent_in_order_or_none)
{
	server.handler.handle = cases_of_output[_i].handle;
	/* twice: nothing of one reply may be in the next */
	for (int i = 0; i < 2; i++) {
		udp_open_request("question");
		session_run(&req);
		for (int k = 0; k < UNIT_COUNT(results); k++)
			ck_assert_int_eq(results[k], cases_of_output[_i].results[k]);
		if (cases_of_output[_i].reply != NULL)
			udp_expect(cases_of_output[_i].reply);
		client_expect_nothing();
		ck_assert_uint_eq(udp_count_all(), 0);
	}
	ck_assert_uint_eq(board->slots[0].finished, 2);
}
END_TEST

static int
handle_refusing(struct hd_request *request)
{
	(void)hd_sendall(request, "no", 2);
	return -EACCES;
}

START_TEST(refused_datagram_gets_no_reply)
{
	server.handler.handle = handle_everything;
	server.handler.descriptor.verify = handle_refusing;
	udp_open_request("question");
	session_run(&req);
	client_expect_nothing();
	server.handler.descriptor.verify = NULL;
	server.handler.handle = handle_nothing;
	udp_open_request("question");
	session_run(&req);
	client_expect_nothing();
	ck_assert_uint_eq(board->slots[0].refused, 1);
}
END_TEST

START_TEST(reply_holds_what_udp_carries_and_not_a_byte_more)
{
	udp_open_request("question");
	ck_assert_int_eq(hd_sendall(&req, big, DATAGRAM_MOST + 1), -EMSGSIZE);
	ck_assert_int_eq(hd_sendall(&req, big, 1000), 0);
	ck_assert_int_eq(hd_sendall(&req, big, DATAGRAM_MOST - 1000), 0);
	ck_assert_int_eq(hd_sendall(&req, big, 1), -EMSGSIZE);
	ck_assert_int_eq(hd_send(&req, big, 0), 0);
	ck_assert_int_eq(
		hd_sendallv(&req, &(struct iovec){.iov_base = big, .iov_len = SIZE_MAX}, 1),
		-EMSGSIZE);
	client_expect_nothing();
	reply_finish(&req);
	reply_finish(&req);
	ck_assert_int_eq(recv(client, big, sizeof(big), 0), DATAGRAM_MOST);
	client_expect_nothing();
}
END_TEST

static int
handle_too_much_printed(struct hd_request *request)
{
	(void)hd_sendall(request, big, DATAGRAM_MOST - 3);
	return hd_printf(request, "tail");
}

/* Half an answer looks like a whole one. */
START_TEST(reply_whose_end_does_not_fit_is_not_sent)
{
	server.handler.handle = handle_too_much_printed;
	udp_open_request("question");
	session_run(&req);
	client_expect_nothing();
	ck_assert_uint_eq(udp_count(SCOREBOARD_UNSENT), 1);
	ck_assert_uint_eq(udp_count_all(), 1);
}
END_TEST

START_TEST(small_reads_give_the_whole_datagram_and_then_the_end)
{
	char buf[16];
	FILE *in;

	udp_open_request("one\ntwo\nthree");
	ck_assert_int_eq(hd_is_datagram(&req), 1);
	ck_assert_int_eq(hd_recv(&req, buf, 2), 2);
	ck_assert_mem_eq(buf, "on", 2);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 2);
	ck_assert_str_eq(buf, "e\n");
	in = hd_makefile(&req, "r");
	ck_assert_int_eq(fgetc(in), 't');
	ck_assert_int_eq(ungetc('T', in), 'T');
	ck_assert_int_eq(hd_recvall(&req, buf, 4), 4);
	ck_assert_mem_eq(buf, "Two\n", 4);
	ck_assert_int_eq(hd_readline(&req, buf, 4), -EMSGSIZE);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 5);
	ck_assert_str_eq(buf, "three");
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 0);
		ck_assert_int_eq(hd_recvall(&req, buf, sizeof(buf)), 0);
		ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 0);
		ck_assert_int_eq(fgetc(in), EOF);
		clearerr(in);
	}
}
END_TEST

START_TEST(datagram_without_a_byte_ends_at_once)
{
	char byte;

	udp_open_request("");
	ck_assert_int_eq(hd_recv(&req, &byte, 1), 0);
	ck_assert_uint_eq(req.bytes_in, 0);
	ck_assert_uint_eq(req.asked, REPLY_HEADER_SIZE);
}
END_TEST

START_TEST(longest_datagram_is_read_and_echoed_with_a_small_buffer)
{
	char buf[1000];
	ssize_t n;

	memset(big, 'x', DATAGRAM_MOST);
	udp_arrive(big, DATAGRAM_MOST);
	request_open_datagram(&req, &receiver, &arrived);
	while ((n = hd_recv(&req, buf, sizeof(buf))) > 0)
		ck_assert_int_eq(hd_sendall(&req, buf, (size_t)n), 0);
	ck_assert_int_eq(n, 0);
	reply_finish(&req);
	memset(big, 0, sizeof(big));
	ck_assert_int_eq(recv(client, big, sizeof(big), 0), DATAGRAM_MOST);
	ck_assert_int_eq(big[0], 'x');
	ck_assert_int_eq(big[DATAGRAM_MOST - 1], 'x');
}
END_TEST

START_TEST(poll_never_waits_for_a_datagram)
{
	static const short wishes[] = {POLLIN, POLLOUT, POLLIN | POLLOUT};
	struct pollfd rows[2] = {{.fd = HD_CLIENT}, {.fd = -1, .events = POLLIN, .revents = 99}};
	char byte;

	udp_open_request("x");
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < UNIT_COUNT(wishes); k++) {
			rows[0].events = wishes[k];
			ck_assert_int_eq(hd_poll(&req, rows, 2, -1), 1);
			ck_assert_int_eq(rows[0].revents, wishes[k]);
			ck_assert_int_eq(rows[1].revents, 0);
		}
		/* its end is input, too */
		(void)hd_recv(&req, &byte, 1);
	}
	ck_assert_int_eq(hd_wake(&server, hd_request_id(&req)), 0);
	ck_assert_int_eq(hd_poll(&req, rows, 2, -1), -EINTR);
	ck_assert_int_eq(hd_poll(&req, rows, 2, -1), 1);
}
END_TEST

START_TEST(timeout_of_one_request_leaves_the_socket_of_all_alone)
{
	struct timeval limit = {.tv_sec = 77};
	socklen_t length = sizeof(limit);
	char byte;

	udp_open_request("x");
	ck_assert_int_eq(hd_set_timeout(&req, -2), -EINVAL);
	ck_assert_int_eq(hd_set_timeout(&req, 5), 0);
	ck_assert_int_eq(getsockopt(receiver.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &length), 0);
	ck_assert(limit.tv_sec == 0 && limit.tv_usec == 0);
	(void)hd_recv(&req, &byte, 1);
	ck_assert_int_eq(hd_recv(&req, &byte, 1), 0);
	request_cancel(&req);
	request_close(&req);
	/* nor does its end, or its cancellation */
	udp_open_request("y");
	ck_assert_int_eq(req.timeout_ms, -1);
	ck_assert_int_eq(hd_recv(&req, &byte, 1), 1);
}
END_TEST

START_TEST(buffers_change_hands_and_are_never_shared)
{
	for (int i = 0; i < 5; i++) {
		udp_open_request("question");
		ck_assert_ptr_ne(req.input.data, arrived.data);
		ck_assert_uint_eq(req.input.room, DATAGRAM_MOST);
		request_close(&req);
	}
	ck_assert_uint_eq(arrived.room, DATAGRAM_MOST);
}
END_TEST

START_TEST(what_only_connections_have_is_told)
{
	pid_t pid;
	FILE *file = tmpfile();
	socklen_t length;
	const struct sockaddr_in *local;

	udp_open_request("x");
	ck_assert_int_eq(hd_sendfile(&req, fileno(file), 0, HD_TO_END), -EOPNOTSUPP);
	ck_assert_int_eq(hd_client_cred(&req, &pid, NULL, NULL), -EOPNOTSUPP);
	local = (const void *)hd_local_address(&req, &length);
	ck_assert_uint_eq(length, sizeof(*local));
	ck_assert_uint_eq(local->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	(void)fclose(file);
}
END_TEST

START_TEST(sender_without_an_address_is_served_and_not_answered)
{
	udp_arrive("x", 1);
	arrived.client_length = 0;
	arrived.has_credentials = true;
	arrived.credentials = (struct ucred){.pid = 42, .uid = 1000, .gid = 7};
	request_open_datagram(&req, &receiver, &arrived);
	ck_assert_str_eq(hd_client_name(&req), "unix pid 42 uid 1000");
	ck_assert_int_eq(hd_sendall(&req, "answer", 6), 0);
	reply_finish(&req);
	client_expect_nothing();
	ck_assert_uint_eq(req.answered, 0);
	ck_assert_uint_eq(board->dropped[SCOREBOARD_UNSENT], 1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("reply");

	tcase_add_checked_fixture(cases, udp_setup, udp_teardown);
	tcase_add_loop_test(cases, reply_is_what_was_sent_in_order_or_none, 0,
			    UNIT_COUNT(cases_of_output));
	tcase_add_test(cases, refused_datagram_gets_no_reply);
	tcase_add_test(cases, reply_holds_what_udp_carries_and_not_a_byte_more);
	tcase_add_test(cases, reply_whose_end_does_not_fit_is_not_sent);
	tcase_add_test(cases, small_reads_give_the_whole_datagram_and_then_the_end);
	tcase_add_test(cases, datagram_without_a_byte_ends_at_once);
	tcase_add_test(cases, longest_datagram_is_read_and_echoed_with_a_small_buffer);
	tcase_add_test(cases, poll_never_waits_for_a_datagram);
	tcase_add_test(cases, timeout_of_one_request_leaves_the_socket_of_all_alone);
	tcase_add_test(cases, buffers_change_hands_and_are_never_shared);
	tcase_add_test(cases, what_only_connections_have_is_told);
	tcase_add_test(cases, sender_without_an_address_is_served_and_not_answered);
	return unit_run("reply", cases);
}
