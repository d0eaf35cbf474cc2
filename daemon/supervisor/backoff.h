/*
 * backoff.h - when to replace a worker that has died.
 *
 * A death before READY is a worker that cannot start: 1 s, doubling to 60 s. A death after READY is
 * a crash that a client may have caused: at once, at most 5 times in 10 s; after that 200 ms,
 * doubling to 1 s at most (a longer pause would let one client take the service from all). 10 s of
 * life forgive everything.
 */
#ifndef SUPERVISOR_BACKOFF_H
#define SUPERVISOR_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_BURST 5

struct backoff {
	int64_t early_delay_ns;		   /* the last one after a death before READY; 0: none */
	int64_t crash_delay_ns;		   /* the last one after a crash; 0: none */
	int64_t crashes_ns[BACKOFF_BURST]; /* the last replacements at once */
	unsigned next_crash;
};

/* A worker that had lived for lived_ns has died; lived_ns counts from READY and is 0 before it.
 * Returns how long to wait before the next is started. */
int64_t backoff_next(struct backoff *backoff, bool was_ready, int64_t lived_ns, int64_t now_ns);

#endif
