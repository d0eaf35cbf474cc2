/*
 * parse.c - numbers with units, both ways.
 */
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct parse_unit {
	const char *name;
	uint64_t factor;
};

static const struct parse_unit duration_units[] = {
	{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
};

static const struct parse_unit size_units[] = {
	{"B", 1},
	{"KiB", UINT64_C(1) << 10},
	{"MiB", UINT64_C(1) << 20},
	{"GiB", UINT64_C(1) << 30},
	{"TiB", UINT64_C(1) << 40},
	{"kB", 1000},
	{"MB", 1000000},
	{"GB", 1000000000},
	{"TB", UINT64_C(1000000000000)},
};

/* How often it is in an hour. */
static const struct parse_unit rate_units[] = {{"h", 1}, {"min", 60}, {"s", 3600}};

/* Reads digits; *text moves behind them. */
static int
parse_digits(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	}
	*text = p;
	*ret = value;
	return 0;
}

int
parse_take_number(const char **text, uint64_t *ret)
{
	*text += strspn(*text, " \t");
	return parse_digits(text, ret);
}

/* Reads one number with its unit; *text moves behind them. */
static int
parse_with_unit(const char **text, const struct parse_unit *units, size_t count, uint64_t *ret)
{
	uint64_t value;
	size_t length;
	int r;

	r = parse_digits(text, &value);
	if (r < 0)
		return r;
	length = strspn(*text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
	for (size_t i = 0; i < count; i++) {
		if (strlen(units[i].name) != length || strncmp(units[i].name, *text, length) != 0)
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, ret))
			return -ERANGE;
		*text += length;
		return 0;
	}
	return -EINVAL;
}

int
parse_duration(const char *text, int64_t *ret_ms)
{
	uint64_t sum = 0, part;
	int r;

	if (strcmp(text, "none") == 0) {
		*ret_ms = PARSE_NONE;
		return 0;
	}
	do {
		r = parse_with_unit(&text, duration_units, COUNT_OF(duration_units), &part);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(sum, part, &sum) || sum > INT64_MAX / 1000000)
			return -ERANGE;
	} while (*text != '\0');
	*ret_ms = (int64_t)sum;
	return 0;
}

int
parse_size(const char *text, uint64_t *ret_bytes)
{
	uint64_t bytes;
	int r;

	r = parse_with_unit(&text, size_units, COUNT_OF(size_units), &bytes);
	if (r < 0)
		return r;
	if (*text != '\0')
		return -EINVAL;
	if (bytes > INT64_MAX)
		return -ERANGE;
	*ret_bytes = bytes;
	return 0;
}

int
parse_byte_rate(const char *text, int64_t *ret_per_second)
{
	uint64_t bytes;
	int r;

	if (strcmp(text, "none") == 0) {
		*ret_per_second = PARSE_NONE;
		return 0;
	}
	r = parse_with_unit(&text, size_units, COUNT_OF(size_units), &bytes);
	if (r < 0)
		return r;
	if (strcmp(text, "/s") != 0)
		return -EINVAL;
	if (bytes > INT64_MAX)
		return -ERANGE;
	*ret_per_second = (int64_t)bytes;
	return 0;
}

int
parse_percent(const char *text, int64_t *ret)
{
	uint64_t value;
	int r;

	if (strcmp(text, "none") == 0) {
		*ret = PARSE_NONE;
		return 0;
	}
	r = parse_digits(&text, &value);
	if (r < 0)
		return r;
	if (strcmp(text, "%") != 0)
		return -EINVAL;
	if (value > INT64_MAX)
		return -ERANGE;
	*ret = (int64_t)value;
	return 0;
}

int
parse_rate(const char *text, int64_t *ret_per_hour)
{
	uint64_t count, per_hour;
	int r;

	if (strcmp(text, "none") == 0) {
		*ret_per_hour = PARSE_NONE;
		return 0;
	}
	r = parse_digits(&text, &count);
	if (r < 0)
		return r;
	if (*text++ != '/' || count == 0)
		return -EINVAL;
	for (size_t i = 0; i < COUNT_OF(rate_units); i++) {
		if (strcmp(text, rate_units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(count, rate_units[i].factor, &per_hour) ||
		    per_hour > INT64_MAX)
			return -ERANGE;
		*ret_per_hour = (int64_t)per_hour;
		return 0;
	}
	return -EINVAL;
}

int
parse_mode(const char *text, unsigned *ret_mode)
{
	size_t length = strlen(text);
	unsigned mode = 0;

	if (length < 3 || length > 4 || strspn(text, "01234567") != length)
		return -EINVAL;
	for (const char *p = text; *p != '\0'; p++)
		mode = mode * 8 + (unsigned)(*p - '0');
	*ret_mode = mode;
	return 0;
}

int
parse_int64(const char *text, int64_t *ret)
{
	bool is_negative = *text == '-';
	uint64_t value;
	int r;

	if (is_negative)
		text++;
	r = parse_digits(&text, &value);
	if (r < 0)
		return r;
	if (*text != '\0')
		return -EINVAL;
	if (value > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
		return -ERANGE;
	*ret = is_negative ? (int64_t)(0 - value) : (int64_t)value;
	return 0;
}

/* The largest unit of the first `count` that divides the value. */
static const struct parse_unit *
parse_best_unit(const struct parse_unit *units, size_t count, uint64_t value)
{
	const struct parse_unit *best = &units[0];

	for (size_t i = 1; i < count && value != 0; i++) {
		if (value % units[i].factor == 0)
			best = &units[i];
	}
	return best;
}

const char *
parse_format_duration(int64_t ms, char *buf, size_t size)
{
	const struct parse_unit *unit;

	if (ms < 0) {
		(void)snprintf(buf, size, "none");
		return buf;
	}
	unit = ms == 0 ? &duration_units[1]
		       : parse_best_unit(duration_units, COUNT_OF(duration_units), (uint64_t)ms);
	(void)snprintf(buf, size, "%" PRIu64 "%s", (uint64_t)ms / unit->factor, unit->name);
	return buf;
}

const char *
parse_format_size(uint64_t bytes, char *buf, size_t size)
{
	const struct parse_unit *unit = parse_best_unit(size_units, 5, bytes);

	(void)snprintf(buf, size, "%" PRIu64 "%s", bytes / unit->factor, unit->name);
	return buf;
}

const char *
parse_format_percent(int64_t percent, char *buf, size_t size)
{
	if (percent < 0)
		(void)snprintf(buf, size, "none");
	else
		(void)snprintf(buf, size, "%" PRId64 "%%", percent);
	return buf;
}

const char *
parse_format_byte_rate(int64_t per_second, char *buf, size_t size)
{
	char number[32];

	if (per_second < 0)
		(void)snprintf(buf, size, "none");
	else
		(void)snprintf(buf, size, "%s/s",
			       parse_format_size((uint64_t)per_second, number, sizeof(number)));
	return buf;
}

const char *
parse_format_rate(int64_t per_hour, char *buf, size_t size)
{
	const struct parse_unit *unit;

	if (per_hour < 0) {
		(void)snprintf(buf, size, "none");
		return buf;
	}
	unit = parse_best_unit(rate_units, COUNT_OF(rate_units), (uint64_t)per_hour);
	(void)snprintf(buf, size, "%" PRIu64 "/%s", (uint64_t)per_hour / unit->factor, unit->name);
	return buf;
}
