/*
 * wait_blocking.c - how flows wait that may block: threads, children, serial.
 */
#include <errno.h>
#include <handlerd/socket.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "api/mailbox.h"
#include "api/request.h"
#include "api/server.h"
#include "api/wait.h"
#include "base/clock.h"
#include "base/fd.h"

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
	if (ms > 0 || req->has_socket_timeout || req->is_output_bound) {
		req->is_output_bound = false;
		if (setsockopt(req->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
		    setsockopt(req->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
			return -errno;
		req->has_socket_timeout = ms > 0;
	}
	req->timeout_ms = ms;
	req->io_flags = ms == 0 ? MSG_DONTWAIT : 0;
	return 0;
}

/* The event that ends the waits of this request alone; made on the first wait. Without one a wait
 * still ends with those of all. */
static int
blocking_open_cancel(struct hd_request *req)
{
	int fd = atomic_load(&req->cancel_fd);

	if (fd >= 0)
		return fd;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd >= 0)
		atomic_store(&req->cancel_fd, fd);
	return fd;
}

/* The eventfd that hd_wake writes to; made on the first hd_poll. */
static int
blocking_open_wake(struct hd_request *req)
{
	int fd = atomic_load(&req->wake_fd);

	if (fd >= 0)
		return fd;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	/* whoever wakes it looks for the event under the lock */
	(void)pthread_mutex_lock(&req->lock);
	atomic_store(&req->wake_fd, fd);
	if (atomic_load(&req->is_woken))
		fd_raise_event(fd);
	(void)pthread_mutex_unlock(&req->lock);
	return fd;
}

static int
blocking_poll_rows(struct pollfd *rows, unsigned count, int timeout_ms)
{
	int64_t deadline_ns = timeout_ms < 0 ? 0 : clock_now_ns() + timeout_ms * CLOCK_NS_PER_MS;
	int n;

	do {
		n = poll(rows, count, timeout_ms < 0 ? -1 : clock_ms_until(deadline_ns));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Behind the caller's rows stand those that end the wait. */
static int
blocking_poll(struct hd_request *req, struct pollfd *fds, unsigned count, bool is_wakeable,
	      int timeout_ms)
{
	struct pollfd few[8], *rows = few;
	struct pollfd *many = NULL;
	int wake_fd = is_wakeable ? blocking_open_wake(req) : -1;
	int n;

	if (is_wakeable && wake_fd < 0)
		return wake_fd;

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
	rows[count + 2] = (struct pollfd){.fd = blocking_open_cancel(req), .events = POLLIN};
	/* cancelled before the event was there */
	n = atomic_load(&req->is_cancelled) ? 0 : blocking_poll_rows(rows, count + 3, timeout_ms);
	if (n >= 0) {
		n = 0;
		for (unsigned i = 0; i < count; i++) {
			fds[i].revents = rows[i].revents;
			n += rows[i].revents != 0;
		}
	}
	/* the event is raised before the request is told, by another process even */
	if (rows[count].revents != 0)
		n = -ECANCELED;
	free(many);
	return n;
}

static int
blocking_wait_events(const struct hd_request *req, short events, int64_t deadline_ns)
{
	struct pollfd row = {.fd = req->fd, .events = events};
	int n;

	do {
		n = poll(&row, 1, clock_ms_until(deadline_ns));
	} while (n < 0 && errno == EINTR); /* a forked child that is told to drain */
	return n > 0;
}

static int
blocking_wait_input(struct hd_request *req, int64_t deadline_ns)
{
	return blocking_wait_events(req, POLLIN, deadline_ns);
}

static int
blocking_wait_output(struct hd_request *req, int64_t deadline_ns)
{
	return blocking_wait_events(req, POLLOUT, deadline_ns);
}

static void
blocking_wake(struct hd_request *req)
{
	int fd = atomic_load(&req->wake_fd);

	if (fd >= 0)
		fd_raise_event(fd);
}

/* A flow that begins to wait after this sees the flag. */
static void
blocking_interrupt(struct hd_request *req)
{
	int fd = atomic_load(&req->cancel_fd);

	if (fd >= 0)
		fd_raise_event(fd);
}

/* Nobody waits for it but its client. */
static void
blocking_yield(struct hd_request *req)
{
	req->share = UINT32_MAX;
}

/* The flow is itself the helper thread. */
static int
blocking_offload(struct hd_request *req, void (*run)(void *), void *argument)
{
	(void)req;
	run(argument);
	return 0;
}

static void
blocking_forget(struct hd_request *req)
{
	(void)req;
}

const struct waiter_ops waiter_blocking = {
	.wait_ready = blocking_wait_ready,
	.wait_input = blocking_wait_input,
	.wait_output = blocking_wait_output,
	.set_timeout = blocking_set_timeout,
	.poll = blocking_poll,
	.wake = blocking_wake,
	.interrupt = blocking_interrupt,
	.yield = blocking_yield,
	.offload = blocking_offload,
	.forget = blocking_forget,
};
