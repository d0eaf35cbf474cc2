/*
 * test_datagram_unix.c - datagrams over Unix sockets: credentials, and descriptors that nobody
 * asked for.
 */
#include "net/datagram.h"

#include <stddef.h>
#include <sys/un.h>

#include "net/listen.h"
#include "unit.h"

#define ROOM 100

static struct datagram_socket receiver;
static struct datagram got;
static int client = -1;

static void
open_unix(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1;
	const char *step;
	int fd;

	length += (socklen_t)snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1,
				      "test_datagram_unix.%d", (int)getpid());
	fd = listen_open(&(struct listen_spec){.type = SOCK_DGRAM,
					       .addr = (struct sockaddr *)&un,
					       .length = length},
			 &step);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(datagram_socket_open(fd, &receiver), 0);
	client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&un, length), 0);
	ck_assert_int_eq(datagram_init(&got, ROOM), 0);
}

static void
teardown(void)
{
	datagram_free(&got);
	(void)close(receiver.fd);
	(void)close(client);
}

static void
client_send(const void *data, size_t size)
{
	ck_assert_int_eq(send(client, data, size, 0), (ssize_t)size);
}

START_TEST(unix_sender_is_known_by_its_credentials)
{
	ck_assert_int_eq(receiver.family, AF_UNIX);
	client_send("hello", 5);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	ck_assert_uint_eq(got.length, 5);
	ck_assert_mem_eq(got.data, "hello", 5);
	ck_assert(got.has_credentials);
	ck_assert_int_eq(got.credentials.pid, getpid());
	ck_assert_uint_eq(got.credentials.uid, getuid());
	/* it has no name: there is nowhere to answer to */
	ck_assert_uint_eq(got.client_length, 0);
	/* the kernel gives it one */
	(void)bind(client, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t));
	client_send("again", 5);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	ck_assert_uint_gt(got.client_length, sizeof(sa_family_t));
}
END_TEST

/* Sends `size` bytes and this many descriptors with them. */
static void
send_fds(size_t size, int count)
{
	static char data[2 * ROOM];
	struct iovec iov = {.iov_base = data, .iov_len = size};
	union {
		char room[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr header;
	} control = {0};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
	int fds[16];

	for (int i = 0; i < count; i++)
		fds[i] = client;
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	memcpy(CMSG_DATA(&control.header), fds, (size_t)count * sizeof(int));
	ck_assert_int_eq(sendmsg(client, &message, 0), (ssize_t)size);
}

/* Also of a socket that a handler has told not to pass credentials: then there would be room. */
START_TEST(descriptors_of_a_client_are_never_kept)
{
	static const int counts[] = {1, 2, 3, 4, 16};
	struct datagram batch[2] = {0};
	int zero = 0, before;

	if (_i > 0)
		ck_assert_int_eq(
			setsockopt(receiver.fd, SOL_SOCKET, SO_PASSCRED, &zero, sizeof(zero)), 0);
	ck_assert_int_eq(datagram_init(&batch[0], ROOM), 0);
	ck_assert_int_eq(datagram_init(&batch[1], ROOM), 0);
	before = unit_count_fds();
	for (int i = 0; i < UNIT_COUNT(counts); i++) {
		unsigned too_long;

		send_fds(5, counts[i]);
		ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
		ck_assert_int_eq(unit_count_fds(), before);
		send_fds(ROOM + 1, counts[i]);
		ck_assert_int_eq(datagram_receive(&receiver, &got), -EMSGSIZE);
		ck_assert_int_eq(unit_count_fds(), before);
		send_fds(ROOM + 1, counts[i]);
		send_fds(5, counts[i]);
		ck_assert_int_eq(datagram_receive_batch(&receiver, batch, 2, &too_long), 1);
		ck_assert_uint_eq(too_long, 1);
		ck_assert_int_eq(unit_count_fds(), before);
	}
	datagram_free(&batch[0]);
	datagram_free(&batch[1]);
}
END_TEST

START_TEST(full_unix_receiver_is_told_at_once)
{
	static const char zeros[64];
	struct iovec iov = {.iov_base = (void *)(uintptr_t)zeros, .iov_len = sizeof(zeros)};
	ssize_t n = 0;

	(void)bind(client, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t));
	client_send("hello", 5);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	for (int i = 0; i < 100000 && n >= 0; i++)
		n = datagram_send(&receiver, &iov, 1, (struct sockaddr *)&got.client,
				  got.client_length, &got.path);
	ck_assert_int_eq(n, -EAGAIN);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("datagram_unix");

	tcase_add_checked_fixture(cases, open_unix, teardown);
	tcase_add_test(cases, unix_sender_is_known_by_its_credentials);
	tcase_add_loop_test(cases, descriptors_of_a_client_are_never_kept, 0, 2);
	tcase_add_test(cases, full_unix_receiver_is_told_at_once);
	return unit_run("datagram_unix", cases);
}
