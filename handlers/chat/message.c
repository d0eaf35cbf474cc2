/*
 * message.c - lines that many members share, and the queue in which they wait for one of them.
 */
#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A short line costs as much as this: its place in the ring, and its share of the bookkeeping. With
 * it the limit in bytes bounds the ring, too. */
#define QUEUE_LEAST_COST 64
#define QUEUE_FIRST_ROOM 8

struct message *
message_format(const char *format, ...)
{
	struct message *message;
	va_list args, again;
	int length;

	va_start(args, format);
	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	message = length < 0 ? NULL : malloc(sizeof(*message) + (size_t)length + 1);
	if (message != NULL) {
		atomic_init(&message->references, 1);
		message->length = (size_t)length;
		(void)vsnprintf(message->text, (size_t)length + 1, format, args);
	}
	va_end(args);
	return message;
}

void
message_hold(struct message *message)
{
	(void)atomic_fetch_add_explicit(&message->references, 1, memory_order_relaxed);
}

void
message_release(struct message *message)
{
	if (message != NULL &&
	    atomic_fetch_sub_explicit(&message->references, 1, memory_order_acq_rel) == 1)
		free(message);
}

static size_t
message_cost(const struct message *message)
{
	return message->length > QUEUE_LEAST_COST ? message->length : QUEUE_LEAST_COST;
}

void
queue_destroy(struct queue *queue)
{
	for (unsigned i = 0; i < queue->count; i++)
		message_release(queue->ring[(queue->first + i) % queue->room]);
	free(queue->ring);
	*queue = (struct queue){0};
}

static int
queue_grow(struct queue *queue)
{
	unsigned room = queue->room == 0 ? QUEUE_FIRST_ROOM : queue->room * 2;
	struct message **ring = calloc(room, sizeof(struct message *));

	if (ring == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < queue->count; i++)
		ring[i] = queue->ring[(queue->first + i) % queue->room];
	free(queue->ring);
	queue->ring = ring;
	queue->first = 0;
	queue->room = room;
	return 0;
}

int
queue_put(struct queue *queue, struct message *message, size_t most)
{
	size_t cost = message_cost(message);

	if (queue->missed > 0 || cost > most - queue->bytes) {
		queue->missed++;
		return -ENOBUFS;
	}
	if (queue->count == queue->room && queue_grow(queue) < 0) {
		queue->missed++;
		return -ENOMEM;
	}
	message_hold(message);
	queue->ring[(queue->first + queue->count) % queue->room] = message;
	queue->bytes += cost;
	return queue->count++ == 0;
}

size_t
queue_copy(const struct queue *queue, char *buf, size_t size)
{
	size_t offset = queue->offset, used = 0;

	for (unsigned i = 0; i < queue->count && used < size; i++) {
		const struct message *message = queue->ring[(queue->first + i) % queue->room];
		size_t n = message->length - offset;

		if (n > size - used)
			n = size - used;
		memcpy(buf + used, message->text + offset, n);
		used += n;
		offset = 0;
	}
	return used;
}

void
queue_advance(struct queue *queue, size_t size)
{
	queue->offset += size;
	while (queue->count > 0) {
		struct message *message = queue->ring[queue->first];

		if (queue->offset < message->length)
			return;
		queue->offset -= message->length;
		queue->bytes -= message_cost(message);
		queue->first = (queue->first + 1) % queue->room;
		queue->count--;
		message_release(message);
	}
}
