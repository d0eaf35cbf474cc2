/*
 * fuzz_times.c - parts of a day, with spaces between them; before them a byte for the time zone and
 * two for the moment. What is taken is worked out ahead, and says what the clock on the wall says.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/schedule.h"

#define FUZZ_HEAD 3
/* 2026-01-01, and steps that lead through the year. */
#define FUZZ_BEGIN INT64_C(1767225600)
#define FUZZ_STEP 481

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool is_so)
{
	if (!is_so)
		abort();
}

static bool
is_within(const struct day_span *spans, size_t count, int64_t when_s)
{
	time_t when = (time_t)when_s;
	struct tm local;

	check(localtime_r(&when, &local) != NULL);
	for (size_t i = 0; i < count; i++) {
		unsigned minute = (unsigned)(local.tm_hour * 60 + local.tm_min);
		unsigned from = spans[i].from, to = spans[i].to;

		if (from < to ? (minute >= from && minute < to) : (minute >= from || minute < to))
			return true;
	}
	return false;
}

/* Every few minutes of the day to come, and around each turn. */
static void
compare(const struct day_span *spans, size_t count, int64_t now_s)
{
	struct schedule schedule;

	schedule_make(spans, count, now_s, &schedule);
	check(schedule.count <= SCHEDULE_MOST_TURNS);
	for (int64_t i = 0; i < 24 * 3600; i += 1789)
		check(schedule_is_open(&schedule, now_s + i) == is_within(spans, count, now_s + i));
	for (uint32_t i = 0; i < schedule.count; i++) {
		int64_t turn_s = schedule.turns_s[i];

		check(schedule_is_open(&schedule, turn_s) == is_within(spans, count, turn_s));
		check(schedule_is_open(&schedule, turn_s - 1) ==
		      is_within(spans, count, turn_s - 1));
		check(schedule_next_turn(&schedule, turn_s - 1) == turn_s);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const zones[] = {"UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "IST-5:30",
					    "NZST-12NZDT,M9.5.0,M4.1.0/3", "ABC+11:59:07"};
	struct day_span spans[SCHEDULE_MOST_SPANS];
	size_t count = 0;
	char *text, *rest;

	if (size < FUZZ_HEAD)
		return 0;
	(void)setenv("TZ", zones[data[0] % (sizeof(zones) / sizeof(zones[0]))], 1);
	tzset();
	rest = text = strndup((const char *)data + FUZZ_HEAD, size - FUZZ_HEAD);
	check(text != NULL);
	for (const char *word; (word = strsep(&rest, " ")) != NULL;) {
		char *reason = NULL;

		if (count == SCHEDULE_MOST_SPANS)
			break;
		if (day_span_parse(word, &spans[count], &reason) < 0) {
			check(reason != NULL && reason[0] != '\0');
			free(reason);
			continue;
		}
		check(spans[count].from < DAY_SPAN_MINUTES && spans[count].to <= DAY_SPAN_MINUTES);
		count++;
	}
	free(text);
	if (count > 0)
		compare(spans, count, FUZZ_BEGIN + (int64_t)(data[1] << 8 | data[2]) * FUZZ_STEP);
	return 0;
}
