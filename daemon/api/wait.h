/*
 * wait.h - the one place where a handler's flow of control waits.
 *
 * A concurrency mode fills a table of functions: threads, children and serial block in the system
 * call itself.
 */
#ifndef API_WAIT_H
#define API_WAIT_H

#include <poll.h>
#include <stdint.h>

struct hd_request;

struct waiter_ops {
	/* A call on the request's socket gave EAGAIN. Returns 0 to try again, or a negative errno.
	 */
	int (*wait_ready)(struct hd_request *req, short events);
	/* The timeout of each wait becomes ms. 0 or a negative errno. */
	int (*set_timeout)(struct hd_request *req, int ms);
	/* As poll(2), but it also ends when the request is cancelled or woken: the caller looks. */
	int (*poll)(struct hd_request *req, struct pollfd *fds, unsigned count, int timeout_ms);
};

/* Waits for a descriptor, past all buffers. The events that are there, -ETIMEDOUT, -ECANCELED. In
 * wait.c. */
int wait_for_fd(struct hd_request *req, int fd, short events, int timeout_ms);

/* For flows that may block: threads, children, serial. */
extern const struct waiter_ops waiter_blocking;

#endif
