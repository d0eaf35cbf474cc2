/*
 * test_listen_datagrams.c - datagram and Unix sockets that clients come to.
 */
#include "net/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "unit.h"

static const char *step;

static struct sockaddr_storage
ip(const char *host, uint16_t port, socklen_t *ret_length)
{
	struct sockaddr_storage addr = {0};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
		*ret_length = sizeof(in);
		memcpy(&addr, &in, sizeof(in));
		return addr;
	}
	ck_assert_int_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
	*ret_length = sizeof(in6);
	memcpy(&addr, &in6, sizeof(in6));
	return addr;
}

static int
open_udp(const char *host, uint16_t port, bool is_dual_stack, const struct socket_options *options)
{
	socklen_t length;
	struct sockaddr_storage addr = ip(host, port, &length);

	return listen_open(&(struct listen_spec){.type = SOCK_DGRAM,
						 .addr = (struct sockaddr *)&addr,
						 .length = length,
						 .is_dual_stack = is_dual_stack,
						 .options = options},
			   &step);
}

static int
open_unix(int type, const char *path, size_t path_length, mode_t mode)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	memcpy(un.sun_path, path, path_length);
	return listen_open(
		&(struct listen_spec){
			.type = type,
			.addr = (struct sockaddr *)&un,
			.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length),
			.mode = mode,
			.owner = (uid_t)-1,
			.group = (gid_t)-1},
		&step);
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
has_ipv6(void)
{
	int fd = open_udp("::1", 0, false, NULL);

	if (fd >= 0)
		(void)close(fd);
	else
		(void)fprintf(stderr, "skipped: no IPv6\n");
	return fd >= 0;
}

static void
send_to(const char *host, uint16_t port, const void *data, size_t size)
{
	socklen_t length;
	struct sockaddr_storage addr = ip(host, port, &length);
	int fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(sendto(fd, data, size, 0, (struct sockaddr *)&addr, length),
			 (ssize_t)size);
	(void)close(fd);
}

/* Takes a datagram; the address it was sent to as IPV6_PKTINFO and IP_PKTINFO tell, "" if not. */
static void
receive(int fd, char six[INET6_ADDRSTRLEN], char four[INET6_ADDRSTRLEN])
{
	_Alignas(struct cmsghdr) char control[256];
	char data[16];
	struct iovec part = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};

	six[0] = four[0] = '\0';
	ck_assert_int_ge(recvmsg(fd, &message, 0), 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			(void)inet_ntop(AF_INET6, CMSG_DATA(c), six, INET6_ADDRSTRLEN);
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			(void)inet_ntop(AF_INET,
					CMSG_DATA(c) + offsetof(struct in_pktinfo, ipi_addr), four,
					INET6_ADDRSTRLEN);
	}
}

START_TEST(udp_socket_takes_datagrams_and_leaves_the_address_to_nobody_else)
{
	int fd = open_udp("127.0.0.1", 0, false, NULL);
	char six[INET6_ADDRSTRLEN], four[INET6_ADDRSTRLEN];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_REUSEADDR), 0);
	ck_assert(listen_is_alive(fd));
	send_to("127.0.0.1", port_of(fd), "x", 1);
	/* the address is known: it is the one that was bound */
	receive(fd, six, four);
	ck_assert_str_eq(four, "");
	ck_assert_int_eq(open_udp("127.0.0.1", port_of(fd), false, NULL), -EADDRINUSE);
	ck_assert_str_eq(step, "bind");
	(void)close(fd);
}
END_TEST

START_TEST(wildcard_tells_the_address_a_datagram_was_sent_to)
{
	char six[INET6_ADDRSTRLEN], four[INET6_ADDRSTRLEN];
	int fd = open_udp("0.0.0.0", 0, false, NULL);

	send_to("127.1.2.3", port_of(fd), "x", 1);
	receive(fd, six, four);
	ck_assert_str_eq(four, "127.1.2.3");
	(void)close(fd);
	if (!has_ipv6())
		return;
	fd = open_udp("::", 0, false, NULL);
	send_to("::1", port_of(fd), "x", 1);
	receive(fd, six, four);
	ck_assert_str_eq(six, "::1");
	(void)close(fd);
}
END_TEST

START_TEST(dual_stack_tells_it_to_clients_of_both)
{
	char six[INET6_ADDRSTRLEN], four[INET6_ADDRSTRLEN];
	int fd;

	if (!has_ipv6())
		return;
	fd = open_udp("::", 0, true, NULL);
	ck_assert_int_ge(fd, 0);
	send_to("127.1.2.3", port_of(fd), "x", 1);
	receive(fd, six, four);
	ck_assert_str_eq(six, "::ffff:127.1.2.3");
	ck_assert_str_eq(four, "127.1.2.3");
	send_to("::1", port_of(fd), "x", 1);
	receive(fd, six, four);
	ck_assert_str_eq(six, "::1");
	ck_assert_str_eq(four, "");
	ck_assert_int_eq(open_udp("127.0.0.1", port_of(fd), false, NULL), -EADDRINUSE);
	(void)close(fd);
}
END_TEST

START_TEST(ipv6_alone_leaves_the_port_to_ipv4)
{
	int six, four;

	if (!has_ipv6())
		return;
	six = open_udp("::", 0, false, NULL);
	four = open_udp("0.0.0.0", port_of(six), false, NULL);
	ck_assert_int_ge(four, 0);
	(void)close(six);
	(void)close(four);
}
END_TEST

START_TEST(sockets_bound_by_somebody_else_are_prepared)
{
	static const struct {
		const char *host;
		int level, option, value;
	} rows[] = {{"0.0.0.0", IPPROTO_IP, IP_PKTINFO, 1},
		    {"127.0.0.1", IPPROTO_IP, IP_PKTINFO, 0},
		    {"::", IPPROTO_IPV6, IPV6_RECVPKTINFO, 1},
		    {"::", IPPROTO_IP, IP_PKTINFO, 1},
		    {"::1", IPPROTO_IPV6, IPV6_RECVPKTINFO, 0}};
	int fd;

	for (int i = 0; i < (has_ipv6() ? UNIT_COUNT(rows) : 2); i++) {
		socklen_t length;
		struct sockaddr_storage addr = ip(rows[i].host, 0, &length);

		fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, length), 0);
		ck_assert_int_eq(listen_prepare_datagrams(fd), 0);
		ck_assert_int_eq(get(fd, rows[i].level, rows[i].option), rows[i].value);
		(void)close(fd);
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(listen_prepare_datagrams(fd), 0);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_PASSCRED), 1);
	(void)close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(listen_prepare_datagrams(fd), 0);
	(void)close(fd);
	ck_assert_int_eq(listen_prepare_datagrams(-1), -EBADF);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(listen_prepare_datagrams(fd), -ENOTSOCK);
	(void)close(fd);
}
END_TEST

START_TEST(datagram_socket_that_was_shut_down_or_connected_is_dead)
{
	static const int ways[] = {SHUT_RD, SHUT_RDWR};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t length;
	struct sockaddr_storage peer = ip("127.0.0.1", 9, &length);
	int fd;

	for (int i = 0; i < UNIT_COUNT(ways); i++) {
		fd = open_udp("127.0.0.1", 0, false, NULL);
		/* a datagram that waits is no sign of death */
		send_to("127.0.0.1", port_of(fd), "x", 1);
		ck_assert(listen_is_alive(fd));
		ck_assert_int_lt(shutdown(fd, ways[i]), 0);
		ck_assert_int_eq(errno, ENOTCONN);
		ck_assert(!listen_is_alive(fd));
		(void)close(fd);
		fd = open_unix(SOCK_DGRAM, unit_path(i == 0 ? "a" : "b"), strlen(unit_path("a")),
			       0600);
		ck_assert(listen_is_alive(fd));
		ck_assert_int_eq(shutdown(fd, ways[i]), 0);
		ck_assert(!listen_is_alive(fd));
		(void)close(fd);
	}
	fd = open_udp("127.0.0.1", 0, false, NULL);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&peer, length), 0);
	ck_assert(!listen_is_alive(fd));
	/* and its port is gone after that */
	ck_assert_int_eq(connect(fd, &none, sizeof(none)), 0);
	ck_assert(!listen_is_alive(fd));
	(void)close(fd);
}
END_TEST

START_TEST(dropped_datagrams_are_counted)
{
	static const char data[1024];
	int fd = open_udp("127.0.0.1", 0, false, &(struct socket_options){.receive_buffer = 4096});
	uint64_t drops = 77;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(listen_count_drops(fd, &drops), 0);
	ck_assert_uint_eq(drops, 0);
	for (int i = 0; i < 100; i++)
		send_to("127.0.0.1", port_of(fd), data, sizeof(data));
	ck_assert_int_eq(listen_count_drops(fd, &drops), 0);
	ck_assert_uint_gt(drops, 50);
	ck_assert_uint_lt(drops, 100);
	(void)close(fd);
	ck_assert_int_eq(listen_count_drops(-1, &drops), -EBADF);
}
END_TEST

START_TEST(unix_sockets_listen_on_paths_and_names)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	char name[32] = "";
	int before = unit_count_fds();

	for (int i = 0; i < UNIT_COUNT(types); i++) {
		const char *path = unit_path(i == 0 ? "a" : "b");
		int fd = open_unix(types[i], path, strlen(path) + 1, 0606);
		struct stat st;

		ck_assert_msg(fd >= 0, "%s: %s", step, strerror(-fd));
		ck_assert_int_eq(lstat(path, &st), 0);
		ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0606);
		ck_assert(listen_is_alive(fd));
		ck_assert_int_eq(get(fd, SOL_SOCKET, SO_PASSCRED), types[i] == SOCK_DGRAM);
		ck_assert_int_eq(open_unix(types[i], path, strlen(path) + 1, 0606), -EADDRINUSE);
		(void)close(fd);
		(void)snprintf(name + 1, sizeof(name) - 1, "test_listen_%d", (int)getpid());
		fd = open_unix(types[i], name, sizeof(name), 0);
		ck_assert_int_ge(fd, 0);
		ck_assert(listen_is_alive(fd));
		ck_assert_int_eq(open_unix(types[i], name, sizeof(name), 0), -EADDRINUSE);
		(void)close(fd);
	}
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(options_are_there_before_bind_and_name_themselves)
{
	struct socket_options options = {.freebind = true, .reuse_port = true};
	int before = unit_count_fds(), fd, again;

	/* neither would be possible later */
	fd = open_udp("192.0.2.1", 0, false, &options);
	ck_assert_msg(fd >= 0, "%s: %s", step, strerror(-fd));
	again = open_udp("192.0.2.1", port_of(fd), false, &options);
	ck_assert_int_ge(again, 0);
	(void)close(fd);
	(void)close(again);
	(void)snprintf(options.device, sizeof(options.device), "nosuchdevice0");
	ck_assert_int_eq(open_udp("127.0.0.1", 0, false, &options), -ENODEV);
	ck_assert_str_eq(step, "socket.device");
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("listen_datagrams");

	tcase_add_checked_fixture(cases, unit_make_directory, unit_remove_directory);
	tcase_add_test(cases, udp_socket_takes_datagrams_and_leaves_the_address_to_nobody_else);
	tcase_add_test(cases, wildcard_tells_the_address_a_datagram_was_sent_to);
	tcase_add_test(cases, dual_stack_tells_it_to_clients_of_both);
	tcase_add_test(cases, ipv6_alone_leaves_the_port_to_ipv4);
	tcase_add_test(cases, sockets_bound_by_somebody_else_are_prepared);
	tcase_add_test(cases, datagram_socket_that_was_shut_down_or_connected_is_dead);
	tcase_add_test(cases, dropped_datagrams_are_counted);
	tcase_add_test(cases, unix_sockets_listen_on_paths_and_names);
	tcase_add_test(cases, options_are_there_before_bind_and_name_themselves);
	return unit_run("listen_datagrams", cases);
}
