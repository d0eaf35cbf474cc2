/*
 * pool.c - the control flow's side of a pool of threads that accept for themselves: making it,
 * draining it, and hearing of it.
 */
#include "concurrency/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "concurrency/pool_thread.h"

/* For datagrams: one thread that takes them one after the other, and one that sees to it that none
 * waits for long. */
#define POOL_DATAGRAM_SEATS 2

#define POOL_RETRY_NS (100 * CLOCK_NS_PER_MS)

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
	refuser_look(&pool->refuser);
	concurrency_look_at_rest(mode);
	if (is_quiet)
		concurrency_report_quiet(mode);
	if (is_empty)
		concurrency_report_empty(mode);
}

/* With the lock: a thread that is done waits for it, so what is taken meanwhile was one too many.
 */
static bool
pool_begin_refusing(struct concurrency *mode)
{
	struct pool *pool = mode->state;

	(void)pthread_mutex_lock(&pool->lock);
	if (pool_is_full(pool) && !pool->is_draining)
		return true;
	(void)pthread_mutex_unlock(&pool->lock);
	return false;
}

static void
pool_end_refusing(struct concurrency *mode)
{
	struct pool *pool = mode->state;

	(void)pthread_mutex_unlock(&pool->lock);
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
		pool->seats[i].batch = pool->mode->batch;
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
		log_event(LOG_EVENT_SHORTAGE, pool->mode->server->name,
			  "'%s' has only %" PRIu32 " threads at the start: %s",
			  pool->mode->server->name, pool->thread_count, strerror(-r));
		r = 0;
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return r;
}

static void
pool_abort(struct hd_request *req)
{
	(void)pthread_kill(req->thread, SIGABRT);
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
	if (r < 0)
		return r;
	r = refuser_open(&pool->refuser, mode, pool_begin_refusing, pool_end_refusing);
	if (r < 0)
		return r;
	pool->timeouts.abort = pool_abort;
	r = requests_timeouts_start(&pool->timeouts, mode);
	if (r < 0)
		return r;
	return pool_make_first_threads(pool);
}

enum concurrency_rest
pool_rest(struct concurrency *mode)
{
	struct pool *pool = mode->state;
	enum concurrency_rest rest = CONCURRENCY_ACCEPTS;

	(void)pthread_mutex_lock(&pool->lock);
	if (pool->coming == 0 && pool->seated == pool->held)
		rest = pool->thread_count == pool->parked_count + pool->held ? CONCURRENCY_RESTS
									     : CONCURRENCY_HOLDS;
	(void)pthread_mutex_unlock(&pool->lock);
	if (pool->sessions != NULL) {
		enum concurrency_rest other = sessions_rest(pool->sessions);

		rest = other == CONCURRENCY_RESTS ? rest : other;
	}
	return rest;
}

void
pool_drain(struct concurrency *mode)
{
	struct pool *pool = mode->state;
	struct pool_thread *parked;

	refuser_stop(&pool->refuser);
	(void)pthread_mutex_lock(&pool->lock);
	pool->is_draining = true;
	while ((parked = pool_call_parked(pool)) != NULL)
		(void)sem_post(&parked->called);
	(void)pthread_mutex_unlock(&pool->lock);
	fd_raise_event(mode->drain_fd);
	fd_raise_event(mode->notice_fd);
}
