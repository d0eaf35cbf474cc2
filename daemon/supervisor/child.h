/*
 * child.h - one worker of a listener, from its start to its end.
 *
 *	STARTING --ready--> READY --commit--> SERVING --drain--> DRAINING --died--> GONE
 *	    |                 |                  | ^
 *	    +------died-------+                died |
 *	    v                                    v | ready
 *	 FAILED                    BACKOFF --timer--> REPLACING
 *	                            | ^                  | ^
 *	                            | +-------died-------+ |
 *	                            +---rest---> IDLE ---demand
 *
 * A child that was committed is replaced when it dies; one that was not fails the start or reload
 * that wanted it. One that is started on demand begins in IDLE, and comes back there after a crash:
 * only a client brings the next. The table in child_table.c is this picture, every cell filled.
 */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/elf.h"
#include "base/log.h"
#include "base/report.h"
#include "ipc/scoreboard.h"
#include "supervisor/backoff.h"
#include "supervisor/death.h"
#include "supervisor/process.h"

enum child_state {
	CHILD_STARTING,	 /* executed for a start or reload, not ready yet */
	CHILD_READY,	 /* waits for the commit */
	CHILD_SERVING,	 /* accepts */
	CHILD_REPLACING, /* executed after a death, or for a client, not ready yet */
	CHILD_BACKOFF,	 /* dead; the next is started when the timer fires */
	CHILD_IDLE,	 /* on demand: no process until a client comes */
	CHILD_DRAINING,	 /* was told to end; serves what it has */
	CHILD_FAILED,	 /* died before the commit */
	CHILD_GONE,
	CHILD_STATES,
};

enum child_event {
	CHILD_SAID_READY,
	CHILD_SAID_FAILED,
	CHILD_SAID_QUIET,
	CHILD_SAID_IDLE,
	CHILD_DIED,
	CHILD_FINISHED, /* served its one connection (--once) and ended */
	CHILD_COMMIT,
	CHILD_DRAIN,
	CHILD_STOP,
	CHILD_TIMER,
	CHILD_REST,   /* the timer of one that is started on demand */
	CHILD_DEMAND, /* a client waits */
	CHILD_EVENTS,
};

enum child_action {
	CHILD_IGNORE,
	CHILD_NOTE_READY,
	CHILD_NOTE_QUIET,
	CHILD_NOTE_FAILURE, /* the worker's reasons were gathered already */
	CHILD_FAIL,
	CHILD_REPLACE,
	CHILD_RESTART,
	CHILD_ACCEPT,
	CHILD_RETIRE, /* it has nothing to serve */
	CHILD_WAIT,   /* for a client */
	CHILD_TELL_DRAIN,
	CHILD_KILL_LATE,  /* did not become ready in time */
	CHILD_KILL_STUCK, /* did not end in time */
	CHILD_END,
	CHILD_DESTROY,
};

struct child_transition {
	enum child_state next;
	enum child_action action;
};

extern const struct child_transition child_table[CHILD_STATES][CHILD_EVENTS];

struct child;

/* What a child needs from its listener. */
struct child_owner {
	/* Starts the process with a new scoreboard. 0 or a negative errno. */
	int (*start)(struct child *child, uint32_t generation);
	/* After every change of state, and when it became quiet. */
	void (*on_change)(struct child *child);
	/* A forked child of the process has died; status is as of waitpid(2). */
	void (*on_crash)(struct child *child, int status);
	/* The process is gone; its numbers can be added up. */
	void (*on_end)(struct child *child, bool was_asked);
	/* The worker had the connection with this id, and ends it. */
	void (*on_killed)(struct child *child, uint64_t id);
	/* The worker says that this address, as bans.h has it, has touched its sensor. */
	void (*on_sensed)(struct child *child, uint64_t hi, uint64_t lo);
	/* Whether it is to accept when it is ready; NULL: it is. */
	bool (*may_accept)(const struct child *child);
	/* As it was asked to, it has stopped accepting and has nothing to serve. */
	void (*on_idle)(struct child *child);
	/* A call of the worker, or of what it has started, was refused. */
	void (*on_refusal)(struct child *child, const struct refusal *refusal);
	/* Calls will be refused, but without a word: why, as a positive errno. NULL: nobody asks.
	 */
	void (*on_unreported)(struct child *child, int error);
};

struct child {
	const struct child_owner *owner;
	void *owner_data;    /* the listener; not owned */
	const char *name;    /* the listener's; not owned */
	const char *handler; /* not owned */
	struct process process;
	struct loop *loop;
	enum child_state state;
	uint32_t generation;
	bool is_once;
	bool is_on_demand;
	bool has_accepted; /* this process was told to accept */
	bool is_retiring;  /* it was asked whether it is idle */
	bool is_given_up;  /* what was before takes its place; until that cannot be */
	bool is_pausing;   /* it was told to accept no more for now */
	bool is_quiet; /* cannot accept any more; of one that was told to pause: until it is told */
	bool was_ready; /* this process */
	int64_t ready_ns;
	int shortage; /* no process could be made for want of this: a negative errno; 0 */
	struct log_limiter shortages;
	char *version; /* of the handler, as this process told it, safe to print; NULL; owned */
	int64_t start_timeout_ms; /* -1: none */
	int64_t deadline_ns;	  /* of draining */
	struct loop_timer timer;
	struct backoff backoff;
	uint64_t crashes;
	int last_status;
	struct death death; /* the last */
	int64_t stuck_ns;   /* when it said that it ends itself for a stuck handler; 0: never */
	bool is_timeout;    /* the last death was that one: no crash */

	int64_t sensed_ns; /* when this second of reports of its sensor began */
	uint32_t sensed;   /* in it */

	struct report failures; /* what the worker said of itself before it failed */
	bool is_refusal;	/* one of them is about the handler file or its options */

	struct scoreboard *board; /* mapped; NULL: none */
	size_t board_slots;
	uint32_t board_sets;  /* of its table of sources */
	int board_fd;	      /* the same; -1: none */
	int board_reading_fd; /* the same for younger generations, while it is mapped */
	int handler_fd;	      /* the file it runs, for reports of crashes; -1: none; owned */
	int program_fd;	      /* the worker program, likewise */
	char build_id[2 * ELF_BUILD_ID_SIZE + 1]; /* of the handler file; "" */
	struct child *next;			  /* in the listener's list of old ones */
};

/* Starts the first process: STARTING, or FAILED with a reason in failures. The fields up to loop
 * and start_timeout_ms must be filled. */
void child_start(struct child *child, uint32_t generation);

/* The same without a process: IDLE. */
void child_rest(struct child *child, uint32_t generation);
/* The same for one that takes the place of another: REPLACING, or BACKOFF if it cannot be started.
 */
void child_start_again(struct child *child, uint32_t generation);

/* Goes on with a child that another execution of this program has left: its fields up to the timer
 * and the process are as they were there, the timer's is_armed and when_ns included. Called once,
 * with `loop` and the owner set. */
void child_attach(struct child *child);

void child_handle(struct child *child, enum child_event event);

/* A message of its process. In child_says.c. */
void child_hear(struct process *process, struct channel_message *message);

/* One that serves: accepts, or accepts no more and goes on with what it has; or is asked to end if
 * it has nothing to do, which on_idle tells. In any other state these do nothing. */
void child_accept(struct child *child);
void child_pause(struct child *child);
void child_retire(struct child *child);

/* Tells it to end by then; a later call can only bring that nearer. */
void child_drain(struct child *child, int64_t deadline_ns);

/* One that waits to be started again waits until it is released. Accept NULL. */
void child_hold(struct child *child);
void child_release(struct child *child);

const char *child_state_name(enum child_state state);
/* Whether a child in this state has a process. */
bool child_state_has_process(enum child_state state);

#endif
