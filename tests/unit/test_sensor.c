/*
 * test_sensor.c - whom a sensor catches, and how often it says so.
 */
#include "policy/sensor.h"

#include <endian.h>
#include <netinet/in.h>

#include <arpa/inet.h>

#include "unit.h"

static bool
catches(const struct sensor *sensor, const char *text)
{
	struct in6_addr in6 = {0};
	struct in_addr in;
	uint64_t words[2];

	if (inet_pton(AF_INET, text, &in) == 1)
		return sensor_catches(sensor, 0, UINT64_C(0xffff) << 32 | ntohl(in.s_addr));
	ck_assert_int_eq(inet_pton(AF_INET6, text, &in6), 1);
	memcpy(words, &in6, sizeof(words));
	return sensor_catches(sensor, be64toh(words[0]), be64toh(words[1]));
}

static const struct who {
	const char *address;
	bool is_caught;
} whos[] = {
	{"192.0.2.7", false},	    {"192.0.3.7", true},
	{"10.1.2.3", false},	    {"11.1.2.3", true},
	{"127.0.0.1", false},	    {"::1", false},
	{"2001:db8::5", false},	    {"2001:db9::5", true},
	{"2001:dbf:ffff::", true},  {"fd00::1", false},
	{"fd00::2", true},	    {"::ffff:192.0.2.9", false},
	{"::ffff:c000:0309", true}, {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false},
};

START_TEST(excepted_prefixes_and_the_loopback_are_not_caught)
{
	char *excepts[] = {"192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "fd00::1"};
	struct sensor sensor;

	sensor_open(&sensor, 1000, excepts, 4);
	ck_assert_uint_eq(sensor.except_count, 4);
	ck_assert_msg(catches(&sensor, whos[_i].address) == whos[_i].is_caught, "%s",
		      whos[_i].address);
	sensor_close(&sensor);
}
END_TEST

START_TEST(all_of_one_family_can_be_excepted)
{
	char *ipv4[] = {"0.0.0.0/0"}, *ipv6[] = {"::/0"};
	struct sensor sensor;

	sensor_open(&sensor, 1000, ipv4, 1);
	ck_assert(!catches(&sensor, "192.0.2.7") && catches(&sensor, "2001:db8::1"));
	sensor_close(&sensor);
	sensor_open(&sensor, 1000, ipv6, 1);
	ck_assert(catches(&sensor, "192.0.2.7") && !catches(&sensor, "2001:db8::1"));
	sensor_close(&sensor);
}
END_TEST

START_TEST(listener_that_is_no_sensor_catches_nobody)
{
	struct sensor sensor;

	sensor_open(&sensor, -1, NULL, 0);
	ck_assert(!catches(&sensor, "192.0.2.7"));
	sensor_close(&sensor);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("sensor");

	tcase_add_loop_test(cases, excepted_prefixes_and_the_loopback_are_not_caught, 0,
			    UNIT_COUNT(whos));
	tcase_add_test(cases, all_of_one_family_can_be_excepted);
	tcase_add_test(cases, listener_that_is_no_sensor_catches_nobody);
	return unit_run("sensor", cases);
}
