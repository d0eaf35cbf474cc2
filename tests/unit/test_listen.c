/*
 * test_listen.c - listening sockets: what is bound, what is in the way, what is dead.
 */
#include "net/listen.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "unit.h"

static struct sockaddr_in
ipv4(const char *host, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	ck_assert_int_eq(inet_pton(AF_INET, host, &in.sin_addr), 1);
	return in;
}

static struct sockaddr_in6
ipv6(const char *host, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	ck_assert_int_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
	return in6;
}

static int
open4(struct sockaddr_in in, const char **step)
{
	return listen_open(&(struct listen_spec){.type = SOCK_STREAM,
						 .addr = (struct sockaddr *)&in,
						 .length = sizeof(in)},
			   step);
}

static int
open6(struct sockaddr_in6 in6, bool is_dual, const char **step)
{
	return listen_open(&(struct listen_spec){.type = SOCK_STREAM,
						 .addr = (struct sockaddr *)&in6,
						 .length = sizeof(in6),
						 .is_dual_stack = is_dual},
			   step);
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage addr;
	socklen_t length;

	ck_assert_int_eq(listen_get_address(fd, &addr, &length), 0);
	/* at the same place in both families */
	return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

static int
get(int fd, int level, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, option, &value, &length), 0);
	return value;
}

static bool
can_connect(struct sockaddr_storage addr, socklen_t length)
{
	int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_connected = connect(fd, (struct sockaddr *)&addr, length) == 0;

	(void)close(fd);
	return is_connected;
}

static bool
can_connect4(uint16_t port)
{
	struct sockaddr_in in = ipv4("127.0.0.1", port);
	struct sockaddr_storage addr = {0};

	memcpy(&addr, &in, sizeof(in));
	return can_connect(addr, sizeof(in));
}

static bool
can_connect6(uint16_t port)
{
	struct sockaddr_in6 in6 = ipv6("::1", port);
	struct sockaddr_storage addr = {0};

	memcpy(&addr, &in6, sizeof(in6));
	return can_connect(addr, sizeof(in6));
}

static bool
has_ipv6(void)
{
	const char *step;
	int fd = open6(ipv6("::1", 0), false, &step);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

START_TEST(port_0_becomes_a_real_one_and_the_options_are_set)
{
	const char *step;
	int fd = open4(ipv4("127.0.0.1", 0), &step);

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_ne(port_of(fd), 0);
	ck_assert(can_connect4(port_of(fd)));
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(get(fd, SOL_SOCKET, SO_REUSEADDR), 0);
	ck_assert_int_ne(get(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert(listen_is_alive(fd));
	(void)close(fd);
}
END_TEST

START_TEST(accepted_connections_inherit_what_costs_a_call)
{
	const char *step;
	int fd = open4(ipv4("127.0.0.1", 0), &step);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = ipv4("127.0.0.1", port_of(fd));
	int accepted;

	ck_assert_int_eq(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
	accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(accepted, 0);
	ck_assert_int_ne(get(accepted, IPPROTO_TCP, TCP_NODELAY), 0);
	/* and it blocks, though the listener does not */
	ck_assert_int_eq(fcntl(accepted, F_GETFL) & O_NONBLOCK, 0);
	(void)close(accepted);
	(void)close(client);
	(void)close(fd);
}
END_TEST

START_TEST(ipv6_takes_ipv6_alone_and_leaves_the_port_to_ipv4)
{
	const char *step;
	uint16_t port = 0;
	int six = -1, four = -EADDRINUSE;

	if (!has_ipv6())
		return;
	/* what is free for one may just be somebody else's for the other; but not ten times */
	for (int i = 0; i < 10 && four == -EADDRINUSE; i++) {
		if (six >= 0)
			(void)close(six);
		six = open6(ipv6("::", 0), false, &step);
		ck_assert_int_ge(six, 0);
		port = port_of(six);
		ck_assert(can_connect6(port));
		four = open4(ipv4("0.0.0.0", port), &step);
	}
	ck_assert_int_ge(four, 0);
	(void)close(four);
	ck_assert(!can_connect4(port));
	four = open4(ipv4("0.0.0.0", port), &step);
	ck_assert_int_ge(four, 0);
	ck_assert(can_connect4(port));
	(void)close(six);
	(void)close(four);
}
END_TEST

START_TEST(dual_stack_takes_both)
{
	const char *step;
	uint16_t port;
	int fd;

	if (!has_ipv6())
		return;
	fd = open6(ipv6("::", 0), true, &step);
	ck_assert_int_ge(fd, 0);
	port = port_of(fd);
	ck_assert(can_connect6(port));
	ck_assert(can_connect4(port));
	ck_assert_int_eq(open4(ipv4("127.0.0.1", port), &step), -EADDRINUSE);
	(void)close(fd);
}
END_TEST

START_TEST(refusals_name_the_step)
{
	struct sockaddr_storage odd = {.ss_family = AF_APPLETALK};
	struct listen_spec spec = {
		.type = SOCK_STREAM, .addr = (struct sockaddr *)&odd, .length = sizeof(odd)};
	const char *step = NULL;
	int before = unit_count_fds();
	int fd = open4(ipv4("127.0.0.1", 0), &step);

	/* SO_REUSEADDR is for what has just gone, not for what is there */
	ck_assert_int_eq(open4(ipv4("127.0.0.1", port_of(fd)), &step), -EADDRINUSE);
	ck_assert_str_eq(step, "bind");
	ck_assert_int_eq(open4(ipv4("192.0.2.1", 0), &step), -EADDRNOTAVAIL);
	ck_assert_str_eq(step, "bind");
	ck_assert_int_lt(listen_open(&spec, &step), 0);
	ck_assert_str_eq(step, "make a socket");
	(void)close(fd);
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(port_of_connections_in_time_wait_can_be_bound_again)
{
	const char *step;
	int fd = open4(ipv4("127.0.0.1", 0), &step);
	struct sockaddr_in in = ipv4("127.0.0.1", port_of(fd));
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;
	char byte;

	ck_assert_int_eq(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
	accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	/* the server's side closes first */
	(void)close(accepted);
	ck_assert_int_eq(read(client, &byte, 1), 0);
	(void)close(client);
	(void)close(fd);
	fd = open4(in, &step);
	ck_assert_msg(fd >= 0, "%s: %s", step, strerror(-fd));
	(void)close(fd);
}
END_TEST

START_TEST(socket_that_was_shut_down_is_dead)
{
	const char *step;
	int fd = open4(ipv4("127.0.0.1", 0), &step);

	ck_assert(listen_is_alive(fd));
	ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
	ck_assert(!listen_is_alive(fd));
	(void)close(fd);
	ck_assert(!listen_is_alive(fd));
	ck_assert(!listen_is_alive(-1));
	ck_assert(!listen_is_alive(STDIN_FILENO));
}
END_TEST

START_TEST(a_unix_socket_that_was_shut_down_is_dead)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* an abstract name of the kernel's choice */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un.sun_family)), 0);
	ck_assert(!listen_is_alive(fd));
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert(listen_is_alive(fd));
	ck_assert_int_eq(shutdown(fd, SHUT_RD), 0);
	ck_assert(!listen_is_alive(fd));
	(void)close(fd);
}
END_TEST

START_TEST(backlog_can_be_changed_while_it_listens)
{
	const char *step;
	struct sockaddr_in in = ipv4("127.0.0.1", 0);
	struct listen_spec spec = {.type = SOCK_STREAM,
				   .addr = (struct sockaddr *)&in,
				   .length = sizeof(in),
				   .backlog = 3};
	int fd = listen_open(&spec, &step);
	struct tcp_info info;
	socklen_t length = sizeof(info);

	/* the kernel shows a listener's backlog here */
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	ck_assert_uint_eq(info.tcpi_sacked, 3);
	ck_assert_int_eq(listen_set_backlog(fd, 7), 0);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	ck_assert_uint_eq(info.tcpi_sacked, 7);
	ck_assert_int_eq(listen_set_backlog(fd, 0), 0);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	ck_assert_uint_gt(info.tcpi_sacked, 7);
	ck_assert(listen_is_alive(fd));
	(void)close(fd);
	ck_assert_int_eq(listen_set_backlog(-1, 1), -EBADF);
}
END_TEST

/* A network of our own, where the loopback interface has fe80::1; -1 if there cannot be one, or a
 * descriptor that tells of changes. */
static int
make_link(void)
{
	/* struct in6_ifreq stands in a header of the kernel that does not go with ours */
	struct {
		struct in6_addr addr;
		uint32_t prefix_length;
		int index;
	} request = {.addr = ipv6("fe80::1", 0).sin6_addr, .prefix_length = 64};
	struct sockaddr_nl news = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV6_IFADDR};
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, netlink;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ck_assert_int_eq(bind(netlink, (struct sockaddr *)&news, sizeof(news)), 0);
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &up), 0);
	request.index = (int)if_nametoindex("lo");
	ck_assert_int_eq(ioctl(fd, SIOCSIFADDR, &request), 0);
	(void)close(fd);
	return netlink;
}

START_TEST(address_of_the_link_needs_its_interface)
{
	struct sockaddr_in6 in6 = ipv6("fe80::1", 0);
	const char *step;
	char change[4096];
	int fd, changes = make_link();

	if (changes < 0) {
		(void)fprintf(stderr, "skipped: no network of our own: %s\n", strerror(errno));
		return;
	}
	ck_assert_int_eq(open6(in6, false, &step), -EINVAL);
	ck_assert_str_eq(step, "bind");
	in6.sin6_scope_id = if_nametoindex("lo");
	/* the address is tentative at first */
	while ((fd = open6(in6, false, &step)) == -EADDRNOTAVAIL)
		ck_assert_int_gt(recv(changes, change, sizeof(change), 0), 0);
	ck_assert_msg(fd >= 0, "%s: %s", step, strerror(-fd));
	ck_assert(listen_is_alive(fd));
	(void)close(fd);
	(void)close(changes);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("listen");

	tcase_add_test(cases, port_0_becomes_a_real_one_and_the_options_are_set);
	tcase_add_test(cases, accepted_connections_inherit_what_costs_a_call);
	tcase_add_test(cases, ipv6_takes_ipv6_alone_and_leaves_the_port_to_ipv4);
	tcase_add_test(cases, dual_stack_takes_both);
	tcase_add_test(cases, refusals_name_the_step);
	tcase_add_test(cases, port_of_connections_in_time_wait_can_be_bound_again);
	tcase_add_test(cases, socket_that_was_shut_down_is_dead);
	tcase_add_test(cases, backlog_can_be_changed_while_it_listens);
	tcase_add_test(cases, a_unix_socket_that_was_shut_down_is_dead);
	tcase_add_test(cases, address_of_the_link_needs_its_interface);
	return unit_run("listen", cases);
}
