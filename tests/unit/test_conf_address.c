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
};

static const struct good good_addresses[] = {
	{"127.0.0.1:7007", NULL, AF_INET, false},
	{"0.0.0.0:0", NULL, AF_INET, false},
	{"255.255.255.255:65535", NULL, AF_INET, false},
	{"127.0.0.1:0080", "127.0.0.1:80", AF_INET, false},
	{"[::1]:7007", NULL, AF_INET6, false},
	{"[::]:0", NULL, AF_INET6, false},
	{"[2001:DB8:0:0::1]:65535", "[2001:db8::1]:65535", AF_INET6, false},
	{"[fe80::1%lo]:7007", NULL, AF_INET6, false},
	{"[fe80::1%1]:7007", "[fe80::1%lo]:7007", AF_INET6, false},
	{"*:7007", NULL, AF_INET6, true},
	{"*:0", NULL, AF_INET6, true},
};

START_TEST(good_address_reads_and_writes_back)
{
	const struct good *good = &good_addresses[_i];
	struct conf_address address, again;
	char text[CONF_ADDRESS_TEXT_SIZE];
	const char *reason = NULL;

	if (strchr(good->text, '%') != NULL && if_nametoindex("lo") != 1)
		return;
	ck_assert_msg(conf_address_parse(good->text, &address, &reason) == 0, "%s: %s", good->text,
		      reason);
	ck_assert_int_eq(address.addr.ss_family, good->family);
	ck_assert_int_eq(address.is_dual_stack, good->is_dual_stack);
	ck_assert_uint_eq(address.length, good->family == AF_INET ? sizeof(struct sockaddr_in)
								  : sizeof(struct sockaddr_in6));
	ck_assert_str_eq(conf_address_format(&address, text, sizeof(text)),
			 good->formatted != NULL ? good->formatted : good->text);
	ck_assert_int_eq(conf_address_parse(text, &again, &reason), 0);
	ck_assert_int_eq(memcmp(&address, &again, sizeof(address)), 0);
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
	{":7007", "write *:PORT"},
	{"*", "port is missing"},
	{"::1:7007", "stands in brackets"},
	{"::", "stands in brackets"},
	{"localhost:7007", "names are not looked up"},
	{"example.org:80", "names are not looked up"},
	{"127.0.0.1:http", "from 0 to 65535"},
	{"127.0.0.1:65536", "from 0 to 65535"},
	{"127.0.0.1:-1", "from 0 to 65535"},
	{"127.0.0.1:+1", "from 0 to 65535"},
	{"127.0.0.1: 80", "from 0 to 65535"},
	{"127.0.0.1:99999999999999999999", "from 0 to 65535"},
	{"127.0.0.256:80", "not an IPv4 address"},
	{"127.1:80", "not an IPv4 address"},
	{"127.0.0.01:80", "not an IPv4 address"},
	{"1.2.3.4.5:80", "not an IPv4 address"},
	{"[127.0.0.1]:80", "not an IPv6 address"},
	{"[::ffff:127.0.0.1]:80", "IPv4 address in disguise"},
	{"[fe80::1%nosuchif0]:80", "no network interface"},
	{"[fe80::1%]:80", "no network interface"},
	{"[fe80::1%0]:80", "no network interface"},
	{"/run/a.sock", "not one of HOST:PORT, [IPV6]:PORT and *:PORT"},
	{"/run/a:7007", "not one of HOST:PORT, [IPV6]:PORT and *:PORT"},
	{"@name", "not one of HOST:PORT, [IPV6]:PORT and *:PORT"},
	{"systemd:echo", "names are not looked up"},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1",
	 "too long"},
};

START_TEST(bad_address_is_refused_with_advice)
{
	const struct bad *bad = &bad_addresses[_i];
	struct conf_address address = {.length = 77};
	const char *reason = NULL;

	ck_assert_msg(conf_address_parse(bad->text, &address, &reason) < 0, "%s", bad->text);
	ck_assert_msg(strstr(reason, bad->words) != NULL, "%s: %s", bad->text, reason);
	/* nothing is stored */
	ck_assert_uint_eq(address.length, 77);
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
};

START_TEST(overlap_is_told_the_same_both_ways)
{
	const struct pair *pair = &pairs[_i];
	struct conf_address a, b;
	const char *reason;

	ck_assert_int_eq(conf_address_parse(pair->a, &a, &reason), 0);
	ck_assert_int_eq(conf_address_parse(pair->b, &b, &reason), 0);
	ck_assert_msg(conf_address_overlaps(&a, &b) == pair->overlaps, "%s %s", pair->a, pair->b);
	ck_assert_msg(conf_address_overlaps(&b, &a) == pair->overlaps, "%s %s", pair->b, pair->a);
}
END_TEST

START_TEST(dual_stack_on_ipv4_only_is_written_the_same)
{
	struct conf_address address;
	char text[CONF_ADDRESS_TEXT_SIZE];
	const char *reason;

	/* what is bound where there is no IPv6 */
	ck_assert_int_eq(conf_address_parse("0.0.0.0:80", &address, &reason), 0);
	address.is_dual_stack = true;
	ck_assert_str_eq(conf_address_format(&address, text, sizeof(text)), "*:80");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("address");

	tcase_add_loop_test(cases, good_address_reads_and_writes_back, 0,
			    (int)(sizeof(good_addresses) / sizeof(good_addresses[0])));
	tcase_add_loop_test(cases, bad_address_is_refused_with_advice, 0,
			    (int)(sizeof(bad_addresses) / sizeof(bad_addresses[0])));
	tcase_add_loop_test(cases, overlap_is_told_the_same_both_ways, 0,
			    (int)(sizeof(pairs) / sizeof(pairs[0])));
	tcase_add_test(cases, dual_stack_on_ipv4_only_is_written_the_same);
	return cases_run(cases, "conf_address");
}
