/*
 * pool.c - threads that accept for themselves.
 *
 * Every idle thread waits in its own epoll; one connection wakes one of them, which serves it from
 * accept to close: one wake-up, no hand-over. The thread that takes the last idle place makes
 * another thread before it serves, so that somebody always waits, until the limit is reached; then
 * clients wait in the kernel's backlog. Threads above the minimum that were idle for idle_timeout
 * leave.
 */
#include "concurrency/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "api/request.h"
#include "api/session.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "concurrency/acceptor.h"

struct pool {
	struct concurrency *mode;
	pthread_mutex_t *entry_lock; /* not owned; NULL: sessions run side by side */
	pthread_attr_t attributes;
	uint32_t limit, min_threads;

	/* Threads that may accept. A thread counts itself before it looks at is_draining, and the
	 * control flow sets that before it looks here: none is overlooked. */
	_Atomic uint32_t accepting;
	_Atomic bool is_draining;

	pthread_mutex_t lock; /* guards what follows */
	uint32_t thread_count;
	uint32_t *free_slots; /* of the scoreboard */
	uint32_t free_slot_count;
};

/* One thread. */
struct pool_thread {
	struct pool *pool;
	uint32_t slot;
	struct acceptor acceptor;
	struct hd_request request;
	bool is_in_session;
};

static void *pool_run_thread(void *argument);

/* Makes one more thread. 0; 1 if the limit is reached; a negative errno. */
static int
pool_grow(struct pool *pool)
{
	struct pool_thread *thread = calloc(1, sizeof(*thread));
	pthread_t id;
	int r = 1;

	if (thread == NULL)
		return -ENOMEM;
	thread->pool = pool;
	(void)pthread_mutex_lock(&pool->lock);
	if (pool->thread_count < pool->limit) {
		thread->slot = pool->free_slots[--pool->free_slot_count];
		scoreboard_use_slot(pool->mode->board, thread->slot);
		/* counted from birth: whoever asks must not find that nobody accepts */
		(void)atomic_fetch_add(&pool->accepting, 1);
		r = -pthread_create(&id, &pool->attributes, pool_run_thread, thread);
		if (r == 0) {
			pool->thread_count++;
		} else {
			(void)atomic_fetch_sub(&pool->accepting, 1);
			pool->free_slots[pool->free_slot_count++] = thread->slot;
		}
	}
	(void)pthread_mutex_unlock(&pool->lock);
	if (r != 0)
		free(thread);
	return r;
}

static void
pool_try_to_grow(struct pool *pool)
{
	struct concurrency *mode = pool->mode;
	uint64_t suppressed = 0;
	int r;

	if (mode->is_once || atomic_load_explicit(&pool->is_draining, memory_order_relaxed))
		return;
	r = pool_grow(pool);
	if (r < 0 && log_limit(&mode->spawn_limiter, 1, &suppressed))
		log_warning("'%s' cannot make another thread: %s; clients wait for those there are "
			    "(%" PRIu64 " attempts failed before)",
			    mode->server->name, strerror(-r), suppressed);
}

/* No longer accepting. While draining the control flow wants to know. */
static uint32_t
pool_stop_accepting(struct pool *pool)
{
	uint32_t left = atomic_fetch_sub(&pool->accepting, 1) - 1;

	if (atomic_load(&pool->is_draining) || pool->mode->is_once)
		fd_raise_event(pool->mode->notice_fd);
	return left;
}

/* The thread ends. */
static void
pool_leave(struct pool_thread *thread)
{
	struct pool *pool = thread->pool;

	request_destroy(&thread->request);
	acceptor_close(&thread->acceptor);
	(void)pthread_mutex_lock(&pool->lock);
	pool->free_slots[pool->free_slot_count++] = thread->slot;
	pool->thread_count--;
	(void)pthread_mutex_unlock(&pool->lock);
	free(thread);
	fd_raise_event(pool->mode->notice_fd);
}

/* The handler called pthread_exit, or was cancelled: the thread ends, the connection with it, and
 * another thread takes its place. */
static void
pool_on_escape(void *argument)
{
	struct pool_thread *thread = argument;
	struct pool *pool = thread->pool;

	log_error("'%s' handler '%s' ended its thread while serving connection #%" PRIu64,
		  pool->mode->server->name, pool->mode->server->handler.name, thread->request.id);
	session_abandon(&thread->request);
	if (pool->entry_lock != NULL)
		(void)pthread_mutex_unlock(pool->entry_lock);
	if (atomic_load(&pool->accepting) == 0)
		pool_try_to_grow(pool);
	pool_leave(thread);
}

static void
pool_serve(struct pool_thread *thread, int fd, const struct sockaddr_storage *client,
	   socklen_t length)
{
	struct pool *pool = thread->pool;

	if (pool->entry_lock != NULL)
		(void)pthread_mutex_lock(pool->entry_lock);
	pthread_cleanup_push(pool_on_escape, thread);
	request_open(&thread->request, fd, client, length);
	session_run(&thread->request);
	pthread_cleanup_pop(0);
	if (pool->entry_lock != NULL)
		(void)pthread_mutex_unlock(pool->entry_lock);
	if (atomic_load_explicit(&pool->is_draining, memory_order_relaxed))
		older_tell_vacancy(pool->mode);
}

/* Waits for a connection. Returns it, or -ECANCELED: leave. */
static int
pool_take(struct pool_thread *thread, struct sockaddr_storage *client, socklen_t *length)
{
	struct pool *pool = thread->pool;

	for (;;) {
		int timeout_ms = (int)(pool->mode->idle_timeout_ns / CLOCK_NS_PER_MS);
		int fd, r;

		if (atomic_load(&pool->is_draining))
			return -ECANCELED;
		fd = acceptor_take(&thread->acceptor, client, length);
		if (fd >= 0)
			return fd;
		if (acceptor_is_shortage(fd)) {
			acceptor_pause(pool->mode, fd);
			continue;
		}
		r = acceptor_wait(&thread->acceptor, timeout_ms);
		if (r < 0)
			return r;
		if (r == 0 && atomic_load(&pool->accepting) > pool->min_threads)
			return -ECANCELED;
	}
}

static void *
pool_run_thread(void *argument)
{
	struct pool_thread *thread = argument;
	struct pool *pool = thread->pool;
	struct sockaddr_storage client;
	socklen_t length;
	int fd = acceptor_open(&thread->acceptor, pool->mode);

	if (fd < 0) {
		log_error("'%s' thread cannot start: %s", pool->mode->server->name, strerror(-fd));
		thread->acceptor.epoll_fd = -1;
	}
	if (request_init(&thread->request, pool->mode->server,
			 &pool->mode->board->slots[thread->slot]) < 0)
		fd = -ENOMEM;
	if (fd >= 0 && !acceptor_wait_open(pool->mode))
		fd = -ECANCELED;
	if (fd < 0)
		(void)pool_stop_accepting(pool);
	while (fd >= 0) {
		fd = pool_take(thread, &client, &length);
		if (pool_stop_accepting(pool) == 0 && fd >= 0)
			pool_try_to_grow(pool);
		if (fd < 0)
			break;
		pool_serve(thread, fd, &client, length);
		if (pool->mode->is_once)
			break;
		(void)atomic_fetch_add(&pool->accepting, 1);
	}
	pool_leave(thread);
	return NULL;
}

static void
pool_on_notice(struct loop_source *source, uint32_t events)
{
	struct concurrency *mode = CONTAINER_OF(source, struct concurrency, notice);
	struct pool *pool = mode->state;
	uint32_t left;

	(void)events;
	fd_clear_event(source->fd);
	if (!atomic_load(&pool->is_draining) && !mode->is_once)
		return;
	if (atomic_load(&pool->accepting) == 0)
		concurrency_report_quiet(mode);
	(void)pthread_mutex_lock(&pool->lock);
	left = pool->thread_count;
	(void)pthread_mutex_unlock(&pool->lock);
	if (left == 0)
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
	pool->limit = limit;
	pool->min_threads = min_threads < limit ? min_threads : limit;
	(void)pthread_mutex_init(&pool->lock, NULL);
	pool->free_slots = calloc(limit, sizeof(*pool->free_slots));
	if (pool->free_slots == NULL)
		return -ENOMEM;
	while (pool->free_slot_count < limit) {
		pool->free_slots[pool->free_slot_count] = limit - 1 - pool->free_slot_count;
		pool->free_slot_count++;
	}
	r = pool_set_attributes(pool);
	if (r < 0)
		return r;
	mode->notice = (struct loop_source){.fd = mode->notice_fd, .on_event = pool_on_notice};
	r = loop_add(mode->loop, &mode->notice, EPOLLIN);
	for (uint32_t i = 0; i < pool->min_threads && r >= 0; i++)
		r = pool_grow(pool);
	/* with one thread it serves, with fewer than asked for it tells */
	if (r < 0 && pool->thread_count > 0)
		log_warning("'%s' has only %" PRIu32 " threads at the start: %s",
			    mode->server->name, pool->thread_count, strerror(-r));
	return pool->thread_count > 0 ? 0 : r;
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

	atomic_store(&pool->is_draining, true);
	fd_raise_event(mode->drain_fd);
	fd_raise_event(mode->notice_fd);
}
