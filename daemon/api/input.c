/*
 * input.c - the calls that read: straight from the socket, or first what a line or a stdio stream
 * has read ahead.
 */
#include <errno.h>
#include <handlerd/socket.h>
#include <stdlib.h>
#include <string.h>

#include "api/request.h"
#include "api/server.h"
#include "api/stream.h"

#define STREAM_INPUT_SIZE 4096

int
stream_prepare_input(struct hd_request *req)
{
	if (req->buffered == 0)
		return 0;
	atomic_store(&req->has_partial, (req->buffered & REQUEST_HAS_INPUT) != 0);
	return (req->buffered & REQUEST_HAS_READER) != 0 ? file_take_read_ahead(req) : 0;
}

/* Takes bytes that were received before; 0 if there are none. */
static size_t
stream_take_input(struct hd_request *req, void *buf, size_t size)
{
	struct request_buffer *in = &req->input;
	size_t n = in->end - in->start;

	if ((req->buffered & REQUEST_HAS_INPUT) == 0)
		return 0;
	if (n > size)
		n = size;
	memcpy(buf, in->data + in->start, n);
	in->start += n;
	if (in->start == in->end) {
		in->start = in->end = 0;
		req->buffered &= ~REQUEST_HAS_INPUT;
		atomic_store(&req->has_partial, false);
	}
	return n;
}

static void
stream_note_input(struct hd_request *req)
{
	req->buffered |= REQUEST_HAS_INPUT;
	atomic_store(&req->has_partial, true);
}

/* Makes room for `before` bytes in front of the input and `behind` after it. */
static int
stream_reserve(struct hd_request *req, size_t before, size_t behind)
{
	struct request_buffer *in = &req->input;
	size_t length = in->end - in->start, room;
	unsigned char *data;

	if (in->start >= before && in->room - in->end >= behind)
		return 0;
	if (__builtin_add_overflow(length, before, &room) ||
	    __builtin_add_overflow(room, behind, &room))
		return -ENOMEM;
	if (room <= in->room) {
		memmove(in->data + before, in->data + in->start, length);
	} else {
		room = room < STREAM_INPUT_SIZE ? STREAM_INPUT_SIZE : room;
		if (!request_take_memory(req, room - in->room))
			return -ENOMEM;
		data = malloc(room);
		if (data == NULL) {
			request_give_memory(req, room - in->room);
			return -ENOMEM;
		}
		if (length > 0)
			memcpy(data + before, in->data + in->start, length);
		free(in->data);
		in->data = data;
		in->room = room;
	}
	in->start = before;
	in->end = before + length;
	return 0;
}

int
stream_put_back(struct hd_request *req, const void *buf, size_t size)
{
	struct request_buffer *in = &req->input;

	if (size == 0)
		return 0;
	if (stream_reserve(req, size, 0) < 0)
		return -ENOMEM;
	in->start -= size;
	memcpy(in->data + in->start, buf, size);
	stream_note_input(req);
	return 0;
}

ssize_t
hd_recv(struct hd_request *req, void *buf, size_t size)
{
	if (req->buffered != 0) {
		int r = stream_prepare_input(req);
		size_t n;

		if (r < 0)
			return r;
		n = stream_take_input(req, buf, size);
		if (n > 0)
			return (ssize_t)n;
	}
	return size == 0 ? 0 : stream_receive(req, buf, size);
}

ssize_t
hd_recvfrom(struct hd_request *req, void *buf, size_t size, struct sockaddr *addr, socklen_t *len)
{
	ssize_t n = hd_recv(req, buf, size);

	if (n >= 0 && addr != NULL && len != NULL) {
		memcpy(addr, &req->client, *len < req->client_length ? *len : req->client_length);
		*len = req->client_length;
	}
	return n;
}

/* Receives more behind what is there. Bytes, 0 at the end, negative errno. */
static ssize_t
stream_fill(struct hd_request *req, size_t most)
{
	struct request_buffer *in = &req->input;
	ssize_t n;

	/* a datagram has given all it has; one of a peer's is taken whole */
	if (req->kind == REQUEST_DATAGRAM)
		return stream_receive(req, NULL, 0);
	if (req->kind == REQUEST_PEER)
		most = req->server->max_datagram;
	if (stream_reserve(req, 0, most) < 0)
		return -ENOMEM;
	n = stream_receive(req, in->data + in->end, most);
	if (n > 0) {
		in->end += (size_t)n;
		stream_note_input(req);
	}
	return n;
}

ssize_t
stream_read(struct hd_request *req, void *buf, size_t size)
{
	size_t had = stream_take_input(req, buf, size);
	ssize_t n;

	if (had > 0)
		return (ssize_t)had;
	if (req->kind != REQUEST_PEER)
		return stream_receive(req, buf, size);
	n = stream_fill(req, 0);
	return n > 0 ? (ssize_t)stream_take_input(req, buf, size) : n;
}

ssize_t
hd_recvall(struct hd_request *req, void *buf, size_t size)
{
	size_t have = 0;
	int prepared = stream_prepare_input(req);

	if (prepared < 0)
		return prepared;
	while (have < size) {
		ssize_t n = stream_read(req, (char *)buf + have, size - have);

		if (n < 0) {
			int r = stream_put_back(req, buf, have);

			return r < 0 ? r : n;
		}
		if (n == 0)
			break;
		have += (size_t)n;
		atomic_store(&req->has_partial, have < size);
	}
	atomic_store(&req->has_partial, (req->buffered & REQUEST_HAS_INPUT) != 0);
	return (ssize_t)have;
}

static ssize_t
stream_take_line(struct hd_request *req, char *buf, size_t length)
{
	(void)stream_take_input(req, buf, length);
	buf[length] = '\0';
	return (ssize_t)length;
}

ssize_t
hd_readline(struct hd_request *req, char *buf, size_t size)
{
	struct request_buffer *in = &req->input;
	size_t seen = 0;
	int r;

	if (size < 2)
		return -EINVAL;
	r = stream_prepare_input(req);
	if (r < 0)
		return r;
	for (;;) {
		size_t have = in->end - in->start;
		size_t look = have < size - 1 ? have : size - 1;
		const unsigned char *end = NULL;
		ssize_t n;

		if (look > seen)
			end = memchr(in->data + in->start + seen, '\n', look - seen);
		if (end != NULL)
			return stream_take_line(req, buf,
						(size_t)(end - (in->data + in->start)) + 1);
		if (look == size - 1)
			return -EMSGSIZE;
		seen = look;
		n = stream_fill(req, STREAM_INPUT_SIZE);
		if (n < 0)
			return n;
		if (n == 0)
			return stream_take_line(req, buf, have);
	}
}
