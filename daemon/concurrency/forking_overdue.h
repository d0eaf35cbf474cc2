/*
 * forking_overdue.h - children whose handler takes too long, as their parent sees them.
 */
#ifndef CONCURRENCY_FORKING_OVERDUE_H
#define CONCURRENCY_FORKING_OVERDUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "concurrency/overdue.h"

struct forking_overdue {
	struct overdue overdue;
	const pid_t *pids;	  /* of each slot; not owned */
	struct overdue_row *rows; /* of each slot; NULL: there is no limit */
};

/* Looks from now on. 0 or a negative errno. */
int forking_overdue_start(struct forking_overdue *watch, struct concurrency *mode,
			  const pid_t *pids);

/* Whether the child in this slot was ended since it did not give back this connection. */
bool forking_overdue_has_ended(const struct forking_overdue *watch, uint32_t slot, uint64_t id);

#endif
