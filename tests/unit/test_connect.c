/*
 * test_connect.c - a handler's own connections: requests like the client's, gone with their parent.
 */
#include "flow_cases.h"

#include <stddef.h>
#include <sys/un.h>

#include "api/connect.h"

static char buf[256];

/* A listening socket on a loopback address; the address goes to `text`. */
static int
listen_on(int family, char *text, size_t size)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(in6);
	int r;

	r = family == AF_INET ? bind(fd, (struct sockaddr *)&in, sizeof(in))
			      : bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	if (r < 0)
		return -1;
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in6, &length), 0);
	(void)snprintf(text, size, family == AF_INET ? "tcp:127.0.0.1:%u" : "tcp:[::1]:%u",
		       ntohs(in6.sin6_port));
	return fd;
}

/* Both directions, between what was connected and what was accepted. */
static void
talk(struct hd_request *other, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(hd_printf(other, "to %s", "you"), 0);
	ck_assert_int_eq(hd_flush(other), 0);
	ck_assert_int_eq(recv(fd, buf, 6, MSG_WAITALL), 6);
	ck_assert_int_eq(memcmp(buf, "to you", 6), 0);
	ck_assert_int_eq(send(fd, "line\n", 5, 0), 5);
	ck_assert_int_eq(hd_readline(other, buf, sizeof(buf)), 5);
	(void)close(fd);
	ck_assert_int_eq(hd_recv(other, buf, sizeof(buf)), 0);
}

START_TEST(tcp_connects_and_talks)
{
	char address[64];
	int error = 77, listener = listen_on(AF_INET, address, sizeof(address));
	struct hd_request *other = hd_connect(&req, address, 1000, &error);

	ck_assert_msg(other != NULL, "%s: %d", address, error);
	ck_assert_str_eq(hd_client_name(other), address + 4);
	ck_assert_uint_ne(hd_request_id(other), hd_request_id(&req));
	ck_assert_ptr_eq(hd_request_server(other), &server);
	talk(other, listener);
	ck_assert_int_eq(hd_close(other), 0);
	ck_assert_ptr_null(req.children);
	/* it is nobody's accepted connection */
	ck_assert_uint_eq(board->slots[0].accepted, 1);
	(void)close(listener);
}
END_TEST

START_TEST(ipv6_loopback_is_reached_by_its_number)
{
	char address[64];
	int error = 77, listener = listen_on(AF_INET6, address, sizeof(address));
	struct hd_request *other;

	if (listener < 0)
		return;
	other = hd_connect(&req, address, 1000, &error);
	ck_assert_msg(other != NULL, "%s: %s", address, strerror(-error));
	talk(other, listener);
	(void)close(listener);
}
END_TEST

START_TEST(unix_paths_and_abstract_names_are_reached)
{
	for (int is_abstract = 0; is_abstract < 2; is_abstract++) {
		struct sockaddr_un un = {.sun_family = AF_UNIX};
		int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char address[128];
		struct hd_request *other;
		size_t length;

		unit_make_directory();
		length = (size_t)snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", unit_directory);
		(void)snprintf(address, sizeof(address), "unix:%s", un.sun_path);
		if (is_abstract) {
			length = (size_t)snprintf(un.sun_path, sizeof(un.sun_path), "@test-%d",
						  (int)getpid());
			(void)snprintf(address, sizeof(address), "unix:%s", un.sun_path);
			un.sun_path[0] = '\0';
		}
		ck_assert_int_eq(bind(listener, (struct sockaddr *)&un,
				      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
				 0);
		ck_assert_int_eq(listen(listener, 5), 0);
		other = hd_connect(&req, address, -1, NULL);
		ck_assert_ptr_nonnull(other);
		talk(other, listener);
		(void)close(listener);
		unit_remove_directory();
	}
}
END_TEST

static const struct bad {
	const char *address;
	int error;
} bads[] = {
	{"", -EINVAL},
	{"127.0.0.1:80", -EINVAL},
	{"udp:127.0.0.1:80", -EINVAL},
	{"tcp:", -EINVAL},
	{"tcp:127.0.0.1", -EINVAL},
	{"tcp:127.0.0.1:", -EINVAL},
	{"tcp::80", -EINVAL},
	{"tcp:[::1:80", -EINVAL},
	{"tcp:[]:80", -EINVAL},
	{"tcp:::1:80", -EINVAL},
	{"tcp:127.0.0.1:http", -EINVAL},
	{"tcp:127.0.0.1:0", -EINVAL},
	{"tcp:127.0.0.1:65536", -EINVAL},
	{"tcp:127.0.0.1:-1", -EINVAL},
	{"unix:", -EINVAL},
	{"unix:relative", -EINVAL},
	{"unix:/"
	 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	 "xxxxxxxxxxxxxxxxxxxxxxxxx",
	 -EINVAL},
	{"unix:/nowhere/at/all", -ENOENT},
	{"unix:@nobody-listens-here", -ECONNREFUSED},
};

START_TEST(address_that_leads_nowhere_is_an_error_of_its_own)
{
	int error = 77, before = unit_count_fds();

	ck_assert_ptr_null(hd_connect(&req, bads[_i].address, 1000, &error));
	ck_assert_msg(error == bads[_i].error, "%s: %d", bads[_i].address, error);
	ck_assert_int_eq(unit_count_fds(), before);
	ck_assert_ptr_null(req.children);
}
END_TEST

START_TEST(port_where_nobody_listens_is_refused)
{
	char address[64];
	int error = 77, listener = listen_on(AF_INET, address, sizeof(address));

	(void)close(listener);
	ck_assert_ptr_null(hd_connect(&req, address, 1000, &error));
	ck_assert_int_eq(error, -ECONNREFUSED);
	ck_assert_ptr_null(hd_connect(&req, address, 1000, NULL));
}
END_TEST

START_TEST(connections_go_with_their_parent)
{
	char address[64];
	int listener = listen_on(AF_INET, address, sizeof(address));
	int before;

	/* the event of the first wait stays with the flow */
	ck_assert_int_eq(hd_sleep(&req, 1), 0);
	before = unit_count_fds();
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(hd_connect(&req, address, 1000, NULL));
	ck_assert_ptr_nonnull(hd_makefile(req.children, "w"));
	connect_close_all(&req);
	ck_assert_ptr_null(req.children);
	ck_assert_ptr_eq(server.requests, &req);
	ck_assert_int_eq(unit_count_fds(), before);
	ck_assert_int_eq(hd_close(&req), -EINVAL);
	(void)close(listener);
}
END_TEST

START_TEST(one_of_several_can_be_closed)
{
	char address[64];
	int listener = listen_on(AF_INET, address, sizeof(address));
	struct hd_request *others[3];

	for (int i = 0; i < 3; i++)
		others[i] = hd_connect(&req, address, 1000, NULL);
	ck_assert_int_eq(hd_printf(others[1], "bye"), 0);
	ck_assert_int_eq(hd_close(others[1]), 0);
	ck_assert_int_eq(hd_close(others[2]), 0);
	ck_assert_int_eq(hd_close(others[0]), 0);
	ck_assert_ptr_null(req.children);
	(void)close(listener);
}
END_TEST

static struct hd_request *waiting_for;

static long
call_recv(void)
{
	return hd_recv(waiting_for, buf, 1);
}

START_TEST(own_connection_that_was_cancelled_is_a_reason_of_its_parent_too)
{
	char address[64], byte;
	int listener = listen_on(AF_INET, address, sizeof(address));
	struct hd_request *other = hd_connect(&req, address, 1000, NULL);

	ck_assert_ptr_nonnull(other);
	ck_assert(!request_is_reason(&req, -ECANCELED));
	request_cancel(other);
	ck_assert_int_eq(hd_recv(other, &byte, 1), -ECANCELED);
	/* a handler that returns this only tells how it ended */
	ck_assert(request_is_reason(&req, -ECANCELED));
	(void)close(listener);
}
END_TEST

START_TEST(deadline_ends_waits_on_own_connections_too)
{
	char address[64];
	int error = 77, listener = listen_on(AF_INET, address, sizeof(address));
	struct flow_call call;

	waiting_for = hd_connect(&req, address, 1000, NULL);
	ck_assert_ptr_nonnull(waiting_for);
	flow_start_waiting(&call, call_recv);
	server_cancel_requests(&server);
	ck_assert_int_eq(flow_end_call(&call), -ECANCELED);
	ck_assert_ptr_null(hd_connect(&req, address, 1000, &error));
	ck_assert_int_eq(error, -ECANCELED);
	connect_close_all(&req);
	(void)close(listener);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("connect");

	tcase_add_checked_fixture(cases, flow_setup, flow_teardown);
	tcase_add_test(cases, tcp_connects_and_talks);
	tcase_add_test(cases, ipv6_loopback_is_reached_by_its_number);
	tcase_add_test(cases, unix_paths_and_abstract_names_are_reached);
	tcase_add_loop_test(cases, address_that_leads_nowhere_is_an_error_of_its_own, 0,
			    UNIT_COUNT(bads));
	tcase_add_test(cases, port_where_nobody_listens_is_refused);
	tcase_add_test(cases, connections_go_with_their_parent);
	tcase_add_test(cases, one_of_several_can_be_closed);
	tcase_add_test(cases, own_connection_that_was_cancelled_is_a_reason_of_its_parent_too);
	tcase_add_test(cases, deadline_ends_waits_on_own_connections_too);
	return unit_run("connect", cases);
}
