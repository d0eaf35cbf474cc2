/*
 * test_reply_rules.c - what may not leave: long answers to short questions, answers to services,
 * and to ourselves.
 */
#include "datagram_cases.h"

/* A datagram of so many bytes that claims to come from there. */
static void
open_from(const char *host, uint16_t port, size_t size)
{
	static const char zeros[2000];
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	ck_assert_int_eq(inet_pton(AF_INET, host, &in.sin_addr), 1);
	udp_arrive(zeros, size);
	memcpy(&arrived.client, &in, sizeof(in));
	arrived.client_length = sizeof(in);
	request_open_datagram(&req, &receiver, &arrived);
}

static void
answer(size_t size)
{
	static const char zeros[4000];

	ck_assert_int_eq(hd_sendall(&req, zeros, size), 0);
	reply_finish(&req);
}

/* Not of this machine, nor near; from a socket on the loopback nothing gets there. */
#define STRANGER "198.51.100.9"

static const struct {
	uint32_t factor; /* in thousandths */
	size_t asked, most;
} caps[] = {
	{1000, 100, 100}, {1000, 0, 0}, {1500, 100, 164}, {3000, 100, 356}, {1, 27972, 0},
};

START_TEST(answer_may_be_as_long_as_the_cap_and_not_a_byte_longer)
{
	uint64_t asked = caps[_i].asked + REPLY_HEADER_SIZE;

	server.amplification = caps[_i].factor;
	for (size_t more = 0; more < 2; more++) {
		open_from(STRANGER, 4711, 0);
		req.asked = asked;
		answer(caps[_i].most + more);
		ck_assert_uint_eq(udp_count(SCOREBOARD_AMPLIFIED), more);
		/* it was let go, and the kernel did not know the way */
		ck_assert_uint_eq(udp_count(SCOREBOARD_UNSENT), 1);
		request_close(&req);
	}
	/* nothing of a question is left for the next */
	open_from(STRANGER, 4711, 0);
	ck_assert_uint_eq(req.asked, REPLY_HEADER_SIZE);
	ck_assert_uint_eq(req.answered, 0);
}
END_TEST

START_TEST(what_was_answered_before_counts)
{
	server.amplification = 1000;
	open_from(STRANGER, 4711, 1000);
	req.answered = 500;
	answer(500);
	ck_assert_uint_eq(udp_count(SCOREBOARD_AMPLIFIED), 0);
	ck_assert_uint_eq(req.answered, 500);
	answer(501);
	ck_assert_uint_eq(udp_count(SCOREBOARD_AMPLIFIED), 1);
}
END_TEST

START_TEST(no_cap_for_those_nearby_nor_without_one)
{
	server.amplification = 1;
	udp_open_request("x");
	answer(4000);
	ck_assert_int_gt(recv(client, &(char){0}, 1, 0), 0);
	ck_assert_uint_eq(req.answered, 4000 + REPLY_HEADER_SIZE);
	ck_assert_uint_eq(req.bytes_out, 4000);
	request_close(&req);
	server.amplification = 0;
	open_from(STRANGER, 4711, 0);
	answer(4000);
	ck_assert_uint_eq(udp_count(SCOREBOARD_AMPLIFIED), 0);
}
END_TEST

START_TEST(low_ports_are_answered_only_when_asked_for)
{
	static const uint16_t ports[] = {1, 19, 1023, 1024};

	for (int i = 0; i < UNIT_COUNT(ports); i++) {
		bool is_low = ports[i] < 1024;

		server.answers_low_ports = false;
		open_from("127.0.0.1", ports[i], 1);
		answer(1);
		ck_assert_uint_eq(udp_count(SCOREBOARD_LOW_PORT), is_low);
		ck_assert_uint_eq(req.answered == 0, is_low);
		request_close(&req);
		server.answers_low_ports = true;
		open_from("127.0.0.1", ports[i], 1);
		answer(1);
		ck_assert_uint_eq(udp_count(SCOREBOARD_LOW_PORT), is_low);
		ck_assert_uint_eq(req.answered, 1 + REPLY_HEADER_SIZE);
		request_close(&req);
		board->dropped[SCOREBOARD_LOW_PORT] = 0;
	}
}
END_TEST

START_TEST(own_ports_are_not_answered_on_this_machine)
{
	struct port_page *page = calloc(1, sizeof(*page));
	static struct port_list list;

	ck_assert_ptr_nonnull(page);
	ports_add(&list, 4711);
	ports_replace(page, &list);
	server.ports = page;
	server.amplification = 1000;
	open_from("127.0.0.3", 4711, 1);
	answer(1);
	ck_assert_uint_eq(udp_count(SCOREBOARD_OWN_PORT), 1);
	request_close(&req);
	open_from("127.0.0.3", 4712, 1);
	answer(1);
	request_close(&req);
	/* elsewhere that port is somebody else's */
	open_from(STRANGER, 4711, 1);
	answer(1);
	ck_assert_uint_eq(udp_count(SCOREBOARD_OWN_PORT), 1);
	server.ports = NULL;
	free(page);
}
END_TEST

START_TEST(sendto_sends_at_once_to_anybody)
{
	struct sockaddr_in third, other;
	socklen_t length = sizeof(other);
	char back[8];
	int fd = udp_open(&third);

	udp_open_request("question");
	ck_assert_int_eq(hd_sendall(&req, "reply", 5), 0);
	ck_assert_int_eq(hd_sendto(&req, "third", 5, (struct sockaddr *)&third, sizeof(third)), 5);
	ck_assert_int_eq(recv(fd, back, sizeof(back), 0), 5);
	ck_assert_uint_eq(req.answered, 0);
	ck_assert_int_eq(getsockname(client, (struct sockaddr *)&other, &length), 0);
	ck_assert_int_eq(hd_sendto(&req, "", 0, (struct sockaddr *)&other, length), 0);
	ck_assert_uint_eq(req.answered, REPLY_HEADER_SIZE);
	udp_expect("");
	client_expect_nothing();
	reply_finish(&req);
	udp_expect("reply");
	ck_assert_uint_eq(req.bytes_out, 10);
	(void)close(fd);
}
END_TEST

START_TEST(sendto_tells_what_is_wrong)
{
	static const char big[DATAGRAM_MOST + 1];
	struct sockaddr_in third;
	const struct sockaddr *to = (const struct sockaddr *)&third;
	int fd = udp_open(&third);

	udp_open_request("question");
	ck_assert_int_eq(hd_sendto(&req, "x", 1, NULL, sizeof(third)), -EDESTADDRREQ);
	ck_assert_int_eq(hd_sendto(&req, "x", 1, to, 0), -EDESTADDRREQ);
	ck_assert_int_eq(hd_sendto(&req, "x", 1, to, 1), -EDESTADDRREQ);
	ck_assert_int_eq(hd_sendto(&req, "x", 1, to, 2), -EINVAL);
	ck_assert_int_eq(hd_sendto(&req, big, sizeof(big), to, sizeof(third)), -EMSGSIZE);
	ck_assert_int_eq(hd_sendto(&req, big, DATAGRAM_MOST, to, sizeof(third)), DATAGRAM_MOST);
	request_cancel(&req);
	ck_assert_int_eq(hd_sendto(&req, "x", 1, to, sizeof(third)), -ECANCELED);
	request_close(&req);
	(void)close(client);
	flow_connect_unix();
	ck_assert_int_eq(hd_sendto(&req, "x", 1, to, sizeof(third)), -EOPNOTSUPP);
	(void)close(fd);
}
END_TEST

/* Handlers keep addresses in a sockaddr_storage, and may give its whole size. */
START_TEST(sendto_the_client_keeps_the_rules_however_its_address_is_given)
{
	static const socklen_t lengths[] = {sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6),
					    sizeof(struct sockaddr_storage)};
	struct sockaddr_storage to;

	open_from("127.0.0.1", 19, 1);
	for (int i = 0; i < UNIT_COUNT(lengths); i++) {
		memset(&to, 0x55, sizeof(to));
		memcpy(&to, hd_client_address(&req, NULL), sizeof(struct sockaddr_in));
		memset(((struct sockaddr_in *)(void *)&to)->sin_zero, 0x55, 8);
		ck_assert_int_eq(hd_sendto(&req, "x", 1, (struct sockaddr *)&to, lengths[i]),
				 -EPERM);
		ck_assert_uint_eq(udp_count(SCOREBOARD_LOW_PORT), (uint64_t)i + 1);
	}
	ck_assert_uint_eq(req.bytes_out, 0);
}
END_TEST

START_TEST(sendto_an_ipv6_client_is_known_whatever_its_flow_or_mapping)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(19)};
	int wrong = 0;

	udp_arrive("x", 1);
	ck_assert_int_eq(inet_pton(AF_INET6, _i == 0 ? "::1" : "::ffff:127.0.0.1", &in6.sin6_addr),
			 1);
	memcpy(&arrived.client, &in6, sizeof(in6));
	arrived.client_length = sizeof(in6);
	request_open_datagram(&req, &receiver, &arrived);
	ck_assert_int_eq(hd_client_address(&req, NULL)->sa_family, _i == 0 ? AF_INET6 : AF_INET);
	in6.sin6_flowinfo = htonl(77);
	in6.sin6_scope_id = 3;
	ck_assert_int_eq(hd_sendto(&req, "x", 1, (struct sockaddr *)&in6, sizeof(in6)), -EPERM);
	/* another port is another client */
	in6.sin6_port = htons(20);
	wrong = (int)hd_sendto(&req, "x", 1, (struct sockaddr *)&in6, sizeof(in6));
	ck_assert_int_ne(wrong, -EPERM);
	ck_assert_uint_eq(udp_count(SCOREBOARD_LOW_PORT), 1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("reply_rules");

	tcase_add_checked_fixture(cases, udp_setup, udp_teardown);
	tcase_add_loop_test(cases, answer_may_be_as_long_as_the_cap_and_not_a_byte_longer, 0,
			    UNIT_COUNT(caps));
	tcase_add_test(cases, what_was_answered_before_counts);
	tcase_add_test(cases, no_cap_for_those_nearby_nor_without_one);
	tcase_add_test(cases, low_ports_are_answered_only_when_asked_for);
	tcase_add_test(cases, own_ports_are_not_answered_on_this_machine);
	tcase_add_test(cases, sendto_sends_at_once_to_anybody);
	tcase_add_test(cases, sendto_tells_what_is_wrong);
	tcase_add_test(cases, sendto_the_client_keeps_the_rules_however_its_address_is_given);
	tcase_add_loop_test(cases, sendto_an_ipv6_client_is_known_whatever_its_flow_or_mapping, 0,
			    2);
	return unit_run("reply_rules", cases);
}
