/*
 * test_sensor.c - whom a sensor catches, and how often it says so.
 */
#include "policy/sensor.h"

#include <endian.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <arpa/inet.h>

#include "base/clock.h"

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

#define BAN_S INT64_C(80)
#define WHO(number) (UINT64_C(0xffff) << 32 | 0xc0000200U | (number))

/* A sensor with all that it reports by. */
struct told {
	struct sensor sensor;
	struct scoreboard *board;
	struct bans_page *page;
	int page_fd;
	int fds[2];
};

static void
told_open(struct told *told)
{
	size_t size = scoreboard_size(0);

	sensor_open(&told->sensor, BAN_S * 1000, NULL, 0);
	told->board = aligned_alloc(64, size);
	ck_assert_ptr_nonnull(told->board);
	memset(told->board, 0, size);
	told->page_fd = bans_open(&told->page);
	ck_assert_int_ge(told->page_fd, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, told->fds), 0);
	told->sensor.report_fd = told->fds[0];
}

static void
told_close(struct told *told)
{
	(void)close(told->fds[0]);
	(void)close(told->fds[1]);
	bans_close(told->page);
	(void)close(told->page_fd);
	free(told->board);
	sensor_close(&told->sensor);
}

/* It is banned, and so many seconds of that are over. */
static void
told_ban(struct told *told, uint64_t lo, int64_t over_s)
{
	struct bans_entry entry = {
		.key = {.lo = lo},
		.until_ns = clock_now_ns() + (BAN_S - over_s) * CLOCK_NS_PER_S,
	};

	ck_assert(bans_put(told->page, &entry));
}

/* It touches the sensor. Whether that is reported. */
static bool
told_touch(struct told *told, uint64_t lo)
{
	struct sensor_report report;

	sensor_report(&told->sensor, told->page, told->board, 0, lo);
	if (recv(told->fds[1], &report, sizeof(report), MSG_DONTWAIT) != (ssize_t)sizeof(report))
		return false;
	ck_assert_uint_eq(report.lo, lo);
	return true;
}

START_TEST(who_is_banned_is_reported_again_when_an_eighth_of_it_is_over)
{
	struct told told;

	told_open(&told);
	told_ban(&told, WHO(1), 8);
	told_ban(&told, WHO(2), 12);
	told_ban(&told, WHO(3), BAN_S);
	ck_assert(!told_touch(&told, WHO(1)));
	ck_assert(told_touch(&told, WHO(2)));
	ck_assert(told_touch(&told, WHO(3)));
	ck_assert(told_touch(&told, WHO(4)));
	told_close(&told);
}
END_TEST

START_TEST(who_is_banned_already_has_half_of_the_reports)
{
	struct told told;
	unsigned count = 0;

	told_open(&told);
	for (unsigned i = 0; i < 100; i++) {
		told_ban(&told, WHO(i), BAN_S / 2);
		count += told_touch(&told, WHO(i));
	}
	ck_assert_uint_eq(count, SENSOR_MOST_RENEWALS);
	/* who is not has the others */
	for (unsigned i = 100; i < 200; i++)
		count += told_touch(&told, WHO(i));
	ck_assert_uint_eq(count, SENSOR_MOST_REPORTS);
	told_close(&told);
}
END_TEST

START_TEST(who_is_not_banned_may_have_all_reports)
{
	struct told told;
	unsigned count = 0;

	told_open(&told);
	for (unsigned i = 0; i < 100; i++)
		count += told_touch(&told, WHO(i));
	ck_assert_uint_eq(count, SENSOR_MOST_REPORTS);
	told_ban(&told, WHO(200), BAN_S / 2);
	ck_assert(!told_touch(&told, WHO(200)));
	told_close(&told);
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
	tcase_add_test(cases, who_is_banned_is_reported_again_when_an_eighth_of_it_is_over);
	tcase_add_test(cases, who_is_banned_already_has_half_of_the_reports);
	tcase_add_test(cases, who_is_not_banned_may_have_all_reports);
	return unit_run("sensor", cases);
}
