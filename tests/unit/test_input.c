/*
 * test_input.c - the calls that read: what a line or an error leaves behind is there for the next.
 */
#include "flow_cases.h"

static char buf[8192];

START_TEST(recv_gives_what_there_is_and_0_at_the_end)
{
	client_send("hello");
	ck_assert_int_eq(hd_recv(&req, buf, 3), 3);
	ck_assert_int_eq(memcmp(buf, "hel", 3), 0);
	ck_assert_int_eq(hd_recv(&req, buf, 0), 0);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 2);
	(void)shutdown(client, SHUT_WR);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 0);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 0);
	ck_assert(req.is_end_seen);
	ck_assert_uint_eq(req.bytes_in, 5);
}
END_TEST

START_TEST(recvfrom_tells_the_client_address)
{
	struct sockaddr_storage addr;
	socklen_t length = sizeof(addr);

	client_send("x");
	ck_assert_int_eq(hd_recvfrom(&req, buf, 1, (struct sockaddr *)&addr, &length), 1);
	ck_assert_int_eq(addr.ss_family, AF_UNIX);
	ck_assert_uint_eq(length, sizeof(sa_family_t));
	client_send("x");
	ck_assert_int_eq(hd_recvfrom(&req, buf, 1, NULL, NULL), 1);
}
END_TEST

START_TEST(recvall_waits_for_all_or_takes_what_there_is_at_the_end)
{
	client_send("abc");
	ck_assert_int_eq(hd_recvall(&req, buf, 3), 3);
	ck_assert_int_eq(hd_recvall(&req, buf, 0), 0);
	client_send("de");
	(void)shutdown(client, SHUT_WR);
	ck_assert_int_eq(hd_recvall(&req, buf, 10), 2);
	ck_assert_int_eq(memcmp(buf, "de", 2), 0);
	ck_assert_int_eq(hd_recvall(&req, buf, 10), 0);
}
END_TEST

START_TEST(recvall_that_fails_keeps_what_has_arrived)
{
	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	client_send("abc");
	ck_assert_int_eq(hd_recvall(&req, buf, 10), -ETIMEDOUT);
	client_send("def");
	ck_assert_int_eq(hd_recvall(&req, buf, 10), -ETIMEDOUT);
	client_send("ghijk");
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(hd_recvall(&req, buf, 10), 10);
	ck_assert_str_eq(buf, "abcdefghij");
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 1);
	ck_assert_int_eq(buf[0], 'k');
}
END_TEST

START_TEST(line_comes_with_its_newline_and_a_nul)
{
	client_send("one\n\ntwo\r\nlast");
	(void)shutdown(client, SHUT_WR);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 4);
	ck_assert_str_eq(buf, "one\n");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 1);
	ck_assert_str_eq(buf, "\n");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 5);
	ck_assert_str_eq(buf, "two\r\n");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 4);
	ck_assert_str_eq(buf, "last");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "");
}
END_TEST

START_TEST(line_may_hold_nul_bytes)
{
	ck_assert_int_eq(send(client, "a\0b\nc", 5, 0), 5);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 4);
	ck_assert_int_eq(memcmp(buf, "a\0b\n\0", 5), 0);
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 1);
}
END_TEST

START_TEST(line_longer_than_buffer_is_not_consumed)
{
	client_send("0123456789\nrest");
	ck_assert_int_eq(hd_readline(&req, buf, 11), -EMSGSIZE);
	ck_assert_int_eq(hd_readline(&req, buf, 2), -EMSGSIZE);
	ck_assert_int_eq(hd_readline(&req, buf, 1), -EINVAL);
	ck_assert_int_eq(hd_readline(&req, buf, 0), -EINVAL);
	/* one byte more and it fits */
	ck_assert_int_eq(hd_readline(&req, buf, 12), 11);
	ck_assert_str_eq(buf, "0123456789\n");
	ck_assert_int_eq(hd_recv(&req, buf, 4), 4);
	ck_assert_int_eq(memcmp(buf, "rest", 4), 0);
}
END_TEST

START_TEST(line_that_has_not_arrived_whole_is_not_consumed)
{
	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), -ETIMEDOUT);
	client_send("half a ");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), -ETIMEDOUT);
	client_send("line\nx");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 12);
	ck_assert_str_eq(buf, "half a line\n");
	ck_assert_int_eq(hd_recv(&req, buf, 10), 1);
}
END_TEST

START_TEST(lines_longer_than_the_inner_buffer_are_whole)
{
	static char sent[6000], back[6001];

	memset(sent, 'a', sizeof(sent));
	for (size_t size = 4090; size < 4100; size++) {
		sent[size - 1] = '\n';
		ck_assert_int_eq(send(client, sent, size, 0), (ssize_t)size);
		ck_assert_int_eq(hd_readline(&req, back, sizeof(back)), (ssize_t)size);
		ck_assert_int_eq(memcmp(back, sent, size), 0);
		sent[size - 1] = 'a';
	}
}
END_TEST

START_TEST(input_read_ahead_goes_to_whoever_asks_next)
{
	client_send("line\nabcdefgh");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 5);
	ck_assert_int_eq(hd_recv(&req, buf, 2), 2);
	ck_assert_int_eq(memcmp(buf, "ab", 2), 0);
	ck_assert_int_eq(hd_recvall(&req, buf, 3), 3);
	ck_assert_int_eq(memcmp(buf, "cde", 3), 0);
	ck_assert_int_eq(hd_recvfrom(&req, buf, 2, NULL, NULL), 2);
	ck_assert_int_eq(memcmp(buf, "fg", 2), 0);
	client_send("i\n");
	/* what was left and what is new make one line */
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 3);
	ck_assert_str_eq(buf, "hi\n");
	ck_assert_uint_eq(req.buffered, 0);
}
END_TEST

START_TEST(bytes_put_back_come_first_again)
{
	client_send("line\nxyz");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 5);
	ck_assert_int_eq(stream_put_back(&req, "back", 4), 0);
	ck_assert_int_eq(stream_put_back(&req, "", 0), 0);
	ck_assert_int_eq(stream_put_back(&req, "once more ", 10), 0);
	ck_assert_int_eq(hd_recvall(&req, buf, 17), 17);
	ck_assert_int_eq(memcmp(buf, "once more backxyz", 17), 0);
}
END_TEST

START_TEST(large_blocks_put_back_in_front_of_others_stay_in_order)
{
	static char block[3][5000], back[15000];

	for (int i = 0; i < 3; i++)
		memset(block[i], 'a' + i, sizeof(block[i]));
	for (int i = 2; i >= 0; i--)
		ck_assert_int_eq(stream_put_back(&req, block[i], sizeof(block[i])), 0);
	ck_assert_int_eq(hd_recvall(&req, back, sizeof(back)), sizeof(back));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(memcmp(back + i * 5000, block[i], 5000), 0);
}
END_TEST

START_TEST(reset_is_an_error_and_the_reason_of_closing)
{
	struct linger now = {.l_onoff = 1};

	flow_teardown();
	flow_open_server();
	flow_connect_tcp();
	ck_assert_int_eq(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	(void)close(client);
	client = -1;
	ck_assert(!request_is_reason(&req, -ECONNRESET));
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), -ECONNRESET);
	ck_assert(request_is_reason(&req, -ECONNRESET));
	ck_assert(!request_is_reason(&req, -EPIPE));
}
END_TEST

START_TEST(lines_that_came_together_are_answered_together)
{
	char line[16];

	client_send("a\nb\nc\n");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(hd_readline(&req, line, sizeof(line)), 2);
		ck_assert_int_eq(hd_printf(&req, "<%c>", line[0]), 0);
	}
	client_expect_nothing();
	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	ck_assert_int_eq(hd_readline(&req, line, sizeof(line)), -ETIMEDOUT);
	client_expect("<a><b><c>");
}
END_TEST

START_TEST(output_leaves_before_any_wait_for_input)
{
	ck_assert_int_eq(hd_printf(&req, "prompt> "), 0);
	client_expect_nothing();
	client_send("x");
	ck_assert_int_eq(hd_recv(&req, buf, 1), 1);
	client_expect("prompt> ");
	ck_assert_int_eq(hd_printf(&req, "again> "), 0);
	client_send("line\n");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 5);
	client_expect("again> ");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("input");

	tcase_add_checked_fixture(cases, flow_setup, flow_teardown);
	tcase_add_test(cases, recv_gives_what_there_is_and_0_at_the_end);
	tcase_add_test(cases, recvfrom_tells_the_client_address);
	tcase_add_test(cases, recvall_waits_for_all_or_takes_what_there_is_at_the_end);
	tcase_add_test(cases, recvall_that_fails_keeps_what_has_arrived);
	tcase_add_test(cases, line_comes_with_its_newline_and_a_nul);
	tcase_add_test(cases, line_may_hold_nul_bytes);
	tcase_add_test(cases, line_longer_than_buffer_is_not_consumed);
	tcase_add_test(cases, line_that_has_not_arrived_whole_is_not_consumed);
	tcase_add_test(cases, lines_longer_than_the_inner_buffer_are_whole);
	tcase_add_test(cases, input_read_ahead_goes_to_whoever_asks_next);
	tcase_add_test(cases, bytes_put_back_come_first_again);
	tcase_add_test(cases, large_blocks_put_back_in_front_of_others_stay_in_order);
	tcase_add_test(cases, reset_is_an_error_and_the_reason_of_closing);
	tcase_add_test(cases, lines_that_came_together_are_answered_together);
	tcase_add_test(cases, output_leaves_before_any_wait_for_input);
	return unit_run("input", cases);
}
