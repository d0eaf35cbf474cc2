/*
 * channel.h - sends and receives the messages of protocol.h; every length is checked here.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "ipc/protocol.h"

/* A new channel: two ends, non-blocking and close-on-exec. 0 or a negative errno. */
int channel_open(int ret_ends[2]);

/* Sends one message, in one packet. Does not wait: -EAGAIN when the other side does not read;
 * -EPIPE when it is gone; -EMSGSIZE for a payload that is too long. */
int channel_send(int fd, uint32_t generation, enum protocol_type type, const struct buf *payload);
/* The same to a process that speaks this version. */
int channel_send_version(int fd, uint16_t version, uint32_t generation, enum protocol_type type,
			 const struct buf *payload);

/* The same with a descriptor, which stays the caller's. */
int channel_send_fd(int fd, uint32_t generation, enum protocol_type type, const struct buf *payload,
		    int passed_fd);

struct channel_message {
	uint16_t version; /* PROTOCOL_OLDEST to PROTOCOL_VERSION */
	enum protocol_type type;
	uint32_t generation;
	struct buf_reader payload; /* into `bytes` */
	unsigned char bytes[PROTOCOL_MESSAGE_SIZE];
};

/* What is next. */
enum channel_next {
	CHANNEL_NOTHING, /* what comes after the look is not what was looked at */
	CHANNEL_CLEAN,	 /* a message without descriptors, or the end of file */
	CHANNEL_FDS,	 /* one with descriptors */
};

/* Looks at the next message and leaves it where it is, so that nobody has to close what comes with
 * it. Who is not to receive descriptors receives after CHANNEL_CLEAN only. Or a negative errno. */
int channel_look(int fd);

/* As recv(2) of any Unix socket that does not wait; -EPERM: descriptors are next, and stay there.
 */
ssize_t channel_receive_bytes(int fd, void *bytes, size_t size);

/* Receives one message. Returns 1; 0 at end of file; -EAGAIN when there is none; -EBADMSG for one
 * that is no message of a version we speak (it is consumed); another negative errno. Does not wait.
 */
int channel_receive(int fd, struct channel_message *ret);

/* As channel_receive, from one who may pass a descriptor: the caller's from now on; -1: none. */
int channel_receive_fd(int fd, struct channel_message *ret, int *ret_fd);

#endif
