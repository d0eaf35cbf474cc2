/*
 * test_parse.c - numbers with units, to the last character and to the last value that fits.
 */
#include "base/parse.h"

#include "unit.h"

/* The longest duration: it still fits as nanoseconds. */
#define LONGEST_MS (INT64_MAX / 1000000)

static const struct duration {
	const char *text;
	int result;
	int64_t ms;
} durations[] = {
	{"250ms", 0, 250},
	{"30s", 0, 30000},
	{"5min", 0, 300000},
	{"2h", 0, 7200000},
	{"1d", 0, 86400000},
	{"0s", 0, 0},
	{"0ms", 0, 0},
	{"007s", 0, 7000},
	{"1min30s", 0, 90000},
	{"1h1min1s1ms", 0, 3661001},
	{"1s1s", 0, 2000},
	{"none", 0, PARSE_NONE},
	{"9223372036854ms", 0, LONGEST_MS},
	{"9223372036855ms", -ERANGE, 0},
	{"9223372036854ms1ms", -ERANGE, 0},
	{"18446744073709551615ms", -ERANGE, 0},
	{"18446744073709551616ms", -ERANGE, 0},
	{"18446744073709551615d", -ERANGE, 0},
	{"99999999999999999999999s", -ERANGE, 0},
	{"", -EINVAL, 0},
	{"30", -EINVAL, 0},
	{"s", -EINVAL, 0},
	{"30 s", -EINVAL, 0},
	{" 30s", -EINVAL, 0},
	{"30s ", -EINVAL, 0},
	{"30s,", -EINVAL, 0},
	{"30s5", -EINVAL, 0},
	{"-30s", -EINVAL, 0},
	{"+30s", -EINVAL, 0},
	{"1.5s", -EINVAL, 0},
	{"0x10s", -EINVAL, 0},
	{"30S", -EINVAL, 0},
	{"30sec", -EINVAL, 0},
	{"30m", -EINVAL, 0},
	{"30msx", -EINVAL, 0},
	{"None", -EINVAL, 0},
	{"none1s", -EINVAL, 0},
	{"1snone", -EINVAL, 0},
};

START_TEST(duration_reads_as_written_or_not_at_all)
{
	const struct duration *row = &durations[_i];
	int64_t ms = 77;

	ck_assert_msg(parse_duration(row->text, &ms) == row->result, "%s", row->text);
	ck_assert_msg(ms == (row->result == 0 ? row->ms : 77), "%s gives %lld", row->text,
		      (long long)ms);
}
END_TEST

static const struct rate {
	const char *text;
	int result;
	int64_t number;
	const char *again; /* NULL: the same text */
} rates[] = {
	{"100/s", 0, 360000, NULL},
	{"5/min", 0, 300, NULL},
	{"20/h", 0, 20, NULL},
	{"1/s", 0, 3600, NULL},
	{"60/h", 0, 60, "1/min"},
	{"90/min", 0, 5400, NULL},
	{"120/min", 0, 7200, "2/s"},
	{"007/s", 0, 25200, "7/s"},
	{"none", 0, PARSE_NONE, NULL},
	{"2562047788015215/s", 0, INT64_C(2562047788015215) * 3600, NULL},
	{"2562047788015216/s", -ERANGE, 0, NULL},
	{"18446744073709551615/h", -ERANGE, 0, NULL},
	{"18446744073709551616/h", -ERANGE, 0, NULL},
	{"0/s", -EINVAL, 0, NULL},
	{"", -EINVAL, 0, NULL},
	{"100", -EINVAL, 0, NULL},
	{"100/", -EINVAL, 0, NULL},
	{"/s", -EINVAL, 0, NULL},
	{"100s", -EINVAL, 0, NULL},
	{"100/s ", -EINVAL, 0, NULL},
	{"100 /s", -EINVAL, 0, NULL},
	{"100/m", -EINVAL, 0, NULL},
	{"100/S", -EINVAL, 0, NULL},
	{"100/d", -EINVAL, 0, NULL},
	{"100/sec", -EINVAL, 0, NULL},
	{"-1/s", -EINVAL, 0, NULL},
	{"1.5/s", -EINVAL, 0, NULL},
};

START_TEST(rate_reads_as_written_or_not_at_all)
{
	const struct rate *row = &rates[_i];
	int64_t number = 77;
	char text[40];

	ck_assert_msg(parse_rate(row->text, &number) == row->result, "%s", row->text);
	ck_assert_msg(number == (row->result == 0 ? row->number : 77), "%s", row->text);
	if (row->result == 0)
		ck_assert_str_eq(parse_format_rate(number, text, sizeof(text)),
				 row->again != NULL ? row->again : row->text);
}
END_TEST

static const struct size {
	const char *text;
	int result;
	uint64_t bytes;
} sizes[] = {
	{"0B", 0, 0},
	{"512B", 0, 512},
	{"64KiB", 0, 65536},
	{"10MiB", 0, 10485760},
	{"2GiB", 0, UINT64_C(2147483648)},
	{"1TiB", 0, UINT64_C(1099511627776)},
	{"64kB", 0, 64000},
	{"10MB", 0, 10000000},
	{"2GB", 0, UINT64_C(2000000000)},
	{"1TB", 0, UINT64_C(1000000000000)},
	{"9223372036854775807B", 0, INT64_MAX},
	{"9223372036854775808B", -ERANGE, 0},
	{"8388607TiB", 0, UINT64_C(8388607) << 40},
	{"8388608TiB", -ERANGE, 0},
	{"16777216TiB", -ERANGE, 0},
	{"18446744073709551616B", -ERANGE, 0},
	{"", -EINVAL, 0},
	{"64", -EINVAL, 0},
	{"B", -EINVAL, 0},
	{"64K", -EINVAL, 0},
	{"64KB", -EINVAL, 0},
	{"64kiB", -EINVAL, 0},
	{"64kib", -EINVAL, 0},
	{"64 KiB", -EINVAL, 0},
	{"64KiB ", -EINVAL, 0},
	{"1KiB1B", -EINVAL, 0},
	{"-1B", -EINVAL, 0},
	{"1.5MiB", -EINVAL, 0},
	{"none", -EINVAL, 0},
};

START_TEST(size_reads_as_written_or_not_at_all)
{
	const struct size *row = &sizes[_i];
	uint64_t bytes = 77;

	ck_assert_msg(parse_size(row->text, &bytes) == row->result, "%s", row->text);
	ck_assert_msg(bytes == (row->result == 0 ? row->bytes : 77), "%s", row->text);
}
END_TEST

static const struct byte_rate {
	const char *text;
	int result;
	int64_t per_second;
} byte_rates[] = {
	{"100B/s", 0, 100},
	{"0B/s", 0, 0},
	{"64KiB/s", 0, 65536},
	{"2MB/s", 0, 2000000},
	{"none", 0, PARSE_NONE},
	{"9223372036854775807B/s", 0, INT64_MAX},
	{"9223372036854775808B/s", -ERANGE, 0},
	{"16777216TiB/s", -ERANGE, 0},
	{"", -EINVAL, 0},
	{"100", -EINVAL, 0},
	{"100B", -EINVAL, 0},
	{"100/s", -EINVAL, 0},
	{"100B/", -EINVAL, 0},
	{"100B/sec", -EINVAL, 0},
	{"100B/min", -EINVAL, 0},
	{"100B /s", -EINVAL, 0},
	{"100B/s ", -EINVAL, 0},
	{"-1B/s", -EINVAL, 0},
	{"1.5KiB/s", -EINVAL, 0},
	{"none/s", -EINVAL, 0},
};

START_TEST(byte_rate_reads_as_written_or_not_at_all)
{
	const struct byte_rate *row = &byte_rates[_i];
	int64_t per_second = 77;
	char text[32];

	ck_assert_msg(parse_byte_rate(row->text, &per_second) == row->result, "%s", row->text);
	ck_assert_msg(per_second == (row->result == 0 ? row->per_second : 77), "%s", row->text);
	if (row->result != 0)
		return;
	(void)parse_format_byte_rate(row->per_second, text, sizeof(text));
	ck_assert_msg(parse_byte_rate(text, &per_second) == 0 && per_second == row->per_second,
		      "%s", text);
}
END_TEST

static const struct percent {
	const char *text;
	int result;
	int64_t percent;
} percents[] = {
	{"80%", 0, 80},
	{"0%", 0, 0},
	{"none", 0, PARSE_NONE},
	{"9223372036854775807%", 0, INT64_MAX},
	{"9223372036854775808%", -ERANGE, 0},
	{"99999999999999999999%", -ERANGE, 0},
	{"", -EINVAL, 0},
	{"80", -EINVAL, 0},
	{"%", -EINVAL, 0},
	{"80 %", -EINVAL, 0},
	{"80%%", -EINVAL, 0},
	{"-1%", -EINVAL, 0},
	{"0.5%", -EINVAL, 0},
};

START_TEST(percentage_reads_as_written_or_not_at_all)
{
	const struct percent *row = &percents[_i];
	int64_t percent = 77;
	char text[32];

	ck_assert_msg(parse_percent(row->text, &percent) == row->result, "%s", row->text);
	ck_assert_msg(percent == (row->result == 0 ? row->percent : 77), "%s", row->text);
	if (row->result == 0)
		ck_assert_str_eq(parse_format_percent(percent, text, sizeof(text)), row->text);
}
END_TEST

static const struct mode {
	const char *text;
	int result;
	unsigned mode;
} modes[] = {
	{"0660", 0, 0660},    {"660", 0, 0660},	    {"0000", 0, 0},	  {"1777", 0, 01777},
	{"7777", 0, 07777},   {"", -EINVAL, 0},	    {"66", -EINVAL, 0},	  {"00660", -EINVAL, 0},
	{"0680", -EINVAL, 0}, {"0x66", -EINVAL, 0}, {"-660", -EINVAL, 0}, {"+660", -EINVAL, 0},
	{" 660", -EINVAL, 0}, {"660 ", -EINVAL, 0}, {"u=rw", -EINVAL, 0},
};

START_TEST(mode_is_three_or_four_octal_digits)
{
	const struct mode *row = &modes[_i];
	unsigned mode = 77;

	ck_assert_msg(parse_mode(row->text, &mode) == row->result, "%s", row->text);
	ck_assert_msg(mode == (row->result == 0 ? row->mode : 77), "%s", row->text);
}
END_TEST

static const struct number {
	const char *text;
	int result;
	int64_t number;
} numbers[] = {
	{"0", 0, 0},
	{"-0", 0, 0},
	{"0042", 0, 42},
	{"-1", 0, -1},
	{"9223372036854775807", 0, INT64_MAX},
	{"-9223372036854775808", 0, INT64_MIN},
	{"9223372036854775808", -ERANGE, 0},
	{"-9223372036854775809", -ERANGE, 0},
	{"18446744073709551615", -ERANGE, 0},
	{"-18446744073709551615", -ERANGE, 0},
	{"18446744073709551616", -ERANGE, 0},
	{"", -EINVAL, 0},
	{"-", -EINVAL, 0},
	{"--1", -EINVAL, 0},
	{"+1", -EINVAL, 0},
	{" 1", -EINVAL, 0},
	{"1 ", -EINVAL, 0},
	{"1e3", -EINVAL, 0},
	{"0x10", -EINVAL, 0},
	{"12a", -EINVAL, 0},
};

START_TEST(number_is_decimal_and_fits_in_64_bits)
{
	const struct number *row = &numbers[_i];
	int64_t number = 77;

	ck_assert_msg(parse_int64(row->text, &number) == row->result, "%s", row->text);
	ck_assert_msg(number == (row->result == 0 ? row->number : 77), "%s", row->text);
}
END_TEST

static const struct written {
	int64_t ms;
	const char *text;
} written_durations[] = {
	{PARSE_NONE, "none"}, {0, "0s"},	{1, "1ms"},	   {999, "999ms"},
	{1000, "1s"},	      {1500, "1500ms"}, {60000, "1min"},   {90000, "90s"},
	{3600000, "1h"},      {86400000, "1d"}, {90000000, "25h"}, {LONGEST_MS, "9223372036854ms"},
};

START_TEST(duration_is_written_with_the_largest_unit_that_divides_it)
{
	const struct written *row = &written_durations[_i];
	char text[32];
	int64_t again;

	ck_assert_str_eq(parse_format_duration(row->ms, text, sizeof(text)), row->text);
	ck_assert_int_eq(parse_duration(text, &again), 0);
	ck_assert_int_eq(again, row->ms);
}
END_TEST

START_TEST(every_size_reads_back_as_it_was_written)
{
	static const uint64_t factors[] = {1, 3, 1000, 1023, 1024, 1025, 1000000};
	char text[32];
	uint64_t again;

	ck_assert_str_eq(parse_format_size(0, text, sizeof(text)), "0B");
	ck_assert_str_eq(parse_format_size(65536, text, sizeof(text)), "64KiB");
	ck_assert_str_eq(parse_format_size(1000, text, sizeof(text)), "1000B");
	ck_assert_str_eq(parse_format_size(UINT64_C(1) << 40, text, sizeof(text)), "1TiB");
	for (int i = 0; i < UNIT_COUNT(factors); i++) {
		for (int shift = 0; shift < 43; shift++) {
			uint64_t bytes = factors[i] << shift;

			(void)parse_format_size(bytes, text, sizeof(text));
			ck_assert_msg(parse_size(text, &again) == 0 && again == bytes, "%s", text);
		}
	}
}
END_TEST

START_TEST(format_cuts_at_the_end_of_its_buffer)
{
	char text[4] = "###";

	(void)parse_format_duration(123456, text, 3);
	ck_assert_str_eq(text, "12");
	ck_assert_int_eq(text[3], '\0');
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("parse");

	tcase_add_loop_test(cases, duration_reads_as_written_or_not_at_all, 0,
			    UNIT_COUNT(durations));
	tcase_add_loop_test(cases, size_reads_as_written_or_not_at_all, 0, UNIT_COUNT(sizes));
	tcase_add_loop_test(cases, percentage_reads_as_written_or_not_at_all, 0,
			    UNIT_COUNT(percents));
	tcase_add_loop_test(cases, byte_rate_reads_as_written_or_not_at_all, 0,
			    UNIT_COUNT(byte_rates));
	tcase_add_loop_test(cases, rate_reads_as_written_or_not_at_all, 0, UNIT_COUNT(rates));
	tcase_add_loop_test(cases, mode_is_three_or_four_octal_digits, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, number_is_decimal_and_fits_in_64_bits, 0, UNIT_COUNT(numbers));
	tcase_add_loop_test(cases, duration_is_written_with_the_largest_unit_that_divides_it, 0,
			    UNIT_COUNT(written_durations));
	tcase_add_test(cases, every_size_reads_back_as_it_was_written);
	tcase_add_test(cases, format_cuts_at_the_end_of_its_buffer);
	return unit_run("parse", cases);
}
