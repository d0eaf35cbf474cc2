/*
 * reply.h - what leaves for the sender of a datagram: one reply, gathered while the handler runs;
 * or, for a peer with a request of its own, each piece at once. And what may not leave.
 */
#ifndef API_REPLY_H
#define API_REPLY_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct hd_request;

/* An IPv4 and a UDP header: what a datagram without a byte costs. */
#define REPLY_HEADER_SIZE 28

/* Adds to the one reply of a datagram. Bytes; -EMSGSIZE when it would get too long, and stays as it
 * was; -EPIPE after hd_shutdown_write; -ENOMEM. */
ssize_t reply_add(struct hd_request *req, const struct iovec *iov, int count);

/* Sends one datagram to a peer at once. Bytes or a negative errno; what may not leave counts as
 * sent, as what the network loses does. */
ssize_t reply_send(struct hd_request *req, const struct iovec *iov, int count);

/* Sends the one reply of a datagram, if there is one. Never waits. */
void reply_finish(struct hd_request *req);

#endif
