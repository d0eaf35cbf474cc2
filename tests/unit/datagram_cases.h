/*
 * datagram_cases.h - a flow of control with a datagram, or with a peer's mailbox, and the client
 * that sends and is answered.
 */
#ifndef TESTS_DATAGRAM_CASES_H
#define TESTS_DATAGRAM_CASES_H

#include "flow_cases.h"

#include "api/mailbox.h"
#include "api/reply.h"
#include "api/session.h"
#include "net/datagram.h"
#include "net/listen.h"

static struct datagram_socket receiver;
static struct datagram arrived;

/* A socket on a free port of 127.0.0.1, connected to nobody. */
static inline int
udp_open(struct sockaddr_in *ret)
{
	socklen_t length = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)ret, length), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)ret, &length), 0);
	return fd;
}

/* Fixture: the request is not open yet. */
static inline void
udp_setup(void)
{
	struct sockaddr_in in, own;

	log_set_level(0);
	flow_open_server();
	server.max_datagram = DATAGRAM_MOST;
	ck_assert_int_eq(datagram_socket_open(udp_open(&in), &receiver), 0);
	client = udp_open(&own);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
}

static inline void
udp_teardown(void)
{
	flow_teardown();
	datagram_free(&arrived);
	(void)close(receiver.fd);
}

/* The client sends; what comes is in `arrived`. */
static inline void
udp_arrive(const void *data, size_t size)
{
	if (arrived.room < DATAGRAM_MOST) {
		datagram_free(&arrived);
		ck_assert_int_eq(datagram_init(&arrived, DATAGRAM_MOST), 0);
	}
	ck_assert_int_eq(send(client, data, size, 0), (ssize_t)size);
	ck_assert_int_eq(datagram_receive(&receiver, &arrived), 0);
}

static inline void
udp_open_request(const char *text)
{
	udp_arrive(text, strlen(text));
	request_open_datagram(&req, &receiver, &arrived);
}

/* The next datagram at the client is this one. */
static inline void
udp_expect(const char *text)
{
	char buf[4096];

	ck_assert_int_eq(recv(client, buf, sizeof(buf), 0), (ssize_t)strlen(text));
	ck_assert_mem_eq(buf, text, strlen(text));
}

static inline uint64_t
udp_count(enum scoreboard_drop reason)
{
	return scoreboard_sum(board, 0).dropped[reason];
}

static inline uint64_t
udp_count_all(void)
{
	struct scoreboard_totals totals = scoreboard_sum(board, 0);
	uint64_t count = 0;

	for (int i = 0; i < SCOREBOARD_DROPS; i++)
		count += totals.dropped[i];
	return count;
}

#endif
