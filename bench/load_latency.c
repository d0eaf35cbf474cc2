/*
 * load_latency.c - the latencies of all requests, as a histogram with less than 1 % of error.
 */
#include "load.h"

#define SUB_BITS 7 /* 128 steps for each power of two */
#define SUB (1 << SUB_BITS)

static uint64_t histogram[64 * SUB];
static uint64_t count;

static unsigned
latency_bucket(uint64_t ns)
{
	unsigned shift;

	if (ns < SUB)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;
	return (shift + 1) * SUB + (unsigned)((ns >> shift) - SUB);
}

static double
latency_bucket_us(unsigned bucket)
{
	unsigned shift;

	if (bucket < SUB)
		return bucket / 1e3;
	shift = bucket / SUB - 1;
	return ((double)(bucket % SUB + SUB) + 0.5) * (double)(1ULL << shift) / 1e3;
}

void
latency_add(int64_t ns)
{
	histogram[latency_bucket((uint64_t)ns)]++;
	count++;
}

uint64_t
latency_count(void)
{
	return count;
}

double
latency_percentile_us(double share)
{
	uint64_t want = (uint64_t)((double)count * share), seen = 0;

	for (unsigned i = 0; i < sizeof(histogram) / sizeof(*histogram); i++) {
		seen += histogram[i];
		if (seen > want)
			return latency_bucket_us(i);
	}
	return 0;
}
