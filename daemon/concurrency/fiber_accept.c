/*
 * fiber_accept.c - what a thread of fibers takes in: whether it may (the gate), whether it can (the
 * obstacles), and from where.
 *
 * While it may and can, the listening sockets are in its epoll, level-triggered. Each connection,
 * datagram or session gets a fiber, which runs at once until it waits.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "concurrency/fiber_thread.h"

/* In a row, before those that wait have their turn again. */
#define FIBER_ACCEPT_MOST 64
/* The last look, as draining begins, ends though clients keep coming. */
#define FIBER_ACCEPT_LAST 4096
/* A thread may have so many connections more than another, and an eighth. */
#define FIBER_ACCEPT_SLACK 4
/* How long another thread has for taking what is left to it. */
#define FIBER_ACCEPT_WAY_NS (5 * CLOCK_NS_PER_MS)

static int
fiber_accept_add(const struct fiber_thread *thread, int fd, uint32_t events, uint32_t which)
{
	struct epoll_event event = {.events = events, .data.u64 = fiber_event_own(which)};

	return epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Has the kernel tell of one that is in the epoll, or not. Unlike adding it, that needs no memory,
 * and cannot fail. */
static void
fiber_accept_heed(const struct fiber_thread *thread, int fd, uint32_t which, bool is_wanted)
{
	struct epoll_event event = {
		.events = is_wanted ? EPOLLIN : 0,
		.data.u64 = fiber_event_own(which),
	};

	(void)epoll_ctl(thread->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

static void
fiber_accept_remove(const struct fiber_thread *thread, int fd)
{
	(void)epoll_ctl(thread->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void
fiber_accept_wait_shortage(struct fiber_thread *thread, int error)
{
	thread->obstacles |= FIBER_IS_SHORT;
	if (thread->retry_ns == FIBER_NEVER)
		thread->retry_ns =
			clock_now_ns() + acceptor_tell_shortage(thread->fibers->mode, error);
}

/* Has the kernel tell of clients, or not. */
static void
fiber_accept_listen(struct fiber_thread *thread, bool is_wanted)
{
	const struct concurrency *mode = thread->fibers->mode;
	int r = 0;

	if (is_wanted == thread->is_listening || mode->is_connection ||
	    thread->fibers->sessions != NULL)
		return;
	thread->is_listening = is_wanted;
	for (size_t i = 0; i < mode->socket_count && r >= 0; i++) {
		if (is_wanted)
			r = fiber_accept_add(thread, mode->sockets[i], EPOLLIN | EPOLLEXCLUSIVE,
					     FIBER_OWN_SOCKETS + (uint32_t)i);
		else
			fiber_accept_remove(thread, mode->sockets[i]);
	}
	if (r < 0) {
		/* all or none of them */
		fiber_accept_listen(thread, false);
		fiber_accept_wait_shortage(thread, r);
	}
}

/* Whether the listening sockets are to be in the epoll. */
static bool
fiber_accept_can(const struct fiber_thread *thread)
{
	return thread->gate == FIBER_GATE_OPEN && thread->obstacles == 0;
}

/* A pause may have begun of which the epoll is about to tell, or may be over before it does. */
static bool
fiber_accept_may(const struct fiber_thread *thread)
{
	return fiber_accept_can(thread) && !concurrency_is_paused(thread->fibers->mode);
}

/* The fewest connections that one of the other threads has. */
static struct fiber_thread *
fiber_accept_find_least(struct fiber_thread *thread)
{
	struct fibers *fibers = thread->fibers;
	struct fiber_thread *least = NULL;

	for (uint32_t i = 0; i < fibers->thread_count; i++) {
		struct fiber_thread *other = &fibers->threads[i];

		if (other != thread &&
		    (least == NULL || atomic_load(&other->active) < atomic_load(&least->active)))
			least = other;
	}
	return least;
}

/* Leaves the next ones to another thread, if this one has clearly more; and tells those that have
 * done so when they have not any more. */
static void
fiber_accept_balance(struct fiber_thread *thread)
{
	struct fibers *fibers = thread->fibers;
	uint32_t active = atomic_load(&thread->active), fewest;
	struct fiber_thread *least = fiber_accept_find_least(thread);

	if (least == NULL)
		return;
	fewest = atomic_load(&least->active);
	if (active > fewest + FIBER_ACCEPT_SLACK + fewest / 8) {
		thread->obstacles |= FIBER_GIVES_WAY;
		/* it may be busy with one that does not wait */
		if (thread->retry_ns == FIBER_NEVER)
			thread->retry_ns = clock_now_ns() + FIBER_ACCEPT_WAY_NS;
		fiber_thread_call(least);
	}
	for (uint32_t i = 0; i < fibers->thread_count; i++) {
		struct fiber_thread *other = &fibers->threads[i];

		if (other != thread && atomic_load(&other->wants_call) &&
		    atomic_load(&other->active) <= active)
			fiber_thread_call(other);
	}
}

/* Nothing could be taken. */
static void
fiber_accept_on_error(struct fiber_thread *thread, int error)
{
	struct concurrency *mode = thread->fibers->mode;
	int64_t look_ns;

	if (error == -EAGAIN)
		return;
	if (error == -EDQUOT) {
		/* another thread may not need the one it has */
		look_ns = clock_now_ns() + ACCEPTOR_LOOK_NS;
		thread->obstacles |= FIBER_HAS_NO_TOKEN;
		if (thread->acceptor.until_ns < look_ns)
			look_ns = thread->acceptor.until_ns;
		if (look_ns < thread->retry_ns)
			thread->retry_ns = look_ns;
		return;
	}
	if (error == -EUSERS) {
		/* without its event nothing would tell when there is room again */
		if (fiber_accept_add(thread, mode->older.vacancy_fd, EPOLLIN, FIBER_OWN_VACANCY) ==
		    0)
			thread->obstacles |= FIBER_HAS_NO_ROOM;
		else
			fiber_accept_wait_shortage(thread, error);
	} else if ((error == -EINVAL || error == -EBADF || error == -ENOTSOCK) &&
		   acceptor_is_broken(mode)) {
		/* the control flow ends this worker */
		thread->obstacles |= FIBER_IS_BROKEN;
		atomic_store(&mode->is_broken, true);
		fd_raise_event(mode->notice_fd);
	} else {
		fiber_accept_wait_shortage(thread, error);
	}
}

/* The next thing to serve, for this fiber. 0 or a negative errno. */
static int
fiber_accept_find(struct fiber_thread *thread, struct fiber *fiber)
{
	if (thread->fibers->sessions == NULL) {
		/* to make a fiber may have taken a while */
		if (!intake_has_more(thread->batch) && !fiber_accept_may(thread))
			return -EAGAIN;
		return intake_take(&thread->acceptor, &thread->intake);
	}
	fiber->session = thread->intake.session = sessions_next(thread->fibers->sessions);
	return fiber->session != NULL ? 0 : -EAGAIN;
}

/* There is no fiber for one more, and nobody is to wait: the next client is refused. Returns
 * whether there was one, or there is a fiber after all. */
static bool
fiber_accept_refuse(struct fiber_thread *thread)
{
	struct fibers *fibers = thread->fibers;
	bool are_shared = fibers->thread_count > 1;
	int r = -EBUSY;

	thread->obstacles &= ~FIBER_AT_LIMIT;
	if (!fiber_accept_may(thread))
		return false;
	/* with the lock no fiber of another thread gives up its slot meanwhile */
	if (are_shared)
		(void)pthread_mutex_lock(&fibers->lock);
	if (!are_shared || fibers->free_slot_count == 0) {
		thread->acceptor.is_refusing = true;
		r = intake_take_unasked(&thread->acceptor, &thread->intake);
		thread->acceptor.is_refusing = false;
	}
	if (are_shared)
		(void)pthread_mutex_unlock(&fibers->lock);
	if (r == 0)
		intake_turn_away(fibers->mode, &thread->intake);
	else if (r != -EBUSY)
		fiber_accept_on_error(thread, r);
	return r == 0 || r == -EBUSY;
}

/* Takes one and lets its fiber run. Returns whether there was one, and a fiber for it. */
static bool
fiber_accept_one(struct fiber_thread *thread)
{
	struct fiber *fiber = fiber_supply_take(thread);
	int r;

	if (fiber == NULL) {
		if ((thread->obstacles & FIBER_IS_SHORT) != 0)
			fiber_accept_wait_shortage(thread, -ENOMEM);
		else if (thread->fibers->mode->on_limit != WORKER_WAIT &&
			 thread->fibers->sessions == NULL)
			return fiber_accept_refuse(thread);
		return false;
	}
	r = fiber_accept_find(thread, fiber);
	if (r < 0) {
		fiber_supply_give(fiber, false);
		fiber_accept_on_error(thread, r);
		return false;
	}
	if (thread->fibers->mode->is_once)
		thread->gate = FIBER_GATE_OVER;
	intake_open(&thread->intake, &fiber->request);
	fiber_resume(fiber);
	if (thread->fibers->thread_count > 1)
		fiber_accept_balance(thread);
	return true;
}

/* What was taken or received already is served whether the thread may accept or not. */
static bool
fiber_accept_has_more(const struct fiber_thread *thread)
{
	const struct fibers *fibers = thread->fibers;

	return intake_has_more(thread->batch) ||
	       (fibers->sessions != NULL && sessions_are_waiting(fibers->sessions));
}

/* Another thread may have given up a slot since this one looked for one. */
static bool
fiber_accept_was_given_slot(struct fibers *fibers)
{
	bool is_there;

	(void)pthread_mutex_lock(&fibers->lock);
	is_there = fibers->free_slot_count > 0;
	(void)pthread_mutex_unlock(&fibers->lock);
	return is_there;
}

void
fiber_accept_look(struct fiber_thread *thread)
{
	struct fibers *fibers = thread->fibers;
	bool goes_on = true, has_more;

	thread->is_called = false;
	/* another thread may have called since one of these has changed */
	if (fibers->thread_count > 1) {
		thread->obstacles &= ~(FIBER_AT_LIMIT | FIBER_GIVES_WAY);
		if (!thread->takes_anyway)
			fiber_accept_balance(thread);
		thread->takes_anyway = false;
	}
	for (int i = 0; i < FIBER_ACCEPT_MOST && goes_on; i++)
		goes_on = (fiber_accept_may(thread) || fiber_accept_has_more(thread)) &&
			  fiber_accept_one(thread);
	fiber_accept_listen(thread, fiber_accept_can(thread));
	/* the one connection of --once was taken; not before: the sockets are closed then */
	if (thread->gate == FIBER_GATE_OVER && !atomic_load(&thread->is_quiet)) {
		atomic_store(&thread->is_quiet, true);
		fd_raise_event(fibers->mode->notice_fd);
	}
	if (fibers->thread_count > 1) {
		bool is_at_limit = (thread->obstacles & FIBER_AT_LIMIT) != 0;

		atomic_store(&thread->wants_call,
			     is_at_limit || (thread->obstacles & FIBER_GIVES_WAY) != 0);
		/* who gives one up after this calls */
		if (is_at_limit && fiber_accept_was_given_slot(fibers))
			thread->is_called = true;
	}
	has_more = fiber_accept_has_more(thread);
	atomic_store(&thread->has_more, has_more);
	/* of what is in the kernel the epoll will tell */
	if (goes_on && has_more)
		thread->is_called = true;
}

/* There may be room again, since one of this generation's own has ended. */
static void
fiber_accept_look_for_room(struct fiber_thread *thread)
{
	struct concurrency *mode = thread->fibers->mode;

	if ((thread->obstacles & FIBER_HAS_NO_ROOM) == 0 || !older_has_room(mode))
		return;
	fiber_accept_remove(thread, mode->older.vacancy_fd);
	thread->obstacles &= ~FIBER_HAS_NO_ROOM;
	thread->is_called = true;
}

void
fiber_accept_on_vacancy(struct fiber_thread *thread)
{
	struct fibers *fibers = thread->fibers;
	struct concurrency *mode = fibers->mode;

	if ((thread->obstacles & (FIBER_AT_LIMIT | FIBER_GIVES_WAY)) != 0) {
		thread->obstacles &= ~(FIBER_AT_LIMIT | FIBER_GIVES_WAY);
		thread->is_called = true;
	}
	fiber_accept_look_for_room(thread);
	/* one that has ended may have left datagrams for another session */
	if (fiber_accept_has_more(thread))
		thread->is_called = true;
	for (uint32_t i = 0; i < fibers->thread_count && fibers->thread_count > 1; i++) {
		struct fiber_thread *other = &fibers->threads[i];

		if (other != thread && atomic_load(&other->wants_call))
			fiber_thread_call(other);
	}
	if (atomic_load_explicit(&mode->server->is_draining, memory_order_relaxed))
		older_tell_vacancy(mode);
	/* somebody may wait for all to be at rest */
	if (atomic_load(&thread->active) == 0 && concurrency_is_paused(mode))
		fd_raise_event(mode->notice_fd);
}

static void
fiber_accept_open_gate(struct fiber_thread *thread)
{
	const struct concurrency *mode = thread->fibers->mode;

	/* in this order: whoever pauses it now sees that it is not held, or is seen here */
	atomic_store(&thread->is_held, false);
	if (concurrency_is_paused(mode)) {
		atomic_store(&thread->is_held, thread->gate == FIBER_GATE_HELD);
		fd_raise_event(mode->notice_fd);
		return;
	}
	fiber_accept_heed(thread, mode->pause_fd, FIBER_OWN_PAUSE, true);
	fiber_accept_heed(thread, mode->open_fd, FIBER_OWN_OPEN, false);
	thread->gate = FIBER_GATE_OPEN;
	thread->is_called = true;
}

static void
fiber_accept_hold(struct fiber_thread *thread)
{
	const struct concurrency *mode = thread->fibers->mode;

	if (!concurrency_is_paused(mode))
		return;
	fiber_accept_heed(thread, mode->open_fd, FIBER_OWN_OPEN, true);
	fiber_accept_heed(thread, mode->pause_fd, FIBER_OWN_PAUSE, false);
	thread->gate = FIBER_GATE_HELD;
	fiber_accept_listen(thread, false);
	atomic_store(&thread->is_held, true);
	fd_raise_event(mode->notice_fd);
}

/* For good. What this thread was woken for no other process may know of; so it looks once more. */
static void
fiber_accept_end(struct fiber_thread *thread)
{
	const struct concurrency *mode = thread->fibers->mode;

	fiber_accept_remove(thread, mode->drain_fd);
	fiber_accept_remove(thread, mode->open_fd);
	fiber_accept_remove(thread, mode->pause_fd);
	if (thread->gate == FIBER_GATE_OPEN && !concurrency_is_paused(mode)) {
		for (int i = 0; i < FIBER_ACCEPT_LAST && fiber_accept_may(thread); i++) {
			if (!fiber_accept_one(thread))
				break;
		}
	}
	thread->gate = FIBER_GATE_OVER;
	fiber_accept_listen(thread, false);
	thread->is_called = true;
	atomic_store(&thread->is_quiet, true);
	fd_raise_event(mode->notice_fd);
}

void
fiber_accept_on_event(struct fiber_thread *thread, uint32_t which)
{
	struct concurrency *mode = thread->fibers->mode;

	switch (which) {
	case FIBER_OWN_DRAIN:
		fiber_accept_end(thread);
		break;
	case FIBER_OWN_OPEN:
		if (thread->gate == FIBER_GATE_OVER)
			fiber_accept_remove(thread, mode->open_fd);
		else
			fiber_accept_open_gate(thread);
		break;
	case FIBER_OWN_PAUSE:
		if (thread->gate == FIBER_GATE_OVER)
			fiber_accept_remove(thread, mode->pause_fd);
		else
			fiber_accept_hold(thread);
		break;
	case FIBER_OWN_VACANCY:
		fd_clear_event(mode->older.vacancy_fd);
		fiber_accept_remove(thread, mode->older.vacancy_fd);
		thread->obstacles &= ~FIBER_HAS_NO_ROOM;
		thread->is_called = true;
		/* others may wait as well; one that finds no room goes back to waiting */
		if (older_has_room(mode))
			fd_raise_event(mode->older.vacancy_fd);
		break;
	default:
		thread->acceptor.next = which - FIBER_OWN_SOCKETS;
		thread->is_called = true;
		break;
	}
}

bool
fiber_accept_is_over(struct fiber_thread *thread)
{
	if (thread->gate != FIBER_GATE_OVER || atomic_load(&thread->active) > 0)
		return false;
	return !fiber_accept_has_more(thread) && !atomic_load(&thread->fibers->is_receiving);
}

int
fiber_accept_open(struct fiber_thread *thread)
{
	struct concurrency *mode = thread->fibers->mode;
	int r = 0;

	/* what was taken together could not wait for limits.rate one by one */
	if (mode->is_datagram && thread->fibers->sessions == NULL && !mode->is_once &&
	    !mode->server->admission.waits_for_rate) {
		thread->batch = intake_make_batch();
		if (thread->batch == NULL)
			return -ENOMEM;
	}
	thread->acceptor = (struct acceptor){
		.mode = mode,
		.epoll_fd = -1,
		.batch = thread->batch,
	};
	r = fiber_accept_add(thread, mode->drain_fd, EPOLLIN, FIBER_OWN_DRAIN);
	if (r >= 0)
		r = fiber_accept_add(thread, mode->open_fd, EPOLLIN, FIBER_OWN_OPEN);
	if (r >= 0)
		r = fiber_accept_add(thread, mode->pause_fd, EPOLLIN, FIBER_OWN_PAUSE);
	return r;
}

void
fiber_accept_close(struct fiber_thread *thread)
{
	intake_free(&thread->intake);
	intake_free_batch(thread->batch);
}
