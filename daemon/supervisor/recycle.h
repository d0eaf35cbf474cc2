/*
 * recycle.h - replaces a worker that has served long enough, by connections, memory or age, as a
 * reload would: another one of the same settings and handler file gets ready on the same sockets,
 * then the new one accepts and the old one drains.
 *
 *	measured --due--> postponed --nothing else is under way--> the next one starts
 *	   ^ ^                ^                                      |           |
 *	   | +---takes over---|------------------ready---------------+           |
 *	   +                  +--------------after a pause--------failed---------+
 *
 * A reload, an upgrade, a pause and a stop go first: what was started for this is given up, and
 * begun again when they are over. Where max_generations old workers still drain, it waits for the
 * end of one of them rather than to end it.
 */
#ifndef SUPERVISOR_RECYCLE_H
#define SUPERVISOR_RECYCLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

struct child;
struct conf_listener;
struct listener;
struct supervisor;

/* Something that grows towards a limit. */
struct recycle_meter {
	uint64_t value;
	int64_t at_ns; /* when it was that; 0: never looked at */
};

/* What is known of one listener. */
struct recycle {
	struct loop_timer timer;	  /* of the next look */
	pid_t pid;			  /* of the worker that the rest is about */
	const struct conf_listener *conf; /* what it was measured by; only compared */
	struct recycle_meter connections, memory;
	uint64_t memory_at_start; /* 0: not known */
	bool is_due;
	bool is_memory_hidden, is_memory_useless; /* told once for each worker */
	char reason[96];			  /* "it has ..." */
	struct child *next; /* gets ready to take the place; NULL: none; owned */
	int64_t began_ns;
	int64_t took_ns;       /* to get ready, the last time; 0: not known */
	int64_t delay_ns;      /* after a failure */
	int64_t not_before_ns; /* it is tried again */
	uint64_t count;	       /* of workers that were replaced */
};

/*
 * One look at a meter. Returns after how long the next one is due: half the time in which it would
 * reach the limit as it grows now, between 20 ms and 1 s. *ret_is_due: it has reached the limit, or
 * is near it and would before lead_ns are over.
 */
int64_t recycle_meter_note(struct recycle_meter *meter, uint64_t limit, uint64_t value,
			   int64_t now_ns, int64_t lead_ns, bool *ret_is_due);

/* The age at which the worker that was ready at that moment is to go: up to a tenth less than the
 * limit, so that workers that were started together do not end together. */
int64_t recycle_age_ns(int64_t limit_ns, int64_t ready_ns);

/* Something has changed: goes on with all listeners. */
void recycle_look(struct supervisor *supervisor);
/* Something else goes first: what was started is given up. */
void recycle_give_way(struct supervisor *supervisor);
/* Nothing is looked at any more, and nothing is started. */
void recycle_stop(struct listener *listener);

#endif
