/*
 * timeouts.h - what takes too long: clients that do nothing, connections that grow old, handlers
 * that do not return. When to look for them, and what is to be done with each.
 *
 *	goes on --first_byte, idle, send, min_rate, total--> ended
 *	goes on, ended --handler--> ended --1 s--> aborted --1 s--> killed
 *
 * Nothing is counted or armed for a connection, and no clock is read for a message. What a flow
 * does stands in its slot of the scoreboard: what it waits for, and how many bytes have passed. The
 * control flow looks at all slots when the earliest may be due, and, where it must see whether
 * bytes pass, a few times within the shortest timeout.
 */
#ifndef CONCURRENCY_TIMEOUTS_H
#define CONCURRENCY_TIMEOUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "ipc/scoreboard.h"

struct concurrency;

/* How long a handler has after each step. */
#define TIMEOUTS_GRACE_NS CLOCK_NS_PER_S

/* What the listener sets; 0: not set. */
struct timeout_limits {
	int64_t first_byte_ns;
	int64_t idle_ns;
	int64_t total_ns;
	int64_t send_ns;
	int64_t handler_ns;
	uint64_t min_rate; /* bytes per second, over a time of grace_ns */
	int64_t grace_ns;
};

enum timeouts_step {
	TIMEOUTS_NOTHING,
	TIMEOUTS_END,	/* its waits end, and its socket is shut */
	TIMEOUTS_ABORT, /* the handler has not returned: SIGABRT, which tells where it hangs */
	TIMEOUTS_KILL,	/* that has not ended it */
};

/* A connection as it was seen at the last look. */
struct timeouts_row {
	uint64_t id;
	int64_t opened_ns;
	int64_t ended_ns, aborted_ns; /* for timeouts.handler; 0: not yet */
	int64_t spared_ns;	      /* until then it is let alone */
	int64_t looked_ns;
	uint64_t bytes_in, bytes_out; /* less what the client has not taken */
	uint64_t rate_bytes;	      /* both, when the time of grace began */
	int64_t rate_ns;	      /* how much of that the handler has waited for its client */
	int64_t quiet_ns;	      /* how long it has so waited since bytes passed */
	int64_t stuck_ns;	      /* since some went to the client, with more to go */
	unsigned waited;	      /* SCOREBOARD_WAITS_... */
	enum timeouts_step step;      /* what is due; room for who looks */
	enum close_reason reason;
};

struct timeouts {
	struct concurrency *mode;
	struct loop_timer timer;
	int64_t period_ns; /* between looks that must see whether bytes pass */
	/* Looks at all slots, and lowers *next_ns to when one of them may be due. */
	void (*look)(struct timeouts *timeouts, int64_t now_ns, int64_t *next_ns);
};

bool timeouts_are_set(const struct timeout_limits *limits);
/* Whether it matters if bytes pass, and how often that is looked at. */
bool timeouts_ask_for_bytes(const struct timeout_limits *limits);
int64_t timeouts_period_ns(const struct timeout_limits *limits);

/* The step that is due, with *ret_reason for TIMEOUTS_END. With none, *next_ns is lowered to when
 * the next one may be. The row follows what is shown. */
enum timeouts_step timeouts_judge(const struct timeout_limits *limits, struct timeouts_row *row,
				  const struct scoreboard_connection *shown, int64_t now_ns,
				  int64_t *next_ns, enum close_reason *ret_reason);

/* The client has done something after all, or was told on: its clocks begin anew, and it is let
 * alone until then. */
void timeouts_spare(struct timeouts_row *row, int64_t until_ns);

/* Looks from now on, if the listener has any of these timeouts. */
void timeouts_start(struct timeouts *timeouts, struct concurrency *mode,
		    void (*look)(struct timeouts *timeouts, int64_t now_ns, int64_t *next_ns));

/* Counts a request that was ended for timeouts.handler, and tells of it. */
void timeouts_tell(struct concurrency *mode, const struct scoreboard_connection *shown,
		   int64_t now_ns);

/* What is logged of a request: its id, and its peer, which is written to a buffer of
 * PEER_NAME_SIZE. */
struct log_context timeouts_context(const struct concurrency *mode,
				    const struct scoreboard_connection *shown, char *peer);

#endif
