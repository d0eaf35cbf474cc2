/*
 * sensor.c - whom it catches, and how that is told.
 */
#include "policy/sensor.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"

#define SENSOR_MAPPED_BITS 96

void
sensor_open(struct sensor *sensor, int64_t ban_ms, char *const *excepts, size_t count)
{
	*sensor = (struct sensor){
		.ban_ns = ban_ms > 0 ? ban_ms * CLOCK_NS_PER_MS : 0,
		.excepts = memory_zero(count, sizeof(*sensor->excepts)),
		.report_fd = -1,
		.relay_fd = -1,
	};
	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *reason = NULL;

		if (prefix_parse(excepts[i], &sensor->excepts[sensor->except_count], &reason) >= 0)
			sensor->except_count++;
	}
}

void
sensor_close(struct sensor *sensor)
{
	free(sensor->excepts);
	*sensor = (struct sensor){.ban_ns = 0};
}

/* Whether the first bits of both are the same. */
static bool
sensor_has_prefix(const struct prefix *prefix, uint64_t hi, uint64_t lo)
{
	unsigned length = prefix->length;
	uint64_t words[2], mask_hi, mask_lo;

	prefix_to_words(prefix, words);
	if (!prefix->is_ipv6) {
		words[1] = UINT64_C(0xffff) << 32 | words[0] >> 32;
		words[0] = 0;
		length += SENSOR_MAPPED_BITS;
	}
	mask_hi = length == 0 ? 0 : length >= 64 ? UINT64_MAX : UINT64_MAX << (64 - length);
	mask_lo = length <= 64 ? 0 : UINT64_MAX << (128 - length);
	return ((words[0] ^ hi) & mask_hi) == 0 && ((words[1] ^ lo) & mask_lo) == 0;
}

bool
sensor_catches(const struct sensor *sensor, uint64_t hi, uint64_t lo)
{
	bool is_ipv4 = hi == 0 && lo >> 32 == 0xffff;
	struct bans_key key;

	if (sensor->ban_ns == 0 || !bans_key_of_words(hi, lo, &key))
		return false;
	for (size_t i = 0; i < sensor->except_count; i++) {
		/* ::/0 is about IPv6 */
		if (sensor->excepts[i].is_ipv6 != is_ipv4 &&
		    sensor_has_prefix(&sensor->excepts[i], hi, lo))
			return false;
	}
	return true;
}

/* At most so many in a second, of all flows of the worker together. */
static bool
sensor_may_report(struct scoreboard *board, int64_t now_ns, bool is_renewal)
{
	int64_t window_ns = atomic_load_explicit(&board->sensor_window_ns, memory_order_relaxed);

	if (now_ns - window_ns >= CLOCK_NS_PER_S &&
	    atomic_compare_exchange_strong(&board->sensor_window_ns, &window_ns, now_ns))
		atomic_store(&board->sensor_reports, 0);
	/* one that may not takes nothing from the others */
	if (is_renewal && atomic_load(&board->sensor_reports) >= SENSOR_MOST_RENEWALS)
		return false;
	return atomic_fetch_add(&board->sensor_reports, 1) < SENSOR_MOST_REPORTS;
}

void
sensor_report(const struct sensor *sensor, const struct bans_page *page, struct scoreboard *board,
	      uint64_t hi, uint64_t lo)
{
	int64_t now_ns = clock_now_ns(), spare_ns = sensor->ban_ns / SENSOR_RENEWED_AFTER, until_ns;
	struct sensor_report report = {.hi = hi, .lo = lo};
	struct bans_key key;

	if (!bans_key_of_words(hi, lo, &key))
		return;
	if (spare_ns < CLOCK_NS_PER_S)
		spare_ns = CLOCK_NS_PER_S;
	until_ns = bans_find(page, &key);
	/* a little more or less is not worth a message */
	if (until_ns > now_ns + sensor->ban_ns - spare_ns ||
	    !sensor_may_report(board, now_ns, until_ns > now_ns))
		return;
	(void)send(sensor->report_fd, &report, sizeof(report), MSG_DONTWAIT | MSG_NOSIGNAL);
}
