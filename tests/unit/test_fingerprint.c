/*
 * test_fingerprint.c - what is set on a socket, noted and put back.
 */
#include "net/fingerprint.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/listen.h"
#include "unit.h"

/* Of all kinds; the addresses are the kernel's choice. */
static const struct kind {
	int family, type;
	bool is_dual_stack;
} kinds[] = {
	{AF_INET, SOCK_STREAM, false},	{AF_INET, SOCK_DGRAM, false},
	{AF_INET6, SOCK_STREAM, false}, {AF_INET6, SOCK_STREAM, true},
	{AF_INET6, SOCK_DGRAM, false},	{AF_INET6, SOCK_DGRAM, true},
	{AF_UNIX, SOCK_STREAM, false},	{AF_UNIX, SOCK_DGRAM, false},
};

static const struct socket_options plain;

static struct listen_spec
spec_of(const struct kind *kind, struct sockaddr_storage *addr,
	const struct socket_options *options)
{
	*addr = (struct sockaddr_storage){.ss_family = (sa_family_t)kind->family};
	return (struct listen_spec){
		.type = kind->type,
		.addr = (const struct sockaddr *)addr,
		.length = kind->family == AF_INET    ? sizeof(struct sockaddr_in)
			  : kind->family == AF_INET6 ? sizeof(struct sockaddr_in6)
						     : sizeof(sa_family_t),
		.is_dual_stack = kind->is_dual_stack,
		.options = options,
	};
}

static int
open_kind(const struct kind *kind)
{
	struct sockaddr_storage addr;
	struct listen_spec spec = spec_of(kind, &addr, &plain);
	const char *step = "";
	int fd = listen_open(&spec, &step);

	ck_assert_msg(fd >= 0, "%s: %s", step, strerror(-fd));
	return fd;
}

static void
set_number(int fd, int level, int option, int value)
{
	ck_assert_msg(setsockopt(fd, level, option, &value, sizeof(value)) == 0, "%d %d: %m", level,
		      option);
}

static void
check_put_back(int fd, const struct fingerprint *fingerprint, int expected, const char *name)
{
	char names[FINGERPRINT_NAMES_SIZE];
	int r = fingerprint_put_back(fd, fingerprint, names);

	ck_assert_msg(r == expected && strcmp(names, name) == 0, "%d, '%s'", r, names);
}

START_TEST(nothing_differs_on_a_socket_that_nobody_has_touched)
{
	for (size_t i = 0; i < (size_t)UNIT_COUNT(kinds); i++) {
		int fd = open_kind(&kinds[i]);
		struct fingerprint fingerprint;

		fingerprint_take(fd, &fingerprint);
		check_put_back(fd, &fingerprint, 0, "");
		(void)close(fd);
	}
}
END_TEST

START_TEST(socket_that_was_bound_is_as_one_that_was_not)
{
	for (size_t i = 0; i < (size_t)UNIT_COUNT(kinds); i++) {
		struct sockaddr_storage addr;
		struct listen_spec spec = spec_of(&kinds[i], &addr, &plain);
		int fd = open_kind(&kinds[i]), unbound = listen_open_unbound(&spec);
		struct fingerprint fingerprint;

		ck_assert_int_ge(unbound, 0);
		fingerprint_take(unbound, &fingerprint);
		fingerprint_forget_listening(&fingerprint);
		check_put_back(fd, &fingerprint, 0, "");
		(void)close(fd);
		(void)close(unbound);
	}
}
END_TEST

START_TEST(what_was_set_is_put_back_and_named)
{
	static const struct {
		size_t kind;
		int level, option, value;
		const char *name;
	} rows[] = {
		{0, IPPROTO_IP, IP_MINTTL, 255, "IP_MINTTL"},
		{0, IPPROTO_IP, IP_TTL, 1, "IP_TTL"},
		{0, SOL_SOCKET, SO_RCVBUF, 1, "SO_RCVBUF, SO_BUF_LOCK"},
		{0, SOL_SOCKET, SO_RCVLOWAT, 9, "SO_RCVLOWAT"},
		{0, SOL_SOCKET, SO_MAX_PACING_RATE, 1, "SO_MAX_PACING_RATE"},
		{0, SOL_SOCKET, SO_REUSEADDR, 0, "SO_REUSEADDR"},
		{0, IPPROTO_TCP, TCP_MAXSEG, 88, "TCP_MAXSEG"},
		{0, IPPROTO_TCP, TCP_NODELAY, 0, "TCP_NODELAY"},
		{0, IPPROTO_TCP, TCP_DEFER_ACCEPT, 100, "TCP_DEFER_ACCEPT"},
		{0, IPPROTO_TCP, TCP_FASTOPEN, 3, "TCP_FASTOPEN"},
		{1, SOL_SOCKET, SO_TIMESTAMP, 1, "SO_TIMESTAMP"},
		{1, IPPROTO_IP, IP_PKTINFO, 0, "IP_PKTINFO"},
		{1, IPPROTO_IP, IP_RECVTTL, 1, "IP_RECVTTL"},
		{2, IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */, 255, "IPV6_MINHOPCOUNT"},
		{2, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 1, "IPV6_UNICAST_HOPS"},
		{3, IPPROTO_IP, IP_MINTTL, 255, "IP_MINTTL"},
		{5, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS"},
		{6, SOL_SOCKET, SO_SNDBUF, 1, "SO_SNDBUF, SO_BUF_LOCK"},
		{7, SOL_SOCKET, SO_PASSCRED, 0, "SO_PASSCRED"},
	};

	for (size_t i = 0; i < (size_t)UNIT_COUNT(rows); i++) {
		int fd = open_kind(&kinds[rows[i].kind]);
		struct fingerprint fingerprint;

		fingerprint_take(fd, &fingerprint);
		set_number(fd, rows[i].level, rows[i].option, rows[i].value);
		check_put_back(fd, &fingerprint, 1, rows[i].name);
		check_put_back(fd, &fingerprint, 0, "");
		(void)close(fd);
	}
}
END_TEST

static void
attach_filter(int fd)
{
	struct sock_filter row = {.code = BPF_RET | BPF_K, .k = 0};
	struct sock_fprog program = {.len = 1, .filter = &row};

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)),
			 0);
}

START_TEST(filter_is_taken_off_unless_it_is_locked)
{
	int fd = open_kind(&kinds[1]);
	struct fingerprint fingerprint;

	fingerprint_take(fd, &fingerprint);
	attach_filter(fd);
	check_put_back(fd, &fingerprint, 1, "SO_GET_FILTER");
	attach_filter(fd);
	set_number(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	set_number(fd, IPPROTO_IP, IP_MINTTL, 255);
	check_put_back(fd, &fingerprint, -EPERM, "SO_LOCK_FILTER");
	/* the rest is put back all the same */
	fingerprint_take(fd, &fingerprint);
	set_number(fd, IPPROTO_IP, IP_MINTTL, 0);
	check_put_back(fd, &fingerprint, 0, "");
	(void)close(fd);
}
END_TEST

START_TEST(flags_are_put_back)
{
	int fd = open_kind(&kinds[0]);
	struct fingerprint fingerprint;

	fingerprint_take(fd, &fingerprint);
	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
	check_put_back(fd, &fingerprint, 1, "O_NONBLOCK");
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	(void)close(fd);
}
END_TEST

START_TEST(what_the_system_says_is_no_change)
{
	int fd = open_kind(&kinds[0]), fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fingerprint fingerprint;
	int idle = 0;
	socklen_t length = sizeof(idle);

	ck_assert_int_eq(getsockopt(fresh, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &length), 0);
	set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle - 1);
	/* as if the sysctl had been one less then */
	fingerprint_take(fd, &fingerprint);
	set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
	check_put_back(fd, &fingerprint, 0, "");
	set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle - 2);
	check_put_back(fd, &fingerprint, 1, "TCP_KEEPIDLE");
	(void)close(fd);
	(void)close(fresh);
}
END_TEST

START_TEST(fingerprint_follows_what_the_configuration_changes_and_nothing_else)
{
	struct socket_options options = {.tos = 16, .keepalive = true, .receive_buffer = 65536};
	struct sockaddr_storage addr;
	struct listen_spec spec = spec_of(&kinds[0], &addr, &plain);
	int fd = open_kind(&kinds[0]), before = listen_open_unbound(&spec), now;
	struct fingerprint fingerprint, was, is;
	const char *step;

	fingerprint_take(fd, &fingerprint);
	/* by a handler, at the same time */
	set_number(fd, IPPROTO_IP, IP_MINTTL, 255);
	ck_assert_int_eq(socket_options_set(fd, &options, &plain, &step), 0);
	spec.options = &options;
	now = listen_open_unbound(&spec);
	fingerprint_take(before, &was);
	fingerprint_take(now, &is);
	fingerprint_follow(&fingerprint, &was, &is);
	check_put_back(fd, &fingerprint, 1, "IP_MINTTL");
	(void)close(fd);
	(void)close(before);
	(void)close(now);
}
END_TEST

START_TEST(fingerprint_is_read_as_it_was_written)
{
	for (size_t i = 0; i < (size_t)UNIT_COUNT(kinds); i++) {
		int fd = open_kind(&kinds[i]);
		struct fingerprint fingerprint, again = {.is_known = false};
		char *text;

		fingerprint_take(fd, &fingerprint);
		text = fingerprint_format(&fingerprint);
		fingerprint_parse(text, &again);
		ck_assert(again.is_known);
		ck_assert_int_eq(memcmp(again.values, fingerprint.values, sizeof(again.values)), 0);
		free(text);
		(void)close(fd);
	}
}
END_TEST

START_TEST(text_of_another_version_leaves_out_what_it_does_not_have)
{
	static const char *const texts[] = {
		"",
		"nothing",
		"=",
		"= =",
		"SO_MARK",
		"SO_MARK=0",
		"SO_MARK=zz",
		"SO_MARK=00 ",
		"SO_NEVER=00000000",
		"SO_MARK=0000000000000000000000000000000000000000000000000000000000000000",
	};
	struct fingerprint fingerprint = {.is_known = false};

	for (size_t i = 0; i < (size_t)UNIT_COUNT(texts); i++)
		fingerprint_parse(texts[i], &fingerprint);
	fingerprint_parse("SO_NEVER=00000000 IP_TTL=40000000", &fingerprint);
	ck_assert(fingerprint.is_known);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("fingerprint");

	tcase_add_test(cases, nothing_differs_on_a_socket_that_nobody_has_touched);
	tcase_add_test(cases, socket_that_was_bound_is_as_one_that_was_not);
	tcase_add_test(cases, what_was_set_is_put_back_and_named);
	tcase_add_test(cases, filter_is_taken_off_unless_it_is_locked);
	tcase_add_test(cases, flags_are_put_back);
	tcase_add_test(cases, what_the_system_says_is_no_change);
	tcase_add_test(cases, fingerprint_follows_what_the_configuration_changes_and_nothing_else);
	tcase_add_test(cases, fingerprint_is_read_as_it_was_written);
	tcase_add_test(cases, text_of_another_version_leaves_out_what_it_does_not_have);
	return unit_run("fingerprint", cases);
}
