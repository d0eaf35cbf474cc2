/*
 * fiber_thread.h - a thread that runs fibers: its epoll, queue and timers, and what it accepts.
 *
 * Each thread accepts for itself (EPOLLEXCLUSIVE: one connection wakes one thread) and keeps what
 * it has accepted. Where it has clearly more than another, it leaves the next ones to that one.
 *
 * Whether it may accept at all:
 *
 *	CLOSED --open--> OPEN --pause--> HELD --open--> OPEN
 *	   |               |               |
 *	   +---------------+----- drain ---+--> OVER
 */
#ifndef CONCURRENCY_FIBER_THREAD_H
#define CONCURRENCY_FIBER_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fd.h"
#include "concurrency/fiber.h"
#include "concurrency/fiber_timers.h"
#include "concurrency/intake.h"
#include "concurrency/offload.h"
#include "concurrency/requests_timeouts.h"
#include "concurrency/sessions.h"

/* No round of tidying is under way. */
#define FIBER_TIDIED UINT32_MAX

enum fiber_gate {
	FIBER_GATE_CLOSED, /* was never told to accept */
	FIBER_GATE_OPEN,
	FIBER_GATE_HELD, /* the listener is paused */
	FIBER_GATE_OVER, /* draining, or the one connection of --once was taken */
};

/* Why a thread whose gate is open does not accept nevertheless. */
#define FIBER_AT_LIMIT 0x1U	 /* max_connections; until a fiber is over */
#define FIBER_IS_SHORT 0x2U	 /* of descriptors or memory; until its timer */
#define FIBER_HAS_NO_ROOM 0x4U	 /* older generations have the rest; until their event */
#define FIBER_GIVES_WAY 0x8U	 /* another thread has fewer connections; until it has not */
#define FIBER_HAS_NO_TOKEN 0x20U /* limits.rate; until its timer */
#define FIBER_IS_BROKEN 0x10U	 /* a listening socket is; until the worker ends */

struct fiber_thread {
	struct fibers *fibers; /* not owned */
	pthread_t id;
	int epoll_fd;
	int wake_fd;		/* eventfd: something is in the inbox, or worth a look */
	struct fiber_flow flow; /* the loop */
	struct fiber_exceptions *exceptions; /* of whichever fiber runs; NULL: no C++ */

	/* Which fiber runs, and how often one was resumed, for whoever looks on. */
	_Atomic(struct fiber *) current;
	_Atomic(struct scoreboard_slot *) current_slot;
	_Atomic uint64_t turns;

	struct fiber *first_queued, **last_queued;
	struct fiber_timers timers;
	struct fiber **table; /* all fibers, by index; NULL: free place */
	uint32_t room, used;  /* of the table */
	uint32_t fiber_count;
	struct fiber *free; /* the last one that was over comes first */
	uint32_t free_count;
	uint32_t least_free; /* since the last look */
	int64_t tidy_ns;     /* when memory is given back next; FIBER_NEVER: there is nothing */
	uint32_t tidied;     /* of the table, in the round under way; FIBER_TIDIED: none is */
	uint32_t too_many;   /* of the free ones, likewise */

	enum fiber_gate gate;
	unsigned obstacles; /* FIBER_AT_LIMIT ... */
	bool is_listening;  /* the listening sockets are in the epoll */
	bool is_called;	    /* look for what may be taken before waiting */
	int64_t retry_ns;   /* of FIBER_IS_SHORT, FIBER_GIVES_WAY and FIBER_HAS_NO_TOKEN */
	bool takes_anyway;  /* it has given way for long enough */
	struct acceptor acceptor;
	struct intake intake;	    /* of the next fiber */
	struct intake_batch *batch; /* owned; NULL: no datagrams */

	_Atomic bool is_held;	 /* has seen the pause */
	_Atomic bool is_quiet;	 /* accepts no more, for good */
	_Atomic bool wants_call; /* an obstacle may go with what others do */
	_Atomic bool has_more;	 /* something that was taken waits for a fiber */
	_Atomic uint32_t active; /* fibers that serve something */

	pthread_mutex_t inbox_lock; /* guards the next one */
	struct fiber *woken;	    /* by other threads */
};

/* What the threads of a worker share. */
struct fibers {
	struct concurrency *mode;
	struct fiber_thread *threads;
	uint32_t thread_count;
	uint32_t limit;
	size_t stack_size;
	struct sessions *sessions; /* of UDP peers; NULL: none */
	struct offload offload;

	_Atomic uint32_t running;    /* threads that have not ended */
	_Atomic uint32_t next_turn;  /* which thread is called for a session */
	_Atomic bool is_receiving;   /* for sessions */
	_Atomic bool is_service_due; /* service_actions, of a handler that is not thread-safe */

	pthread_mutex_t lock; /* guards what follows */
	uint32_t *free_slots; /* of the scoreboard */
	uint32_t free_slot_count;

	/* Of the control flow. */
	struct requests_timeouts timeouts;
	struct loop_timer watch; /* for fibers that do not wait; see fiber_watch.c */
	int64_t watch_period_ns;
	struct fiber_seen *seen; /* a row for each thread; NULL: it does not look */
	/* The watch has gone to sleep, and wants to be told when a fiber runs. */
	_Atomic bool is_watch_asleep;
};

/* The thread that runs, if it runs fibers; else NULL. */
extern _Thread_local struct fiber_thread *fiber_thread_self;

/* 0 or a negative errno. The thread begins at once, and accepts when it may. */
int fiber_thread_start(struct fiber_thread *thread);

/* From any flow: it looks for what there is to do. */
void fiber_thread_call(struct fiber_thread *thread);

/* In the thread; in fiber_supply.c. A fiber with a slot of the scoreboard, RUNNING from the next
 * resume on; NULL: there is none, and the obstacle is noted. */
struct fiber *fiber_supply_take(struct fiber_thread *thread);
/* A fiber is over, or was not needed after all. */
void fiber_supply_give(struct fiber *fiber, bool has_served);

/* Gives memory back in small steps, between which fibers run. */
void fiber_supply_tidy(struct fiber_thread *thread, int64_t now_ns);
/* All are free. */
void fiber_supply_close(struct fiber_thread *thread);

/* Of events of epoll(7): those of a watch. In fiber_thread.c. */
int fiber_thread_watch(struct fiber_thread *thread, int fd, struct wait_watch *watch,
		       struct fiber *fiber, uint32_t events);

/* The gate and what comes through it: fiber_accept.c. */
int fiber_accept_open(struct fiber_thread *thread);
void fiber_accept_close(struct fiber_thread *thread);
/* Something has happened to one of the thread's own descriptors. */
void fiber_accept_on_event(struct fiber_thread *thread, uint32_t which);
/* Takes what there is, and listens for more or not. */
void fiber_accept_look(struct fiber_thread *thread);
/* The same after an obstacle has gone. */
void fiber_accept_on_vacancy(struct fiber_thread *thread);
bool fiber_accept_is_over(struct fiber_thread *thread);

/* What an event of the epoll means: the two lowest bits of its number tell what the rest is. */
#define FIBER_EVENT_WATCH 0U /* a pointer to a watch that is removed before it goes */
#define FIBER_EVENT_FIBER 1U /* above: the index of a fiber, 30 bits, and which use of it */
#define FIBER_EVENT_OWN 2U   /* above: one of the thread's own, or a listening socket */

enum fiber_own {
	FIBER_OWN_WAKE,
	FIBER_OWN_DRAIN,
	FIBER_OWN_OPEN,
	FIBER_OWN_PAUSE,
	FIBER_OWN_VACANCY,
	FIBER_OWN_SOCKETS, /* and from here on */
};

static inline uint64_t
fiber_event_own(uint32_t which)
{
	return ((uint64_t)which << 2) | FIBER_EVENT_OWN;
}

/* Fibers that go on for too long; in fiber_watch.c. */
int fiber_watch_start(struct fibers *fibers);
/* The control flow's: after a notice. */
void fiber_watch_look(struct fibers *fibers);
/* A thread's: it has something to run. */
static inline void
fiber_watch_wake(struct fibers *fibers)
{
	if (atomic_load_explicit(&fibers->is_watch_asleep, memory_order_relaxed) &&
	    atomic_exchange(&fibers->is_watch_asleep, false))
		fd_raise_event(fibers->mode->notice_fd);
}

/* For flows on fibers; in fiber_wait.c. */
extern const struct waiter_ops waiter_fibers;

/* Makes sure the kernel tells of these events of the request's descriptor, and of input. 0 or a
 * negative errno. */
int fiber_wait_watch(struct hd_request *req, uint32_t events);

/* The poll of those; in fiber_poll.c. */
int fiber_poll(struct hd_request *req, struct pollfd *fds, unsigned count, bool is_wakeable,
	       int timeout_ms);

#endif
