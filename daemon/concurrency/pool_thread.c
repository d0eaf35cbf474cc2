/*
 * pool_thread.c - a thread of a pool: it waits on a seat or parked, serves what it took, and sees
 * to it that another takes its place.
 */
#include "concurrency/pool_thread.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "api/session.h"
#include "base/clock.h"
#include "base/fd.h"
#include "concurrency/crash.h"

/* Datagrams of one socket that a thread takes in a row. */
#define POOL_MOST_DIRECT 64

static void *pool_run_thread(void *argument);

int
pool_make_thread(struct pool *pool)
{
	pthread_t id;
	int r = pthread_create(&id, &pool->attributes, pool_run_thread, pool);

	if (r != 0)
		return -r;
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

struct pool_thread *
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

bool
pool_is_full(const struct pool *pool)
{
	return pool->sessions == NULL && pool->thread_count == pool->limit &&
	       pool->seated + pool->coming + pool->parked_count == 0;
}

void
pool_fill_seats(struct pool *pool)
{
	struct concurrency *mode = pool->mode;
	struct pool_thread *other = NULL;
	uint64_t suppressed = 0;
	bool is_full = false;
	int r = 0;

	(void)pthread_mutex_lock(&pool->lock);
	/* what was received for a session no other worker will ever see */
	if ((!pool->is_draining || pool->sessions != NULL) && !mode->is_once &&
	    pool_is_wanting(pool)) {
		other = pool_call_parked(pool);
		if (other == NULL && pool->thread_count < pool->limit)
			r = pool_make_thread(pool);
		pool->is_short = r < 0;
		is_full = r == 0 && pool_is_full(pool);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	if (r < 0 || (is_full && mode->on_limit != WORKER_WAIT))
		fd_raise_event(mode->notice_fd);
	if (other != NULL)
		(void)sem_post(&other->called);
	if (r < 0 && log_limit(&mode->server->limiters->spawns, 1, &suppressed))
		log_event(LOG_EVENT_SHORTAGE, mode->server->name,
			  "'%s' cannot make another thread: %s; clients wait for those there are "
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
	/* somebody may wait for all to be at rest */
	if (concurrency_is_paused(pool->mode))
		fd_raise_event(pool->mode->notice_fd);
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

/* Waits until the listener is no longer paused, without a time: who was woken for a connection just
 * before may be the only one that will find it. False: draining began. */
static bool
pool_hold(struct pool *pool)
{
	bool goes_on;

	(void)pthread_mutex_lock(&pool->lock);
	pool->held++;
	fd_raise_event(pool->mode->notice_fd);
	(void)pthread_mutex_unlock(&pool->lock);
	goes_on = acceptor_hold(pool->mode);
	(void)pthread_mutex_lock(&pool->lock);
	pool->held--;
	(void)pthread_mutex_unlock(&pool->lock);
	return goes_on;
}

/* What was taken is served all the same. */
static bool
pool_is_paused(const struct pool *pool)
{
	return concurrency_is_paused(pool->mode) && !intake_has_more(pool->mode->batch);
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
		bool is_over;
		int r;

		if (pool_is_paused(pool)) {
			if (!pool_hold(pool))
				return -ECANCELED;
			continue;
		}
		/* a thread that its handler has ended may have left some behind */
		r = intake_has_more(pool->mode->batch) ? 1 : acceptor_wait(acceptor, timeout_ms);
		is_over = r < 0;
		if (r == 0)
			return -ETIME;
		if (is_over && r != -ECANCELED) {
			acceptor_lose(pool->mode, r);
			return r;
		}
		/* also when draining begins: the wake-up may have been a connection's, and no other
		 * process is told of that one */
		intake_give_way(pool->mode);
		if (pool_is_paused(pool))
			continue;
		r = intake_take(acceptor, intake);
		if (r < 0 && is_over)
			return -ECANCELED;
		if (r >= 0)
			return 0;
		if (acceptor_is_shortage(r))
			acceptor_pause(acceptor, r);
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

	crash_end_thread();
	request_destroy(&thread->request);
	intake_free(&thread->intake);
	(void)sem_destroy(&thread->called);
	(void)pthread_mutex_lock(&pool->lock);
	pool->free_slots[pool->free_slot_count++] = thread->slot;
	pool->thread_count--;
	fd_raise_event(pool->mode->notice_fd);
	(void)pthread_mutex_unlock(&pool->lock);
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
	if (!intake_has_more(mode->batch) &&
	    (atomic_load_explicit(&mode->server->is_draining, memory_order_relaxed) ||
	     concurrency_is_paused(mode)))
		return false;
	thread->direct.next = (size_t)(thread->intake.socket - mode->receivers);
	if (served % POOL_MOST_DIRECT == 0)
		thread->direct.next = (thread->direct.next + 1) % mode->socket_count;
	if (intake_take(&thread->direct, &thread->intake) == 0)
		return true;
	intake_stop_taking(mode);
	return false;
}

/* What a thread needs to serve: its slot of the scoreboard, and a request. */
static void
pool_begin_thread(struct pool_thread *thread, struct pool *pool)
{
	thread->pool = pool;
	thread->direct.mode = pool->mode;
	thread->direct.batch = pool->mode->batch;
	(void)sem_init(&thread->called, 0, 0);
	(void)pthread_mutex_lock(&pool->lock);
	thread->slot = pool->free_slots[--pool->free_slot_count];
	(void)pthread_mutex_unlock(&pool->lock);
	scoreboard_use_slot(pool->mode->board, thread->slot);
	/* a mutex is all it needs; it cannot fail on Linux */
	(void)request_init(&thread->request, pool->mode->server,
			   &pool->mode->board->slots[thread->slot]);
	crash_begin_thread(thread->request.slot);
}

static void *
pool_run_thread(void *argument)
{
	struct pool *pool = argument;
	/* on the stack: near to what else each message needs */
	struct pool_thread thread = {0};
	bool is_coming = true;

	pool_begin_thread(&thread, pool);
	(void)acceptor_wait_open(pool->mode);
	while (pool_find_work(&thread, is_coming)) {
		unsigned served = 0;

		is_coming = false;
		do {
			pool_serve(&thread);
		} while (pool_goes_on(&thread, ++served));
		if (pool->mode->is_once)
			break;
	}
	pool_leave(&thread);
	return NULL;
}
