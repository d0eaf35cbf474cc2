/*
 * pool.c - threads that accept for themselves.
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
 */
#include "concurrency/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "api/request.h"
#include "api/session.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "concurrency/intake.h"
#include "concurrency/sessions.h"

/* More seats wake more threads for the same connections, fewer let bursts wait; measured. */
#define POOL_SEATS 8

/* For datagrams: one thread that takes them one after the other, and one that sees to it that none
 * waits for long. */
#define POOL_DATAGRAM_SEATS 2
/* Datagrams of one socket that a thread takes in a row. */
#define POOL_MOST_DIRECT 64

#define POOL_RETRY_NS (100 * CLOCK_NS_PER_MS)

struct pool_thread {
	struct pool *pool;
	uint32_t slot; /* of the scoreboard */
	struct hd_request request;
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
	uint32_t parked_count;
	struct pool_thread *parked; /* the last to park comes first */
	bool is_receiving;	    /* for sessions */
	bool is_draining;
	bool is_short;	      /* a thread could not be made: the control flow tries again */
	uint32_t *free_slots; /* of the scoreboard */
	uint32_t free_slot_count;

	struct loop_timer retry; /* of the control flow */
};

static void *pool_run_thread(void *argument);

/* Under the lock: makes one more thread, which counts as coming. 0 or a negative errno. */
static int
pool_make_thread(struct pool *pool)
{
	struct pool_thread *thread = calloc(1, sizeof(*thread));
	pthread_t id;
	int r;

	if (thread == NULL)
		return -ENOMEM;
	thread->pool = pool;
	thread->slot = pool->free_slots[pool->free_slot_count - 1];
	scoreboard_use_slot(pool->mode->board, thread->slot);
	(void)sem_init(&thread->called, 0, 0);
	r = pthread_create(&id, &pool->attributes, pool_run_thread, thread);
	if (r != 0) {
		free(thread);
		return -r;
	}
	pool->free_slot_count--;
	pool->thread_count++;
	pool->coming++;
	return 0;
}

/* Under the lock. */
static void
pool_unpark(struct pool *pool, struct pool_thread *thread)
{
	if (thread->previous != NULL)
		thread->previous->next = thread->next;
	else
		pool->parked = thread->next;
	if (thread->next != NULL)
		thread->next->previous = thread->previous;
	pool->parked_count--;
}

/* Under the lock: takes the warmest parked thread; to be woken with sem_post after the lock. It
 * counts as coming from here on, so a thread whose time runs out at the same moment knows it. */
static struct pool_thread *
pool_call_parked(struct pool *pool)
{
	struct pool_thread *thread = pool->parked;

	if (thread == NULL)
		return NULL;
	pool_unpark(pool, thread);
	thread->was_called = true;
	pool->coming++;
	return thread;
}

/* Under the lock: whether nobody is there, or on the way, for what may come or waits. */
static bool
pool_is_wanting(const struct pool *pool)
{
	if (pool->sessions != NULL)
		return pool->coming == 0 && sessions_are_waiting(pool->sessions);
	return pool->seated + pool->coming == 0;
}

/* Sees to it that somebody accepts, or serves the sessions that wait. */
static void
pool_fill_seats(struct pool *pool)
{
	struct concurrency *mode = pool->mode;
	struct pool_thread *other = NULL;
	uint64_t suppressed = 0;
	int r = 0;

	(void)pthread_mutex_lock(&pool->lock);
	/* what was received for a session no other worker will ever see */
	if ((!pool->is_draining || pool->sessions != NULL) && !mode->is_once &&
	    pool_is_wanting(pool)) {
		other = pool_call_parked(pool);
		if (other == NULL && pool->thread_count < pool->limit)
			r = pool_make_thread(pool);
		pool->is_short = r < 0;
	}
	(void)pthread_mutex_unlock(&pool->lock);
	if (r < 0)
		fd_raise_event(mode->notice_fd);
	if (other != NULL)
		(void)sem_post(&other->called);
	if (r < 0 && log_limit(&mode->server->limiters->spawns, 1, &suppressed))
		log_warning("'%s' cannot make another thread: %s; clients wait for those there are "
			    "(%" PRIu64 " attempts failed before)",
			    mode->server->name, strerror(-r), suppressed);
}

/* Under the lock, which is released meanwhile: waits to be called. False: it took too long. */
static bool
pool_park(struct pool *pool, struct pool_thread *thread)
{
	int64_t until_ns = clock_now_ns() + pool->mode->idle_timeout_ns;
	struct timespec until = {
		.tv_sec = until_ns / CLOCK_NS_PER_S,
		.tv_nsec = until_ns % CLOCK_NS_PER_S,
	};
	int r;

	thread->was_called = false;
	thread->previous = NULL;
	thread->next = pool->parked;
	if (thread->next != NULL)
		thread->next->previous = thread;
	pool->parked = thread;
	pool->parked_count++;
	(void)pthread_mutex_unlock(&pool->lock);
	do {
		r = sem_clockwait(&thread->called, CLOCK_MONOTONIC, &until);
	} while (r < 0 && errno == EINTR);
	(void)pthread_mutex_lock(&pool->lock);
	if (thread->was_called) {
		/* called at the very moment its time ran out: the post is there, or comes */
		while (r < 0 && sem_wait(&thread->called) < 0)
			;
		return true;
	}
	pool_unpark(pool, thread);
	return false;
}

/* Waits on a seat for something to serve. 0; -ETIME when it was idle for too long; -ECANCELED when
 * draining began. */
static int
pool_sit(struct pool *pool, uint32_t seat, struct intake *intake)
{
	struct acceptor *acceptor = &pool->seats[seat];
	int timeout_ms = seat < pool->min_threads
				 ? -1
				 : (int)(pool->mode->idle_timeout_ns / CLOCK_NS_PER_MS);

	for (;;) {
		/* a thread that its handler has ended may have left some behind */
		int r = intake_has_more(pool->mode) ? 1 : acceptor_wait(acceptor, timeout_ms);
		bool is_over = r < 0;

		if (r == 0)
			return -ETIME;
		/* also when draining begins: the wake-up may have been a connection's, and no other
		 * process is told of that one */
		intake_give_way(pool->mode);
		r = intake_take(acceptor, intake);
		if (r < 0 && is_over)
			return -ECANCELED;
		if (r >= 0)
			return 0;
		if (acceptor_is_shortage(r))
			acceptor_pause(pool->mode, r);
	}
}

/* Under the lock: whether enough threads are idle without this one. */
static bool
pool_can_spare(const struct pool *pool)
{
	return (pool->seated > 0 || pool->sessions != NULL) &&
	       pool->seated + pool->parked_count >= pool->min_threads;
}

/* Under the lock: the session that waits longest. */
static bool
pool_take_session(struct pool_thread *thread)
{
	if (thread->pool->sessions != NULL)
		thread->intake.session = sessions_next(thread->pool->sessions);
	return thread->intake.session != NULL;
}

/* Finds what this thread serves next. False: leave. */
static bool
pool_find_work(struct pool_thread *thread, bool is_coming)
{
	struct pool *pool = thread->pool;
	bool has_work = false;

	(void)pthread_mutex_lock(&pool->lock);
	for (;;) {
		uint32_t seat;

		pool->coming -= is_coming;
		is_coming = false;
		/* sessions that wait have datagrams that nobody else gets any more */
		has_work = pool_take_session(thread);
		if (has_work || pool->is_draining)
			break;
		if (pool->free_seats == 0) {
			is_coming = pool_park(pool, thread);
			if (!is_coming && pool_can_spare(pool))
				break;
			continue;
		}
		seat = (uint32_t)__builtin_ctz(pool->free_seats);
		pool->free_seats &= ~(1U << seat);
		pool->seated++;
		(void)pthread_mutex_unlock(&pool->lock);
		has_work = pool_sit(pool, seat, &thread->intake) == 0;
		(void)pthread_mutex_lock(&pool->lock);
		pool->free_seats |= 1U << seat;
		pool->seated--;
		if (has_work || pool_can_spare(pool))
			break;
	}
	if (pool->is_draining || pool->mode->is_once)
		fd_raise_event(pool->mode->notice_fd);
	(void)pthread_mutex_unlock(&pool->lock);
	if (has_work)
		pool_fill_seats(pool);
	return has_work;
}

/* The thread ends. */
static void
pool_leave(struct pool_thread *thread)
{
	struct pool *pool = thread->pool;

	request_destroy(&thread->request);
	intake_free(&thread->intake);
	(void)sem_destroy(&thread->called);
	(void)pthread_mutex_lock(&pool->lock);
	pool->free_slots[pool->free_slot_count++] = thread->slot;
	pool->thread_count--;
	fd_raise_event(pool->mode->notice_fd);
	(void)pthread_mutex_unlock(&pool->lock);
	free(thread);
	/* a session may have come since this thread decided to leave */
	if (pool->sessions != NULL)
		pool_fill_seats(pool);
}

static void
pool_end_session(struct pool_thread *thread)
{
	if (thread->intake.session == NULL)
		return;
	session_close_peer(thread->intake.session);
	thread->intake.session = NULL;
}

/* The handler called pthread_exit: the thread ends, the connection with it, and another thread
 * takes its place. */
static void
pool_on_escape(void *argument)
{
	struct pool_thread *thread = argument;
	struct pool *pool = thread->pool;

	log_error("'%s' handler '%s' ended its thread while serving connection #%" PRIu64,
		  pool->mode->server->name, pool->mode->server->handler.name, thread->request.id);
	session_abandon(&thread->request);
	pool_end_session(thread);
	if (pool->entry_lock != NULL)
		(void)pthread_mutex_unlock(pool->entry_lock);
	pool_leave(thread);
	pool_fill_seats(pool);
}

static void
pool_serve(struct pool_thread *thread)
{
	struct pool *pool = thread->pool;

	if (pool->entry_lock != NULL)
		(void)pthread_mutex_lock(pool->entry_lock);
	pthread_cleanup_push(pool_on_escape, thread);
	intake_open(&thread->intake, &thread->request);
	session_run(&thread->request);
	pool_end_session(thread);
	pthread_cleanup_pop(0);
	if (pool->entry_lock != NULL)
		(void)pthread_mutex_unlock(pool->entry_lock);
	if (atomic_load_explicit(&pool->mode->server->is_draining, memory_order_relaxed))
		older_tell_vacancy(pool->mode);
}

/* A datagram that is there already is taken without a seat: whoever sits is there for the others,
 * and nobody is woken. After a while another socket has its turn. */
static bool
pool_goes_on(struct pool_thread *thread, unsigned served)
{
	const struct concurrency *mode = thread->pool->mode;

	if (!mode->is_datagram || thread->pool->sessions != NULL || mode->is_once)
		return false;
	/* what was taken is served even when draining has begun */
	if (!intake_has_more(mode) &&
	    atomic_load_explicit(&mode->server->is_draining, memory_order_relaxed))
		return false;
	thread->direct.next = (size_t)(thread->intake.socket - mode->receivers);
	if (served % POOL_MOST_DIRECT == 0)
		thread->direct.next = (thread->direct.next + 1) % mode->socket_count;
	if (intake_take(&thread->direct, &thread->intake) == 0)
		return true;
	intake_stop_taking(mode);
	return false;
}

static void *
pool_run_thread(void *argument)
{
	struct pool_thread *thread = argument;
	struct pool *pool = thread->pool;
	bool is_coming = true;

	/* a mutex is all it needs; it cannot fail on Linux */
	(void)request_init(&thread->request, pool->mode->server,
			   &pool->mode->board->slots[thread->slot]);
	(void)acceptor_wait_open(pool->mode);
	thread->direct.mode = pool->mode;
	while (pool_find_work(thread, is_coming)) {
		unsigned served = 0;

		is_coming = false;
		do {
			pool_serve(thread);
		} while (pool_goes_on(thread, ++served));
		if (pool->mode->is_once)
			break;
	}
	pool_leave(thread);
	return NULL;
}

/* All threads may be busy for long: somebody else must see when the shortage is over. */
static void
pool_on_retry(struct loop_timer *timer)
{
	pool_fill_seats(CONTAINER_OF(timer, struct pool, retry));
}

static void
pool_on_notice(struct loop_source *source, uint32_t events)
{
	struct concurrency *mode = CONTAINER_OF(source, struct concurrency, notice);
	struct pool *pool = mode->state;
	bool is_over, is_quiet, is_empty, is_short, are_waiting;

	(void)events;
	fd_clear_event(source->fd);
	(void)pthread_mutex_lock(&pool->lock);
	is_short = pool->is_short;
	is_over = pool->is_draining || mode->is_once;
	is_quiet = is_over && pool->seated == 0 && pool->coming == 0 && !pool->is_receiving;
	are_waiting = pool->sessions != NULL && sessions_are_waiting(pool->sessions);
	is_empty = is_quiet && pool->thread_count == 0 && !are_waiting;
	(void)pthread_mutex_unlock(&pool->lock);
	if (atomic_load(&mode->is_broken) && !is_over)
		mode->on_broken(mode);
	if (is_short && (!is_over || are_waiting))
		loop_arm(mode->loop, &pool->retry, clock_now_ns() + POOL_RETRY_NS);
	if (is_quiet)
		concurrency_report_quiet(mode);
	if (is_empty)
		concurrency_report_empty(mode);
}

static int
pool_set_attributes(struct pool *pool)
{
	size_t stack_size = pool->mode->stack_size;
	int r;

	if (stack_size < (size_t)PTHREAD_STACK_MIN)
		stack_size = (size_t)PTHREAD_STACK_MIN;
	r = pthread_attr_init(&pool->attributes);
	if (r == 0)
		r = pthread_attr_setstacksize(&pool->attributes, stack_size);
	if (r == 0)
		r = pthread_attr_setdetachstate(&pool->attributes, PTHREAD_CREATE_DETACHED);
	return -r;
}

static void
pool_on_new_session(void *argument)
{
	pool_fill_seats(argument);
}

static void
pool_on_receiver_over(void *argument)
{
	struct pool *pool = argument;

	(void)pthread_mutex_lock(&pool->lock);
	pool->is_receiving = false;
	fd_raise_event(pool->mode->notice_fd);
	(void)pthread_mutex_unlock(&pool->lock);
}

static int
pool_open_sessions(struct pool *pool)
{
	int r = sessions_open(pool->mode, pool_on_new_session, pool_on_receiver_over, pool,
			      &pool->sessions);

	pool->is_receiving = r >= 0;
	return r;
}

static int
pool_open_seats(struct pool *pool)
{
	uint32_t most = pool->mode->is_datagram ? POOL_DATAGRAM_SEATS : POOL_SEATS;
	uint32_t count = pool->limit < most ? pool->limit : most;

	if (pool->mode->session_timeout_ns > 0)
		return pool_open_sessions(pool);

	for (uint32_t i = 0; i < count; i++) {
		int r = acceptor_open(&pool->seats[i], pool->mode);

		if (r < 0)
			return r;
		pool->free_seats |= 1U << i;
	}
	return 0;
}

static int
pool_make_first_threads(struct pool *pool)
{
	int r = 0;

	(void)pthread_mutex_lock(&pool->lock);
	while (pool->thread_count < pool->min_threads && r >= 0)
		r = pool_make_thread(pool);
	/* with one thread it serves; with fewer than asked for it tells */
	if (r < 0 && pool->thread_count > 0) {
		log_warning("'%s' has only %" PRIu32 " threads at the start: %s",
			    pool->mode->server->name, pool->thread_count, strerror(-r));
		r = 0;
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return r;
}

int
pool_prepare(struct concurrency *mode, uint32_t limit, uint32_t min_threads,
	     pthread_mutex_t *entry_lock)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	int r;

	if (pool == NULL)
		return -ENOMEM;
	mode->state = pool;
	pool->mode = mode;
	pool->entry_lock = entry_lock;
	pool->retry.on_timer = pool_on_retry;
	pool->limit = limit;
	pool->min_threads = min_threads < limit ? min_threads : limit;
	(void)pthread_mutex_init(&pool->lock, NULL);
	pool->free_slots = calloc(limit, sizeof(*pool->free_slots));
	if (pool->free_slots == NULL)
		return -ENOMEM;
	/* the lowest comes first: few pages of the scoreboard are ever touched */
	for (uint32_t i = 0; i < limit; i++)
		pool->free_slots[i] = limit - 1 - i;
	pool->free_slot_count = limit;
	mode->notice = (struct loop_source){.fd = mode->notice_fd, .on_event = pool_on_notice};
	r = loop_add(mode->loop, &mode->notice, EPOLLIN);
	if (r >= 0)
		r = pool_set_attributes(pool);
	if (r >= 0)
		r = pool_open_seats(pool);
	return r < 0 ? r : pool_make_first_threads(pool);
}

void
pool_accept(struct concurrency *mode)
{
	fd_raise_event(mode->open_fd);
}

void
pool_drain(struct concurrency *mode)
{
	struct pool *pool = mode->state;
	struct pool_thread *parked;

	(void)pthread_mutex_lock(&pool->lock);
	pool->is_draining = true;
	while ((parked = pool_call_parked(pool)) != NULL)
		(void)sem_post(&parked->called);
	(void)pthread_mutex_unlock(&pool->lock);
	fd_raise_event(mode->drain_fd);
	fd_raise_event(mode->notice_fd);
}
