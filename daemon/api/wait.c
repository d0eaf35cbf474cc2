/*
 * wait.c - waiting for time, for descriptors, for another flow.
 */
#include "api/wait.h"

#include <errno.h>
#include <handlerd/socket.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "api/mailbox.h"
#include "api/request.h"
#include "api/server.h"
#include "api/stream.h"
#include "base/clock.h"
#include "base/fd.h"

#define WAIT_MOST_FDS 1024

void
wait_spend(struct hd_request *req)
{
	/* with its own connections a flow has one share */
	while (req->parent != NULL)
		req = req->parent;
	if (req->share <= 1)
		req->server->waiter->yield(req);
	else
		req->share--;
}

/* Tells how much of what was sent the client has not taken yet. */
static void
wait_tell_unsent(const struct hd_request *req)
{
	int bytes = 0;

	if (req->slot != NULL && ioctl(req->fd, SIOCOUTQ, &bytes) == 0)
		atomic_store_explicit(&req->slot->unsent, (uint32_t)bytes, memory_order_relaxed);
}

static void
wait_stop_telling(const struct hd_request *req)
{
	if (req->slot != NULL)
		atomic_store_explicit(&req->slot->unsent, 0, memory_order_relaxed);
}

int
wait_for_output(struct hd_request *req)
{
	const struct hd_server *server = req->server;
	int64_t deadline_ns = INT64_MAX, until_ns, now_ns;
	int r;

	if (server->tell_ns == 0 || req->timeout_ms == 0)
		return server->waiter->wait_ready(req, POLLOUT);
	now_ns = clock_now_ns();
	if (req->timeout_ms > 0)
		deadline_ns = now_ns + req->timeout_ms * CLOCK_NS_PER_MS;
	do {
		until_ns = now_ns + server->tell_ns;
		until_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
		wait_tell_unsent(req);
		r = server->waiter->wait_output(req, until_ns);
		now_ns = until_ns;
	} while (r == 0 && until_ns < deadline_ns);
	wait_stop_telling(req);
	if (r == 0)
		return -ETIMEDOUT;
	return r < 0 ? r : 0;
}

void
wait_bound_output(struct hd_request *req)
{
	int64_t ns = req->server->tell_ns;
	struct timeval limit = {.tv_sec = ns / CLOCK_NS_PER_S,
				.tv_usec = ns % CLOCK_NS_PER_S / 1000};

	if (ns == 0 || req->is_output_bound || req->server->waiter->parks)
		return;
	(void)setsockopt(req->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	req->is_output_bound = true;
}

/* What rows wait for of the request's client. */
static unsigned
wait_find(const struct hd_request *req, const struct pollfd *fds, unsigned count)
{
	unsigned waits = 0;

	for (unsigned i = 0; i < count; i++) {
		if (fds[i].fd != HD_CLIENT && fds[i].fd != req->fd &&
		    (req->mailbox == NULL || fds[i].fd != req->mailbox->event_fd))
			continue;
		if ((fds[i].events & (POLLIN | POLLRDNORM)) != 0)
			waits |= SCOREBOARD_WAITS_INPUT;
		if ((fds[i].events & (POLLOUT | POLLWRNORM)) != 0 && req->kind == REQUEST_STREAM)
			waits |= SCOREBOARD_WAITS_OUTPUT;
	}
	/* of a datagram all is there */
	return req->kind != REQUEST_DATAGRAM ? waits : 0;
}

/* As the poll of the mode, but telling again and again how much the client has not taken. */
static int
wait_poll_telling(struct hd_request *req, struct pollfd *fds, unsigned count, bool is_wakeable,
		  int timeout_ms)
{
	int slice_ms = (int)(req->server->tell_ns / CLOCK_NS_PER_MS);
	int n, left_ms = timeout_ms;

	do {
		int ms = left_ms < 0 || left_ms > slice_ms ? slice_ms : left_ms;

		wait_tell_unsent(req);
		n = req->server->waiter->poll(req, fds, count, is_wakeable, ms);
		left_ms -= left_ms < 0 ? 0 : ms;
	} while (n == 0 && left_ms != 0 && !atomic_load(&req->is_cancelled) &&
		 !(is_wakeable && atomic_load(&req->is_woken)));
	wait_stop_telling(req);
	return n;
}

/* Waits for up to count rows, for cancellation and, if it is wakeable, for hd_wake. Returns how
 * many of the rows have events. */
static int
wait_for(struct hd_request *req, struct pollfd *fds, unsigned count, bool is_wakeable,
	 int timeout_ms)
{
	unsigned waits = wait_find(req, fds, count);
	int n = 0;

	if (!atomic_load(&req->is_cancelled)) {
		request_show_waits(req, waits);
		if ((waits & SCOREBOARD_WAITS_OUTPUT) != 0 && req->server->tell_ns > 0)
			n = wait_poll_telling(req, fds, count, is_wakeable, timeout_ms);
		else
			n = req->server->waiter->poll(req, fds, count, is_wakeable, timeout_ms);
		request_show_waits(req, 0);
	}
	if (n == -ECANCELED || atomic_load(&req->is_cancelled))
		return request_note_error(req, -ECANCELED);
	return n;
}

int
wait_until(struct hd_request *req, int64_t until_ns)
{
	int r = 0;

	while (r >= 0 && clock_ms_until(until_ns) > 0)
		r = wait_for(req, NULL, 0, false, clock_ms_until(until_ns));
	return r < 0 ? r : 0;
}

int
hd_sleep(struct hd_request *req, unsigned ms)
{
	int64_t deadline_ns = clock_now_ns() + (int64_t)ms * CLOCK_NS_PER_MS;
	int r = stream_flush(req);

	/* to wait for no time is to let others run */
	if (r >= 0 && ms == 0)
		req->server->waiter->yield(req);
	return r < 0 ? r : wait_until(req, deadline_ns);
}

int
wait_for_fd(struct hd_request *req, int fd, short events, int timeout_ms)
{
	struct pollfd row = {.fd = fd, .events = events};
	int r;

	if (fd < 0)
		return -EBADF;
	r = wait_for(req, &row, 1, false, timeout_ms);
	if (r < 0)
		return r;
	if (r == 0)
		return -ETIMEDOUT;
	return (row.revents & POLLNVAL) != 0 ? -EBADF : row.revents;
}

int
hd_wait(struct hd_request *req, int fd, short events, int timeout_ms)
{
	int r = stream_flush(req);

	return r < 0 ? r : wait_for_fd(req, fd, events, timeout_ms);
}

/* Whether waking was asked for since the last hd_poll; takes it back. */
static bool
wait_was_woken(struct hd_request *req)
{
	bool was_woken;

	if (!atomic_load(&req->is_woken))
		return false;
	/* hd_wake sets both under the lock: they must be taken back together */
	(void)pthread_mutex_lock(&req->lock);
	was_woken = atomic_exchange(&req->is_woken, false);
	if (req->wake_fd >= 0)
		fd_clear_event(req->wake_fd);
	(void)pthread_mutex_unlock(&req->lock);
	return was_woken;
}

/* Of rows of the request itself: which events are there without asking the kernel. Buffered input
 * is input, the end of a datagram is there from the beginning, and a reply never waits. */
static int
poll_mark(const struct pollfd *fds, unsigned count, struct pollfd *ret, short events)
{
	int ready = 0;

	for (unsigned i = 0; i < count; i++) {
		ret[i].revents = fds[i].fd == HD_CLIENT ? (short)(fds[i].events & events) : 0;
		ready += ret[i].revents != 0;
	}
	return ready;
}

static int
poll_buffered(const struct hd_request *req, struct pollfd *fds, unsigned count)
{
	short events = (req->buffered & REQUEST_HAS_INPUT) != 0 ? POLLIN : 0;

	if (req->kind == REQUEST_DATAGRAM)
		events = POLLIN | POLLOUT;
	return poll_mark(fds, count, fds, events);
}

/* Whether one of the rows waits for input of the request itself. */
static bool
poll_has_input(const struct pollfd *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (fds[i].fd == HD_CLIENT && (fds[i].events & POLLIN) != 0)
			return true;
	}
	return false;
}

/* Waits as long as the session of a peer lasts at most: its end is input. */
static int
poll_peer(struct hd_request *req, struct pollfd *fds, unsigned count, int timeout_ms)
{
	/* it is nothing to who does not ask for input */
	if (!poll_has_input(fds, count))
		return wait_for(req, fds, count, true, timeout_ms);
	for (;;) {
		int left_ms = clock_ms_until(mailbox_deadline_ns(req->mailbox));
		bool is_mine = timeout_ms >= 0 && timeout_ms < left_ms;
		int n = wait_for(req, fds, count, true, is_mine ? timeout_ms : left_ms);

		if (n != 0 || is_mine || atomic_load(&req->is_woken))
			return n;
		if (clock_ms_until(mailbox_deadline_ns(req->mailbox)) == 0)
			return poll_mark(fds, count, fds, POLLIN);
	}
}

/* Whether this poll is a wait for input of an idle request in a draining worker. */
static bool
poll_must_end(const struct hd_request *req, const struct pollfd *fds, unsigned count)
{
	return atomic_load(&req->server->is_draining) && atomic_load(&req->is_idle) &&
	       !request_is_fresh(req) && poll_has_input(fds, count);
}

/* Whether the socket only looks readable because draining has shut it, with nothing to read. */
static bool
poll_was_shut(const struct hd_request *req)
{
	int readable = 0;

	return atomic_load(&req->is_shut_read) &&
	       (ioctl(req->fd, FIONREAD, &readable) < 0 || readable == 0);
}

int
hd_poll(struct hd_request *req, struct pollfd *fds, unsigned count, int timeout_ms)
{
	int n;

	if (count > WAIT_MOST_FDS)
		return -EINVAL;
	n = stream_flush(req);
	if (n >= 0)
		n = stream_prepare_input(req);
	if (n < 0)
		return n;
	if (wait_was_woken(req))
		return -EINTR;
	n = poll_buffered(req, fds, count);
	if (n > 0) {
		wait_spend(req);
		return n;
	}
	if (poll_must_end(req, fds, count)) {
		n = wait_for(req, fds, count, false, 0);
		return n != 0 ? n : request_note_error(req, -ECANCELED);
	}
	n = req->mailbox != NULL ? poll_peer(req, fds, count, timeout_ms)
				 : wait_for(req, fds, count, true, timeout_ms);
	if (n < 0)
		return n;
	if (wait_was_woken(req))
		return -EINTR;
	return poll_was_shut(req) ? request_note_error(req, -ECANCELED) : n;
}

int
hd_wake(struct hd_server *server, uint64_t request_id)
{
	struct hd_request *req;
	int r = -ESRCH;

	if (request_id == 0)
		return r;
	(void)pthread_mutex_lock(&server->requests_lock);
	req = server_find_request(server, request_id);
	if (req != NULL) {
		/* the flow may just be closing it and opening another */
		(void)pthread_mutex_lock(&req->lock);
		if (atomic_load(&req->id) == request_id) {
			if (req->slot != NULL)
				server_note_request(server, req, request_id);
			atomic_store(&req->is_woken, true);
			server->waiter->wake(req);
			r = 0;
		}
		(void)pthread_mutex_unlock(&req->lock);
	}
	(void)pthread_mutex_unlock(&server->requests_lock);
	return r;
}

int
hd_offload(struct hd_request *req, void (*run)(void *), void *argument)
{
	int r = stream_flush(req);

	if (r < 0)
		return r;
	return req->server->waiter->offload(req, run, argument);
}
