/*
 * wait.h - the one place where a handler's flow of control waits.
 *
 * A concurrency mode fills a table of functions: threads, children and serial block in the system
 * call itself; fibers let others run meanwhile.
 */
#ifndef API_WAIT_H
#define API_WAIT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct hd_request;

struct waiter_ops {
	/* Sockets do not block: a flow that must wait lets others of its thread run. */
	bool parks;
	/* A call on the request's socket gave EAGAIN, or is known to. Returns 0 to try again, or a
	 * negative errno. */
	int (*wait_ready)(struct hd_request *req, short events);
	/* Waits for input on the request's socket, past all buffers and whatever its timeout. 1, or
	 * 0 when the deadline has passed. */
	int (*wait_input)(struct hd_request *req, int64_t deadline_ns);
	/* Waits until the request's socket takes output, or it was cancelled. 1; 0 when the
	 * deadline has passed; a negative errno. */
	int (*wait_output)(struct hd_request *req, int64_t deadline_ns);
	/* The timeout of each wait becomes ms. 0 or a negative errno. */
	int (*set_timeout)(struct hd_request *req, int ms);
	/* As poll(2), for rows of descriptors and of HD_CLIENT. It ends, too, when the request is
	 * cancelled (the caller looks, or it returns -ECANCELED) and, if it is wakeable, when
	 * `wake` is called. */
	int (*poll)(struct hd_request *req, struct pollfd *fds, unsigned count, bool is_wakeable,
		    int timeout_ms);
	/* From any flow, under the request's lock: hd_wake was called, is_woken is set. */
	void (*wake)(struct hd_request *req);
	/* From any flow, or a signal handler on the flow itself: is_cancelled is set. */
	void (*interrupt)(struct hd_request *req);
	/* The flow has had its share for now (hd_request.share); gives it the next. */
	void (*yield)(struct hd_request *req);
	/* Runs a function that blocks. 0 or a negative errno. */
	int (*offload)(struct hd_request *req, void (*run)(void *), void *argument);
	/* A request that has a watch ends; its descriptor is still open. */
	void (*forget)(struct hd_request *req);
};

/* What a mode that parks keeps for a socket. */
struct wait_watch {
	void *flow;	  /* whom to wake; not owned. Written once: others read it at any time */
	uint32_t watched; /* events that the kernel tells of; 0: it does not know the socket yet */
	uint32_t ready;	  /* told, and not yet used up */
	uint32_t wanted;  /* the flow is parked for these */
};

/* Waits for a descriptor, past all buffers. The events that are there, -ETIMEDOUT, -ECANCELED. In
 * wait.c. */
int wait_for_fd(struct hd_request *req, int fd, short events, int timeout_ms);

/* A call on the request's socket found no room for output. Returns 0 to try again, or a negative
 * errno. While it waits, it tells how much the client has not taken yet, if anybody asks. */
int wait_for_output(struct hd_request *req);

/* Before a call that cannot be told not to wait for room: it waits for a moment at most, if anybody
 * asks. */
void wait_bound_output(struct hd_request *req);

/* Waits for that moment. 0 or -ECANCELED. */
int wait_until(struct hd_request *req, int64_t until_ns);

/* Has the flow used up its share of system calls that did not wait, others get their turn. */
void wait_spend(struct hd_request *req);

/* For flows that may block: threads, children, serial. In wait_blocking.c. */
extern const struct waiter_ops waiter_blocking;

#endif
