/*
 * test_channel.c - a message is whole and of this version, or it is none. What a worker sends is
 * gossip: garbage costs nothing but itself.
 */
#include "ipc/channel.h"

#include <sys/socket.h>

#include "unit.h"

static int ends[2];
static struct channel_message message;

static void
prepare(void)
{
	ck_assert_int_eq(channel_open(ends), 0);
}

static void
send_raw(const void *data, size_t size)
{
	ck_assert_int_eq(send(ends[0], data, size, MSG_DONTWAIT), (ssize_t)size);
}

START_TEST(ends_do_not_wait_and_are_closed_on_exec)
{
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fcntl(ends[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_ne(fcntl(ends[i], F_GETFL) & O_NONBLOCK, 0);
		ck_assert_int_eq(channel_receive(ends[i], &message), -EAGAIN);
	}
}
END_TEST

START_TEST(messages_arrive_one_by_one_with_type_generation_and_payload)
{
	struct buf payload = {0};
	char *text;

	buf_add_u32(&payload, 42);
	buf_add_text(&payload, "why");
	ck_assert_int_eq(channel_send(ends[0], 7, PROTOCOL_HELLO, NULL), 0);
	ck_assert_int_eq(channel_send(ends[0], UINT32_MAX, PROTOCOL_FAILED, &payload), 0);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_int_eq(message.type, PROTOCOL_HELLO);
	ck_assert_uint_eq(message.generation, 7);
	ck_assert_uint_eq(message.payload.length, 0);
	ck_assert_uint_eq(buf_read_u32(&message.payload), 0);
	ck_assert(message.payload.is_bad);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_int_eq(message.type, PROTOCOL_FAILED);
	ck_assert_uint_eq(message.generation, UINT32_MAX);
	ck_assert_uint_eq(buf_read_u32(&message.payload), 42);
	text = buf_read_text(&message.payload);
	ck_assert_str_eq(text, "why");
	ck_assert(!message.payload.is_bad);
	free(text);
	buf_free(&payload);
	ck_assert_int_eq(channel_receive(ends[1], &message), -EAGAIN);
}
END_TEST

START_TEST(payload_has_a_longest_length)
{
	struct buf payload = {0};
	static char zeros[PROTOCOL_MESSAGE_SIZE];

	buf_add(&payload, zeros, PROTOCOL_MESSAGE_SIZE - sizeof(struct protocol_header));
	ck_assert_int_eq(channel_send(ends[0], 1, PROTOCOL_FAILED, &payload), 0);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_uint_eq(message.payload.length, payload.length);
	buf_add(&payload, zeros, 1);
	ck_assert_int_eq(channel_send(ends[0], 1, PROTOCOL_FAILED, &payload), -EMSGSIZE);
	ck_assert_int_eq(channel_receive(ends[1], &message), -EAGAIN);
	buf_free(&payload);
}
END_TEST

START_TEST(packet_that_is_no_message_is_consumed_and_refused)
{
	static char longest[2 * PROTOCOL_MESSAGE_SIZE];
	struct protocol_header header = {.version = PROTOCOL_VERSION, .type = PROTOCOL_READY};
	static const uint16_t versions[] = {PROTOCOL_OLDEST - 1, PROTOCOL_VERSION + 1, UINT16_MAX};

	/* too short */
	for (size_t size = 1; size < sizeof(header); size++) {
		send_raw(&header, size);
		ck_assert_int_eq(channel_receive(ends[1], &message), -EBADMSG);
	}
	/* of another version */
	for (int i = 0; i < UNIT_COUNT(versions); i++) {
		header.version = versions[i];
		send_raw(&header, sizeof(header));
		ck_assert_int_eq(channel_receive(ends[1], &message), -EBADMSG);
	}
	/* too long, though it begins well */
	header.version = PROTOCOL_VERSION;
	memcpy(longest, &header, sizeof(header));
	send_raw(longest, PROTOCOL_MESSAGE_SIZE + 1);
	ck_assert_int_eq(channel_receive(ends[1], &message), -EBADMSG);
	send_raw(longest, sizeof(longest));
	ck_assert_int_eq(channel_receive(ends[1], &message), -EBADMSG);
	/* and what follows is heard */
	ck_assert_int_eq(channel_send(ends[0], 1, PROTOCOL_READY, NULL), 0);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_int_eq(message.type, PROTOCOL_READY);
}
END_TEST

START_TEST(message_of_the_oldest_version_is_heard_and_told)
{
	ck_assert_int_eq(channel_send_version(ends[0], PROTOCOL_OLDEST, 7, PROTOCOL_READY, NULL),
			 0);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_uint_eq(message.version, PROTOCOL_OLDEST);
	ck_assert_int_eq(channel_send(ends[0], 7, PROTOCOL_READY, NULL), 0);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_uint_eq(message.version, PROTOCOL_VERSION);
}
END_TEST

START_TEST(empty_packet_is_no_end_of_file)
{
	send_raw("", 0);
	ck_assert_int_eq(channel_send(ends[0], 1, PROTOCOL_READY, NULL), 0);
	ck_assert_int_eq(channel_receive(ends[1], &message), -EBADMSG);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
}
END_TEST

START_TEST(unknown_type_is_passed_on_for_the_receiver_to_ignore)
{
	struct protocol_header header = {.version = PROTOCOL_VERSION, .type = 60000};

	send_raw(&header, sizeof(header));
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_uint_eq((unsigned)message.type, 60000);
}
END_TEST

START_TEST(descriptors_that_come_along_do_not_stay)
{
	struct protocol_header header = {.version = PROTOCOL_VERSION, .type = PROTOCOL_HELLO};
	struct iovec iov = {.iov_base = &header, .iov_len = sizeof(header)};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int before = unit_count_fds();

	*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
						.cmsg_level = SOL_SOCKET,
						.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &(int){STDIN_FILENO}, sizeof(int));
	ck_assert_int_gt(sendmsg(ends[0], &msg, 0), 0);
	(void)channel_receive(ends[1], &message);
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(end_of_file_comes_after_the_last_message)
{
	ck_assert_int_eq(channel_send(ends[0], 1, PROTOCOL_QUIET, NULL), 0);
	(void)close(ends[0]);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_int_eq(message.type, PROTOCOL_QUIET);
	ck_assert_int_eq(channel_receive(ends[1], &message), 0);
	ck_assert_int_eq(channel_receive(ends[1], &message), 0);
	ck_assert_int_eq(channel_send(ends[1], 1, PROTOCOL_STOP, NULL), -EPIPE);
}
END_TEST

START_TEST(end_of_file_with_unread_messages_at_the_other_side_is_still_one)
{
	/* the kernel tells this as a reset */
	ck_assert_int_eq(channel_send(ends[1], 1, PROTOCOL_ACCEPT, NULL), 0);
	(void)close(ends[0]);
	ck_assert_int_eq(channel_receive(ends[1], &message), 0);
}
END_TEST

START_TEST(other_side_that_does_not_read_makes_nobody_wait)
{
	struct buf payload = {0};
	static char zeros[8000];
	int r = 0;

	buf_add(&payload, zeros, sizeof(zeros));
	for (int i = 0; i < 10000 && r == 0; i++)
		r = channel_send(ends[0], 1, PROTOCOL_FAILED, &payload);
	ck_assert_int_eq(r, -EAGAIN);
	buf_free(&payload);
}
END_TEST

static int
next_fd(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	return fd;
}

START_TEST(descriptor_comes_with_its_message_to_who_asks_for_it)
{
	int passed[2], got = -1;
	char byte = 'x';

	ck_assert_int_eq(pipe(passed), 0);
	ck_assert_int_eq(channel_send(ends[0], 7, PROTOCOL_HELLO, NULL), 0);
	ck_assert_int_eq(channel_send_fd(ends[0], 7, PROTOCOL_CONFINED, NULL, passed[1]), 0);
	(void)close(passed[1]);
	ck_assert_int_eq(channel_receive_fd(ends[1], &message, &got), 1);
	ck_assert_int_eq(got, -1);
	ck_assert_int_eq(channel_receive_fd(ends[1], &message, &got), 1);
	ck_assert_int_eq(message.type, PROTOCOL_CONFINED);
	ck_assert_int_eq(fcntl(got, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(got, &byte, 1), 1);
	ck_assert_int_eq(read(passed[0], &byte, 1), 1);
	(void)close(got);
	/* it was not kept by the sender's side */
	ck_assert_int_eq(read(passed[0], &byte, 1), 0);
	(void)close(passed[0]);
}
END_TEST

START_TEST(descriptors_are_seen_before_they_are_received)
{
	int free_fd = next_fd();

	/* nothing is not the same as nothing with descriptors: what comes next may have some */
	ck_assert_int_eq(channel_look(ends[1]), CHANNEL_NOTHING);
	ck_assert_int_eq(channel_send(ends[0], 7, PROTOCOL_HELLO, NULL), 0);
	ck_assert_int_eq(channel_look(ends[1]), CHANNEL_CLEAN);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_int_eq(channel_send_fd(ends[0], 7, PROTOCOL_CONFINED, NULL, STDERR_FILENO), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(channel_look(ends[1]), CHANNEL_FDS);
	ck_assert_int_eq(next_fd(), free_fd);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_int_eq(channel_look(ends[1]), CHANNEL_NOTHING);
	/* an empty message, and the end */
	ck_assert_int_eq(send(ends[0], "", 0, MSG_DONTWAIT), 0);
	ck_assert_int_eq(channel_look(ends[1]), CHANNEL_CLEAN);
	ck_assert_int_eq(channel_receive(ends[1], &message), -EBADMSG);
	(void)close(ends[0]);
	ck_assert_int_eq(channel_look(ends[1]), CHANNEL_CLEAN);
	ck_assert_int_eq(channel_receive(ends[1], &message), 0);
	ck_assert_int_eq(channel_look(STDERR_FILENO), -ENOTSOCK);
}
END_TEST

/* The other side went with something unread: that is told before what it has sent. */
START_TEST(last_words_are_seen_behind_a_reset)
{
	ck_assert_int_eq(channel_send(ends[1], 7, PROTOCOL_ACCEPT, NULL), 0);
	ck_assert_int_eq(channel_send(ends[0], 7, PROTOCOL_FAILED, NULL), 0);
	(void)close(ends[0]);
	ck_assert_int_eq(channel_look(ends[1]), CHANNEL_CLEAN);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_int_eq(message.type, PROTOCOL_FAILED);
	ck_assert_int_eq(channel_receive(ends[1], &message), 0);
}
END_TEST

START_TEST(descriptors_that_are_one_too_many_do_not_stay)
{
	struct protocol_header header = {
		.version = PROTOCOL_VERSION, .type = PROTOCOL_CONFINED, .generation = 3};
	struct iovec iov = {.iov_base = &header, .iov_len = sizeof(header)};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int passed[2] = {ends[0], ends[1]}, got = 7, free_fd = next_fd();

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(passed));
	memcpy(CMSG_DATA(&control.header), passed, sizeof(passed));
	ck_assert_int_eq(sendmsg(ends[0], &msg, MSG_DONTWAIT), (ssize_t)sizeof(header));
	ck_assert_int_eq(channel_receive_fd(ends[1], &message, &got), 1);
	ck_assert_int_eq(got, -1);
	ck_assert_int_eq(next_fd(), free_fd);
}
END_TEST

START_TEST(descriptor_of_what_is_no_message_does_not_stay)
{
	int free_fd = next_fd(), got = 7;

	ck_assert_int_eq(channel_send_fd(ends[0], 1, PROTOCOL_CONFINED, NULL, STDERR_FILENO), 0);
	ck_assert_int_eq(channel_receive(ends[1], &message), 1);
	ck_assert_int_eq(next_fd(), free_fd);
	send_raw("x", 1);
	ck_assert_int_eq(channel_receive_fd(ends[1], &message, &got), -EBADMSG);
	ck_assert_int_eq(got, -1);
	ck_assert_int_eq(channel_receive_fd(ends[1], &message, &got), -EAGAIN);
	ck_assert_int_eq(got, -1);
	ck_assert_int_eq(next_fd(), free_fd);
}
END_TEST

START_TEST(what_is_no_socket_is_an_error)
{
	ck_assert_int_eq(channel_receive(-1, &message), -EBADF);
	ck_assert_int_eq(channel_send(-1, 1, PROTOCOL_READY, NULL), -EBADF);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("channel");

	tcase_add_checked_fixture(cases, prepare, NULL);
	tcase_add_test(cases, ends_do_not_wait_and_are_closed_on_exec);
	tcase_add_test(cases, messages_arrive_one_by_one_with_type_generation_and_payload);
	tcase_add_test(cases, payload_has_a_longest_length);
	tcase_add_test(cases, packet_that_is_no_message_is_consumed_and_refused);
	tcase_add_test(cases, message_of_the_oldest_version_is_heard_and_told);
	tcase_add_test(cases, empty_packet_is_no_end_of_file);
	tcase_add_test(cases, unknown_type_is_passed_on_for_the_receiver_to_ignore);
	tcase_add_test(cases, descriptors_that_come_along_do_not_stay);
	tcase_add_test(cases, descriptor_comes_with_its_message_to_who_asks_for_it);
	tcase_add_test(cases, descriptors_are_seen_before_they_are_received);
	tcase_add_test(cases, last_words_are_seen_behind_a_reset);
	tcase_add_test(cases, descriptors_that_are_one_too_many_do_not_stay);
	tcase_add_test(cases, descriptor_of_what_is_no_message_does_not_stay);
	tcase_add_test(cases, end_of_file_comes_after_the_last_message);
	tcase_add_test(cases, end_of_file_with_unread_messages_at_the_other_side_is_still_one);
	tcase_add_test(cases, other_side_that_does_not_read_makes_nobody_wait);
	tcase_add_test(cases, what_is_no_socket_is_an_error);
	return unit_run("channel", cases);
}
