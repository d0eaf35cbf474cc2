/*
 * pace.c - a bucket of bytes for each way, in one word each, as those of policy/bucket.h; but what
 * is spent is known behind the call only, and one flow has it alone.
 */
#include "api/pace.h"

#include <errno.h>

#include "api/request.h"
#include "api/server.h"
#include "api/wait.h"
#include "base/clock.h"

/* What may pass at once after a pause is what passes in a quarter of a second; a flow that waits is
 * woken for what passes in a twentieth, or all that it wants. */
#define PACE_WHOLE_NS (CLOCK_NS_PER_S / 4)
#define PACE_STEPS 20

static int64_t
pace_time_ns(uint64_t rate, uint64_t bytes)
{
	return (int64_t)((double)bytes * (double)CLOCK_NS_PER_S / (double)rate);
}

/* Of a bucket: at least a byte, however slow it is. */
static int64_t
pace_whole_ns(uint64_t rate)
{
	int64_t byte_ns = pace_time_ns(rate, 1) + 1;

	return byte_ns > PACE_WHOLE_NS ? byte_ns : PACE_WHOLE_NS;
}

/* The bytes that may pass at this moment. */
static uint64_t
pace_count(uint64_t rate, int64_t full_ns, int64_t now_ns)
{
	int64_t left_ns = pace_whole_ns(rate) - (full_ns > now_ns ? full_ns - now_ns : 0);

	return left_ns <= 0 ? 0
			    : (uint64_t)((double)left_ns * (double)rate / (double)CLOCK_NS_PER_S);
}

/* The time of the last tick: behind by some milliseconds, and many times cheaper than the exact
 * one, which nearly every message would ask for four times. A bucket that holds enough by this one
 * does so by the exact one; one that is full when it is spent from is so a tick earlier, which lets
 * as much more pass after a pause, and no more in the long run. */
static int64_t
pace_tick_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec;
}

ssize_t
pace_wait(struct hd_request *req, enum pace_way way, size_t size)
{
	uint64_t rate = req->server->pace_rates[way], step = rate / PACE_STEPS;

	if (rate == 0 || size == 0)
		return (ssize_t)size;
	if (step == 0)
		step = 1;
	if (step > size)
		step = size;
	if (pace_count(rate, req->pace_full_ns[way], pace_tick_ns()) >= size)
		return (ssize_t)size;
	for (;;) {
		int64_t now_ns = clock_now_ns(), full_ns = req->pace_full_ns[way];
		uint64_t may = pace_count(rate, full_ns, now_ns);
		int r;

		if (may >= step || (may > 0 && req->io_flags != 0))
			return (ssize_t)(may < size ? may : size);
		if (req->io_flags != 0)
			return request_note_error(req, -ETIMEDOUT);
		/* a nanosecond more: what is rounded down must not be a byte too few */
		r = wait_until(req, full_ns - pace_whole_ns(rate) + pace_time_ns(rate, step) + 1);
		if (r < 0)
			return r;
	}
}

void
pace_spend(struct hd_request *req, enum pace_way way, size_t size)
{
	uint64_t rate = req->server->pace_rates[way];
	int64_t *full_ns = &req->pace_full_ns[way], now_ns;

	if (rate == 0)
		return;
	now_ns = pace_tick_ns();
	if (*full_ns < now_ns)
		*full_ns = now_ns;
	*full_ns += pace_time_ns(rate, size);
}
