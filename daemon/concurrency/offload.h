/*
 * offload.h - helper threads for functions that block, so that the fibers of a thread go on.
 *
 * They are made when they are needed, and end when they have had nothing to do for a while. What
 * does not find a free one waits its turn.
 */
#ifndef CONCURRENCY_OFFLOAD_H
#define CONCURRENCY_OFFLOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fiber;
struct scoreboard_slot;

struct offload_job {
	void (*run)(void *);
	void *argument;
	const struct scoreboard_slot *slot; /* of whom it is for, should it crash; not owned */
	struct fiber *fiber;		    /* to be woken when it is done */
	struct offload_job *next;
	_Atomic bool is_done; /* from then on it is the fiber's alone */
};

struct offload {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t called;
	struct offload_job *first, **last;
	uint32_t waiting; /* jobs */
	uint32_t idle;	  /* threads */
	uint32_t threads;
};

void offload_init(struct offload *offload);

/* Has a helper thread run the job, which must stay until it is done, and wake the fiber then. 0 or
 * a negative errno: there is no helper thread, and none can be made. */
int offload_start(struct offload *offload, struct offload_job *job, struct fiber *fiber);

#endif
