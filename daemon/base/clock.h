/*
 * clock.h - durations are measured on the monotonic clock, in nanoseconds.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_S INT64_C(1000000000)

/* Now, in nanoseconds since some moment before the machine's start; the same in every process. */
static inline int64_t
clock_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec;
}

/* Milliseconds from now until then, rounded up, 0 if past; for poll(2). */
static inline int
clock_ms_until(int64_t then_ns)
{
	int64_t left_ns = then_ns - clock_now_ns();

	if (left_ns <= 0)
		return 0;
	left_ns = (left_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
	return left_ns > INT32_MAX ? INT32_MAX : (int)left_ns;
}

/* The moment ms milliseconds from now; for -1 ("none") one that never comes. */
static inline int64_t
clock_deadline_ns(int64_t ms)
{
	return ms < 0 ? INT64_MAX / 4 : clock_now_ns() + ms * CLOCK_NS_PER_MS;
}

#endif
