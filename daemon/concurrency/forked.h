/*
 * forked.h - the life of one child of a forking worker.
 */
#ifndef CONCURRENCY_FORKED_H
#define CONCURRENCY_FORKED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "concurrency/concurrency.h"

/* What a child does, in its slot of the scoreboard. */
enum forked_state {
	FORKED_FREE,
	FORKED_WAITING, /* may accept at any moment */
	FORKED_HELD,	/* waits, and has seen the pause */
	FORKED_BUSY,	/* accepted */
	FORKED_LEAVING, /* will accept no more, and ends by itself */
};

/* What children must do, in scoreboard.child_phase. */
enum forked_phase {
	FORKED_SERVE,
	FORKED_DRAIN,  /* accept no more; idle requests end */
	FORKED_CANCEL, /* every wait ends */
};

/* Whether it counts among the waiting children. */
bool forked_is_waiting(enum forked_state state);

/* So few waiting children that the parent must fork. */
uint32_t forked_few(const struct concurrency *mode);

/* Does once, before the first fork, what is the same in all children: each page that a child writes
 * to is copied. 0 or a negative errno. */
int forked_prepare(struct concurrency *mode);

/* Runs in the forked child, and never returns. */
_Noreturn void forked_run(uint32_t slot);

#endif
