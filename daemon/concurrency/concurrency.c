/*
 * concurrency.c - what all modes share: the events between the control flow and the others.
 */
#include "concurrency/concurrency.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

/* Flows that are not at rest by then have something to do. */
#define CONCURRENCY_PATIENCE_NS (100 * CLOCK_NS_PER_MS)

static int
concurrency_open_receivers(struct concurrency *mode)
{
	struct datagram_socket *receivers = calloc(mode->socket_count + 1, sizeof(*receivers));

	mode->receivers = receivers;
	if (receivers == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < mode->socket_count; i++) {
		int r = datagram_socket_open(mode->sockets[i], &receivers[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static void
concurrency_resume(struct concurrency *mode)
{
	/* in this order: a flow that sees one and not yet the other looks again, and does not turn
	 * in a circle */
	fd_clear_event(mode->pause_fd);
	atomic_store(&mode->board->is_paused, 0);
	fd_raise_event(mode->open_fd);
	/* every flow may serve all the same */
	if (mode->on_limit != WORKER_WAIT)
		fd_raise_event(mode->notice_fd);
}

static void
concurrency_stop_retiring(struct concurrency *mode)
{
	mode->is_retiring = false;
	loop_disarm(mode->loop, &mode->patience);
}

static void
concurrency_on_patience(struct loop_timer *timer)
{
	struct concurrency *mode = CONTAINER_OF(timer, struct concurrency, patience);

	concurrency_stop_retiring(mode);
	if (!mode->is_pause_ordered)
		concurrency_resume(mode);
}

int
concurrency_init(struct concurrency *mode)
{
	mode->patience.on_timer = concurrency_on_patience;
	mode->open_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mode->pause_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mode->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mode->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mode->open_fd < 0 || mode->pause_fd < 0 || mode->drain_fd < 0 || mode->notice_fd < 0)
		return -errno;
	return mode->is_datagram ? concurrency_open_receivers(mode) : 0;
}

/* Lets no flow accept any more. */
static void
concurrency_hold(struct concurrency *mode)
{
	if (!mode->is_open || concurrency_is_paused(mode))
		return;
	fd_clear_event(mode->open_fd);
	atomic_store(&mode->board->is_paused, 1);
	fd_raise_event(mode->pause_fd);
}

void
concurrency_accept(struct concurrency *mode)
{
	concurrency_stop_retiring(mode);
	mode->is_pause_ordered = mode->was_held = false;
	if (!mode->is_open || concurrency_is_paused(mode)) {
		mode->is_open = true;
		concurrency_resume(mode);
	}
}

void
concurrency_pause(struct concurrency *mode)
{
	/* who was never told to accept waits for it anyway */
	mode->is_pause_ordered = mode->is_open;
	concurrency_hold(mode);
	concurrency_look_at_rest(mode);
}

void
concurrency_retire(struct concurrency *mode)
{
	/* one that was never told to accept has nothing to serve */
	if (!mode->is_open)
		mode->on_idle(mode);
	if (!mode->is_open || mode->is_retiring)
		return;
	mode->is_retiring = true;
	concurrency_hold(mode);
	loop_arm(mode->loop, &mode->patience, clock_now_ns() + CONCURRENCY_PATIENCE_NS);
	concurrency_look_at_rest(mode);
}

void
concurrency_look_at_rest(struct concurrency *mode)
{
	bool is_asked = mode->is_pause_ordered && !mode->was_held;
	enum concurrency_rest rest;

	if (!is_asked && !mode->is_retiring)
		return;
	rest = mode->ops->rest(mode);
	if (is_asked && rest >= CONCURRENCY_HOLDS) {
		mode->was_held = true;
		mode->on_held(mode);
	}
	if (mode->is_retiring && rest == CONCURRENCY_RESTS) {
		concurrency_stop_retiring(mode);
		mode->on_idle(mode);
	}
}

bool
concurrency_kill(struct concurrency *mode, uint64_t id)
{
	return mode->ops->kill != NULL ? mode->ops->kill(mode, id)
				       : server_kill_request(mode->server, id);
}

void
concurrency_cancel(struct concurrency *mode)
{
	if (mode->ops->cancel != NULL)
		mode->ops->cancel(mode);
}

void
concurrency_stop(struct concurrency *mode)
{
	if (mode->ops->stop != NULL)
		mode->ops->stop(mode);
}

void
concurrency_service(struct concurrency *mode)
{
	mode->server->handler.descriptor.service_actions(mode->server);
}

void
concurrency_report_quiet(struct concurrency *mode)
{
	if (mode->was_quiet)
		return;
	mode->was_quiet = true;
	mode->on_quiet(mode);
}

void
concurrency_report_empty(struct concurrency *mode)
{
	concurrency_report_quiet(mode);
	if (mode->was_empty)
		return;
	mode->was_empty = true;
	mode->on_empty(mode);
}
