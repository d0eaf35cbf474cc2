/*
 * concurrency.h - how connections get flows of control: one table of functions for each of the
 * configuration's words.
 *
 * All functions run in the control flow (the main thread); they do not wait. In the end a mode has
 * called on_quiet once, when no flow can accept any more, and on_empty once, when no flow is left.
 */
#ifndef CONCURRENCY_CONCURRENCY_H
#define CONCURRENCY_CONCURRENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/server.h"
#include "api/wait.h"
#include "base/log.h"
#include "base/loop.h"
#include "concurrency/older.h"
#include "concurrency/timeouts.h"
#include "ipc/scoreboard.h"
#include "ipc/worker_limits.h"
#include "net/datagram.h"

struct concurrency;
struct intake_batch;

enum concurrency_rest {
	CONCURRENCY_ACCEPTS, /* a flow may not have seen the pause yet */
	CONCURRENCY_HOLDS,   /* none accepts any more; some serve */
	CONCURRENCY_RESTS,   /* none serves anything either */
};

struct concurrency_ops {
	const struct waiter_ops *waiter; /* how its flows wait */
	/* Makes the first flows; they accept nothing yet. 0 or a negative errno. */
	int (*prepare)(struct concurrency *mode);
	/* No flow accepts any more; those that serve go on. A second call reminds forked children.
	 */
	void (*drain)(struct concurrency *mode);
	/* The deadline: every wait of every handler ends. NULL: it does by the requests' own
	 * cancellation. */
	void (*cancel)(struct concurrency *mode);
	/* Ends the connection with this id. Returns whether it is being served here. NULL: it is
	 * looked for among the requests of this process. */
	bool (*kill)(struct concurrency *mode, uint64_t id);
	/* How far a pause has come. */
	enum concurrency_rest (*rest)(struct concurrency *mode);
	/* Calls the handler's service_actions, or leaves it for the next time. */
	void (*service)(struct concurrency *mode);
	/* Ends what would outlive this process. NULL: nothing does; threads end with it. */
	void (*stop)(struct concurrency *mode);
};

extern const struct concurrency_ops concurrency_threading;
extern const struct concurrency_ops concurrency_forking;
extern const struct concurrency_ops concurrency_serial;
extern const struct concurrency_ops concurrency_fibers;

/* What a mode works with; filled by the worker before prepare. */
struct concurrency {
	const struct concurrency_ops *ops;
	struct hd_server *server;
	struct loop *loop;
	struct scoreboard *board;
	const int *sockets; /* of the listener, non-blocking, shared with other processes */
	size_t socket_count;
	bool is_datagram;
	const struct datagram_socket *receivers; /* the same sockets, if they are datagrams' */
	bool is_connection;	    /* the only socket is the connection to be served */
	int64_t session_timeout_ns; /* of each UDP peer; 0: each datagram for itself */
	uint32_t max_sessions;
	struct intake_batch *batch; /* of serial: what one call has taken; owned; NULL: none */
	bool takes_in_runs; /* a flow takes datagrams one after the other as long as there are some
			     */
	uint32_t limit;	    /* connections at once, at most the slots of the board */
	uint32_t min_threads;
	int64_t idle_timeout_ns;
	size_t stack_size;
	uint32_t fiber_threads;
	int64_t warn_after_ns; /* of a fiber that does not wait; 0: never */
	uint32_t spare_children;
	uint64_t connections_per_child; /* 0: no limit */
	bool is_once;			/* accept one connection only */
	struct timeout_limits timeouts;
	enum worker_on_limit on_limit, on_source_limit;
	const char *banner; /* before a close for a limit; NULL: none; not owned */
	struct older older; /* generations that drain while this one serves */
	void (*on_quiet)(struct concurrency *mode);
	void (*on_empty)(struct concurrency *mode);
	void (*on_crash)(struct concurrency *mode,
			 int status);		     /* of a child, as waitpid(2) has it */
	void (*on_broken)(struct concurrency *mode); /* a listening socket is, see acceptor.h */
	void (*on_held)(struct concurrency *mode);   /* a pause that was ordered is complete */
	void (*on_idle)(struct concurrency *mode);   /* concurrency_retire has come to its end */
	/* The handler does not give back this connection: the process is about to end. */
	void (*on_stuck)(struct concurrency *mode, uint64_t connection_id);
	/* It should have ended by now, but has not. */
	void (*on_lost)(struct concurrency *mode);

	/* Made by concurrency_init, shared with forked children. */
	int open_fd;	      /* eventfd, readable while flows may accept */
	_Atomic bool is_open; /* they might once, for flows that are made later */
	int pause_fd;  /* eventfd, readable while they may not any more, until they are told */
	int drain_fd;  /* eventfd, readable once no flow may accept for good */
	int notice_fd; /* eventfd: a flow has something to tell the control flow */
	struct loop_source notice;
	void *state;		    /* the mode's own */
	struct loop_timer patience; /* of concurrency_retire */
	bool is_retiring;
	bool is_pause_ordered; /* whatever comes of retiring */
	bool was_held;	       /* and that was told */
	bool was_quiet, was_empty;
	_Atomic bool is_broken;
	_Atomic bool was_connection_taken;
	_Atomic uint32_t token_waiters; /* flows of this process that wait for limits.rate */
};

/* The eventfds, and the datagram sockets. 0 or a negative errno. */
int concurrency_init(struct concurrency *mode);

/*
 * Flows are told to accept, to pause, and to accept again. Each looks at is_paused before it takes
 * something, so none does that has seen the pause; a flow that waits is woken by pause_fd, and then
 * waits for open_fd. What it was woken for before, no other flow may know of; so it stays, and the
 * flows of a new worker look at all sockets before they wait for them (acceptor.is_unsure).
 */
void concurrency_accept(struct concurrency *mode);
/* on_held is called when no flow accepts any more. */
void concurrency_pause(struct concurrency *mode);

/* Pauses if there is nothing to serve: then on_idle is called, and the pause lasts. If something
 * came just then, it is served and nothing else happens. */
void concurrency_retire(struct concurrency *mode);
/* To be called when a flow may have seen the pause, or have come to rest. */
void concurrency_look_at_rest(struct concurrency *mode);

static inline bool
concurrency_is_paused(const struct concurrency *mode)
{
	return atomic_load(&mode->board->is_paused) != 0;
}

/* Ends the connection with this id; what the mode does at the deadline, and at the end, if
 * anything.
 */
bool concurrency_kill(struct concurrency *mode, uint64_t id);
void concurrency_cancel(struct concurrency *mode);
void concurrency_stop(struct concurrency *mode);

/* Calls the handler's service_actions right here. */
void concurrency_service(struct concurrency *mode);

/* Tell the worker, once. */
void concurrency_report_quiet(struct concurrency *mode);
void concurrency_report_empty(struct concurrency *mode);

#endif
