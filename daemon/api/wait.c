/*
 * wait.c - waiting for time, for descriptors, for another flow; and how flows that may block do it.
 */
#include "api/wait.h"

#include <errno.h>
#include <handlerd/socket.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/mailbox.h"
#include "api/request.h"
#include "api/server.h"
#include "api/stream.h"
#include "base/clock.h"
#include "base/fd.h"

#define WAIT_MOST_FDS 1024

/* A blocking socket gives EAGAIN only when its SO_RCVTIMEO or SO_SNDTIMEO has passed, or when it
 * was asked not to wait. */
static int
blocking_wait_ready(struct hd_request *req, short events)
{
	(void)req;
	(void)events;
	return -ETIMEDOUT;
}

static int
blocking_set_timeout(struct hd_request *req, int ms)
{
	struct timeval limit = {0};

	if (ms > 0) {
		limit.tv_sec = ms / 1000;
		limit.tv_usec = (ms % 1000) * 1000;
	}
	/* a socket without timeouts costs no system call */
	if (ms > 0 || req->has_socket_timeout) {
		if (setsockopt(req->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
		    setsockopt(req->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
			return -errno;
		req->has_socket_timeout = ms > 0;
	}
	req->timeout_ms = ms;
	req->io_flags = ms == 0 ? MSG_DONTWAIT : 0;
	return 0;
}

static int
blocking_poll(struct hd_request *req, struct pollfd *fds, unsigned count, int timeout_ms)
{
	int64_t deadline_ns = timeout_ms < 0 ? 0 : clock_now_ns() + timeout_ms * CLOCK_NS_PER_MS;
	int n;

	(void)req;
	do {
		n = poll(fds, count, timeout_ms < 0 ? -1 : clock_ms_until(deadline_ns));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

const struct waiter_ops waiter_blocking = {
	.wait_ready = blocking_wait_ready,
	.set_timeout = blocking_set_timeout,
	.poll = blocking_poll,
};

/* The event that ends the waits of this request alone; made on the first wait. Without one a wait
 * still ends with those of all. */
static int
wait_open_cancel(struct hd_request *req)
{
	int fd = atomic_load(&req->cancel_fd);

	if (fd >= 0)
		return fd;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd >= 0)
		atomic_store(&req->cancel_fd, fd);
	return fd;
}

/* Waits for up to count rows, for cancellation and, where wake_fd is given, for hd_wake. Returns
 * how many of the rows have events. */
static int
wait_for(struct hd_request *req, struct pollfd *fds, unsigned count, int wake_fd, int timeout_ms)
{
	struct pollfd few[8], *rows = few;
	struct pollfd *many = NULL;
	bool is_cancelled;
	int n;

	if (count + 3 > sizeof(few) / sizeof(few[0])) {
		many = calloc(count + 3, sizeof(*many));
		if (many == NULL)
			return -ENOMEM;
		rows = many;
	}
	for (unsigned i = 0; i < count; i++) {
		rows[i] = fds[i];
		if (fds[i].fd == HD_CLIENT)
			rows[i].fd = req->mailbox != NULL ? req->mailbox->event_fd : req->fd;
	}
	rows[count] = (struct pollfd){.fd = req->server->cancel_fd, .events = POLLIN};
	rows[count + 1] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
	rows[count + 2] = (struct pollfd){.fd = wait_open_cancel(req), .events = POLLIN};
	/* cancelled before the event was there */
	n = atomic_load(&req->is_cancelled)
		    ? 0
		    : req->server->waiter->poll(req, rows, count + 3, timeout_ms);
	if (n >= 0) {
		n = 0;
		for (unsigned i = 0; i < count; i++) {
			fds[i].revents = rows[i].revents;
			n += rows[i].revents != 0;
		}
	}
	/* the event is raised before the request is told, by another process even */
	is_cancelled = rows[count].revents != 0 || atomic_load(&req->is_cancelled);
	free(many);
	if (is_cancelled)
		return request_note_error(req, -ECANCELED);
	return n;
}

int
hd_sleep(struct hd_request *req, unsigned ms)
{
	int64_t deadline_ns = clock_now_ns() + (int64_t)ms * CLOCK_NS_PER_MS;
	int r = stream_flush(req);

	while (r >= 0 && clock_ms_until(deadline_ns) > 0)
		r = wait_for(req, NULL, 0, -1, clock_ms_until(deadline_ns));
	return r < 0 ? r : 0;
}

int
wait_for_fd(struct hd_request *req, int fd, short events, int timeout_ms)
{
	struct pollfd row = {.fd = fd, .events = events};
	int r;

	if (fd < 0)
		return -EBADF;
	r = wait_for(req, &row, 1, -1, timeout_ms);
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

/* The eventfd that hd_wake writes to; made on the first hd_poll. */
static int
wait_open_wake(struct hd_request *req)
{
	int fd = atomic_load(&req->wake_fd);

	if (fd >= 0)
		return fd;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	atomic_store(&req->wake_fd, fd);
	return fd;
}

/* Whether waking was asked for since the last hd_poll; takes it back. */
static bool
wait_was_woken(struct hd_request *req)
{
	bool was_woken;

	/* hd_wake sets both under the lock: they must be taken back together */
	(void)pthread_mutex_lock(&req->lock);
	was_woken = atomic_exchange(&req->is_woken, false);
	if (was_woken)
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
poll_peer(struct hd_request *req, struct pollfd *fds, unsigned count, int wake_fd, int timeout_ms)
{
	/* it is nothing to who does not ask for input */
	if (!poll_has_input(fds, count))
		return wait_for(req, fds, count, wake_fd, timeout_ms);
	for (;;) {
		int left_ms = clock_ms_until(mailbox_deadline_ns(req->mailbox));
		bool is_mine = timeout_ms >= 0 && timeout_ms < left_ms;
		int n = wait_for(req, fds, count, wake_fd, is_mine ? timeout_ms : left_ms);

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
	int wake_fd, n;

	if (count > WAIT_MOST_FDS)
		return -EINVAL;
	n = stream_prepare_input(req);
	if (n < 0)
		return n;
	wake_fd = wait_open_wake(req);
	if (wake_fd < 0)
		return wake_fd;
	if (wait_was_woken(req))
		return -EINTR;
	n = poll_buffered(req, fds, count);
	if (n > 0)
		return n;
	if (poll_must_end(req, fds, count)) {
		n = wait_for(req, fds, count, -1, 0);
		return n != 0 ? n : request_note_error(req, -ECANCELED);
	}
	n = req->mailbox != NULL ? poll_peer(req, fds, count, wake_fd, timeout_ms)
				 : wait_for(req, fds, count, wake_fd, timeout_ms);
	if (n < 0)
		return n;
	if (wait_was_woken(req))
		return -EINTR;
	return poll_was_shut(req) ? request_note_error(req, -ECANCELED) : n;
}

int
hd_wake(struct hd_server *server, uint64_t request_id)
{
	int r = -ESRCH;

	if (request_id == 0)
		return r;
	(void)pthread_mutex_lock(&server->requests_lock);
	for (struct hd_request *req = server->requests; req != NULL; req = req->next) {
		if (atomic_load(&req->id) != request_id)
			continue;
		/* the flow may just be closing it and opening another */
		(void)pthread_mutex_lock(&req->lock);
		if (atomic_load(&req->id) == request_id) {
			int fd;

			atomic_store(&req->is_woken, true);
			fd = atomic_load(&req->wake_fd);
			if (fd >= 0)
				fd_raise_event(fd);
			r = 0;
		}
		(void)pthread_mutex_unlock(&req->lock);
		break;
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
	/* a flow that may block is itself the helper thread: nobody waits for it but its client */
	run(argument);
	return 0;
}
