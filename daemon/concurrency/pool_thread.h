/*
 * pool_thread.h - the threads of a pool, and what they share with the control flow.
 *
 * A few seats, each an epoll of its own with the listeners (EPOLLEXCLUSIVE) and the drain event. An
 * idle thread takes the lowest free seat and waits there alone, so a connection wakes exactly one
 * thread, and that one accepts and serves it from beginning to end: one wake-up, no hand-over. The
 * kernel looks at the seats in the order in which they were made, so the threads that ran last come
 * first. Idle threads beyond the seats are parked, last in, first out, and leave after
 * idle_timeout.
 *
 * Who leaves a seat with a connection and sees that nobody sits any more, and that nobody is on the
 * way, calls a parked thread or makes a new one. At most one is on the way at a time; it finds what
 * is left in the backlog and goes on the same way, until the limit; then clients wait there.
 *
 * Where each UDP peer has a session, nobody sits: threads park until a session waits for one.
 */
#ifndef CONCURRENCY_POOL_THREAD_H
#define CONCURRENCY_POOL_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/request.h"
#include "concurrency/intake.h"
#include "concurrency/refuser.h"
#include "concurrency/requests_timeouts.h"
#include "concurrency/sessions.h"

/* More seats wake more threads for the same connections, fewer let bursts wait; measured. */
#define POOL_SEATS 8

struct pool_thread {
	struct pool *pool;
	uint32_t slot; /* of the scoreboard */
	_Alignas(64) struct hd_request request;
	struct intake intake;
	struct acceptor direct; /* for taking without a seat */
	sem_t called;		/* while parked */
	bool was_called;
	struct pool_thread *next, *previous; /* among the parked */
};

struct pool {
	struct concurrency *mode;
	pthread_mutex_t *entry_lock; /* not owned; NULL: sessions run side by side */
	pthread_attr_t attributes;
	uint32_t limit, min_threads;
	struct acceptor seats[POOL_SEATS];
	struct sessions *sessions; /* of UDP peers; then there are no seats; NULL: none */

	pthread_mutex_t lock; /* guards what follows */
	uint32_t free_seats;  /* bits */
	uint32_t thread_count;
	uint32_t seated; /* may accept at any moment */
	uint32_t coming; /* called or made, not seated yet */
	uint32_t held;	 /* of the seated: have seen the pause */
	uint32_t parked_count;
	struct pool_thread *parked; /* the last to park comes first */
	bool is_receiving;	    /* for sessions */
	bool is_draining;
	bool is_short;	      /* a thread could not be made: the control flow tries again */
	uint32_t *free_slots; /* of the scoreboard */
	uint32_t free_slot_count;

	/* Of the control flow. */
	struct loop_timer retry;
	struct requests_timeouts timeouts;
	struct refuser refuser;
};

/* Under the lock: makes one more thread, which counts as coming. 0 or a negative errno. */
int pool_make_thread(struct pool *pool);

/* Under the lock: takes the warmest parked thread; to be woken with sem_post after the lock. It
 * counts as coming from here on, so a thread whose time runs out at the same moment knows it. NULL:
 * none is parked. */
struct pool_thread *pool_call_parked(struct pool *pool);

/* Under the lock: whether every thread that there may be serves. */
bool pool_is_full(const struct pool *pool);

/* Sees to it that somebody accepts, or serves the sessions that wait. */
void pool_fill_seats(struct pool *pool);

#endif
