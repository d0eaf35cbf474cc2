/*
 * stream.c - the socket methods of a connection.
 *
 * The straight way is one system call: hd_recv is recv(2), hd_sendall is send(2). Only when
 * something is buffered (a line read ahead, printed output, a stdio stream) do the calls look
 * further.
 */
#include "api/stream.h"

#include <errno.h>
#include <handlerd/socket.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "api/mailbox.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/server.h"
#include "api/wait.h"
#include "net/quick.h"

#define STREAM_OUTPUT_SIZE 4096
/* Of a request's watch: a call that takes less than it might can be followed by one that takes
 * more. */
#define STREAM_TELLS_MORE ((uint32_t)(POLLPRI | POLLERR | POLLHUP | POLLRDHUP))

/* Whether a wait for input must end now because the request is idle in a draining worker. */
static bool
stream_must_not_wait(const struct hd_request *req)
{
	/* not before what hd_set_idle has stored: one of the two sees the other */
	return atomic_load(&req->server->is_draining) &&
	       atomic_load_explicit(&req->is_idle, memory_order_relaxed) &&
	       !atomic_load_explicit(&req->has_partial, memory_order_relaxed) &&
	       !request_is_fresh(req);
}

/* Beyond its bytes, which are in the input, a datagram has nothing. */
static ssize_t
stream_receive_datagram(struct hd_request *req, void *buf, size_t size)
{
	if (req->kind == REQUEST_PEER)
		return mailbox_receive(req, buf, size);
	req->is_end_seen = true;
	return 0;
}

/*
 * After less than was asked for, nothing more is there, and of what comes next the kernel tells
 * anew; so the next call need not try first. That holds for TCP, but where the end, an error or
 * urgent data is told: urgent data, too, makes a call return early.
 */
static void
stream_note_received(struct hd_request *req, bool is_short)
{
	if (is_short && req->runs_dry && (req->watch.ready & STREAM_TELLS_MORE) == 0) {
		req->watch.ready &= ~(uint32_t)POLLIN;
		req->is_dry = true;
	}
	wait_spend(req);
}

static ssize_t
stream_receive_bytes(struct hd_request *req, void *buf, size_t size)
{
	for (;;) {
		bool must_not_wait = stream_must_not_wait(req);
		ssize_t n;
		int r;

		if (atomic_load_explicit(&req->is_cancelled, memory_order_relaxed))
			return request_note_error(req, -ECANCELED);
		/* trying would only tell what is known */
		if (req->is_dry && !must_not_wait && req->io_flags == 0) {
			r = req->server->waiter->wait_ready(req, POLLIN);
			if (r < 0)
				return request_note_error(req, r);
			req->is_dry = false;
			continue;
		}
		n = quick_recv(req->fd, buf, size, must_not_wait ? MSG_DONTWAIT : req->io_flags);
		if (n > 0) {
			if (req->bytes_in == 0)
				atomic_store(&req->is_silent, false);
			request_count_in(req, (uint64_t)n);
			stream_note_received(req, (size_t)n < size);
			return n;
		}
		if (n == 0) {
			/* our own shutdown looks like the client's end of file */
			if (atomic_load(&req->is_cancelled) || atomic_load(&req->is_shut_read))
				return request_note_error(req, -ECANCELED);
			req->is_end_seen = true;
			return 0;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return request_note_error(req, -errno);
		if (must_not_wait)
			return request_note_error(req, -ECANCELED);
		/* what was told until now is used up */
		req->watch.ready &= (uint32_t)POLLOUT;
		r = req->server->waiter->wait_ready(req, POLLIN);
		if (r < 0)
			return request_note_error(req, r);
	}
}

ssize_t
stream_receive(struct hd_request *req, void *buf, size_t size)
{
	ssize_t n;

	/* not before: lines that came together are answered together */
	if ((req->buffered & (REQUEST_HAS_OUTPUT | REQUEST_HAS_WRITER)) != 0) {
		int r = stream_flush(req);

		if (r < 0)
			return r;
	}
	if (req->kind != REQUEST_STREAM)
		return stream_receive_datagram(req, buf, size);
	if (req->is_paced) {
		n = pace_wait(req, PACE_IN, size);
		if (n < 0)
			return n;
		size = (size_t)n;
	}
	request_show_waits(req, SCOREBOARD_WAITS_INPUT);
	n = stream_receive_bytes(req, buf, size);
	request_show_waits(req, 0);
	if (req->is_paced && n > 0)
		pace_spend(req, PACE_IN, (size_t)n);
	return n;
}

int
stream_await_output(struct hd_request *req)
{
	int r;

	if (errno == EINTR)
		return 0;
	if (errno == EPIPE && atomic_load(&req->is_cancelled))
		return request_note_error(req, -ECANCELED);
	if (errno != EAGAIN)
		return request_note_error(req, -errno);
	req->watch.ready &= ~(uint32_t)(POLLOUT | POLLERR | POLLHUP);
	r = wait_for_output(req);
	return r < 0 ? request_note_error(req, r) : 0;
}

static ssize_t
stream_send_bytes(struct hd_request *req, const struct iovec *iov, int count)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov,
			     .msg_iovlen = (size_t)(count > IOV_MAX ? IOV_MAX : count)};
	int flags = MSG_NOSIGNAL | req->io_flags | req->server->send_flags;

	for (;;) {
		ssize_t n;
		int r;

		if (atomic_load_explicit(&req->is_cancelled, memory_order_relaxed))
			return request_note_error(req, -ECANCELED);
		if (count == 1)
			n = quick_send(req->fd, iov->iov_base, iov->iov_len, flags);
		else
			n = sendmsg(req->fd, &msg, flags);
		if (n >= 0) {
			request_count_out(req, (uint64_t)n);
			wait_spend(req);
			return n;
		}
		r = stream_await_output(req);
		if (r < 0)
			return r;
	}
}

/* As much as limits.send_rate allows now: so many of the pieces, or a part of the first. */
static ssize_t
stream_send_paced(struct hd_request *req, const struct iovec *iov, int count)
{
	struct iovec first = iov[0];
	size_t size = 0;
	ssize_t n;
	int whole = 0;

	for (int i = 0; i < count; i++) {
		if (__builtin_add_overflow(size, iov[i].iov_len, &size))
			size = SIZE_MAX / 2;
	}
	n = pace_wait(req, PACE_OUT, size);
	if (n < 0)
		return n;
	for (size = (size_t)n; whole < count && iov[whole].iov_len <= size; whole++)
		size -= iov[whole].iov_len;
	if (whole == 0)
		first.iov_len = size;
	request_show_waits(req, SCOREBOARD_WAITS_OUTPUT);
	n = whole > 0 ? stream_send_bytes(req, iov, whole) : stream_send_bytes(req, &first, 1);
	request_show_waits(req, 0);
	if (n > 0)
		pace_spend(req, PACE_OUT, (size_t)n);
	return n;
}

/* Sends some, past all buffers. */
static ssize_t
stream_send(struct hd_request *req, const struct iovec *iov, int count)
{
	ssize_t n;

	if (req->kind != REQUEST_STREAM)
		return req->kind == REQUEST_PEER ? reply_send(req, iov, count)
						 : reply_add(req, iov, count);
	if (req->is_paced)
		return stream_send_paced(req, iov, count);
	request_show_waits(req, SCOREBOARD_WAITS_OUTPUT);
	n = stream_send_bytes(req, iov, count);
	request_show_waits(req, 0);
	return n;
}

int
stream_send_all(struct hd_request *req, struct iovec *iov, int count)
{
	while (count > 0) {
		ssize_t n = stream_send(req, iov, count);

		if (n < 0)
			return (int)n;
		while (count > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			count--;
		}
		if (count > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

/* Sends what hd_printf has gathered; on an error it is forgotten: it cannot be sent twice. */
static int
stream_flush_output(struct hd_request *req)
{
	struct request_buffer *out = &req->output;
	struct iovec iov = {.iov_base = out->data, .iov_len = out->end};

	if ((req->buffered & REQUEST_HAS_OUTPUT) == 0)
		return 0;
	req->buffered &= ~REQUEST_HAS_OUTPUT;
	out->end = 0;
	return stream_send_all(req, &iov, 1);
}

int
stream_flush(struct hd_request *req)
{
	/* at most one of the two holds bytes: each is flushed before the other is written to */
	if ((req->buffered & REQUEST_HAS_WRITER) != 0) {
		int r = file_flush_writer(req);

		if (r < 0)
			return r;
	}
	return stream_flush_output(req);
}

/* A datagram without a byte is one all the same. */
static bool
stream_is_nothing(const struct hd_request *req, size_t size)
{
	return size == 0 && req->kind == REQUEST_STREAM;
}

ssize_t
hd_send(struct hd_request *req, const void *buf, size_t size)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = size};

	if (req->buffered != 0) {
		int r = stream_flush(req);

		if (r < 0)
			return r;
	}
	return stream_is_nothing(req, size) ? 0 : stream_send(req, &iov, 1);
}

int
hd_sendall(struct hd_request *req, const void *buf, size_t size)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = size};

	if (req->buffered != 0) {
		int r = stream_flush(req);

		if (r < 0)
			return r;
	}
	return stream_is_nothing(req, size) ? 0 : stream_send_all(req, &iov, 1);
}

int
hd_sendallv(struct hd_request *req, const struct iovec *iov, int count)
{
	/* the caller's array stays as it is: long ones go out in pieces */
	enum { PIECES = 64 };
	struct iovec piece[PIECES];
	int r;

	if (count < 0)
		return -EINVAL;
	r = stream_flush(req);
	if (r == 0 && req->kind != REQUEST_STREAM) {
		/* all in one datagram */
		ssize_t n = stream_send(req, iov, count);

		return n < 0 ? (int)n : 0;
	}
	for (int i = 0; i < count && r == 0; i += PIECES) {
		int n = count - i < PIECES ? count - i : PIECES;
		int used = 0;

		for (int j = 0; j < n; j++) {
			if (iov[i + j].iov_len > 0)
				piece[used++] = iov[i + j];
		}
		r = stream_send_all(req, piece, used);
	}
	return r;
}

static int stream_print_long(struct hd_request *req, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
static int stream_vprintf(struct hd_request *req, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Sends text that is too long for the output buffer. */
static int
stream_print_long(struct hd_request *req, const char *format, va_list args)
{
	char *text = NULL;
	int n = vasprintf(&text, format, args);
	int r;

	if (n < 0)
		return -ENOMEM;
	r = hd_sendall(req, text, (size_t)n);
	free(text);
	return r;
}

static int
stream_vprintf(struct hd_request *req, const char *format, va_list args)
{
	struct request_buffer *out = &req->output;
	va_list again;
	int n, r;

	if ((req->buffered & REQUEST_HAS_WRITER) != 0) {
		r = file_flush_writer(req);
		if (r < 0)
			return r;
	}
	/* nothing printed is a reply too */
	if (req->kind == REQUEST_DATAGRAM && !req->has_reply) {
		r = (int)reply_add(req, NULL, 0);
		if (r < 0)
			return r;
	}
	if (out->data == NULL) {
		if (!request_take_memory(req, STREAM_OUTPUT_SIZE))
			return -ENOMEM;
		out->data = malloc(STREAM_OUTPUT_SIZE);
		if (out->data == NULL) {
			request_give_memory(req, STREAM_OUTPUT_SIZE);
			return -ENOMEM;
		}
		out->room = STREAM_OUTPUT_SIZE;
	}
	va_copy(again, args);
	n = vsnprintf((char *)out->data + out->end, out->room - out->end, format, again);
	va_end(again);
	if (n < 0)
		return -errno;
	if ((size_t)n >= out->room - out->end) {
		if ((size_t)n >= out->room && !request_take_memory(req, (size_t)n + 1))
			return -ENOMEM;
		if ((size_t)n >= out->room) {
			r = stream_print_long(req, format, args);
			request_give_memory(req, (size_t)n + 1);
			return r;
		}
		r = stream_flush_output(req);
		if (r < 0)
			return r;
		(void)vsnprintf((char *)out->data, out->room, format, args);
	}
	out->end += (size_t)n;
	if (out->end > 0)
		req->buffered |= REQUEST_HAS_OUTPUT;
	return 0;
}

int
hd_printf(struct hd_request *req, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = stream_vprintf(req, format, args);
	va_end(args);
	return r;
}

int
hd_flush(struct hd_request *req)
{
	return stream_flush(req);
}

int
hd_shutdown_write(struct hd_request *req)
{
	int r = stream_flush(req);

	if (r < 0)
		return r;
	if (req->kind == REQUEST_STREAM && shutdown(req->fd, SHUT_WR) < 0)
		return request_note_error(req, errno == ENOTCONN ? -ECONNRESET : -errno);
	req->is_write_shut = true;
	return 0;
}
