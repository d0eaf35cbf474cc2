/*
 * refuser.c - watching, accepting and refusing.
 */
#include "concurrency/refuser.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* In a row, before the control flow does something else. */
#define REFUSER_MOST 64

static void
refuser_unwatch(struct refuser *refuser)
{
	if (!refuser->is_watching)
		return;
	refuser->is_watching = false;
	for (size_t i = 0; i < refuser->mode->socket_count; i++)
		loop_remove(refuser->mode->loop, &refuser->sockets[i].source);
}

static void
refuser_wait_shortage(struct refuser *refuser, int error)
{
	refuser_unwatch(refuser);
	loop_arm(refuser->mode->loop, &refuser->retry,
		 clock_now_ns() + acceptor_tell_shortage(refuser->mode, error));
}

static void
refuser_watch(struct refuser *refuser)
{
	int r = 0;

	if (refuser->is_watching)
		return;
	refuser->is_watching = true;
	for (size_t i = 0; i < refuser->mode->socket_count && r >= 0; i++)
		r = loop_add(refuser->mode->loop, &refuser->sockets[i].source, EPOLLIN);
	if (r < 0)
		refuser_wait_shortage(refuser, r);
}

static bool
refuser_may(const struct refuser *refuser)
{
	return !refuser->is_over && refuser->mode->is_open && !concurrency_is_paused(refuser->mode);
}

/* Takes one client if every flow serves. 0; -EBUSY: one is free; another negative errno. */
static int
refuser_take(struct refuser *refuser)
{
	int r = -EBUSY;

	if (refuser_may(refuser) && refuser->begin(refuser->mode)) {
		r = intake_take_unasked(&refuser->acceptor, &refuser->intake);
		refuser->end(refuser->mode);
	}
	return r;
}

static void
refuser_on_event(struct loop_source *source, uint32_t events)
{
	struct refuser_socket *socket = CONTAINER_OF(source, struct refuser_socket, source);
	struct refuser *refuser = socket->refuser;
	int r = 0;

	(void)events;
	refuser->acceptor.next = (size_t)(socket - refuser->sockets);
	for (int i = 0; i < REFUSER_MOST && r == 0; i++) {
		r = refuser_take(refuser);
		if (r == 0)
			intake_turn_away(refuser->mode, &refuser->intake);
	}
	if (r == -EBUSY)
		refuser_unwatch(refuser);
	else if (r < 0 && r != -EAGAIN)
		refuser_wait_shortage(refuser, r);
}

static void
refuser_on_retry(struct loop_timer *timer)
{
	refuser_look(CONTAINER_OF(timer, struct refuser, retry));
}

int
refuser_open(struct refuser *refuser, struct concurrency *mode,
	     bool (*begin)(struct concurrency *mode), void (*end)(struct concurrency *mode))
{
	if (mode->on_limit == WORKER_WAIT || mode->is_once || mode->is_connection)
		return 0;
	*refuser = (struct refuser){
		.mode = mode,
		.begin = begin,
		.end = end,
		.sockets = calloc(mode->socket_count + 1, sizeof(struct refuser_socket)),
		.acceptor = {.mode = mode, .epoll_fd = -1, .is_refusing = true},
		.retry = {.on_timer = refuser_on_retry},
	};
	if (refuser->sockets == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < mode->socket_count; i++)
		refuser->sockets[i] = (struct refuser_socket){
			.refuser = refuser,
			.source = {.fd = mode->sockets[i], .on_event = refuser_on_event},
		};
	return 0;
}

void
refuser_look(struct refuser *refuser)
{
	bool is_full = false;

	if (refuser->mode == NULL || refuser->is_watching || refuser->retry.is_armed ||
	    !refuser_may(refuser))
		return;
	is_full = refuser->begin(refuser->mode);
	if (is_full)
		refuser->end(refuser->mode);
	if (is_full)
		refuser_watch(refuser);
}

void
refuser_stop(struct refuser *refuser)
{
	if (refuser->mode == NULL)
		return;
	refuser->is_over = true;
	refuser_unwatch(refuser);
	loop_disarm(refuser->mode->loop, &refuser->retry);
}
