/*
 * older.h - connections of older generations count towards the limit.
 *
 * While an old worker drains, its connections and those of the new one together must not be more
 * than the listener may have. The old workers' scoreboards tell how many are left; an event that
 * all generations of a listener share tells when one ends.
 */
#ifndef CONCURRENCY_OLDER_H
#define CONCURRENCY_OLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/scoreboard.h"
#include "policy/sources.h"

struct concurrency;

struct older_board {
	const struct scoreboard *board; /* mapped read-only */
	size_t slot_count;
};

struct older {
	struct older_board *boards;
	struct sources *tables; /* of sources, one for each board */
	size_t count;
	int vacancy_fd;	      /* eventfd */
	_Atomic bool is_over; /* all of them are gone */
};

/* Maps the boards from `count` descriptors in a row, which are closed. 0 or a negative errno. */
int older_open(struct older *older, int vacancy_fd, int first_fd, const uint32_t *slot_counts,
	       const uint32_t *set_counts, size_t count);

/* The supervisor has said that they are gone. */
void older_end(struct older *older);

/* Whether one more connection may be accepted. */
bool older_has_room(struct concurrency *mode);

/* Waits until that may have changed, or the listener is paused, or draining begins. */
void older_wait_room(struct concurrency *mode);

/* A connection of this, draining, generation has ended. */
void older_tell_vacancy(const struct concurrency *mode);

#endif
