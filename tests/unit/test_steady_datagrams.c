/*
 * test_steady_datagrams.c - a datagram costs no allocation once a flow has its buffers; nor does
 * one that is dropped.
 */
#include "allocation_cases.h"
#include "datagram_cases.h"

#include "concurrency/intake.h"

static struct concurrency mode;
static struct acceptor acceptor;
static struct intake intake;
static int receivers[1];

static int
handle_echo(struct hd_request *request)
{
	char buf[7];
	ssize_t n;

	while ((n = hd_recv(request, buf, sizeof(buf))) > 0) {
		int r = hd_sendall(request, buf, (size_t)n);

		if (r < 0)
			return r;
	}
	return (int)n;
}

/* Lines, printed answers, memory of the request, its names, a poll and a wake. */
static int
handle_lines(struct hd_request *request)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	char line[256];
	ssize_t n;

	(void)hd_set_timeout(request, 10000);
	while ((n = hd_readline(request, line, sizeof(line))) > 0) {
		char *copy = hd_alloc(request, (size_t)n + 1);

		memcpy(copy, line, (size_t)n + 1);
		(void)hd_wake(hd_request_server(request), hd_request_id(request));
		(void)hd_poll(request, &row, 1, -1);
		(void)hd_printf(request, "%s: %s", hd_client_name(request), copy);
		(void)hd_local_address(request, NULL);
	}
	return (int)n;
}

static int
handle_failing(struct hd_request *request)
{
	(void)hd_printf(request, "sorry");
	return -EIO;
}

static int
handle_large(struct hd_request *request)
{
	static const char zeros[DATAGRAM_MOST];

	return hd_sendall(request, zeros, sizeof(zeros));
}

static int (*const handles[])(struct hd_request *) = {handle_echo, handle_lines, handle_failing,
						      handle_large};

static void
prepare(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t length = sizeof(in);
	int one = 1;

	udp_setup();
	/* one that is told where each datagram came to, as most are */
	(void)close(receiver.fd);
	receivers[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(receivers[0], (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(setsockopt(receivers[0], IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)), 0);
	ck_assert_int_eq(datagram_socket_open(receivers[0], &receiver), 0);
	ck_assert_int_eq(getsockname(receivers[0], (struct sockaddr *)&in, &length), 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
	server.max_datagram = 1000;
	mode = (struct concurrency){
		.server = &server,
		.board = board,
		.sockets = receivers,
		.socket_count = 1,
		.is_datagram = true,
		.receivers = &receiver,
		.older = {.is_over = true},
	};
	acceptor.mode = &mode;
}

static void
clean(void)
{
	intake_free(&intake);
	udp_teardown();
}

/* What a flow does from receiving on is counted, in whichever mode it is; what the client and Check
 * do is not. */
static void
serve_once(void)
{
	static char back[DATAGRAM_MOST], zeros[1001];
	int r;

	ck_assert_int_eq(send(client, zeros, sizeof(zeros), 0), sizeof(zeros));
	ck_assert_int_eq(send(client, "one\ntwo\nthree", 13, 0), 13);
	is_counting = true;
	r = intake_take(&acceptor, &intake);
	if (r == 0) {
		intake_open(&intake, &req);
		session_run(&req);
	}
	is_counting = false;
	ck_assert_int_eq(r, 0);
	while (recv(client, back, sizeof(back), MSG_DONTWAIT) > 0)
		;
}

START_TEST(thousand_datagrams_allocate_nothing)
{
	watch();
	server.handler.handle = handles[_i];
	for (int i = 0; i < 10; i++)
		serve_once();
	allocations = 0;
	for (int i = 0; i < 1000; i++)
		serve_once();
	ck_assert_uint_eq(allocations, 0);
	ck_assert_uint_eq(board->slots[0].finished, 1010);
	ck_assert_uint_eq(udp_count(SCOREBOARD_TOO_LONG), 1010);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("steady_datagrams");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_loop_test(cases, thousand_datagrams_allocate_nothing, 0, UNIT_COUNT(handles));
	return unit_run("steady_datagrams", cases);
}
