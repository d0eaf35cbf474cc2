/*
 * test_prefix.c - blocks of addresses, entries of access lists, parts of a day: read, refused with
 * what to write instead, written again.
 */
#include "unit.h"

#include "base/access_entry.h"
#include "base/day_span.h"
#include "base/prefix.h"

static void
check_good(const char *text, const char *again)
{
	struct access_entry entry;
	char buf[ACCESS_ENTRY_TEXT_SIZE];
	char *reason = NULL;

	ck_assert_msg(access_entry_parse(text, &entry, &reason) == 0, "%s: %s", text, reason);
	ck_assert_str_eq(access_entry_format(&entry, buf, sizeof(buf)), again);
}

static void
check_bad(const char *text, const char *words)
{
	struct access_entry entry;
	char *reason = NULL;

	ck_assert_msg(access_entry_parse(text, &entry, &reason) < 0, "%s is taken", text);
	ck_assert_msg(strstr(reason, words) != NULL, "%s: %s", text, reason);
	free(reason);
}

START_TEST(prefixes_and_addresses_are_read_and_written)
{
	check_good("192.0.2.0/24", "192.0.2.0/24");
	check_good("192.0.2.7", "192.0.2.7");
	check_good("192.0.2.7/32", "192.0.2.7");
	check_good("0.0.0.0/0", "0.0.0.0/0");
	check_good("2001:db8::/32", "2001:db8::/32");
	check_good("2001:DB8:0:0::1", "2001:db8::1");
	check_good("::/0", "::/0");
	check_good("all", "all");
	check_good("uid:0", "uid:0");
	check_good("gid:4294967294", "gid:4294967294");
}
END_TEST

START_TEST(mapped_addresses_are_ipv4)
{
	check_good("::ffff:192.0.2.0/120", "192.0.2.0/24");
	check_good("::ffff:192.0.2.7", "192.0.2.7");
	check_good("::ffff:0:0/96", "0.0.0.0/0");
	/* compatible ones are not */
	check_good("::192.0.2.7", "::192.0.2.7");
}
END_TEST

START_TEST(host_bits_are_refused_with_both_meanings)
{
	check_bad("192.0.2.7/24", "write 192.0.2.0/24 for the network, or 192.0.2.7 for the one");
	check_bad("2001:db8::1/64", "write 2001:db8::/64 for the network, or 2001:db8::1 for");
	check_bad("::ffff:0:0/64", "write ::/64");
	check_bad("10.0.0.1/0", "write 0.0.0.0/0");
}
END_TEST

START_TEST(what_is_no_address_is_refused_with_what_to_write)
{
	check_bad("", "no address");
	check_bad("localhost", "names are not looked up");
	check_bad("www.example.org", "names are not looked up");
	check_bad("ALL", "\"all\"");
	check_bad("192.0.2.1-192.0.2.9", "is a range");
	check_bad("192.0.2.*", "has wildcards");
	check_bad("fe80::1%eth0", "has a scope");
	check_bad("fe80::%1/64", "has a scope");
	check_bad("[::1]", "brackets");
	check_bad("[::1]:80", "brackets");
	check_bad("192.0.2.7:80", "has a port");
	check_bad("192.0.2.0/255.255.255.0", "write how many bits it has, such as /24");
	check_bad("192.0.2", "four numbers");
	check_bad("192.0.2.256", "four numbers");
	check_bad("192.0.02.1", "leading zeros");
	check_bad("192.0.2.0/33", "from 0 to 32");
	check_bad("192.0.2.0/", "no good length");
	check_bad("192.0.2.0/024", "no good length");
	check_bad("192.0.2.0/ 24", "no good length");
	check_bad("2001:db8::/129", "from 0 to 128");
	check_bad("2001:db8::/-1", "from 0 to 128");
	check_bad("2001:db8", "no IPv6 address");
	check_bad(" 192.0.2.1", "no address");
	check_bad("uid:", "no number");
	check_bad("uid:-1", "no number");
	check_bad("uid:daemon", "write user:NAME");
	check_bad("gid:4294967295", "no number");
	check_bad("gid:0x10", "write group:NAME");
	check_bad("user:", "no name");
	check_bad("group:a b", "no name");
}
END_TEST

START_TEST(names_are_left_to_be_looked_up)
{
	struct access_entry entry;
	char *reason = NULL;

	ck_assert_int_eq(access_entry_parse("user:www-data", &entry, &reason), 0);
	ck_assert_int_eq(entry.kind, ACCESS_UID);
	ck_assert_str_eq(entry.name, "www-data");
	ck_assert_int_eq(access_entry_parse("group:adm", &entry, &reason), 0);
	ck_assert_int_eq(entry.kind, ACCESS_GID);
	ck_assert_str_eq(entry.name, "adm");
}
END_TEST

START_TEST(words_are_ordered_as_addresses_are)
{
	struct access_entry entry;
	char *reason = NULL;
	uint64_t words[2];

	ck_assert_int_eq(access_entry_parse("192.0.2.0/24", &entry, &reason), 0);
	prefix_to_words(&entry.prefix, words);
	ck_assert_uint_eq(words[0], UINT64_C(0xc000020000000000));
	ck_assert_uint_eq(words[1], 0);
	ck_assert_int_eq(access_entry_parse("2001:db8::1", &entry, &reason), 0);
	prefix_to_words(&entry.prefix, words);
	ck_assert_uint_eq(words[0], UINT64_C(0x20010db800000000));
	ck_assert_uint_eq(words[1], 1);
}
END_TEST

START_TEST(parts_of_a_day_have_their_first_minute_and_not_their_last)
{
	struct day_span span;
	char *reason = NULL;

	ck_assert_int_eq(day_span_parse("08:00-18:00", &span, &reason), 0);
	ck_assert(!day_span_has(&span, 8 * 60 - 1));
	ck_assert(day_span_has(&span, 8 * 60));
	ck_assert(day_span_has(&span, 18 * 60 - 1));
	ck_assert(!day_span_has(&span, 18 * 60));
	ck_assert_int_eq(day_span_parse("22:00-06:00", &span, &reason), 0);
	ck_assert(!day_span_has(&span, 22 * 60 - 1));
	ck_assert(day_span_has(&span, 22 * 60));
	ck_assert(day_span_has(&span, 0));
	ck_assert(day_span_has(&span, 6 * 60 - 1));
	ck_assert(!day_span_has(&span, 6 * 60));
	ck_assert_int_eq(day_span_parse("00:00-24:00", &span, &reason), 0);
	for (unsigned i = 0; i < DAY_SPAN_MINUTES; i++)
		ck_assert(day_span_has(&span, i));
	ck_assert_int_eq(day_span_parse("23:59-00:00", &span, &reason), 0);
	ck_assert(day_span_has(&span, DAY_SPAN_MINUTES - 1));
	ck_assert(!day_span_has(&span, 0));
}
END_TEST

START_TEST(what_is_no_part_of_a_day_is_refused)
{
	static const char *const bad[] = {
		"",
		"8:00-18:00",
		"08:00",
		"08:00 - 18:00",
		"08:60-18:00",
		"24:00-08:00",
		"08:00-24:01",
		"08-18",
		"08:00-18:00 ",
		"mo 08:00-18:00",
		"-1:00-18:00",
		"08:00-1800:",
		"08:00:18:00",
		"08:00-08:00",
		"25:00-26:00",
	};
	struct day_span span;

	for (int i = 0; i < UNIT_COUNT(bad); i++) {
		char *reason = NULL;

		ck_assert_msg(day_span_parse(bad[i], &span, &reason) < 0, "'%s' is taken", bad[i]);
		ck_assert_ptr_nonnull(reason);
		free(reason);
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("prefix");

	tcase_add_test(cases, prefixes_and_addresses_are_read_and_written);
	tcase_add_test(cases, mapped_addresses_are_ipv4);
	tcase_add_test(cases, host_bits_are_refused_with_both_meanings);
	tcase_add_test(cases, what_is_no_address_is_refused_with_what_to_write);
	tcase_add_test(cases, names_are_left_to_be_looked_up);
	tcase_add_test(cases, words_are_ordered_as_addresses_are);
	tcase_add_test(cases, parts_of_a_day_have_their_first_minute_and_not_their_last);
	tcase_add_test(cases, what_is_no_part_of_a_day_is_refused);
	return unit_run("prefix", cases);
}
