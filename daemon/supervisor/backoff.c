/*
 * backoff.c - the delays.
 */
#include "supervisor/backoff.h"

#include "base/clock.h"

#define BACKOFF_EARLY_FIRST_NS CLOCK_NS_PER_S
#define BACKOFF_EARLY_MOST_NS (60 * CLOCK_NS_PER_S)
#define BACKOFF_CRASH_FIRST_NS (200 * CLOCK_NS_PER_MS)
#define BACKOFF_CRASH_MOST_NS CLOCK_NS_PER_S
#define BACKOFF_WINDOW_NS (10 * CLOCK_NS_PER_S)

static int64_t
backoff_double(int64_t delay_ns, int64_t first_ns, int64_t most_ns)
{
	if (delay_ns == 0)
		return first_ns;
	return delay_ns > most_ns / 2 ? most_ns : delay_ns * 2;
}

int64_t
backoff_next(struct backoff *backoff, bool was_ready, int64_t lived_ns, int64_t now_ns)
{
	int64_t *oldest_ns = &backoff->crashes_ns[backoff->next_crash];

	if (lived_ns >= BACKOFF_WINDOW_NS)
		*backoff = (struct backoff){.next_crash = backoff->next_crash};
	if (!was_ready) {
		backoff->early_delay_ns = backoff_double(
			backoff->early_delay_ns, BACKOFF_EARLY_FIRST_NS, BACKOFF_EARLY_MOST_NS);
		return backoff->early_delay_ns;
	}
	backoff->early_delay_ns = 0;
	if (*oldest_ns == 0 || now_ns - *oldest_ns >= BACKOFF_WINDOW_NS) {
		*oldest_ns = now_ns;
		backoff->next_crash = (backoff->next_crash + 1) % BACKOFF_BURST;
		backoff->crash_delay_ns = 0;
		return 0;
	}
	backoff->crash_delay_ns = backoff_double(backoff->crash_delay_ns, BACKOFF_CRASH_FIRST_NS,
						 BACKOFF_CRASH_MOST_NS);
	return backoff->crash_delay_ns;
}
