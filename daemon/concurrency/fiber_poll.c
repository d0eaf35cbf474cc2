/*
 * fiber_poll.c - poll(2) for a fiber: each row becomes known to the epoll while it waits.
 *
 * The request's own socket, and those of hd_connect, are there already, and stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "api/mailbox.h"
#include "base/clock.h"
#include "concurrency/fiber_thread.h"

#define FIBER_POLL_FEW 8

struct fiber_row {
	struct wait_watch own;	  /* while it waits */
	struct wait_watch *watch; /* own, or that of a request; NULL: none, the row is ready */
	int fd;			  /* in the epoll for this row alone; owned; -1: none */
};

/* The request that has this socket: this one, or one that was connected to for it. */
static struct hd_request *
fiber_poll_find_below(struct hd_request *req, int fd)
{
	struct hd_request *found = NULL;

	if (fd == req->fd && req->kind == REQUEST_STREAM)
		return req;
	for (struct hd_request *child = req->children; child != NULL && found == NULL;
	     child = child->next_child)
		found = fiber_poll_find_below(child, fd);
	return found;
}

/* The request of the fiber that has this descriptor; NULL: it is of something else. */
static struct hd_request *
fiber_poll_find(struct hd_request *req, int fd)
{
	struct fiber *fiber = req->watch.flow;

	if (fd == HD_CLIENT || (req->mailbox != NULL && fd == req->mailbox->event_fd))
		return req;
	return fiber_poll_find_below(&fiber->request, fd);
}

/* What epoll(7) is asked for: the bands of poll(2) go with input and output. */
static uint32_t
fiber_poll_events(short events)
{
	uint32_t asked = (uint32_t)events & (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP);

	if ((events & (POLLRDNORM | POLLRDBAND)) != 0)
		asked |= EPOLLIN;
	if ((events & (POLLWRNORM | POLLWRBAND)) != 0)
		asked |= EPOLLOUT;
	return asked;
}

/* Makes sure the socket of a request is watched for the row's events. 1: the kernel must be asked,
 * since what it told is forgotten when a call begins, and it does not tell of the rest again; 0,
 * or a negative errno. */
static int
fiber_poll_share(struct hd_request *owner, const struct pollfd *poll_row)
{
	uint32_t events = fiber_poll_events(poll_row->events);
	int r;

	owner->watch.wanted |= events | EPOLLERR | EPOLLHUP;
	r = fiber_wait_watch(owner, events);
	if (r < 0)
		return r;
	return events != EPOLLIN || !owner->is_dry;
}

/* Puts a descriptor into the epoll for one row: a duplicate, since its number may be there already
 * for another fiber, or be closed and become another connection's while this one waits. 1: it needs
 * no epoll to be ready; 0, or a negative errno. */
static int
fiber_poll_add(struct fiber *fiber, struct fiber_row *row, const struct pollfd *poll_row)
{
	struct epoll_event event = {
		.events = fiber_poll_events(poll_row->events) | EPOLLET,
		.data.u64 = (uint64_t)(uintptr_t)&row->own | FIBER_EVENT_WATCH,
	};
	int fd = fcntl(poll_row->fd, F_DUPFD_CLOEXEC, 0);
	int error;

	/* of what is no descriptor poll(2) tells */
	if (fd < 0)
		return errno == EBADF ? 1 : -errno;
	row->own = (struct wait_watch){
		.flow = fiber,
		.wanted = fiber_poll_events(poll_row->events) | EPOLLERR | EPOLLHUP,
	};
	if (epoll_ctl(fiber->thread->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) {
		row->watch = &row->own;
		row->fd = fd;
		return 0;
	}
	error = errno;
	(void)close(fd);
	/* files are always ready */
	return error == EPERM ? 1 : -error;
}

/* 1: one of the rows may be ready without waiting; 0, or a negative errno. */
static int
fiber_poll_begin(struct hd_request *req, struct fiber_row *rows, const struct pollfd *fds,
		 unsigned count)
{
	struct fiber *fiber = req->watch.flow;
	bool is_ready = false;
	int r = 0;

	for (unsigned i = 0; i < count; i++)
		rows[i] = (struct fiber_row){.fd = -1};
	for (unsigned i = 0; i < count && r >= 0; i++) {
		struct hd_request *owner;

		if (fds[i].fd < 0 && fds[i].fd != HD_CLIENT)
			continue;
		/* of a datagram nothing more comes than what hd_poll has looked at */
		if (fds[i].fd == HD_CLIENT && req->kind == REQUEST_DATAGRAM)
			continue;
		owner = fiber_poll_find(req, fds[i].fd);
		rows[i].watch = owner != NULL ? &owner->watch : NULL;
		r = owner != NULL ? fiber_poll_share(owner, &fds[i])
				  : fiber_poll_add(fiber, &rows[i], &fds[i]);
		is_ready = is_ready || r > 0 ||
			   (rows[i].watch != NULL &&
			    (rows[i].watch->ready & rows[i].watch->wanted) != 0);
	}
	return r < 0 ? r : is_ready;
}

static bool
fiber_poll_is_ready(const struct fiber_row *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (rows[i].watch != NULL && (rows[i].watch->ready & rows[i].watch->wanted) != 0)
			return true;
	}
	return false;
}

static void
fiber_poll_end(struct fiber *fiber, struct fiber_row *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (rows[i].watch != NULL && rows[i].watch != &rows[i].own)
			rows[i].watch->wanted = 0;
		if (rows[i].fd < 0)
			continue;
		(void)epoll_ctl(fiber->thread->epoll_fd, EPOLL_CTL_DEL, rows[i].fd, NULL);
		(void)close(rows[i].fd);
	}
}

/* What there is now, without waiting. What was told of a socket and is no more is forgotten. */
static int
fiber_poll_ask(struct hd_request *req, const struct fiber_row *rows, struct pollfd *fds,
	       unsigned count)
{
	int n;

	for (unsigned i = 0; i < count; i++) {
		if (fds[i].fd == HD_CLIENT && req->kind != REQUEST_DATAGRAM)
			fds[i].fd = req->mailbox != NULL ? req->mailbox->event_fd : req->fd;
		if (rows != NULL && rows[i].fd >= 0)
			fds[i].fd = rows[i].fd;
		if (rows != NULL && rows[i].watch != NULL)
			rows[i].watch->ready &=
				~(fiber_poll_events(fds[i].events) & (EPOLLIN | EPOLLOUT));
	}
	do {
		n = poll(fds, count, 0);
	} while (n < 0 && errno == EINTR);
	for (unsigned i = 0; i < count && rows != NULL; i++) {
		if (rows[i].watch != NULL)
			rows[i].watch->ready |=
				fiber_poll_events(fds[i].revents) & (EPOLLIN | EPOLLOUT);
	}
	return n < 0 ? -errno : n;
}

/* The rows with the descriptors that the caller gave. */
static void
fiber_poll_restore(struct pollfd *fds, const struct pollfd *given, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fds[i].fd = given[i].fd;
}

static int
fiber_poll_wait(struct hd_request *req, struct fiber_row *rows, struct pollfd *fds,
		const struct pollfd *given, unsigned count, bool is_wakeable, int64_t deadline_ns)
{
	struct fiber *fiber = req->watch.flow;
	int n = fiber_poll_begin(req, rows, fds, count);
	bool is_late = false;

	while (n >= 0) {
		bool is_ready = n > 0 || fiber_poll_is_ready(rows, count);

		n = 0;
		if (is_ready) {
			n = fiber_poll_ask(req, rows, fds, count);
			fiber_poll_restore(fds, given, count);
		}
		if (n != 0 || is_late || atomic_load(&req->is_cancelled) ||
		    (is_wakeable && atomic_load(&req->is_woken)))
			break;
		fiber_park(fiber, deadline_ns);
		is_late = fiber->is_late;
	}
	fiber_poll_end(fiber, rows, count);
	return n;
}

int
fiber_poll(struct hd_request *req, struct pollfd *fds, unsigned count, bool is_wakeable,
	   int timeout_ms)
{
	struct fiber_row few[FIBER_POLL_FEW], *rows = few;
	struct pollfd few_given[FIBER_POLL_FEW], *given = few_given;
	int64_t deadline_ns =
		timeout_ms < 0 ? FIBER_NEVER : clock_now_ns() + timeout_ms * CLOCK_NS_PER_MS;
	void *many = NULL;
	int n;

	for (unsigned i = 0; i < count; i++)
		fds[i].revents = 0;
	if (count > FIBER_POLL_FEW) {
		many = calloc(count, sizeof(*rows) + sizeof(*given));
		if (many == NULL)
			return -ENOMEM;
		rows = many;
		given = (struct pollfd *)(rows + count);
	}
	for (unsigned i = 0; i < count; i++)
		given[i] = fds[i];
	if (timeout_ms == 0) {
		n = fiber_poll_ask(req, NULL, fds, count);
		fiber_poll_restore(fds, given, count);
	} else {
		n = fiber_poll_wait(req, rows, fds, given, count, is_wakeable, deadline_ns);
	}
	free(many);
	if (n > 0 || timeout_ms == 0)
		wait_spend(req);
	return n;
}
