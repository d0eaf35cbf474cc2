/*
 * forking_timeouts.h - children whose client or handler takes too long, as their parent sees them.
 */
#ifndef CONCURRENCY_FORKING_TIMEOUTS_H
#define CONCURRENCY_FORKING_TIMEOUTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "concurrency/timeouts.h"

struct forking_timeouts {
	struct timeouts timeouts;
	const pid_t *pids;	   /* of each slot; not owned */
	struct timeouts_row *rows; /* of each slot, where children do not see them; NULL: there are
				      no timeouts */
};

/* Looks from now on. 0 or a negative errno. */
int forking_timeouts_start(struct forking_timeouts *watch, struct concurrency *mode,
			   const pid_t *pids);

/* Whether the child in this slot was ended since it did not give back this connection. */
bool forking_timeouts_have_ended(const struct forking_timeouts *watch, uint32_t slot, uint64_t id);

#endif
