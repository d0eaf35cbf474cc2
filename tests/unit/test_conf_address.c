/*
 * test_conf_address.c - addresses as they are written, and which get in each other's way.
 */
#include <net/if.h>
#include <netinet/in.h>

#include "conf/address.h"
#include "conf_cases.h"

struct good {
	const char *text;
	const char *formatted; /* NULL: the same */
	int family;
	bool is_dual_stack;
	unsigned count; /* 0: one */
};

static const struct good good_addresses[] = {
	{"127.0.0.1:7007", NULL, AF_INET, false, 0},
	{"0.0.0.0:0", NULL, AF_INET, false, 0},
	{"255.255.255.255:65535", NULL, AF_INET, false, 0},
	{"127.0.0.1:0080", "127.0.0.1:80", AF_INET, false, 0},
	{"[::1]:7007", NULL, AF_INET6, false, 0},
	{"[::]:0", NULL, AF_INET6, false, 0},
	{"[2001:DB8:0:0::1]:65535", "[2001:db8::1]:65535", AF_INET6, false, 0},
	{"[fe80::1%lo]:7007", NULL, AF_INET6, false, 0},
	{"[fe80::1%1]:7007", "[fe80::1%lo]:7007", AF_INET6, false, 0},
	{"[ff02::1%lo]:7007", NULL, AF_INET6, false, 0},
	{"[ff05::1]:7007", NULL, AF_INET6, false, 0},
	{"*:7007", NULL, AF_INET6, true, 0},
	{"*:0", NULL, AF_INET6, true, 0},
	{"127.0.0.1:9000-9003", "127.0.0.1:9000", AF_INET, false, 4},
	{"[::1]:9000-9003", "[::1]:9000", AF_INET6, false, 4},
	{"*:9000-9003", "*:9000", AF_INET6, true, 4},
	{"*:9000-9000", "*:9000", AF_INET6, true, 1},
	{"*:1-1024", "*:1", AF_INET6, true, 1024},
	{"*:64512-65535", "*:64512", AF_INET6, true, 1024},
};

START_TEST(good_address_reads_and_writes_back)
{
	const struct good *good = &good_addresses[_i];
	struct conf_address address, again;
	char text[CONF_ADDRESS_TEXT_SIZE];
	const char *reason = NULL;
	unsigned count = 0;

	if (strchr(good->text, '%') != NULL && if_nametoindex("lo") != 1)
		return;
	ck_assert_msg(conf_address_parse(good->text, false, &address, &count, &reason) == 0,
		      "%s: %s", good->text, reason);
	ck_assert_int_eq((int)address.kind, CONF_ADDRESS_INET);
	ck_assert_int_eq(address.addr.ss_family, good->family);
	ck_assert_int_eq(address.is_dual_stack, good->is_dual_stack);
	ck_assert_uint_eq(count, good->count != 0 ? good->count : 1);
	ck_assert_uint_eq(address.length, good->family == AF_INET ? sizeof(struct sockaddr_in)
								  : sizeof(struct sockaddr_in6));
	ck_assert_str_eq(conf_address_format(&address, text, sizeof(text)),
			 good->formatted != NULL ? good->formatted : good->text);
	ck_assert_int_eq(conf_address_parse(text, false, &again, &count, &reason), 0);
	ck_assert_int_eq(memcmp(&address, &again, sizeof(address)), 0);
}
END_TEST

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define TEXT_107 HUNDRED "0123456"
#define TEXT_255 HUNDRED HUNDRED TEN TEN TEN TEN TEN "01234"

static const char *const good_names[] = {
	"/run/a.sock",
	"/a",
	"/run/with space:and%percent@7007",
	"/run/\xc3\xa9",
	"/" HUNDRED "012345",
	"@a",
	"@a:b/c",
	"@@",
	"@" TEXT_107,
	"systemd:a",
	"systemd:a b-c.d/e",
	"systemd:systemd",
	"systemd:" TEXT_255,
};

START_TEST(good_name_reads_and_writes_back)
{
	const char *written = good_names[_i], *reason = NULL;
	struct conf_address address, again;
	char text[CONF_ADDRESS_TEXT_SIZE];
	unsigned count = 0;

	ck_assert_msg(conf_address_parse(written, true, &address, &count, &reason) == 0, "%s: %s",
		      written, reason);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq((int)address.kind,
			 written[0] == 's' ? CONF_ADDRESS_SYSTEMD : CONF_ADDRESS_UNIX);
	ck_assert(conf_address_is_abstract(&address) == (written[0] == '@'));
	ck_assert_uint_eq(conf_address_port(&address), 0);
	ck_assert_str_eq(conf_address_format(&address, text, sizeof(text)), written);
	ck_assert_int_eq(conf_address_parse(text, true, &again, &count, &reason), 0);
	ck_assert_int_eq(memcmp(&address, &again, sizeof(address)), 0);
	/* a name of systemd may mean any socket, the others may not */
	ck_assert_int_eq(conf_address_parse(written, false, &again, &count, &reason) == 0,
			 written[0] == 's');
}
END_TEST

START_TEST(address_can_be_bound_as_it_was_read)
{
	static const char *const texts[] = {"@test_conf_address", "@" TEXT_107};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
		struct conf_address address;
		struct sockaddr_storage bound;
		socklen_t length = sizeof(bound);
		const char *reason;
		unsigned count;
		int fds[2];

		ck_assert_int_eq(conf_address_parse(texts[i], true, &address, &count, &reason), 0);
		/* stream and datagram do not collide */
		for (int k = 0; k < 2; k++) {
			fds[k] = socket(AF_UNIX, types[k] | SOCK_CLOEXEC, 0);
			ck_assert_int_eq(
				bind(fds[k], (struct sockaddr *)&address.addr, address.length), 0);
		}
		ck_assert_int_eq(getsockname(fds[0], (struct sockaddr *)&bound, &length), 0);
		ck_assert_uint_eq(length, address.length);
		ck_assert_int_eq(memcmp(&bound, &address.addr, length), 0);
		ck_assert_int_eq(close(fds[0]), 0);
		ck_assert_int_eq(close(fds[1]), 0);
	}
}
END_TEST

struct bad {
	const char *text;
	const char *words;
};

static const struct bad bad_addresses[] = {
	{"", "port is missing"},
	{"127.0.0.1", "the port is missing"},
	{"127.0.0.1:", "the port is missing after ':'"},
	{"[::1]", "write [IPV6]:PORT"},
	{"[::1]7007", "brackets are not closed before ':'"},
	{"[::1", "not closed"},
	{"[]:80", "not an IPv6 address"},
	{"[:80", "not closed"},
	{"7007", "write *:PORT"},
	{"9000-9003", "write *:PORT"},
	{":7007", "write *:PORT"},
	{"*", "port is missing"},
	{"::1:7007", "stands in brackets"},
	{"::", "stands in brackets"},
	{"localhost:7007", "names are not looked up"},
	{"example.org:80", "names are not looked up"},
	{"127.0.0.1:http", "from 0 to 65535"},
	{"127.0.0.1:65536", "from 0 to 65535"},
	{"127.0.0.1:-1", "from 0 to 65535"},
	{"127.0.0.1:-", "from 0 to 65535"},
	{"127.0.0.1:1-", "from 0 to 65535"},
	{"127.0.0.1:1--2", "from 0 to 65535"},
	{"127.0.0.1:1-2-3", "from 0 to 65535"},
	{"127.0.0.1:1 - 2", "from 0 to 65535"},
	{"127.0.0.1:65530-65536", "from 0 to 65535"},
	{"127.0.0.1:9003-9000", "write the lower port first"},
	{"127.0.0.1:0-3", "port 0 lets the kernel choose and cannot stand in a range"},
	{"[::1]:0-0", "port 0 lets the kernel choose and cannot stand in a range"},
	{"*:1-1025", "more than 1024 ports"},
	{"*:1-65535", "more than 1024 ports"},
	{"127.0.0.1:+1", "from 0 to 65535"},
	{"127.0.0.1: 80", "from 0 to 65535"},
	{"127.0.0.1:99999999999999999999", "from 0 to 65535"},
	{"127.0.0.1:9999999999999999999999999", "from 0 to 65535"},
	{"127.0.0.256:80", "not an IPv4 address"},
	{"127.1:80", "not an IPv4 address"},
	{"127.0.0.01:80", "not an IPv4 address"},
	{"1.2.3.4.5:80", "not an IPv4 address"},
	{"[127.0.0.1]:80", "not an IPv6 address"},
	{"[::ffff:127.0.0.1]:80", "IPv4 address in disguise"},
	{"[fe80::1]:80", "add %INTERFACE"},
	{"[ff02::1]:80", "add %INTERFACE"},
	{"[fe80::1%nosuchif0]:80", "no network interface"},
	{"[fe80::1%]:80", "no network interface"},
	{"[fe80::1%0]:80", "no network interface"},
	{"/run/a.sock", "needs protocol \"unix\" or \"unixgram\""},
	{"/run/a:7007", "needs protocol \"unix\" or \"unixgram\""},
	{"@name", "needs protocol \"unix\" or \"unixgram\""},
	{"@name:7", "needs protocol \"unix\" or \"unixgram\""},
	{"systemd:", "the name is missing; write systemd:NAME"},
	{"systemd:a:b", "without ':' and control characters"},
	{"systemd:a\x1f", "without ':' and control characters"},
	{"systemd:\xc3\xa9", "ASCII characters"},
	{"systemd:" TEXT_255 "x", "at most 255 characters"},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1",
	 "too long"},
};

static const struct bad bad_names[] = {
	{"", "must be absolute, beginning with /"},
	{"a.sock", "must be absolute, beginning with /"},
	{"run/a.sock", "must be absolute, beginning with /"},
	{"./a:1", "must be absolute, beginning with /"},
	{"127.0.0.1:7007", "need protocol \"tcp\" or \"udp\""},
	{"[::1]:7007", "need protocol \"tcp\" or \"udp\""},
	{"*:9000-9003", "need protocol \"tcp\" or \"udp\""},
	{"localhost:1", "need protocol \"tcp\" or \"udp\""},
	{"/", "add the name of the socket"},
	{"/run/", "add the name of the socket"},
	{"/run/a\nb", "control character"},
	{"/run/a\x7f", "control character"},
	{"/" TEXT_107, "at most 107 bytes"},
	{"@", "the abstract name is missing after '@'"},
	{"@a\x01", "control character"},
	{"@" TEXT_107 "x", "at most 107 bytes after the '@'"},
	{"systemd:", "the name is missing"},
};

static void
refuse(const struct bad *bad, bool is_unix)
{
	struct conf_address address = {.length = 77};
	const char *reason = NULL;
	unsigned count = 88;

	ck_assert_msg(conf_address_parse(bad->text, is_unix, &address, &count, &reason) < 0, "%s",
		      bad->text);
	ck_assert_msg(strstr(reason, bad->words) != NULL, "%s: %s", bad->text, reason);
	/* nothing is stored */
	ck_assert_uint_eq(address.length, 77);
	ck_assert_uint_eq(count, 88);
}

START_TEST(bad_address_is_refused_with_advice)
{
	refuse(&bad_addresses[_i], false);
}
END_TEST

START_TEST(bad_name_is_refused_with_advice)
{
	refuse(&bad_names[_i], true);
}
END_TEST

struct pair {
	const char *a, *b;
	bool overlaps;
};

static const struct pair pairs[] = {
	{"127.0.0.1:80", "127.0.0.1:80", true},
	{"127.0.0.1:80", "127.0.0.1:81", false},
	{"127.0.0.1:80", "127.0.0.2:80", false},
	{"127.0.0.1:0", "127.0.0.1:0", false},
	{"*:0", "*:0", false},
	{"127.0.0.1:80", "0.0.0.0:80", true},
	{"127.0.0.1:80", "*:80", true},
	{"127.0.0.1:80", "[::]:80", false},
	{"0.0.0.0:80", "[::]:80", false},
	{"0.0.0.0:80", "*:80", true},
	{"[::]:80", "*:80", true},
	{"[::]:80", "[::1]:80", true},
	{"[::1]:80", "[0::1]:80", true},
	{"[::1]:80", "[::2]:80", false},
	{"*:80", "*:80", true},
	{"*:80", "*:81", false},
	{"[fe80::1%7]:80", "[fe80::1%8]:80", false},
	{"[fe80::1%7]:80", "[fe80::1%7]:80", true},
	{"/run/a", "/run/a", true},
	{"/run/a", "/run/b", false},
	{"/run/a", "/run/ab", false},
	{"@a", "@a", true},
	{"@a", "@ab", false},
	{"@/a", "/a", false},
	{"systemd:a", "systemd:a", true},
	{"systemd:a", "systemd:b", false},
	{"systemd:a", "@a", false},
	{"systemd:a", "*:80", false},
	{"@a", "*:80", false},
};

static void
read_address(const char *text, struct conf_address *address)
{
	const char *reason;
	unsigned count;

	ck_assert_int_eq(
		conf_address_parse(text, strchr("/@", text[0]) != NULL, address, &count, &reason),
		0);
}

START_TEST(overlap_is_told_the_same_both_ways)
{
	const struct pair *pair = &pairs[_i];
	struct conf_address a, b;

	read_address(pair->a, &a);
	read_address(pair->b, &b);
	ck_assert_msg(conf_address_overlaps(&a, &b) == pair->overlaps, "%s %s", pair->a, pair->b);
	ck_assert_msg(conf_address_overlaps(&b, &a) == pair->overlaps, "%s %s", pair->b, pair->a);
}
END_TEST

START_TEST(dual_stack_on_ipv4_only_is_written_the_same)
{
	struct conf_address address;
	char text[CONF_ADDRESS_TEXT_SIZE];

	/* what is bound where there is no IPv6 */
	read_address("0.0.0.0:80", &address);
	address.is_dual_stack = true;
	ck_assert_str_eq(conf_address_format(&address, text, sizeof(text)), "*:80");
}
END_TEST

START_TEST(port_is_set_in_both_families)
{
	static const char *const texts[] = {"127.0.0.1:0", "[::1]:0", "*:0"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct conf_address address;

		read_address(texts[i], &address);
		ck_assert_uint_eq(conf_address_port(&address), 0);
		conf_address_set_port(&address, 65535);
		ck_assert_uint_eq(conf_address_port(&address), 65535);
	}
}
END_TEST

START_TEST(socket_without_a_name_is_written_as_nothing)
{
	struct conf_address address = {
		.kind = CONF_ADDRESS_UNIX,
		.addr = {.ss_family = AF_UNIX},
		.length = sizeof(sa_family_t),
	};
	char text[CONF_ADDRESS_TEXT_SIZE] = "x";

	ck_assert_str_eq(conf_address_format(&address, text, sizeof(text)), "");
	ck_assert(!conf_address_is_abstract(&address));
}
END_TEST

#define ADD_TABLE(test, table)                                                                     \
	tcase_add_loop_test(cases, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

int
main(void)
{
	TCase *cases = tcase_create("address");

	ADD_TABLE(good_address_reads_and_writes_back, good_addresses);
	ADD_TABLE(good_name_reads_and_writes_back, good_names);
	ADD_TABLE(bad_address_is_refused_with_advice, bad_addresses);
	ADD_TABLE(bad_name_is_refused_with_advice, bad_names);
	ADD_TABLE(overlap_is_told_the_same_both_ways, pairs);
	tcase_add_test(cases, address_can_be_bound_as_it_was_read);
	tcase_add_test(cases, dual_stack_on_ipv4_only_is_written_the_same);
	tcase_add_test(cases, port_is_set_in_both_families);
	tcase_add_test(cases, socket_without_a_name_is_written_as_nothing);
	return cases_run(cases, "conf_address");
}
