/*
 * test_ctl_human.c - durations and amounts as people read them.
 */
#include "handlerctl/human.h"

#include "unit.h"

static const struct {
	double seconds;
	const char *text;
} durations[] = {
	{0, "0s"},
	{-1, "0s"},
	{0.0004, "0s"},
	{0.25, "250ms"},
	{0.999, "999ms"},
	{0.9999, "999ms"},
	{1, "1s"},
	{1.25, "1.2s"},
	{9.999, "9.9s"},
	{10, "10s"},
	{12.9, "12s"},
	{59.999, "59s"},
	{60, "1min"},
	{200, "3min 20s"},
	{3599.9, "59min 59s"},
	{3600, "1h"},
	{3659, "1h"},
	{11520, "3h 12min"},
	{86399, "23h 59min"},
	{86400, "1d"},
	{187200, "2d 4h"},
	{1e300, "365000d"},
};

START_TEST(a_duration_has_its_two_largest_units)
{
	char buf[HUMAN_SIZE];

	ck_assert_str_eq(human_duration(durations[_i].seconds, buf, sizeof(buf)),
			 durations[_i].text);
}
END_TEST

static const struct {
	uint64_t bytes;
	const char *text;
} amounts[] = {
	{0, "0 B"},
	{1023, "1023 B"},
	{1024, "1 KiB"},
	{1536, "1.5 KiB"},
	{10239, "9.9 KiB"},
	{10240, "10 KiB"},
	{12800, "12 KiB"},
	{1048575, "1023 KiB"},
	{1048576, "1 MiB"},
	{UINT64_C(3) << 30, "3 GiB"},
	{UINT64_MAX, "15 EiB"},
};

START_TEST(bytes_are_told_in_their_largest_unit)
{
	char buf[HUMAN_SIZE];

	ck_assert_str_eq(human_bytes(amounts[_i].bytes, buf, sizeof(buf)), amounts[_i].text);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("human");

	tcase_add_loop_test(cases, a_duration_has_its_two_largest_units, 0, UNIT_COUNT(durations));
	tcase_add_loop_test(cases, bytes_are_told_in_their_largest_unit, 0, UNIT_COUNT(amounts));
	return unit_run("ctl_human", cases);
}
