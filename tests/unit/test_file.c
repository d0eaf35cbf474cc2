/*
 * test_file.c - stdio streams share the connection with the hd_... calls, and files are sent whole.
 */
#include "flow_cases.h"

#include <sys/mman.h>

static char buf[8192];

/* A file of this text; closed with the process. */
static int
file_of(const char *text)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

START_TEST(one_stream_of_each_kind)
{
	FILE *in = hd_makefile(&req, "r"), *out = hd_makefile(&req, "w");

	ck_assert_ptr_nonnull(in);
	ck_assert_ptr_nonnull(out);
	ck_assert_ptr_eq(hd_makefile(&req, "r"), in);
	ck_assert_ptr_eq(hd_makefile(&req, "w"), out);
	errno = 0;
	ck_assert_ptr_null(hd_makefile(&req, "r+"));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(hd_makefile(&req, ""));
	/* the handler may close them and gets new ones */
	ck_assert_int_eq(fclose(in), 0);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_uint_eq(req.buffered, 0);
	ck_assert_ptr_nonnull(hd_makefile(&req, "r"));
	ck_assert_ptr_nonnull(hd_makefile(&req, "w"));
}
END_TEST

START_TEST(calls_take_what_the_stream_has_read_ahead)
{
	FILE *in = hd_makefile(&req, "r");

	client_send("first\nsecond\nthird fourth rest");
	ck_assert_ptr_nonnull(fgets(buf, sizeof(buf), in));
	ck_assert_str_eq(buf, "first\n");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 7);
	ck_assert_str_eq(buf, "second\n");
	/* and the stream what the line has left */
	ck_assert_int_eq(fscanf(in, "%100s", buf), 1);
	ck_assert_str_eq(buf, "third");
	ck_assert_int_eq(hd_recvall(&req, buf, 8), 8);
	ck_assert_int_eq(memcmp(buf, " fourth ", 8), 0);
	ck_assert_int_eq(fgetc(in), 'r');
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 3);
	ck_assert_int_eq(memcmp(buf, "est", 3), 0);
}
END_TEST

START_TEST(character_that_was_read_and_put_back_is_not_lost)
{
	FILE *in = hd_makefile(&req, "r");

	client_send("abcdef");
	ck_assert_int_eq(fgetc(in), 'a');
	ck_assert_int_eq(ungetc('a', in), 'a');
	ck_assert_int_eq(hd_recvall(&req, buf, 6), 6);
	ck_assert_int_eq(memcmp(buf, "abcdef", 6), 0);
}
END_TEST

START_TEST(another_character_put_back_loses_nothing_behind_it)
{
	FILE *in = hd_makefile(&req, "r");

	client_send("abcdef");
	ck_assert_int_eq(fgetc(in), 'a');
	ck_assert_int_eq(ungetc('X', in), 'X');
	/* a timeout shows what is missing instead of waiting for it */
	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	ck_assert_int_eq(hd_recvall(&req, buf, 6), 6);
	ck_assert_int_eq(memcmp(buf, "Xbcdef", 6), 0);
}
END_TEST

START_TEST(more_read_ahead_than_one_piece_keeps_its_order)
{
	static char sent[30000];
	FILE *in = hd_makefile(&req, "r");

	ck_assert_int_eq(setvbuf(in, NULL, _IOFBF, 3 * BUFSIZ), 0);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)('a' + i % 26);
	ck_assert_int_eq(send(client, sent, sizeof(sent), 0), sizeof(sent));
	ck_assert_int_eq(fgetc(in), 'a');
	for (size_t at = 1; at < sizeof(sent);) {
		ssize_t n = hd_recv(&req, buf, 1000);

		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(memcmp(buf, sent + at, (size_t)n), 0);
		at += (size_t)n;
	}
}
END_TEST

START_TEST(bytes_leave_in_the_order_of_the_program)
{
	FILE *out = hd_makefile(&req, "w");

	ck_assert_int_eq(hd_printf(&req, "1 "), 0);
	ck_assert_int_gt(fprintf(out, "2 "), 0);
	ck_assert_int_eq(hd_printf(&req, "3 "), 0);
	ck_assert_int_gt(fprintf(out, "4 "), 0);
	client_expect("1 2 ");
	ck_assert_int_eq(hd_sendall(&req, "5 ", 2), 0);
	ck_assert_int_gt(fprintf(out, "6 "), 0);
	ck_assert_int_eq(hd_send(&req, "7 ", 2), 2);
	ck_assert_int_gt(fprintf(out, "8 "), 0);
	ck_assert_int_eq(hd_sendfile(&req, file_of("9 "), 0, HD_TO_END), 2);
	ck_assert_int_eq(hd_printf(&req, "10 "), 0);
	ck_assert_int_gt(fprintf(out, "11 "), 0);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(hd_printf(&req, "12"), 0);
	ck_assert_int_eq(hd_flush(&req), 0);
	client_expect("3 4 5 6 7 8 9 10 11 12");
	client_expect_nothing();
}
END_TEST

START_TEST(stream_output_leaves_before_any_wait_for_input)
{
	FILE *in = hd_makefile(&req, "r"), *out = hd_makefile(&req, "w");

	ck_assert_int_gt(fprintf(out, "prompt> "), 0);
	client_send("a\nb\n");
	ck_assert_ptr_nonnull(fgets(buf, sizeof(buf), in));
	client_expect("prompt> ");
	ck_assert_int_gt(fprintf(out, "again> "), 0);
	/* the second line is there already: nothing is waited for */
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 2);
	client_expect_nothing();
	client_send("c\n");
	ck_assert_int_eq(hd_readline(&req, buf, sizeof(buf)), 2);
	client_expect("again> ");
}
END_TEST

START_TEST(stream_reads_to_the_end_and_tells_errors_in_errno)
{
	FILE *in = hd_makefile(&req, "r");

	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	errno = 0;
	ck_assert_int_eq(fgetc(in), EOF);
	ck_assert(ferror(in));
	ck_assert_int_eq(errno, ETIMEDOUT);
	clearerr(in);
	client_send("x");
	ck_assert_int_eq(fgetc(in), 'x');
	(void)shutdown(client, SHUT_WR);
	ck_assert_int_eq(fgetc(in), EOF);
	ck_assert(feof(in));
	ck_assert(req.is_end_seen);
}
END_TEST

START_TEST(stream_output_that_failed_is_not_tried_again)
{
	FILE *out = hd_makefile(&req, "w");

	(void)close(client);
	client = -1;
	ck_assert_int_gt(fprintf(out, "lost"), 0);
	ck_assert_int_eq(hd_flush(&req), -EPIPE);
	ck_assert_int_eq(hd_flush(&req), 0);
	ck_assert(request_is_reason(&req, -EPIPE));
}
END_TEST

START_TEST(file_is_sent_from_an_offset_or_from_its_position)
{
	int fd = file_of("0123456789");

	ck_assert_int_eq(hd_sendfile(&req, fd, 3, 4), 4);
	client_expect("3456");
	ck_assert_int_eq(hd_sendfile(&req, fd, 3, HD_TO_END), 7);
	client_expect("3456789");
	ck_assert_int_eq(hd_sendfile(&req, fd, 10, HD_TO_END), 0);
	ck_assert_int_eq(hd_sendfile(&req, fd, 0, 0), 0);
	ck_assert_int_eq(lseek(fd, 8, SEEK_SET), 8);
	ck_assert_int_eq(hd_sendfile(&req, fd, -1, 1), 1);
	ck_assert_int_eq(hd_sendfile(&req, fd, -1, HD_TO_END), 1);
	client_expect("89");
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 10);
	ck_assert_int_eq(hd_sendfile(&req, fd, -2, 1), -EINVAL);
	ck_assert_int_eq(hd_sendfile(&req, -1, 0, 1), -EBADF);
	ck_assert_uint_eq(req.bytes_out, 13);
}
END_TEST

START_TEST(file_that_ends_before_the_count_is_an_error)
{
	ck_assert_int_eq(hd_sendfile(&req, file_of("0123456789"), 3, 8), -ENODATA);
	client_expect("3456789");
}
END_TEST

START_TEST(pipe_is_sent_though_it_cannot_seek)
{
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(write(pipes[1], "from a pipe", 11), 11);
	ck_assert_int_eq(hd_sendfile(&req, pipes[0], -1, 4), 4);
	(void)close(pipes[1]);
	ck_assert_int_eq(hd_sendfile(&req, pipes[0], -1, HD_TO_END), 7);
	client_expect("from a pipe");
	ck_assert_uint_eq(req.bytes_out, 11);
}
END_TEST

START_TEST(sendfile_that_may_not_wait_does_not)
{
	ck_assert_int_eq(hd_set_timeout(&req, 0), 0);
	flow_fill_output();
	ck_assert_int_eq(hd_send(&req, "x", 1), -ETIMEDOUT);
	ck_assert_int_eq(hd_sendfile(&req, file_of("0123456789"), 0, 10), -ETIMEDOUT);
}
END_TEST

START_TEST(sendfile_ends_at_its_timeout)
{
	ck_assert_int_eq(hd_set_timeout(&req, 20), 0);
	flow_fill_output();
	ck_assert_int_eq(hd_sendfile(&req, file_of("0123456789"), 0, 10), -ETIMEDOUT);
}
END_TEST

START_TEST(streams_of_one_connection_do_not_reach_the_next)
{
	FILE *in = hd_makefile(&req, "r");

	client_send("a line\nold bytes");
	ck_assert_ptr_nonnull(fgets(buf, sizeof(buf), in));
	file_close_streams(&req);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	client_send("new");
	ck_assert_int_eq(hd_recv(&req, buf, sizeof(buf)), 3);
	ck_assert_int_eq(memcmp(buf, "new", 3), 0);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("file");

	/* a call that waits where it may not would wait for ever */
	tcase_set_timeout(cases, 2);
	tcase_add_checked_fixture(cases, flow_setup, flow_teardown);
	tcase_add_test(cases, one_stream_of_each_kind);
	tcase_add_test(cases, calls_take_what_the_stream_has_read_ahead);
	tcase_add_test(cases, character_that_was_read_and_put_back_is_not_lost);
	tcase_add_test(cases, another_character_put_back_loses_nothing_behind_it);
	tcase_add_test(cases, more_read_ahead_than_one_piece_keeps_its_order);
	tcase_add_test(cases, bytes_leave_in_the_order_of_the_program);
	tcase_add_test(cases, stream_output_leaves_before_any_wait_for_input);
	tcase_add_test(cases, stream_reads_to_the_end_and_tells_errors_in_errno);
	tcase_add_test(cases, stream_output_that_failed_is_not_tried_again);
	tcase_add_test(cases, file_is_sent_from_an_offset_or_from_its_position);
	tcase_add_test(cases, file_that_ends_before_the_count_is_an_error);
	tcase_add_test(cases, pipe_is_sent_though_it_cannot_seek);
	tcase_add_test(cases, sendfile_that_may_not_wait_does_not);
	tcase_add_test(cases, sendfile_ends_at_its_timeout);
	tcase_add_test(cases, streams_of_one_connection_do_not_reach_the_next);
	return unit_run("file", cases);
}
