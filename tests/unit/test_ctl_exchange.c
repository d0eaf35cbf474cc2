/*
 * test_ctl_exchange.c - a name with several addresses, and how each end is judged.
 */
#include "handlerctl/exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "handlerctl/ctl.h"
#include "handlerctl/target.h"
#include "unit.h"

/* A socket on a port of its own, that listens if it is a stream. */
static int
bind_one(int type, bool is_listening, struct target_address *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->addr;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	*ret = (struct target_address){.length = sizeof(*v4)};
	v4->sin_family = AF_INET;
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)v4, ret->length), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)v4, &ret->length), 0);
	if (is_listening && type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 8), 0);
	/* a datagram socket that is connected to itself takes from nobody else */
	if (!is_listening && type == SOCK_DGRAM)
		ck_assert_int_eq(connect(fd, (struct sockaddr *)v4, ret->length), 0);
	return fd;
}

/* A target with the addresses of a dead and a living socket, in this order. */
static void
make_target(struct target *target, const char *text, int ret_fds[2])
{
	char *reason = NULL;

	ck_assert_int_eq(target_parse(target, text, &reason), 0);
	ret_fds[0] = bind_one(target->protocol->type, false, &target->addresses[0]);
	ret_fds[1] = bind_one(target->protocol->type, true, &target->addresses[1]);
	target->count = 2;
}

static void
close_all(struct target *target, const int fds[2])
{
	(void)close(fds[0]);
	(void)close(fds[1]);
	target_free(target);
}

START_TEST(stream_goes_to_the_next_address_where_nothing_listens)
{
	struct target target;
	struct exchange exchange = {.target = &target, .input = -1, .output = -1};
	struct outcome outcome;
	int fds[2], client;
	char data[4];

	make_target(&target, "tcp:name:1", fds);
	exchange.data = "abc";
	exchange.length = 3;
	exchange.timeout_ms = 50;
	/* the kernel accepts; nobody reads before it is over */
	outcome = exchange_run(&exchange);
	ck_assert_int_eq(outcome.end, OUTCOME_SILENT);
	client = accept4(fds[1], NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(client, 0);
	ck_assert_int_eq(recv(client, data, sizeof(data), 0), 3);
	(void)close(client);
	close_all(&target, fds);
}
END_TEST

START_TEST(datagram_goes_to_the_next_address_where_nothing_listens)
{
	struct target target;
	struct exchange exchange = {.target = &target, .input = -1, .output = -1};
	struct outcome outcome;
	int fds[2];
	char data[4];

	make_target(&target, "udp:name:1", fds);
	exchange.data = "abc";
	exchange.length = 3;
	exchange.timeout_ms = 50;
	outcome = exchange_run(&exchange);
	ck_assert_int_eq(outcome.end, OUTCOME_SILENT);
	ck_assert_int_eq(recv(fds[1], data, sizeof(data), MSG_DONTWAIT), 3);
	close_all(&target, fds);
}
END_TEST

START_TEST(no_address_listens)
{
	struct target target;
	struct exchange exchange = {.target = &target, .input = -1, .output = -1};
	struct outcome outcome;
	int fds[2], count;

	make_target(&target, _i == 0 ? "tcp:name:1" : "udp:name:1", fds);
	exchange.timeout_ms = 2000;
	target.count = 1;
	count = unit_count_fds();
	outcome = exchange_run(&exchange);
	ck_assert_int_eq(outcome.end, OUTCOME_NO_LISTENER);
	ck_assert_int_eq(outcome_exit_status(&outcome), CTL_ABSENT);
	ck_assert_int_eq(unit_count_fds(), count);
	/* an address that cannot be reached at all tells less */
	target.count = 2;
	target.addresses[1].addr.ss_family = AF_UNSPEC;
	outcome = exchange_run(&exchange);
	ck_assert_int_eq(outcome.end, OUTCOME_NO_LISTENER);
	close_all(&target, fds);
}
END_TEST

START_TEST(socket_that_is_its_own_peer_is_found_out)
{
	struct target_address own, other;
	int self = bind_one(SOCK_DGRAM, false, &own), fd = bind_one(SOCK_DGRAM, true, &other);
	int pair[2];

	ck_assert(exchange_is_connected_to_itself(self));
	ck_assert(!exchange_is_connected_to_itself(fd));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&own.addr, own.length), 0);
	ck_assert(!exchange_is_connected_to_itself(fd));
	/* both have no name */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert(!exchange_is_connected_to_itself(pair[0]));
	(void)close(self);
	(void)close(fd);
	(void)close(pair[0]);
	(void)close(pair[1]);
}
END_TEST

static const struct judged {
	int error;
	enum outcome_end end;
	int status;
} judgements[] = {
	{ECONNREFUSED, OUTCOME_NO_LISTENER, CTL_ABSENT}, {ENOENT, OUTCOME_NO_SOCKET, CTL_ABSENT},
	{ECONNRESET, OUTCOME_RESET, CTL_FAILED},	 {EPIPE, OUTCOME_CUT, CTL_FAILED},
	{EPROTOTYPE, OUTCOME_WRONG_KIND, CTL_FAILED},	 {EMSGSIZE, OUTCOME_TOO_LONG, CTL_FAILED},
	{EHOSTUNREACH, OUTCOME_FAILED, CTL_FAILED},
};

START_TEST(errors_have_their_end_and_status)
{
	const struct judged *judged = &judgements[_i];
	struct outcome outcome = outcome_of_error(judged->error);

	ck_assert_int_eq(outcome.end, judged->end);
	ck_assert_int_eq(outcome.error, judged->error);
	ck_assert_int_eq(outcome_exit_status(&outcome), judged->status);
}
END_TEST

START_TEST(every_end_has_a_sentence_of_its_own)
{
	char *sentences[OUTCOME_OUTPUT + 1] = {NULL}, *reason = NULL;
	struct target target;
	struct exchange exchange = {.target = &target, .timeout_ms = 1500};

	ck_assert_int_eq(target_parse(&target, "unix:/run/x", &reason), 0);
	for (int end = OUTCOME_SILENT; end <= OUTCOME_OUTPUT; end++) {
		struct outcome outcome = {.end = (enum outcome_end)end, .error = EIO};

		sentences[end] = outcome_sentence(&outcome, &exchange);
		for (int other = OUTCOME_SILENT; other < end; other++)
			ck_assert_str_ne(sentences[end], sentences[other]);
		if (end < OUTCOME_INPUT)
			ck_assert_msg(strstr(sentences[end], "unix /run/x") != NULL, "%s",
				      sentences[end]);
	}
	for (int end = OUTCOME_SILENT; end <= OUTCOME_OUTPUT; end++)
		free(sentences[end]);
	target_free(&target);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("exchange");

	tcase_add_test(cases, stream_goes_to_the_next_address_where_nothing_listens);
	tcase_add_test(cases, datagram_goes_to_the_next_address_where_nothing_listens);
	tcase_add_loop_test(cases, no_address_listens, 0, 2);
	tcase_add_test(cases, socket_that_is_its_own_peer_is_found_out);
	tcase_add_loop_test(cases, errors_have_their_end_and_status, 0, UNIT_COUNT(judgements));
	tcase_add_test(cases, every_end_has_a_sentence_of_its_own);
	return unit_run("ctl_exchange", cases);
}
