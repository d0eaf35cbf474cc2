/*
 * message.h - lines that many members share, and the queue in which they wait for one of them.
 *
 * A line that is said to ten thousand members is one message; each of their queues has a reference
 * to it. Queues are guarded by whoever owns them; references are counted without a lock.
 */
#ifndef CHAT_MESSAGE_H
#define CHAT_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct message {
	_Atomic unsigned references; /* freed with the last one */
	size_t length;
	char text[]; /* never changed */
};

/* A line with one reference, the caller's; NULL where there is no memory. */
struct message *message_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void message_hold(struct message *message);
/* Gives back one reference. NULL is none. */
void message_release(struct message *message);

struct queue {
	struct message **ring; /* owned, and a reference to each message in it */
	unsigned first, count, room;
	size_t offset;	      /* what has been sent of the first one */
	size_t bytes;	      /* what they cost together */
	unsigned long missed; /* lines that found it full, and were dropped */
};

void queue_destroy(struct queue *queue);

/* Puts a reference of its own to a message at the end, if the queue then costs `most` bytes at
 * most. Returns 1 if it was empty before, 0 if not, -ENOBUFS if it is full, and -ENOMEM. Once a
 * line was missed, all are until the queue is empty: it has one gap, at its end. */
int queue_put(struct queue *queue, struct message *message, size_t most);

/* Copies the beginning of what waits. Returns the number of bytes. */
size_t queue_copy(const struct queue *queue, char *buf, size_t size);

/* Takes out so many bytes of the beginning. */
void queue_advance(struct queue *queue, size_t size);

#endif
