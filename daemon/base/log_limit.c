/*
 * log_limit.c - keeps one cause from filling the log.
 */
#include <stdatomic.h>

#include "base/clock.h"
#include "base/log.h"

#define LOG_REPEAT_NS (10 * CLOCK_NS_PER_S)

bool
log_limit(struct log_limiter *limiter, uint32_t most, uint64_t *ret_suppressed)
{
	return log_limit_in(limiter, most, LOG_REPEAT_NS, ret_suppressed);
}

bool
log_limit_in(struct log_limiter *limiter, uint64_t most, int64_t window_ns,
	     uint64_t *ret_suppressed)
{
	int64_t now_ns = clock_now_ns();
	int64_t began_ns = atomic_load(&limiter->window_ns);

	if ((began_ns == 0 || now_ns - began_ns >= window_ns) &&
	    atomic_compare_exchange_strong(&limiter->window_ns, &began_ns, now_ns))
		atomic_store(&limiter->count, 0);
	if (atomic_fetch_add(&limiter->count, 1) >= most) {
		(void)atomic_fetch_add(&limiter->suppressed, 1);
		return false;
	}
	*ret_suppressed = atomic_exchange(&limiter->suppressed, 0);
	return true;
}
