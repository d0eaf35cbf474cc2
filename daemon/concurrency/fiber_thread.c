/*
 * fiber_thread.c - the loop of a thread that runs fibers:
 *
 *	what the kernel tells is noted, and who waits for it queued -> whoever is queued by now has
 *	its turn -> what may be accepted is -> wait
 *
 * While events are noted nobody runs, so none of them is about something that is gone.
 */
#include "concurrency/fiber_thread.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "concurrency/crash.h"
#include "concurrency/fiber_sanitizer.h"
#include "net/quick.h"

#define FIBER_THREAD_EVENTS 256
/* Where the loop runs: handlers do not. */
#define FIBER_THREAD_STACK_SIZE ((size_t)256 * 1024)
/* So many events ahead, and lines of a stack: from where it was left to the handler's frame. */
#define FIBER_THREAD_AHEAD 4
#define FIBER_THREAD_LINES 10
/* Between two turns of a thread that cannot wait. */
#define FIBER_THREAD_LOST_MS 20

_Thread_local struct fiber_thread *fiber_thread_self;

int
fiber_thread_watch(struct fiber_thread *thread, int fd, struct wait_watch *watch,
		   struct fiber *fiber, uint32_t events)
{
	struct epoll_event event = {.events = events | EPOLLET};

	if (fiber != NULL)
		event.data.u64 = (uint64_t)fiber->use << 32 | (uint64_t)fiber->index << 2 |
				 FIBER_EVENT_FIBER;
	else
		event.data.u64 = (uint64_t)(uintptr_t)watch | FIBER_EVENT_WATCH;
	if (epoll_ctl(thread->epoll_fd, watch->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd,
		      &event) < 0)
		return -errno;
	watch->watched = events;
	return 0;
}

void
fiber_thread_call(struct fiber_thread *thread)
{
	(void)pthread_mutex_lock(&thread->inbox_lock);
	if (thread->wake_fd >= 0)
		fd_raise_event(thread->wake_fd);
	(void)pthread_mutex_unlock(&thread->inbox_lock);
}

/* Whom other threads have woken, and what they may have called for. */
static void
fiber_thread_take_inbox(struct fiber_thread *thread)
{
	struct fibers *fibers = thread->fibers;
	struct fiber *woken;

	(void)pthread_mutex_lock(&thread->inbox_lock);
	fd_clear_event(thread->wake_fd);
	woken = thread->woken;
	thread->woken = NULL;
	for (struct fiber *fiber = woken; fiber != NULL; fiber = fiber->next_woken)
		fiber->is_in_inbox = false;
	while (woken != NULL) {
		struct fiber *fiber = woken;

		woken = fiber->next_woken;
		fiber_queue(fiber);
	}
	(void)pthread_mutex_unlock(&thread->inbox_lock);
	thread->is_called = true;
	if (atomic_exchange(&fibers->is_service_due, false))
		concurrency_service(fibers->mode);
}

static void
fiber_thread_note(struct wait_watch *watch, uint32_t events)
{
	watch->ready |= events;
	if ((watch->wanted & events) != 0)
		fiber_queue(watch->flow);
}

static void
fiber_thread_on_event(struct fiber_thread *thread, const struct epoll_event *event)
{
	uint64_t data = event->data.u64;
	uint32_t index = (uint32_t)data >> 2;

	switch (data & 3) {
	case FIBER_EVENT_WATCH:
		fiber_thread_note(event->data.ptr, event->events); /* its two lowest bits are 0 */
		break;
	case FIBER_EVENT_FIBER:
		if (index < thread->used && thread->table[index] != NULL &&
		    thread->table[index]->use == (uint32_t)(data >> 32))
			fiber_thread_note(&thread->table[index]->request.watch, event->events);
		break;
	default:
		if (index == FIBER_OWN_WAKE)
			fiber_thread_take_inbox(thread);
		else
			fiber_accept_on_event(thread, index);
		break;
	}
}

/* Wakes those whose deadline has passed. */
static void
fiber_thread_expire(struct fiber_thread *thread, int64_t now_ns)
{
	struct fiber *fiber;

	while ((fiber = fiber_timers_take(&thread->timers, now_ns)) != NULL) {
		if (fiber->deadline_ns > now_ns) {
			/* the timer was of an older wait */
			if (fiber->deadline_ns != FIBER_NEVER)
				fiber_timers_set(&thread->timers, fiber, fiber->deadline_ns);
			continue;
		}
		fiber->is_late = true;
		fiber_queue(fiber);
	}
}

static int64_t
fiber_thread_next_ns(const struct fiber_thread *thread)
{
	int64_t next_ns = fiber_timers_next_ns(&thread->timers);

	if (thread->retry_ns < next_ns)
		next_ns = thread->retry_ns;
	return thread->tidy_ns < next_ns ? thread->tidy_ns : next_ns;
}

static void
fiber_thread_on_time(struct fiber_thread *thread)
{
	int64_t now_ns;

	if (fiber_thread_next_ns(thread) == FIBER_NEVER)
		return;
	now_ns = clock_now_ns();
	fiber_thread_expire(thread, now_ns);
	if (thread->tidy_ns <= now_ns)
		fiber_supply_tidy(thread, now_ns);
	if (thread->retry_ns <= now_ns) {
		thread->retry_ns = FIBER_NEVER;
		thread->takes_anyway = (thread->obstacles & FIBER_GIVES_WAY) != 0;
		thread->obstacles &= ~(FIBER_IS_SHORT | FIBER_GIVES_WAY | FIBER_HAS_NO_TOKEN);
		thread->is_called = true;
	}
}

/* The memory of many connections is in no cache: what is needed next is asked for early. */
static void
fiber_thread_fetch_event(const struct fiber_thread *thread, const struct epoll_event *event)
{
	uint32_t index = (uint32_t)event->data.u64 >> 2;

	if ((event->data.u64 & 3) == FIBER_EVENT_FIBER && index < thread->used)
		__builtin_prefetch(thread->table[index]);
}

static void
fiber_thread_fetch(const struct fiber *fiber)
{
	const char *sp = fiber_context_stack_pointer(&fiber->flow.context);

	__builtin_prefetch(&fiber->request, 1);
	__builtin_prefetch((const char *)&fiber->request + 64, 1);
	__builtin_prefetch(&fiber->request.slot->opened_ns, 1);
	for (int i = 0; i < FIBER_THREAD_LINES && sp != NULL; i++)
		__builtin_prefetch(sp + i * 64, 1);
}

/* Those that are queued by now; who is queued meanwhile waits until the kernel was asked. */
static void
fiber_thread_run_queue(struct fiber_thread *thread)
{
	struct fiber *fiber = thread->first_queued;

	thread->first_queued = NULL;
	thread->last_queued = &thread->first_queued;
	if (fiber != NULL)
		fiber_thread_fetch(fiber);
	while (fiber != NULL) {
		struct fiber *next = fiber->next;

		if (next != NULL)
			fiber_thread_fetch(next);
		fiber_resume(fiber);
		fiber = next;
	}
}

static int
fiber_thread_timeout_ms(const struct fiber_thread *thread)
{
	int64_t next_ns = fiber_thread_next_ns(thread);

	if (thread->first_queued != NULL || thread->is_called)
		return 0;
	return next_ns == FIBER_NEVER ? -1 : clock_ms_until(next_ns);
}

/* The kernel tells nothing any more: the control flow ends this worker. */
static void
fiber_thread_lose(struct fiber_thread *thread, int error)
{
	struct concurrency *mode = thread->fibers->mode;
	struct pollfd row = {.fd = mode->drain_fd, .events = POLLIN};

	if (error == -EINTR)
		return;
	thread->obstacles |= FIBER_IS_BROKEN;
	acceptor_tell_lost(mode, error);
	atomic_store(&mode->is_broken, true);
	fd_raise_event(mode->notice_fd);
	(void)poll(&row, 1, -1);
	/* its fibers cannot be told of anything, of their cancellation neither */
	(void)poll(NULL, 0, FIBER_THREAD_LOST_MS);
}

static void
fiber_thread_turn(struct fiber_thread *thread)
{
	struct epoll_event events[FIBER_THREAD_EVENTS];
	int n = quick_epoll_wait(thread->epoll_fd, events, FIBER_THREAD_EVENTS,
				 fiber_thread_timeout_ms(thread));

	if (n < 0)
		fiber_thread_lose(thread, -errno);
	for (int i = 0; i < n; i++) {
		if (i + FIBER_THREAD_AHEAD < n)
			fiber_thread_fetch_event(thread, &events[i + FIBER_THREAD_AHEAD]);
		fiber_thread_on_event(thread, &events[i]);
	}
	fiber_thread_on_time(thread);
	/* whoever looks for fibers that go on for too long has found none for a while */
	if (thread->first_queued != NULL || thread->is_called)
		fiber_watch_wake(thread->fibers);
	fiber_thread_run_queue(thread);
	if (thread->is_called)
		fiber_accept_look(thread);
}

/* Its fibers are all free. */
static void
fiber_thread_close(struct fiber_thread *thread)
{
	fiber_supply_close(thread);
	fiber_accept_close(thread);
	(void)close(thread->epoll_fd);
	(void)pthread_mutex_lock(&thread->inbox_lock);
	(void)close(thread->wake_fd);
	thread->wake_fd = -1;
	(void)pthread_mutex_unlock(&thread->inbox_lock);
	fiber_timers_free(&thread->timers);
}

/* The handler has called pthread_exit: with the thread go all its connections, and nobody is there
 * to serve the next. */
static void
fiber_thread_on_escape(void *argument)
{
	const struct fiber_thread *thread = argument;
	const struct fiber *fiber = atomic_load(&thread->current);
	const struct hd_server *server = thread->fibers->mode->server;

	log_error("'%s' handler '%s' ended its thread while serving connection #%" PRIu64
		  "; under fibers that ends the worker",
		  server->name, server->handler.name, fiber != NULL ? fiber->request.id : 0);
	abort();
}

static void *
fiber_thread_run(void *argument)
{
	struct fiber_thread *thread = argument;
	struct fibers *fibers = thread->fibers;

	fiber_thread_self = thread;
	if (fibers->mode->server->handler.exceptions != NULL)
		thread->exceptions = fibers->mode->server->handler.exceptions();
	crash_begin_thread(NULL);
	fiber_sanitizer_begin_thread(&thread->flow);
	pthread_cleanup_push(fiber_thread_on_escape, thread);
	while (!fiber_accept_is_over(thread))
		fiber_thread_turn(thread);
	pthread_cleanup_pop(0);
	fiber_thread_close(thread);
	crash_end_thread();
	atomic_store(&thread->is_quiet, true);
	(void)atomic_fetch_sub(&fibers->running, 1);
	fd_raise_event(fibers->mode->notice_fd);
	return NULL;
}

int
fiber_thread_start(struct fiber_thread *thread)
{
	struct epoll_event event = {.events = EPOLLIN};
	pthread_attr_t attributes;
	int r;

	thread->last_queued = &thread->first_queued;
	thread->tidy_ns = thread->retry_ns = FIBER_NEVER;
	thread->tidied = FIBER_TIDIED;
	(void)pthread_mutex_init(&thread->inbox_lock, NULL);
	thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->epoll_fd < 0 || thread->wake_fd < 0)
		return -errno;
	event.data.u64 = fiber_event_own(FIBER_OWN_WAKE);
	if (epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, thread->wake_fd, &event) < 0)
		return -errno;
	r = fiber_accept_open(thread);
	if (r < 0)
		return r;
	r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, FIBER_THREAD_STACK_SIZE);
	r = pthread_create(&thread->id, &attributes, fiber_thread_run, thread);
	(void)pthread_attr_destroy(&attributes);
	return -r;
}
