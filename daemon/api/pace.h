/*
 * pace.h - limits.send_rate and limits.receive_rate: a flow that would be too fast for its
 * connection waits before the call, so that nothing is dropped and nothing is buffered for it.
 *
 * That is no wait for the client: its timeouts do not count it.
 */
#ifndef API_PACE_H
#define API_PACE_H

#include <stddef.h>
#include <sys/types.h>

struct hd_request;

enum pace_way {
	PACE_IN,
	PACE_OUT,
	PACE_WAYS,
};

/* How many of `size` bytes may pass now, at least one; waits until some may. -ETIMEDOUT: none, and
 * the handler has said not to wait; -ECANCELED. */
ssize_t pace_wait(struct hd_request *req, enum pace_way way, size_t size);

/* So many have passed. */
void pace_spend(struct hd_request *req, enum pace_way way, size_t size);

#endif
