/*
 * requests_timeouts.h - ends requests of this process whose time is over.
 */
#ifndef CONCURRENCY_REQUESTS_TIMEOUTS_H
#define CONCURRENCY_REQUESTS_TIMEOUTS_H

#include <stdint.h>

#include "concurrency/timeouts.h"

struct hd_request;

struct requests_timeouts {
	struct timeouts timeouts;
	struct timeouts_row *rows; /* of each slot; NULL: there are no timeouts */
	int64_t aborted_ns; /* when the process was told to end for a stuck handler; 0: never */
	/* Sends SIGABRT to the thread that runs the request's flow, so that a report or a core
	 * shows where it hangs. */
	void (*abort)(struct hd_request *req);
};

/* 0 or -ENOMEM. */
int requests_timeouts_start(struct requests_timeouts *requests, struct concurrency *mode);

#endif
