/*
 * test_steady.c - serving costs no allocation once a flow has its buffers: every malloc of the
 * process is counted over a thousand connections.
 */
#include "allocation_cases.h"
#include "flow_cases.h"

#include "api/session.h"

static int
handle_echo(struct hd_request *request)
{
	char buf[2048];
	ssize_t n;

	hd_set_idle(request, 1);
	while ((n = hd_recv(request, buf, sizeof(buf))) > 0) {
		int r = hd_sendall(request, buf, (size_t)n);

		if (r < 0)
			return r;
	}
	return (int)n;
}

/* Lines, printed answers, memory of the request, its name, a poll and a wake. */
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
	}
	return (int)n;
}

static int
handle_failing(struct hd_request *request)
{
	(void)hd_printf(request, "sorry");
	return -EIO;
}

static int (*const handles[])(struct hd_request *) = {handle_echo, handle_lines, handle_failing};

/* What a flow does from accept on is counted; what the client and Check do is not. */
static void
serve_once(void)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNIX};
	char back[256];
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	client = ends[1];
	client_send("one\ntwo\nthree\n");
	(void)shutdown(client, SHUT_WR);
	is_counting = true;
	request_open(&req, ends[0], &addr, sizeof(sa_family_t));
	session_run(&req);
	is_counting = false;
	while (recv(client, back, sizeof(back), 0) > 0)
		;
	(void)close(client);
	client = -1;
}

START_TEST(thousand_sessions_allocate_nothing)
{
	log_set_level(0);
	watch();
	server.handler.handle = handles[_i];
	for (int i = 0; i < 10; i++)
		serve_once();
	allocations = 0;
	for (int i = 0; i < 1000; i++)
		serve_once();
	ck_assert_uint_eq(allocations, 0);
	ck_assert_uint_eq(board->slots[0].finished, 1010);
}
END_TEST

START_TEST(counting_works)
{
	char *volatile p;

	watch();
	is_counting = true;
	p = malloc(1);
	free(p);
	is_counting = false;
	ck_assert_uint_eq(allocations, 2);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("steady");

	tcase_add_checked_fixture(cases, flow_open_server, flow_teardown);
	tcase_add_loop_test(cases, thousand_sessions_allocate_nothing, 0, UNIT_COUNT(handles));
	tcase_add_test(cases, counting_works);
	return unit_run("steady", cases);
}
