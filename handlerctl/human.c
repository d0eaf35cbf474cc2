/*
 * human.c - the two largest units of a duration, the largest of an amount of bytes.
 */
#include "handlerctl/human.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"

/* A thousand years: more is nonsense, and would not fit. */
#define HUMAN_LONGEST_S 31536000000.0

/* From 1 s on. Each unit is told with the next smaller one. */
static const struct human_unit {
	const char *name;
	int64_t seconds;
} human_units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};

static const char *
human_long_duration(int64_t seconds, char *buf, size_t size)
{
	size_t i = 0;
	int64_t rest;

	while (seconds < human_units[i].seconds)
		i++;
	rest = seconds % human_units[i].seconds;
	if (i + 1 < COUNT_OF(human_units))
		rest /= human_units[i + 1].seconds;
	if (rest > 0)
		(void)snprintf(buf, size, "%" PRId64 "%s %" PRId64 "%s",
			       seconds / human_units[i].seconds, human_units[i].name, rest,
			       human_units[i + 1].name);
	else
		(void)snprintf(buf, size, "%" PRId64 "%s", seconds / human_units[i].seconds,
			       human_units[i].name);
	return buf;
}

const char *
human_duration(double seconds, char *buf, size_t size)
{
	int64_t ms;

	if (!(seconds > 0)) /* also what is no number */
		seconds = 0;
	if (seconds > HUMAN_LONGEST_S)
		seconds = HUMAN_LONGEST_S;
	/* 0.25 of the text may be a little less as a double */
	ms = (int64_t)(seconds * 1000 + 1e-6);
	if (ms >= 10000)
		return human_long_duration(ms / 1000, buf, size);
	if (ms % 1000 == 0)
		(void)snprintf(buf, size, "%" PRId64 "s", ms / 1000);
	else if (ms < 1000)
		(void)snprintf(buf, size, "%" PRId64 "ms", ms);
	else
		(void)snprintf(buf, size, "%" PRId64 ".%" PRId64 "s", ms / 1000, ms % 1000 / 100);
	return buf;
}

const char *
human_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t tenths;
	size_t i = 0;

	/* the unit's whole part stays in `bytes`, what is below it in `rest` */
	uint64_t rest = 0;

	while (bytes >= 1024 && i + 1 < COUNT_OF(names)) {
		rest = bytes % 1024;
		bytes /= 1024;
		i++;
	}
	tenths = rest * 10 / 1024;
	if (bytes < 10 && tenths > 0)
		(void)snprintf(buf, size, "%" PRIu64 ".%" PRIu64 " %s", bytes, tenths, names[i]);
	else
		(void)snprintf(buf, size, "%" PRIu64 " %s", bytes, names[i]);
	return buf;
}
