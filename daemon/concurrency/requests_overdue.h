/*
 * requests_overdue.h - ends requests of this process that take longer than timeouts.handler.
 */
#ifndef CONCURRENCY_REQUESTS_OVERDUE_H
#define CONCURRENCY_REQUESTS_OVERDUE_H

#include <stdint.h>

#include "concurrency/overdue.h"

struct hd_request;

struct requests_overdue {
	struct overdue overdue;
	int64_t aborted_ns; /* when the process was told to end for a stuck handler; 0: never */
	/* Sends SIGABRT to the thread that runs the request's flow, so that a report or a core
	 * shows where it hangs. */
	void (*abort)(struct hd_request *req);
};

void requests_overdue_start(struct requests_overdue *requests, struct concurrency *mode);

#endif
