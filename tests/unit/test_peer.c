/*
 * test_peer.c - addresses of peers as handlers and logs get them.
 */
#include "net/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

#include "unit.h"

static struct sockaddr_storage
make(int family, const char *host, uint16_t port, uint32_t scope, socklen_t *ret_length)
{
	struct sockaddr_storage addr = {0};

	if (family == AF_INET) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

		ck_assert_int_eq(inet_pton(AF_INET, host, &in.sin_addr), 1);
		memcpy(&addr, &in, sizeof(in));
		*ret_length = sizeof(in);
	} else {
		struct sockaddr_in6 in6 = {
			.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};

		ck_assert_int_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
		memcpy(&addr, &in6, sizeof(in6));
		*ret_length = sizeof(in6);
	}
	return addr;
}

static const struct row {
	int family;
	const char *host;
	uint16_t port;
	uint32_t scope;
	const char *text;
} rows[] = {
	{AF_INET, "192.0.2.1", 4711, 0, "192.0.2.1:4711"},
	{AF_INET, "255.255.255.255", 65535, 0, "255.255.255.255:65535"},
	{AF_INET, "0.0.0.0", 0, 0, "0.0.0.0:0"},
	{AF_INET6, "2001:db8::1", 4711, 0, "[2001:db8::1]:4711"},
	{AF_INET6, "::1", 1, 0, "[::1]:1"},
	{AF_INET6, "fe80::1", 80, 1, "[fe80::1%lo]:80"},
	/* an interface that has gone */
	{AF_INET6, "fe80::1", 80, 4000000000U, "[fe80::1%4000000000]:80"},
	{AF_INET6, "1111:2222:3333:4444:5555:6666:7777:8888", 65535, 0,
	 "[1111:2222:3333:4444:5555:6666:7777:8888]:65535"},
};

START_TEST(name_is_host_and_port)
{
	socklen_t length;
	struct sockaddr_storage addr =
		make(rows[_i].family, rows[_i].host, rows[_i].port, rows[_i].scope, &length);
	char name[PEER_NAME_SIZE];

	ck_assert_str_eq(peer_format((struct sockaddr *)&addr, length, name, sizeof(name)),
			 rows[_i].text);
}
END_TEST

START_TEST(address_too_short_or_of_another_family_is_unknown)
{
	socklen_t length;
	struct sockaddr_storage addr = make(AF_INET6, "::1", 1, 0, &length);
	char name[PEER_NAME_SIZE];

	ck_assert_str_eq(peer_format((struct sockaddr *)&addr, length - 1, name, sizeof(name)),
			 "unknown");
	ck_assert_str_eq(peer_format((struct sockaddr *)&addr, 0, name, sizeof(name)), "unknown");
	addr.ss_family = AF_UNSPEC;
	ck_assert_str_eq(peer_format((struct sockaddr *)&addr, length, name, sizeof(name)),
			 "unknown");
	addr = make(AF_INET, "192.0.2.1", 4711, 0, &length);
	ck_assert_str_eq(peer_format((struct sockaddr *)&addr, 4, name, sizeof(name)), "unknown");
	/* a small buffer cuts */
	(void)peer_format((struct sockaddr *)&addr, length, name, 6);
	ck_assert_str_eq(name, "192.0");
}
END_TEST

START_TEST(mapped_address_becomes_the_ipv4_address_it_is)
{
	socklen_t length;
	struct sockaddr_storage addr = make(AF_INET6, "::ffff:192.0.2.1", 4711, 0, &length);
	char name[PEER_NAME_SIZE];

	peer_normalise(&addr, &length);
	ck_assert_int_eq(addr.ss_family, AF_INET);
	ck_assert_uint_eq(length, sizeof(struct sockaddr_in));
	ck_assert_str_eq(peer_format((struct sockaddr *)&addr, length, name, sizeof(name)),
			 "192.0.2.1:4711");
}
END_TEST

START_TEST(other_addresses_stay_as_they_are)
{
	static const char *const hosts[] = {"::1", "::", "::192.0.2.1", "64:ff9b::192.0.2.1",
					    "fe80::ffff:c000:201"};
	struct sockaddr_storage addr, before;
	socklen_t length, before_length;

	for (int i = 0; i < UNIT_COUNT(hosts); i++) {
		addr = before = make(AF_INET6, hosts[i], 1, 0, &length);
		before_length = length;
		peer_normalise(&addr, &length);
		ck_assert_uint_eq(length, before_length);
		ck_assert_int_eq(memcmp(&addr, &before, sizeof(addr)), 0);
	}
	/* what is cut short is not looked at */
	addr = make(AF_INET6, "::ffff:192.0.2.1", 4711, 0, &length);
	length--;
	peer_normalise(&addr, &length);
	ck_assert_int_eq(addr.ss_family, AF_INET6);
}
END_TEST

START_TEST(credentials_are_there_on_unix_sockets_only)
{
	int ends[2], fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid = 0;
	uid_t uid = 77;
	gid_t gid = 77;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(peer_credentials(ends[0], &pid, &uid, &gid), 0);
	ck_assert_int_eq(pid, getpid());
	ck_assert_uint_eq(uid, geteuid());
	ck_assert_uint_eq(gid, getegid());
	ck_assert_int_eq(peer_credentials(ends[0], NULL, NULL, NULL), 0);
	ck_assert_int_eq(peer_credentials(fd, &pid, &uid, &gid), -EOPNOTSUPP);
	ck_assert_int_eq(peer_credentials(-1, NULL, NULL, NULL), -EOPNOTSUPP);
	(void)close(fd);
}
END_TEST

static const struct unix_row {
	const char *path;
	size_t length;
	const char *text;
} unix_rows[] = {
	{"/run/a.sock", 11, "/run/a.sock"},
	/* the kernel counts the NUL */
	{"/run/a.sock", 12, "/run/a.sock"},
	{"/run/a\nb\x1b", 9, "/run/a\\nb\\x1b"},
	{"\0name", 5, "@name"},
	{"\0na\0me\xff", 7, "@na\\x00me\\xff"},
	{"\0", 1, "@"},
	{"", 0, "unnamed"},
};

START_TEST(unix_address_is_its_path_or_its_name)
{
	const struct unix_row *row = &unix_rows[_i];
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char name[PEER_NAME_SIZE];

	memcpy(un.sun_path, row->path, row->length);
	ck_assert_str_eq(
		peer_format((struct sockaddr *)&un,
			    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + row->length), name,
			    sizeof(name)),
		row->text);
}
END_TEST

START_TEST(longest_unix_path_is_not_read_past_its_end)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char name[PEER_NAME_SIZE];

	memset(un.sun_path, 'x', sizeof(un.sun_path));
	(void)peer_format((struct sockaddr *)&un, sizeof(un), name, sizeof(name));
	ck_assert_uint_eq(strlen(name), sizeof(un.sun_path));
	/* a small buffer cuts */
	un.sun_path[0] = '\0';
	(void)peer_format((struct sockaddr *)&un, sizeof(un), name, 4);
	ck_assert_str_eq(name, "@xx");
	(void)peer_format((struct sockaddr *)&un, sizeof(un), name, 1);
	ck_assert_str_eq(name, "");
	ck_assert_str_eq(peer_format_unix(42, 1000, name, sizeof(name)), "unix pid 42 uid 1000");
	ck_assert_str_eq(peer_format_unix(1, (uid_t)-2, name, sizeof(name)),
			 "unix pid 1 uid 4294967294");
}
END_TEST

static const struct place_row {
	int family;
	const char *host;
	bool is_local, is_near;
} place_rows[] = {
	{AF_INET, "127.0.0.1", true, true},
	{AF_INET, "127.255.255.254", true, true},
	{AF_INET, "128.0.0.1", false, false},
	{AF_INET, "192.0.2.1", false, false},
	{AF_INET, "169.254.0.1", false, true},
	{AF_INET, "169.255.0.1", false, false},
	{AF_INET6, "::1", true, true},
	{AF_INET6, "::2", false, false},
	{AF_INET6, "2001:db8::1", false, false},
	{AF_INET6, "::ffff:127.0.0.1", true, true},
	{AF_INET6, "::ffff:169.254.7.7", false, true},
	{AF_INET6, "::ffff:192.0.2.1", false, false},
	/* no interface is named: it cannot be found out */
	{AF_INET6, "fe80::1234", true, true},
	{AF_INET6, "febf::1", true, true},
	{AF_INET6, "fec0::1", false, false},
};

START_TEST(address_is_of_this_machine_or_near_or_neither)
{
	const struct place_row *row = &place_rows[_i];
	socklen_t length;
	struct sockaddr_storage addr = make(row->family, row->host, 4711, 0, &length);
	int before = unit_count_fds();

	ck_assert_int_eq(peer_is_local((struct sockaddr *)&addr, length), row->is_local);
	ck_assert_int_eq(peer_is_near((struct sockaddr *)&addr, length), row->is_near);
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(what_is_no_ip_address_is_local_but_not_near)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t length;
	struct sockaddr_storage addr = make(AF_INET, "192.0.2.1", 1, 0, &length);

	ck_assert(peer_is_local((struct sockaddr *)&un, sizeof(un)));
	ck_assert(!peer_is_near((struct sockaddr *)&un, sizeof(un)));
	ck_assert(peer_is_local((struct sockaddr *)&addr, length - 1));
	addr = make(AF_INET, "127.0.0.1", 1, 0, &length);
	ck_assert(!peer_is_near((struct sockaddr *)&addr, length - 1));
}
END_TEST

/* Every address that has such a form reads the same from its numbers. */
START_TEST(numbers_give_the_text_of_the_address)
{
	static const struct {
		const char *host, *expected;
		unsigned scope;
	} word_rows[] = {
		{"192.0.2.1", "192.0.2.1:4711", 0},
		{"2001:db8::1", "[2001:db8::1]:4711", 0},
		{"fe80::1", "[fe80::1%lo]:4711", 1},
		{"fe80::1", "[fe80::1%77777]:4711", 77777},
	};
	struct sockaddr_storage addr = {0};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(4711)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4711)};
	char name[PEER_NAME_SIZE], same[PEER_NAME_SIZE];
	uint64_t words[2];
	uint32_t kind, scope;

	in6.sin6_scope_id = word_rows[_i].scope;
	if (inet_pton(AF_INET, word_rows[_i].host, &in.sin_addr) == 1)
		memcpy(&addr, &in, sizeof(in));
	else if (inet_pton(AF_INET6, word_rows[_i].host, &in6.sin6_addr) == 1)
		memcpy(&addr, &in6, sizeof(in6));
	kind = peer_to_words(&addr, words, &scope);
	ck_assert_str_eq(peer_format_words(kind, scope, words, name, sizeof(name)),
			 word_rows[_i].expected);
	ck_assert_str_eq(peer_format((struct sockaddr *)&addr, sizeof(addr), same, sizeof(same)),
			 name);
}
END_TEST

START_TEST(numbers_of_a_unix_peer_are_pid_and_uid)
{
	char name[PEER_NAME_SIZE];
	uint64_t words[2];
	uint32_t kind = peer_to_words_unix(42, 4294967294U, words);

	ck_assert_str_eq(peer_format_words(kind, 0, words, name, sizeof(name)),
			 "unix pid 42 uid 4294967294");
}
END_TEST

START_TEST(numbers_that_mean_nothing_are_unknown)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNIX};
	char name[PEER_NAME_SIZE];
	uint64_t words[2] = {1, 2};
	uint32_t scope;

	ck_assert_uint_eq(peer_to_words(&addr, words, &scope), 0);
	ck_assert_uint_eq(words[0], 0);
	for (uint32_t kind = 0; kind < 65536; kind++) {
		words[0] = words[1] = UINT64_MAX;
		(void)peer_format_words(kind << 3, UINT32_MAX, words, name, sizeof(name));
		ck_assert_uint_lt(strlen(name), sizeof(name));
	}
	ck_assert_str_eq(peer_format_words(77, 0, words, name, sizeof(name)), "unknown");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("peer");

	tcase_add_loop_test(cases, name_is_host_and_port, 0, UNIT_COUNT(rows));
	tcase_add_test(cases, address_too_short_or_of_another_family_is_unknown);
	tcase_add_test(cases, mapped_address_becomes_the_ipv4_address_it_is);
	tcase_add_test(cases, other_addresses_stay_as_they_are);
	tcase_add_loop_test(cases, unix_address_is_its_path_or_its_name, 0, UNIT_COUNT(unix_rows));
	tcase_add_test(cases, longest_unix_path_is_not_read_past_its_end);
	tcase_add_loop_test(cases, address_is_of_this_machine_or_near_or_neither, 0,
			    UNIT_COUNT(place_rows));
	tcase_add_test(cases, what_is_no_ip_address_is_local_but_not_near);
	tcase_add_test(cases, credentials_are_there_on_unix_sockets_only);
	tcase_add_loop_test(cases, numbers_give_the_text_of_the_address, 0, 4);
	tcase_add_test(cases, numbers_of_a_unix_peer_are_pid_and_uid);
	tcase_add_test(cases, numbers_that_mean_nothing_are_unknown);
	return unit_run("peer", cases);
}
