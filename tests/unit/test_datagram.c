/*
 * test_datagram.c - datagrams in and out of sockets as listeners have them.
 */
#include "net/datagram.h"

#include <arpa/inet.h>
#include <poll.h>

#include "net/listen.h"
#include "net/peer.h"
#include "unit.h"

#define ROOM 100

static struct datagram_socket receiver;
static struct datagram got;
static int client = -1;

static void
setup(void)
{
	ck_assert_int_eq(datagram_init(&got, ROOM), 0);
	ck_assert_uint_eq(got.room, ROOM);
}

static void
teardown(void)
{
	datagram_free(&got);
	ck_assert_ptr_null(got.data);
	ck_assert_uint_eq(got.room, 0);
	(void)close(receiver.fd);
	if (client >= 0)
		(void)close(client);
}

/* Opens the receiver on `host`, and a client of the same family that is connected to `to` there. */
static void
open_udp(const char *host, bool is_dual_stack, const char *to)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	bool is_in6 = inet_pton(AF_INET6, host, &in6.sin6_addr) == 1;
	struct sockaddr_storage addr;
	socklen_t length;
	const char *step;
	uint16_t port;
	int fd;

	if (!is_in6)
		ck_assert_int_eq(inet_pton(AF_INET, host, &in.sin_addr), 1);
	fd = listen_open(&(struct listen_spec){.type = SOCK_DGRAM,
					       .addr = is_in6 ? (struct sockaddr *)&in6
							      : (struct sockaddr *)&in,
					       .length = is_in6 ? sizeof(in6) : sizeof(in),
					       .is_dual_stack = is_dual_stack},
			 &step);
	ck_assert_msg(fd >= 0, "%s: %s", step, strerror(-fd));
	ck_assert_int_eq(datagram_socket_open(fd, &receiver), 0);
	ck_assert_int_eq(listen_get_address(fd, &addr, &length), 0);
	port = ((struct sockaddr_in *)(void *)&addr)->sin_port;
	in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
	in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
	is_in6 = inet_pton(AF_INET6, to, &in6.sin6_addr) == 1;
	if (!is_in6)
		ck_assert_int_eq(inet_pton(AF_INET, to, &in.sin_addr), 1);
	client = socket(is_in6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client, is_in6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
				 is_in6 ? sizeof(in6) : sizeof(in)),
			 0);
}

static void
client_send(const void *data, size_t size)
{
	ck_assert_int_eq(send(client, data, size, 0), (ssize_t)size);
}

static void
check_got(const char *text)
{
	ck_assert_uint_eq(got.length, strlen(text));
	ck_assert_mem_eq(got.data, text, got.length);
}

/* Answers what was received last and checks that the client, which is connected, takes it: so it
 * comes from the very address that the client has sent to. */
static void
answer(const char *text)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
	struct pollfd row = {.fd = client, .events = POLLIN};
	char back[ROOM];

	peer_normalise(&got.client, &got.client_length);
	ck_assert_int_eq(datagram_send(&receiver, &iov, 1, (struct sockaddr *)&got.client,
				       got.client_length, &got.path),
			 (ssize_t)strlen(text));
	ck_assert_int_eq(poll(&row, 1, 5000), 1);
	ck_assert_int_eq(recv(client, back, sizeof(back), 0), (ssize_t)strlen(text));
	ck_assert_mem_eq(back, text, strlen(text));
}

/* Where a socket is bound to, where the client sends to. */
static const struct {
	const char *host, *to;
	bool is_dual_stack, has_control;
	sa_family_t path;
} ways[] = {
	{"127.0.0.1", "127.0.0.1", false, false, AF_UNSPEC},
	{"0.0.0.0", "127.0.0.1", false, true, AF_INET},
	{"0.0.0.0", "127.0.0.2", false, true, AF_INET},
	{"::1", "::1", false, false, AF_UNSPEC},
	{"::", "::1", false, true, AF_INET6},
	{"::", "::1", true, true, AF_INET6},
	/* mapped addresses: the answer must leave from 127.0.0.2, not from the first one */
	{"::", "127.0.0.1", true, true, AF_INET},
	{"::", "127.0.0.2", true, true, AF_INET},
};

START_TEST(answer_leaves_from_the_address_that_was_asked)
{
	struct sockaddr_storage local;
	socklen_t length;
	char name[PEER_NAME_SIZE], expected[PEER_NAME_SIZE];

	open_udp(ways[_i].host, ways[_i].is_dual_stack, ways[_i].to);
	ck_assert_int_eq(receiver.has_control, ways[_i].has_control);
	ck_assert_int_eq(datagram_receive(&receiver, &got), -EAGAIN);
	client_send("hello", 5);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	check_got("hello");
	ck_assert_int_eq(got.path.family, ways[_i].path);
	ck_assert(!got.has_credentials);
	answer("you too");
	ck_assert_int_eq(listen_get_address(receiver.fd, &local, &length), 0);
	datagram_path_local(&got.path, &local, &length);
	(void)peer_format((struct sockaddr *)&local, length, name, sizeof(name));
	length = sizeof(local);
	ck_assert_int_eq(getpeername(client, (struct sockaddr *)&local, &length), 0);
	(void)peer_format((struct sockaddr *)&local, length, expected, sizeof(expected));
	ck_assert_str_eq(name, expected);
}
END_TEST

START_TEST(length_is_told_exactly_and_one_more_is_too_long)
{
	static const char zeros[65507];

	open_udp(ways[_i].host, ways[_i].is_dual_stack, ways[_i].to);
	client_send(zeros, ROOM);
	client_send(zeros, ROOM + 1);
	client_send(zeros, sizeof(zeros));
	client_send(zeros, 0);
	client_send("next", 4);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	ck_assert_uint_eq(got.length, ROOM);
	ck_assert_int_eq(datagram_receive(&receiver, &got), -EMSGSIZE);
	ck_assert_int_eq(datagram_receive(&receiver, &got), -EMSGSIZE);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	ck_assert_uint_eq(got.length, 0);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	check_got("next");
	ck_assert_int_eq(datagram_receive(&receiver, &got), -EAGAIN);
}
END_TEST

START_TEST(refused_answer_does_not_stop_the_next_datagram)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t) "x", .iov_len = 1};
	struct sockaddr_storage gone;
	socklen_t gone_length;

	open_udp("127.0.0.1", false, "127.0.0.1");
	client_send("hello", 5);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	gone = got.client;
	gone_length = got.client_length;
	(void)close(client);
	(void)datagram_send(&receiver, &iov, 1, (struct sockaddr *)&gone, gone_length, &got.path);
	ck_assert_int_eq(datagram_receive(&receiver, &got), -EAGAIN);
	client = -1;
}
END_TEST

/* An address that a datagram came to may be gone when it is answered. */
START_TEST(path_that_is_gone_is_left_to_the_routes)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t) "back", .iov_len = 4};
	struct datagram_path path;
	char back[8];

	open_udp(_i == 0 ? "0.0.0.0" : "::", _i == 2, _i == 1 ? "::1" : "127.0.0.1");
	client_send("hello", 5);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	path = got.path;
	ck_assert_int_eq(inet_pton(AF_INET, "203.0.113.7", &path.in), 1);
	ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8::7", &path.in6), 1);
	ck_assert_int_eq(datagram_send(&receiver, &iov, 1, (struct sockaddr *)&got.client,
				       got.client_length, &path),
			 4);
	ck_assert_int_eq(recv(client, back, sizeof(back), 0), 4);
}
END_TEST

START_TEST(longest_datagram_goes_out_and_one_byte_more_does_not)
{
	static char data[DATAGRAM_MOST + 1];
	struct iovec iov[2] = {{.iov_base = data, .iov_len = DATAGRAM_MOST},
			       {.iov_base = data, .iov_len = 1}};

	open_udp("127.0.0.1", false, "127.0.0.1");
	client_send("hello", 5);
	ck_assert_int_eq(datagram_receive(&receiver, &got), 0);
	ck_assert_int_eq(datagram_send(&receiver, iov, 1, (struct sockaddr *)&got.client,
				       got.client_length, &got.path),
			 DATAGRAM_MOST);
	ck_assert_int_eq(datagram_send(&receiver, iov, 2, (struct sockaddr *)&got.client,
				       got.client_length, &got.path),
			 -EMSGSIZE);
	ck_assert_int_eq(recv(client, data, sizeof(data), 0), DATAGRAM_MOST);
}
END_TEST

/* Every buffer is still there once, whichever datagrams were too long. */
static void
check_buffers(const struct datagram *batch, unsigned char *const *buffers)
{
	for (int i = 0; i < DATAGRAM_BATCH; i++) {
		int count = 0;

		ck_assert_uint_eq(batch[i].room, ROOM);
		for (int j = 0; j < DATAGRAM_BATCH; j++)
			count += batch[j].data == buffers[i];
		ck_assert_int_eq(count, 1);
	}
}

/* Which of a batch are too long: bits. */
static const uint32_t patterns[] = {
	0,	    1,		0x80000000, 0x0000fff0, 0x55555555,
	0xaaaaaaaa, 0xfffffffe, 0x7fffffff, 0xffffffff, 0x00010000,
};

START_TEST(batch_leaves_long_ones_out_and_keeps_every_buffer)
{
	static const char zeros[ROOM + 1];
	struct datagram batch[DATAGRAM_BATCH];
	unsigned char *buffers[DATAGRAM_BATCH];
	unsigned too_long = 77;
	int good = 0, n;

	open_udp(ways[_i % UNIT_COUNT(ways)].host, ways[_i % UNIT_COUNT(ways)].is_dual_stack,
		 ways[_i % UNIT_COUNT(ways)].to);
	for (int i = 0; i < DATAGRAM_BATCH; i++) {
		ck_assert_int_eq(datagram_init(&batch[i], ROOM), 0);
		buffers[i] = batch[i].data;
	}
	ck_assert_int_eq(datagram_receive_batch(&receiver, batch, DATAGRAM_BATCH, &too_long),
			 -EAGAIN);
	ck_assert_uint_eq(too_long, 0);
	for (uint32_t i = 0; i < DATAGRAM_BATCH; i++) {
		char text[16];

		if ((patterns[_i] >> i & 1) != 0) {
			client_send(zeros, sizeof(zeros));
			continue;
		}
		client_send(text, (size_t)snprintf(text, sizeof(text), "%u", i));
	}
	/* more than there is room for is not asked of the kernel */
	n = datagram_receive_batch(&receiver, batch, DATAGRAM_BATCH + 8, &too_long);
	ck_assert_int_eq(n, DATAGRAM_BATCH - __builtin_popcount(patterns[_i]));
	ck_assert_uint_eq(too_long, (unsigned)__builtin_popcount(patterns[_i]));
	for (uint32_t i = 0; i < DATAGRAM_BATCH; i++) {
		char text[16];
		size_t length = (size_t)snprintf(text, sizeof(text), "%u", i);

		if ((patterns[_i] >> i & 1) != 0)
			continue;
		ck_assert_uint_eq(batch[good].length, length);
		ck_assert_mem_eq(batch[good].data, text, length);
		ck_assert_uint_gt(batch[good].client_length, 0);
		good++;
	}
	check_buffers(batch, buffers);
	for (int i = 0; i < DATAGRAM_BATCH; i++)
		datagram_free(&batch[i]);
}
END_TEST

START_TEST(what_is_no_socket_is_told)
{
	receiver.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(datagram_socket_open(receiver.fd, &(struct datagram_socket){0}),
			 -ENOTSOCK);
	ck_assert_int_eq(datagram_receive(&receiver, &got), -ENOTSOCK);
	receiver.has_control = true;
	ck_assert_int_eq(datagram_receive(&receiver, &got), -ENOTSOCK);
	ck_assert_int_eq(datagram_receive_batch(&receiver, &got, 1, &(unsigned){0}), -ENOTSOCK);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("datagram");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, answer_leaves_from_the_address_that_was_asked, 0,
			    UNIT_COUNT(ways));
	tcase_add_loop_test(cases, length_is_told_exactly_and_one_more_is_too_long, 0,
			    UNIT_COUNT(ways));
	tcase_add_test(cases, refused_answer_does_not_stop_the_next_datagram);
	tcase_add_loop_test(cases, path_that_is_gone_is_left_to_the_routes, 0, 3);
	tcase_add_test(cases, longest_datagram_goes_out_and_one_byte_more_does_not);
	tcase_add_loop_test(cases, batch_leaves_long_ones_out_and_keeps_every_buffer, 0,
			    UNIT_COUNT(patterns));
	tcase_add_test(cases, what_is_no_socket_is_told);
	return unit_run("datagram", cases);
}
