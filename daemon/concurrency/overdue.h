/*
 * overdue.h - requests that take longer than timeouts.handler: when to look for them, and what is
 * to be done with each.
 *
 *	in time --timeout--> cancelled --1 s--> aborted --1 s--> killed
 *
 * Nothing is counted or armed for a request when it begins: the control flow looks at when the open
 * ones began, and again when the earliest of them may be overdue.
 */
#ifndef CONCURRENCY_OVERDUE_H
#define CONCURRENCY_OVERDUE_H

#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "ipc/scoreboard.h"

struct concurrency;

/* How long a handler has after each step. */
#define OVERDUE_GRACE_NS CLOCK_NS_PER_S

enum overdue_step {
	OVERDUE_NOTHING,
	OVERDUE_CANCEL, /* its waits end */
	OVERDUE_ABORT,	/* the handler has not returned: SIGABRT, which tells where it hangs */
	OVERDUE_KILL,	/* that has not ended it */
};

/* A request, and how far it has come on that way; 0: not yet. */
struct overdue_row {
	uint64_t id;
	int64_t opened_ns, cancelled_ns, aborted_ns;
};

struct overdue {
	struct concurrency *mode;
	struct loop_timer timer;
	/* Looks at all requests, and lowers *next_ns to when one of them may be due. */
	void (*look)(struct overdue *overdue, int64_t now_ns, int64_t *next_ns);
};

/* The step that is due. With none, *next_ns is lowered to when the next one is. */
enum overdue_step overdue_judge(const struct overdue_row *row, int64_t timeout_ns, int64_t now_ns,
				int64_t *next_ns);

/* Looks from now on, if the listener has such a limit. */
void overdue_start(struct overdue *overdue, struct concurrency *mode,
		   void (*look)(struct overdue *overdue, int64_t now_ns, int64_t *next_ns));

/* Counts a request that was cancelled, and tells of it. */
void overdue_tell(struct concurrency *mode, const struct scoreboard_connection *shown,
		  int64_t now_ns);

/* What is logged of a request: its id, and its peer, which is written to a buffer of
 * PEER_NAME_SIZE. */
struct log_context overdue_context(const struct concurrency *mode,
				   const struct scoreboard_connection *shown, char *peer);

#endif
