/*
 * direction.c - one of the two directions of a proxied connection: through a buffer, or, when much
 * goes through it, through a pipe in the kernel.
 *
 * No call waits. A direction whose receiver is slow holds what it has and asks for no more; the
 * other one goes on.
 */
#include "direction.h"

#include <errno.h>
#include <fcntl.h>
#include <handlerd/handler.h>
#include <unistd.h>

/* Full buffers in a row after which it splices, and pieces less than a quarter of one after which
 * it copies again. The figures are in the README. */
#define DIRECTION_FULL_IN_A_ROW 4
#define DIRECTION_SMALL_IN_A_ROW 16

/* What a pipe is asked to hold, and what it must. The kernel has so much for all pipes of a user,
 * and then gives out such as hold two pages, through which moving costs more than copying. */
#define DIRECTION_PIPE_SIZE (256 * 1024)
#define DIRECTION_PIPE_LEAST (64 * 1024)

void
direction_open(struct direction *direction, struct hd_request *from, struct hd_request *to,
	       void *data, size_t room, bool can_splice)
{
	*direction = (struct direction){
		.from = from,
		.to = to,
		.data = data,
		.room = room,
		.pipe = {-1, -1},
		.can_splice = can_splice,
	};
}

void
direction_close(struct direction *direction)
{
	for (int i = 0; i < 2; i++) {
		if (direction->pipe[i] >= 0)
			(void)close(direction->pipe[i]);
		direction->pipe[i] = -1;
	}
}

static size_t
direction_holds(const struct direction *direction)
{
	return direction->end - direction->start + direction->piped;
}

bool
direction_wants_input(const struct direction *direction)
{
	return !direction->is_at_end && direction_holds(direction) == 0;
}

bool
direction_wants_output(const struct direction *direction)
{
	return !direction->is_over && direction_holds(direction) > 0;
}

/* splice(2) waits for a socket that is not O_NONBLOCK, whatever its flags say. Until the connection
 * ends all other calls have a timeout of 0, to which this makes no difference. */
static int
direction_unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int
direction_open_pipe(struct direction *direction)
{
	int size;

	if (pipe2(direction->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	size = fcntl(direction->pipe[1], F_SETPIPE_SZ, DIRECTION_PIPE_SIZE);
	if (size < 0)
		size = fcntl(direction->pipe[1], F_GETPIPE_SZ);
	return size < DIRECTION_PIPE_LEAST ? -ENOBUFS : 0;
}

/* Where it cannot be had, it goes on copying. */
static void
direction_begin_splicing(struct direction *direction)
{
	if (direction_unblock(hd_fd(direction->from)) < 0 ||
	    direction_unblock(hd_fd(direction->to)) < 0 || direction_open_pipe(direction) < 0) {
		direction_close(direction);
		direction->can_splice = false;
		return;
	}
	direction->splices = true;
}

static void
direction_end_splicing(struct direction *direction)
{
	direction_close(direction);
	direction->splices = false;
}

/* Chooses the way of the next piece by the size of those before. Nothing may be held. */
static void
direction_choose(struct direction *direction, size_t size)
{
	bool is_for_other =
		direction->splices ? size < direction->room / 4 : size == direction->room;

	direction->in_a_row = is_for_other ? direction->in_a_row + 1 : 0;
	if (direction->splices && direction->in_a_row == DIRECTION_SMALL_IN_A_ROW)
		direction_end_splicing(direction);
	else if (!direction->splices && direction->can_splice &&
		 direction->in_a_row == DIRECTION_FULL_IN_A_ROW)
		direction_begin_splicing(direction);
	else
		return;
	direction->in_a_row = 0;
}

static ssize_t
direction_splice(int from, int to, size_t size)
{
	ssize_t n;

	do {
		n = splice(from, NULL, to, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return n;
}

/* Takes in one piece; nothing is held. Bytes, 0 at the end, -ETIMEDOUT when nothing is
 * there, or what failed. */
static ssize_t
direction_receive(struct direction *direction)
{
	ssize_t n;

	direction_choose(direction, direction->last);
	if (direction->splices) {
		n = direction_splice(hd_fd(direction->from), direction->pipe[1],
				     DIRECTION_PIPE_SIZE);
		if (n > 0)
			direction->piped = (size_t)n;
		/* not every socket can; and at an end only handlerd knows whose it is */
		if (n != 0 && n != -EINVAL)
			return n;
		direction_end_splicing(direction);
		direction->can_splice = false;
	}
	n = hd_recv(direction->from, direction->data, direction->room);
	direction->start = 0;
	direction->end = n > 0 ? (size_t)n : 0;
	return n;
}

/* Gives out some of what is held. */
static ssize_t
direction_send(struct direction *direction)
{
	ssize_t n;

	if (direction->piped > 0) {
		n = direction_splice(direction->pipe[0], hd_fd(direction->to), direction->piped);
		if (n > 0)
			direction->piped -= (size_t)n;
		return n;
	}
	n = hd_send(direction->to, direction->data + direction->start,
		    direction->end - direction->start);
	if (n > 0)
		direction->start += (size_t)n;
	return n;
}

/* Gives out what is held, as far as the receiver takes it. */
static void
direction_send_all(struct direction *direction)
{
	while (direction_holds(direction) > 0 && !direction->is_over) {
		ssize_t n = direction_send(direction);

		if (n == -ETIMEDOUT)
			return;
		if (n < 0) {
			/* the receiver has gone; what it sent before may still be complete */
			direction->error = (int)n;
			direction->is_at_end = direction->is_over = true;
			return;
		}
		direction->moved += (uint64_t)n;
	}
}

static void
direction_take(struct direction *direction)
{
	ssize_t n = direction_receive(direction);

	if (n == -ETIMEDOUT)
		return;
	if (n < 0) {
		direction->error = (int)n;
		direction->is_cut = direction->is_at_end = direction->is_over = true;
		return;
	}
	direction->is_at_end = n == 0;
	direction->last = (size_t)n;
}

void
direction_move(struct direction *direction, bool is_readable, bool is_writable)
{
	bool may_send = is_writable;

	if (is_readable && direction_wants_input(direction)) {
		direction_take(direction);
		may_send = true; /* there is room, as a rule, and asking costs less than waiting */
	}
	if (may_send)
		direction_send_all(direction);
	if (direction->is_at_end && !direction->is_over && direction_holds(direction) == 0) {
		/* a receiver that has gone shows itself in the other direction */
		(void)hd_shutdown_write(direction->to);
		direction->is_over = true;
	}
}
