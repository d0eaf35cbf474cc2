/*
 * bucket.h - a token bucket in one word: the moment at which it will be full again (GCRA).
 *
 * A token moves that moment by one interval; there is one as long as it stays within a whole
 * bucket's time from now. So nothing has to be filled up, a bucket that was not used for long needs
 * nothing to be remembered of it, and flows of several processes share one with a compare and swap:
 * whoever dies in between leaves it as it was, or with a token less.
 */
#ifndef POLICY_BUCKET_H
#define POLICY_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* What a bucket gives. */
struct bucket_rate {
	int64_t interval_ns; /* between two tokens; 0: as many as anybody wants */
	int64_t whole_ns;    /* of a whole bucket */
};

/* The most tokens of a bucket: with the longest interval it is still a time that fits. */
#define BUCKET_MOST 1000000

/* A flow that has looked at the clock later may have emptied a bucket that much further. */
#define BUCKET_AHEAD_NS CLOCK_NS_PER_S

/* As settings tell it: 0 for an hour is no rate; a burst of 0 is what comes in a second, at least
 * 1. */
static inline struct bucket_rate
bucket_rate_of(uint64_t per_hour, uint64_t burst)
{
	struct bucket_rate rate = {0};

	if (per_hour == 0)
		return rate;
	rate.interval_ns = INT64_C(3600000000000) / (int64_t)per_hour;
	if (rate.interval_ns == 0)
		rate.interval_ns = 1;
	if (burst == 0)
		burst = per_hour / 3600;
	burst = burst == 0 ? 1 : burst;
	rate.whole_ns = rate.interval_ns * (int64_t)(burst < BUCKET_MOST ? burst : BUCKET_MOST);
	return rate;
}

/* A token that was taken and is not needed. */
static inline void
bucket_give_back(_Atomic int64_t *full_ns, const struct bucket_rate *rate)
{
	(void)atomic_fetch_sub(full_ns, rate->interval_ns);
}

/* Takes a token. `least_ns`: it is not full before, whatever it says itself. False: there is none
 * before *ret_until_ns. */
static inline bool
bucket_take(_Atomic int64_t *full_ns, const struct bucket_rate *rate, int64_t now_ns,
	    int64_t least_ns, int64_t *ret_until_ns)
{
	int64_t old_ns = atomic_load_explicit(full_ns, memory_order_relaxed), new_ns;

	/* others' memory may hold anything */
	if (least_ns > now_ns + rate->whole_ns)
		least_ns = now_ns + rate->whole_ns;
	/* what a slower rate has left, before a reload, is an empty bucket, and no longer wait */
	if (old_ns > now_ns + rate->whole_ns + BUCKET_AHEAD_NS &&
	    atomic_compare_exchange_strong(full_ns, &old_ns, now_ns + rate->whole_ns))
		old_ns = now_ns + rate->whole_ns;
	do {
		new_ns = old_ns > least_ns ? old_ns : least_ns;
		new_ns = (new_ns > now_ns ? new_ns : now_ns) + rate->interval_ns;
		if (new_ns - now_ns > rate->whole_ns) {
			*ret_until_ns = new_ns - rate->whole_ns;
			return false;
		}
	} while (!atomic_compare_exchange_weak(full_ns, &old_ns, new_ns));
	return true;
}

/* How many tokens there are. */
static inline uint64_t
bucket_count(int64_t full_ns, const struct bucket_rate *rate, int64_t now_ns)
{
	int64_t lacking_ns = full_ns > now_ns ? full_ns - now_ns : 0;

	if (rate->interval_ns <= 0 || lacking_ns >= rate->whole_ns)
		return 0;
	return (uint64_t)((rate->whole_ns - lacking_ns) / rate->interval_ns);
}

#endif
