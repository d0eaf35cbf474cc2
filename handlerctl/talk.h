/*
 * talk.h - a connection to the daemon's control socket: lines go out, lines come back.
 * handlerctl(8) has the protocol.
 */
#ifndef HANDLERCTL_TALK_H
#define HANDLERCTL_TALK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The longest line that the daemon reads, and that is read from it; the newline counts. */
#define TALK_ANSWER_MOST ((size_t)16 * 1024 * 1024)

/* How long a daemon may take to accept, and to answer what it answers at once. */
#define TALK_PATIENCE_MS 30000

struct talk {
	int fd;
	struct buf heard;
	size_t taken;	 /* bytes of `heard` that were handed out */
	size_t searched; /* bytes of `heard` that hold no newline */
};

/* Connects. 0 or a negative errno; -EAGAIN: nobody accepted in time. talk_close in any case. */
int talk_open(struct talk *talk, const char *path);

/* Sends the text and a newline. A peer that has gone is no error: what it said before can still be
 * heard. 0 or a negative errno. */
int talk_say(struct talk *talk, const char *text);

/*
 * The next line, without its newline, valid until the next call. 0, -ENODATA when no whole line
 * comes any more, -EMSGSIZE for a line that is too long, -ETIMEDOUT at the deadline (monotonic), or
 * another negative errno.
 */
int talk_hear(struct talk *talk, int64_t deadline_ns, const char **ret_line, size_t *ret_length);

void talk_close(struct talk *talk);

#endif
