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
#include <malloc.h>
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
/* Fibers that were not needed for so long go, but for a few. */
#define FIBER_THREAD_TIDY_NS (5 * CLOCK_NS_PER_S)
#define FIBER_THREAD_KEPT 64
/* So many in one step. */
#define FIBER_THREAD_STEP 64
/* After so many rounds without a turn, what a stack does not need goes. */
#define FIBER_THREAD_IDLE_ROUNDS 2

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

/* A place in the table for one more fiber. Its index, or -ENOMEM. */
static int64_t
fiber_thread_find_place(struct fiber_thread *thread)
{
	uint32_t room = thread->room > 0 ? 2 * thread->room : 64;
	struct fiber **table;

	if (thread->used < thread->room)
		return thread->used++;
	for (uint32_t i = 0; i < thread->used; i++) {
		if (thread->table[i] == NULL)
			return i;
	}
	table = realloc(thread->table, room * sizeof(struct fiber *));
	if (table == NULL)
		return -ENOMEM;
	for (uint32_t i = thread->room; i < room; i++)
		table[i] = NULL;
	thread->table = table;
	thread->room = room;
	return thread->used++;
}

static struct fiber *
fiber_thread_make(struct fiber_thread *thread)
{
	int64_t index = fiber_thread_find_place(thread);
	struct fiber *fiber;

	if (index < 0 || fiber_timers_reserve(&thread->timers, thread->fiber_count + 1) < 0)
		return NULL;
	fiber = fiber_make(thread);
	if (fiber == NULL)
		return NULL;
	fiber->index = (uint32_t)index;
	thread->table[index] = fiber;
	thread->fiber_count++;
	if (thread->tidy_ns == FIBER_NEVER && thread->fiber_count > FIBER_THREAD_KEPT) {
		thread->tidy_ns = clock_now_ns() + FIBER_THREAD_TIDY_NS;
		thread->least_free = thread->free_count;
	}
	return fiber;
}

static void
fiber_thread_destroy(struct fiber *fiber)
{
	struct fiber_thread *thread = fiber->thread;

	thread->table[fiber->index] = NULL;
	thread->fiber_count--;
	fiber_destroy(fiber);
	while (thread->used > 0 && thread->table[thread->used - 1] == NULL)
		thread->used--;
}

/* One of the slots that the threads share. */
static struct scoreboard_slot *
fiber_thread_take_slot(struct fibers *fibers)
{
	struct scoreboard *board = fibers->mode->board;
	uint32_t slot = UINT32_MAX;

	(void)pthread_mutex_lock(&fibers->lock);
	if (fibers->free_slot_count > 0) {
		slot = fibers->free_slots[--fibers->free_slot_count];
		scoreboard_use_slot(board, slot);
	}
	(void)pthread_mutex_unlock(&fibers->lock);
	return slot == UINT32_MAX ? NULL : &board->slots[slot];
}

static void
fiber_thread_give_slot(struct fibers *fibers, const struct scoreboard_slot *slot)
{
	(void)pthread_mutex_lock(&fibers->lock);
	fibers->free_slots[fibers->free_slot_count++] =
		(uint32_t)(slot - fibers->mode->board->slots);
	(void)pthread_mutex_unlock(&fibers->lock);
}

/* A fiber of one thread alone keeps its slot as long as it is there: nobody else needs it. */
static bool
fiber_thread_find_slot(struct fiber *fiber)
{
	struct scoreboard_slot *slot;

	if (fiber->has_slot)
		return true;
	slot = fiber_thread_take_slot(fiber->thread->fibers);
	if (slot == NULL)
		return false;
	/* others look at it under the lock */
	(void)pthread_mutex_lock(&fiber->request.lock);
	fiber->request.slot = slot;
	(void)pthread_mutex_unlock(&fiber->request.lock);
	fiber->has_slot = true;
	return true;
}

static void
fiber_thread_lose_slot(struct fiber *fiber)
{
	if (!fiber->has_slot)
		return;
	fiber->has_slot = false;
	fiber_thread_give_slot(fiber->thread->fibers, fiber->request.slot);
}

/* Of fibers that serve something; others read it. */
static void
fiber_thread_count(struct fiber_thread *thread, int more)
{
	uint32_t active = atomic_load_explicit(&thread->active, memory_order_relaxed);

	atomic_store_explicit(&thread->active, active + (uint32_t)more, memory_order_release);
}

struct fiber *
fiber_thread_take(struct fiber_thread *thread)
{
	struct fiber *fiber = thread->free;

	if (fiber != NULL) {
		thread->free = fiber->next;
		thread->free_count--;
		if (thread->free_count < thread->least_free)
			thread->least_free = thread->free_count;
	} else {
		if (thread->fibers->thread_count == 1 &&
		    thread->fiber_count >= thread->fibers->limit) {
			thread->obstacles |= FIBER_AT_LIMIT;
			return NULL;
		}
		fiber = fiber_thread_make(thread);
	}
	if (fiber == NULL) {
		thread->obstacles |= FIBER_IS_SHORT;
		return NULL;
	}
	/* what the kernel tells of the one before is no more of interest */
	fiber->use++;
	if (fiber_thread_find_slot(fiber)) {
		fiber_thread_count(thread, 1);
		return fiber;
	}
	thread->obstacles |= FIBER_AT_LIMIT;
	fiber->next = thread->free;
	thread->free = fiber;
	thread->free_count++;
	return NULL;
}

void
fiber_thread_give(struct fiber *fiber, bool has_served)
{
	struct fiber_thread *thread = fiber->thread;
	struct fibers *fibers = thread->fibers;
	struct session *session = fiber->session;

	fiber->session = NULL;
	if (session != NULL)
		session_close_peer(session);
	if (fibers->thread_count > 1)
		fiber_thread_lose_slot(fiber);
	fiber->next = thread->free;
	thread->free = fiber;
	thread->free_count++;
	fiber_thread_count(thread, -1);
	if (has_served)
		fiber_accept_on_vacancy(thread);
}

/* A round of tidying begins: those that nobody has needed since the last one are too many. */
static void
fiber_thread_begin_round(struct fiber_thread *thread)
{
	uint32_t kept = thread->free_count - thread->least_free;

	if (kept < FIBER_THREAD_KEPT)
		kept = FIBER_THREAD_KEPT;
	thread->too_many = thread->free_count > kept ? thread->free_count - kept : 0;
	thread->least_free = thread->free_count;
	thread->tidied = 0;
}

/* A few of those that are too many go: the last of the list. Returns whether there are more. */
static bool
fiber_thread_free_some(struct fiber_thread *thread)
{
	uint32_t some = thread->too_many < FIBER_THREAD_STEP ? thread->too_many : FIBER_THREAD_STEP;
	struct fiber **last = &thread->free;

	/* whatever was taken meanwhile was needed */
	if (some > thread->least_free)
		some = thread->least_free;
	for (uint32_t i = some; i < thread->free_count; i++)
		last = &(*last)->next;
	while (*last != NULL) {
		struct fiber *fiber = *last;

		*last = fiber->next;
		thread->free_count--;
		thread->least_free--;
		fiber_thread_lose_slot(fiber);
		fiber_thread_destroy(fiber);
	}
	thread->too_many = some == FIBER_THREAD_STEP ? thread->too_many - some : 0;
	/* the C library keeps what lies between others */
	if (some > 0 && thread->too_many == 0)
		(void)malloc_trim(0);
	return thread->too_many > 0;
}

/* What the stacks of some parked fibers do not need goes, if they have not run since the last
 * round: what they will do next may be as deep, but may be long in coming. Returns whether there
 * are more. */
static bool
fiber_thread_trim_some(struct fiber_thread *thread)
{
	uint32_t until = thread->tidied + FIBER_THREAD_STEP;

	for (; thread->tidied < until && thread->tidied < thread->used; thread->tidied++) {
		struct fiber *fiber = thread->table[thread->tidied];
		const void *sp;

		if (fiber == NULL || fiber->state == FIBER_FREE)
			continue;
		if (fiber->idle_rounds < FIBER_THREAD_IDLE_ROUNDS)
			fiber->idle_rounds++;
		else
			continue;
		sp = fiber_context_stack_pointer(&fiber->flow.context);
		if (fiber->idle_rounds == FIBER_THREAD_IDLE_ROUNDS && sp != NULL &&
		    fiber->state == FIBER_PARKED)
			fiber_stack_trim(&fiber->stack, sp);
	}
	return thread->tidied < thread->used;
}

/* Gives memory back in small steps, between which fibers run. */
static void
fiber_thread_tidy(struct fiber_thread *thread, int64_t now_ns)
{
	if (thread->tidied == UINT32_MAX)
		fiber_thread_begin_round(thread);
	if (fiber_thread_free_some(thread) || fiber_thread_trim_some(thread)) {
		thread->tidy_ns = now_ns;
		return;
	}
	thread->tidied = UINT32_MAX;
	thread->tidy_ns = thread->fiber_count > FIBER_THREAD_KEPT ? now_ns + FIBER_THREAD_TIDY_NS
								  : FIBER_NEVER;
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
		fibers->mode->server->handler.descriptor.service_actions(fibers->mode->server);
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
		fiber_thread_tidy(thread, now_ns);
	if (thread->retry_ns <= now_ns) {
		thread->retry_ns = FIBER_NEVER;
		thread->takes_anyway = (thread->obstacles & FIBER_GIVES_WAY) != 0;
		thread->obstacles &= ~(FIBER_IS_SHORT | FIBER_GIVES_WAY);
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

static void
fiber_thread_turn(struct fiber_thread *thread)
{
	struct epoll_event events[FIBER_THREAD_EVENTS];
	int n = quick_epoll_wait(thread->epoll_fd, events, FIBER_THREAD_EVENTS,
				 fiber_thread_timeout_ms(thread));

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
	while (thread->free != NULL) {
		struct fiber *fiber = thread->free;

		thread->free = fiber->next;
		fiber_thread_lose_slot(fiber);
		fiber_thread_destroy(fiber);
	}
	fiber_accept_close(thread);
	(void)close(thread->epoll_fd);
	(void)pthread_mutex_lock(&thread->inbox_lock);
	(void)close(thread->wake_fd);
	thread->wake_fd = -1;
	(void)pthread_mutex_unlock(&thread->inbox_lock);
	fiber_timers_free(&thread->timers);
	free(thread->table);
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
	thread->tidied = UINT32_MAX;
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
