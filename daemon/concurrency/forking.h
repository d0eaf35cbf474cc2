/*
 * forking.h - what the files of a forking worker's parent share.
 */
#ifndef CONCURRENCY_FORKING_H
#define CONCURRENCY_FORKING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/loop.h"
#include "concurrency/concurrency.h"
#include "concurrency/forking_timeouts.h"
#include "concurrency/refuser.h"

/* A connection that somebody wants to end. */
struct forking_kill {
	uint64_t id;	     /* 0: none */
	int64_t deadline_ns; /* then its child is killed */
	bool is_due;	     /* it was */
};

struct forking {
	struct concurrency *mode;
	struct forking_kill *kills; /* of each slot; NULL: none was ever asked for */
	uint32_t child_count;
	bool is_draining;
	bool is_once_over;
	bool is_in_doubt; /* a child has ended that could not serve: the sockets may be to blame */
	struct loop_source deaths; /* signalfd: SIGCHLD */
	struct loop_timer retry;
	struct loop_timer run;
	struct loop_timer batch; /* armed: deaths are not in the loop */
	struct loop_timer kills_due;
	struct forking_timeouts timeouts;
	struct refuser refuser;
	struct log_limiter crash_limiter;
	struct log_limiter frame_limiter; /* of deaths outside a connection */
	size_t page_size;
	pid_t pids[]; /* of each slot; 0: free */
};

/* Tells the slot's child to do this with a connection, by a signal. An order to kill that it has
 * not read yet is not taken back. In forking_kill.c, as what follows. */
void forking_order(struct concurrency *mode, uint32_t slot, pid_t pid, uint64_t id, uint32_t order);
/* Tells the child that serves the connection to end it; one that has not after a second is killed.
 * Returns whether there is one. */
bool forking_kill(struct concurrency *mode, uint64_t id);
void forking_on_kills_due(struct loop_timer *timer);
/* Whether the child of this slot had to be killed for its connection, which is logged. What was
 * asked of the slot is over. */
bool forking_was_killed(struct forking *forking, uint32_t slot, uint64_t id);

/* After a fork that failed, or a child that could not begin. */
#define FORKING_RETRY_NS (100 * CLOCK_NS_PER_MS)

/* Reaps our children and nobody else's: a handler may have processes of its own. In forking_reap.c.
 */
void forking_reap_all(struct forking *forking);
/* Whether the connection of this child has not been counted as ended: it may have died, or go on to
 * the next, after closing one that had. */
bool forking_is_open(const struct scoreboard_slot *slot);

/* What is known of a child's death. */
struct forking_death {
	pid_t pid;
	int status;			   /* as waitpid(2) gives it */
	struct scoreboard_connection last; /* that it served; id 0: none */
	bool is_timeout;		   /* it was ended, as its handler did not return */
	bool has_report;
	struct crash_report report;
};

/* Reads what a child has left, which was reaped already. In forking_death.c. */
void forking_note_death(struct forking *forking, uint32_t slot, int status,
			struct forking_death *ret);
/* Counts, among these and by its reason, and logs the end of the connection that it served: for
 * this reason, if there was none before. */
void forking_count_end(struct forking *forking, const struct forking_death *death,
		       enum close_reason reason, _Atomic uint64_t *count);
/* It died while it served; or outside a connection. */
void forking_log_death(struct forking *forking, const struct forking_death *death);
void forking_log_early_death(struct forking *forking, const struct forking_death *death);

#endif
