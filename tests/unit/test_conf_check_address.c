/*
 * test_conf_check_address.c - which addresses the texts of a listener mean, and which listeners get
 * in each other's way.
 */
#include "conf_cases.h"

START_TEST(range_makes_an_address_of_each_port)
{
	static const char *const expected[] = {"127.0.0.1:9000", "127.0.0.1:9001", "[::1]:65534",
					       "[::1]:65535", "*:0"};
	struct config *config =
		cases_accept("listeners = ( { name = \"x\"; handler = \"h\"; address = [ "
			     "\"127.0.0.1:9000-9001\", \"[::1]:65534-65535\", \"*:0\" ]; } );");
	const struct conf_listener *listener = &config->listeners[0];

	ck_assert_uint_eq(listener->address_texts.count, 3);
	ck_assert_uint_eq(listener->address_count, 5);
	for (size_t i = 0; i < 5; i++) {
		char text[CONF_ADDRESS_TEXT_SIZE];

		ck_assert_str_eq(conf_address_format(&listener->addresses[i], text, sizeof(text)),
				 expected[i]);
	}
	config_free(config);
}
END_TEST

START_TEST(sockets_of_a_listener_may_be_1024)
{
	struct config *config = cases_accept(
		"listeners = ( { name = \"x\"; handler = \"h\"; address = \"*:1-16\"; "
		"socket = { reuse_port = 64; }; },\n"
		"{ name = \"y\"; handler = \"h\"; address = [ \"*:1001-2023\", \"*:3000\" ]; } );");

	ck_assert_uint_eq(config->listeners[0].address_count, 16);
	ck_assert_uint_eq(config->listeners[1].address_count, 1024);
	config_free(config);
	/* what does not concern a protocol does not count */
	config_free(cases_accept(
		"defaults = { socket = { reuse_port = 64; }; };\n"
		"listeners = ( { name = \"x\"; handler = \"h\"; protocol = \"unix\"; address = [ "
		"\"@1\", \"@2\", \"@3\", \"@4\", \"@5\", \"@6\", \"@7\", \"@8\", \"@9\", \"@10\", "
		"\"@11\", \"@12\", \"@13\", \"@14\", \"@15\", \"@16\", \"@17\" ]; } );"));
}
END_TEST

struct couple {
	const char *a, *b; /* protocol, address and what else two listeners have */
	const char *words; /* NULL: they get along */
};

#define KEYS(protocol, address) "protocol = \"" protocol "\"; address = \"" address "\";"

static const struct couple couples[] = {
	{KEYS("tcp", "*:1"), KEYS("udp", "*:1"), NULL},
	{KEYS("tcp", "*:1"), KEYS("tcp", "*:1"), "address '*:1' overlaps '*:1' of listener 'a'"},
	{KEYS("udp", "*:1"), KEYS("udp", "127.0.0.1:1"), "address '127.0.0.1:1' overlaps '*:1'"},
	{KEYS("udp", "*:5-9"), KEYS("udp", "*:9-12"), "address '*:9-12' overlaps '*:5-9'"},
	{KEYS("udp", "*:9-12"), KEYS("udp", "*:5-9"), "address '*:5-9' overlaps '*:9-12'"},
	{KEYS("tcp", "*:5-9"), KEYS("tcp", "[::1]:7"), "address '[::1]:7' overlaps '*:5-9'"},
	{KEYS("tcp", "[::1]:7"), KEYS("tcp", "*:5-9"), "address '*:5-9' overlaps '[::1]:7'"},
	{KEYS("tcp", "*:5-9"), KEYS("tcp", "*:5-9"), "overlaps"},
	{KEYS("tcp", "*:5-9"), KEYS("tcp", "*:10-12"), NULL},
	{KEYS("tcp", "*:10-12"), KEYS("tcp", "*:5-9"), NULL},
	{KEYS("tcp", "127.0.0.1:5-9"), KEYS("tcp", "127.0.0.2:5-9"), NULL},
	{KEYS("tcp", "*:5-9"), KEYS("tcp", "*:0"), NULL},
	{KEYS("unix", "/a"), KEYS("unix", "/a"), "address '/a' overlaps '/a'"},
	{KEYS("unix", "/a"), KEYS("unixgram", "/a"), "address '/a' overlaps '/a'"},
	{KEYS("unix", "/a"), KEYS("unix", "/b"), NULL},
	{KEYS("unix", "@a"), KEYS("unix", "@a"), "address '@a' overlaps '@a'"},
	{KEYS("unix", "@a"), KEYS("unixgram", "@a"), NULL},
	{KEYS("unixgram", "@a"), KEYS("unixgram", "@a"), "overlaps"},
	{KEYS("tcp", "systemd:a"), KEYS("tcp", "systemd:b"), NULL},
	{KEYS("tcp", "systemd:a"), KEYS("tcp", "systemd:a"),
	 "address 'systemd:a' is used by listener 'a'"},
	{KEYS("tcp", "systemd:a"), KEYS("udp", "systemd:a"), "is used by listener 'a'"},
	{KEYS("unix", "systemd:a"), KEYS("unixgram", "systemd:a"), "is used by listener 'a'"},
	{KEYS("tcp", "systemd:a"), KEYS("tcp", "systemd:a") " enabled = false;", NULL},
	{KEYS("tcp", "*:1") " socket = { device = \"e0\"; };",
	 KEYS("tcp", "*:1") " socket = { device = \"e1\"; };", NULL},
	{KEYS("tcp", "*:1") " socket = { device = \"e0\"; };",
	 KEYS("tcp", "*:1") " socket = { device = \"e0\"; };", "overlaps"},
	{KEYS("tcp", "*:1") " socket = { device = \"e0\"; };", KEYS("tcp", "*:1"), "overlaps"},
	{KEYS("tcp", "*:1") " socket = { reuse_port = 2; };",
	 KEYS("tcp", "*:1") " socket = { reuse_port = 2; };", "overlaps"},
};

START_TEST(addresses_are_compared_within_what_they_share)
{
	const struct couple *couple = &couples[_i];
	char *text = memory_format("listeners = ( { name = \"a\"; handler = \"h\"; %s },\n"
				   "{ name = \"b\"; handler = \"h\"; %s } );",
				   couple->a, couple->b);

	if (couple->words != NULL)
		cases_expect(text, 2, couple->words);
	else
		config_free(cases_accept(text));
	free(text);
}
END_TEST

START_TEST(same_name_of_systemd_twice_in_a_listener_is_refused)
{
	cases_expect("listeners = (\n{ name = \"x\"; handler = \"h\"; address = [ \"systemd:a\", "
		     "\"systemd:a\" ]; } );",
		     2, "address 'systemd:a' overlaps 'systemd:a' of the same listener");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("check_address");

	tcase_add_test(cases, range_makes_an_address_of_each_port);
	tcase_add_test(cases, sockets_of_a_listener_may_be_1024);
	tcase_add_loop_test(cases, addresses_are_compared_within_what_they_share, 0,
			    (int)(sizeof(couples) / sizeof(couples[0])));
	tcase_add_test(cases, same_name_of_systemd_twice_in_a_listener_is_refused);
	return cases_run(cases, "conf_check_address");
}
