/*
 * acceptor.h - accepting, the same in every mode.
 *
 * A listening socket is one open file description shared by generations and children, so it is
 * always non-blocking. A flow waits in an epoll that is its alone at the time, in which the
 * listeners stand with EPOLLEXCLUSIVE (one connection wakes one flow) beside the events of pausing
 * and draining.
 */
#ifndef CONCURRENCY_ACCEPTOR_H
#define CONCURRENCY_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "concurrency/concurrency.h"

/* How long a flow waits for a token of limits.rate before it looks again: one may have been given
 * back. */
#define ACCEPTOR_LOOK_NS CLOCK_NS_PER_S

struct acceptor {
	struct concurrency *mode; /* not owned */
	int epoll_fd;
	size_t next;	  /* the socket to try first */
	bool is_unsure;	  /* something may wait that waiting does not tell: look at all sockets */
	bool is_refusing; /* what is taken is not served: older generations do not matter */
	int64_t until_ns; /* after EDQUOT: when limits.rate allows the next one */
	/* Datagrams are taken several at a time, into here; NULL: they are not. Not owned. */
	struct intake_batch *batch;
};

/* 0 or a negative errno. After a fork the child opens its own. */
int acceptor_open(struct acceptor *acceptor, struct concurrency *mode);
void acceptor_close(struct acceptor *acceptor);

/* Waits until flows may accept for the first time. Returns false if draining began before. */
bool acceptor_wait_open(const struct concurrency *mode);

/* Waits while the listener is paused: to be called for as long as concurrency_is_paused. Returns
 * false if draining began. */
bool acceptor_hold(const struct concurrency *mode);

/* Whether draining has begun, in this process or in that which has forked it. */
bool acceptor_is_draining(const struct concurrency *mode);

/* How many sockets one attempt looks at, from `next` on: one that is ready is told by waiting. */
size_t acceptor_reach(const struct acceptor *acceptor);

/* Accepts a connection without waiting: a blocking, close-on-exec descriptor. -EAGAIN when there is
 * none; -EUSERS while older generations hold the rest of the limit, -EMFILE and the like
 * (acceptor_is_shortage) when it must be tried later. */
int acceptor_take(struct acceptor *acceptor, struct sockaddr_storage *ret_client,
		  socklen_t *ret_length);

/* Whether a listening socket can no more be accepted from: the handler has shut it down or closed
 * it. Only a new worker can mend that. Told in the log. */
bool acceptor_is_broken(const struct concurrency *mode);

/* Waits for a connection, at most timeout_ms (-1: for ever). Returns 1 when there may be one, or
 * the listener was paused, 0 after the timeout, -ECANCELED when draining began; another negative
 * errno when nothing can be waited for any more, see acceptor_lose. */
int acceptor_wait(struct acceptor *acceptor, int timeout_ms);

bool acceptor_is_shortage(int error);
/* After a shortage, so long until it is worth trying again. Tells of it in the log. */
int64_t acceptor_tell_shortage(const struct concurrency *mode, int error);
/* The same where a connection that was accepted cannot be waited for. */
int64_t acceptor_tell_no_wait(const struct concurrency *mode, int error);
/* Nothing can be waited for any more: only a new worker can mend that. The first tells of it in the
 * log, the second also has the control flow end this worker, and returns when draining began. */
void acceptor_tell_lost(const struct concurrency *mode, int error);
void acceptor_lose(struct concurrency *mode, int error);
/* Waits until it is worth trying again: after EUSERS for a connection that ends, after EDQUOT until
 * until_ns or a second, after a shortage 100 ms (told once in 10 s); or until the listener is
 * paused, or draining begins. */
void acceptor_pause(struct acceptor *acceptor, int error);

#endif
