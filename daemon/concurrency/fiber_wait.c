/*
 * fiber_wait.c - how flows on fibers wait: for their own socket, for time, for a helper thread.
 *
 * A socket is made known to the epoll when a fiber waits for it for the first time, once for all:
 * edge-triggered, so that what the kernel told is remembered in the watch until a call has used it
 * up. Output is asked for when it first would not fit.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "api/mailbox.h"
#include "base/clock.h"
#include "concurrency/fiber_thread.h"

#define FIBER_WAIT_INPUT ((uint32_t)(EPOLLIN | EPOLLRDHUP | EPOLLPRI))
#define FIBER_WAIT_END ((uint32_t)(EPOLLERR | EPOLLHUP))

/* From so many milliseconds on a timeout may come some milliseconds late, which saves a look at the
 * exact clock for each message. */
#define FIBER_WAIT_COARSE_MS 1000

static struct fiber *
fiber_wait_flow(const struct hd_request *req)
{
	return req->watch.flow;
}

/* The moment ms milliseconds from now at the earliest. */
static int64_t
fiber_wait_deadline_ns(int ms)
{
	/* what the coarse clock is behind at most: a tick */
	static const int64_t tick_ns = 10 * CLOCK_NS_PER_MS;
	struct timespec now;

	if (ms < 0)
		return FIBER_NEVER;
	if (ms < FIBER_WAIT_COARSE_MS)
		return clock_now_ns() + ms * CLOCK_NS_PER_MS;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec + ms * CLOCK_NS_PER_MS + tick_ns;
}

int
fiber_wait_watch(struct hd_request *req, uint32_t events)
{
	struct fiber *fiber = fiber_wait_flow(req);
	struct fiber *own = req == &fiber->request ? fiber : NULL;
	struct wait_watch *watch = &req->watch;
	int fd;

	events |= FIBER_WAIT_INPUT;
	if ((watch->watched & events) == events)
		return 0;
	events |= watch->watched;
	fd = req->mailbox != NULL ? req->mailbox->event_fd : req->fd;
	return fiber_thread_watch(fiber->thread, fd, watch, own, events);
}

/* The same; where the kernel has no room for one more, it is tried again until it has: the
 * connection is there, and its end would be our fault. */
static int
fiber_wait_watch_in_time(struct hd_request *req, uint32_t events, int64_t deadline_ns)
{
	struct fiber *fiber = fiber_wait_flow(req);
	int r = fiber_wait_watch(req, events);

	while ((r == -ENOSPC || r == -ENOMEM) && !atomic_load(&req->is_cancelled)) {
		int64_t next_ns =
			clock_now_ns() + acceptor_tell_no_wait(fiber->thread->fibers->mode, r);

		fiber_park(fiber, next_ns < deadline_ns ? next_ns : deadline_ns);
		if (fiber->is_late && deadline_ns <= clock_now_ns())
			return -ETIMEDOUT;
		r = fiber_wait_watch(req, events);
	}
	return r;
}

/* Waits until the request's socket is ready, or may be. 0, -ETIMEDOUT or another negative errno;
 * 0 also when it was cancelled: the call that is tried again tells. */
static int
fiber_wait_socket(struct hd_request *req, uint32_t input_or_output, int64_t deadline_ns)
{
	struct fiber *fiber = fiber_wait_flow(req);
	struct wait_watch *watch = &req->watch;
	uint32_t wanted = input_or_output | FIBER_WAIT_END;
	int r = fiber_wait_watch_in_time(req, input_or_output, deadline_ns);

	watch->wanted = wanted;
	while (r == 0 && (watch->ready & wanted) == 0 && !atomic_load(&req->is_cancelled)) {
		fiber_park(fiber, deadline_ns);
		if (fiber->is_late && (watch->ready & wanted) == 0)
			r = -ETIMEDOUT;
	}
	watch->wanted = 0;
	/* the end stays: a call that finds it tells it again and again */
	watch->ready &= ~(input_or_output & (uint32_t)(EPOLLIN | EPOLLOUT));
	return r;
}

static int
fiber_wait_ready(struct hd_request *req, short events)
{
	uint32_t input_or_output = events == POLLIN ? FIBER_WAIT_INPUT : (uint32_t)EPOLLOUT;

	if (req->timeout_ms == 0)
		return -ETIMEDOUT;
	return fiber_wait_socket(req, input_or_output, fiber_wait_deadline_ns(req->timeout_ms));
}

static int
fiber_wait_input(struct hd_request *req, int64_t deadline_ns)
{
	struct pollfd row = {.fd = req->fd, .events = POLLIN};

	if (atomic_load(&req->is_cancelled))
		return 0;
	/* something may have been left, of which the kernel does not tell again */
	if (!req->is_dry) {
		if (poll(&row, 1, 0) > 0)
			return 1;
		req->watch.ready = 0;
	}
	return fiber_wait_socket(req, FIBER_WAIT_INPUT, deadline_ns) == 0 &&
	       !atomic_load(&req->is_cancelled);
}

static int
fiber_wait_output(struct hd_request *req, int64_t deadline_ns)
{
	int r = fiber_wait_socket(req, EPOLLOUT, deadline_ns);

	return r == -ETIMEDOUT ? 0 : r < 0 ? r : 1;
}

static int
fiber_wait_set_timeout(struct hd_request *req, int ms)
{
	req->timeout_ms = ms;
	req->io_flags = ms == 0 ? MSG_DONTWAIT : 0;
	return 0;
}

static void
fiber_wait_wake(struct hd_request *req)
{
	fiber_wake(fiber_wait_flow(req));
}

static void
fiber_wait_yield(struct hd_request *req)
{
	fiber_yield(fiber_wait_flow(req));
}

/* It is not cancelled: what it works on may be the fiber's own. */
static int
fiber_wait_offload(struct hd_request *req, void (*run)(void *), void *argument)
{
	struct fiber *fiber = fiber_wait_flow(req);
	struct offload_job job = {.run = run, .argument = argument, .slot = fiber->request.slot};
	int r = offload_start(&fiber->thread->fibers->offload, &job, fiber);

	while (r == 0 && !atomic_load_explicit(&job.is_done, memory_order_acquire))
		fiber_park(fiber, FIBER_NEVER);
	return r;
}

/* Closing the descriptor ends the registration of a connection. A mailbox lives on, and so may a
 * connection of hd_connect in another process, while its watch goes. */
static void
fiber_wait_forget(struct hd_request *req)
{
	const struct fiber *fiber = fiber_wait_flow(req);
	int fd = req->mailbox != NULL ? req->mailbox->event_fd : req->fd;

	if (req->mailbox != NULL || req != &fiber->request)
		(void)epoll_ctl(fiber->thread->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	req->watch.watched = req->watch.ready = req->watch.wanted = 0;
}

const struct waiter_ops waiter_fibers = {
	.parks = true,
	.wait_ready = fiber_wait_ready,
	.wait_input = fiber_wait_input,
	.wait_output = fiber_wait_output,
	.set_timeout = fiber_wait_set_timeout,
	.poll = fiber_poll,
	.wake = fiber_wait_wake,
	.interrupt = fiber_wait_wake,
	.yield = fiber_wait_yield,
	.offload = fiber_wait_offload,
	.forget = fiber_wait_forget,
};
