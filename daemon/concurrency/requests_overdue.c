/*
 * requests_overdue.c - requests of this process whose handler takes too long: each is cancelled,
 * and if that does not help, the process ends, since a flow cannot be taken away from the code it
 * runs.
 */
#include "concurrency/requests_overdue.h"

#include <errno.h>
#include <inttypes.h>

#include "api/request.h"
#include "base/cleanup.h"
#include "concurrency/concurrency.h"

/* Cancelled in one look; the others follow in the next. */
#define REQUESTS_MOST_CANCELLED 16

/* What the slot of a flow shows; under the lock of the request that is as it was when it began. */
static struct scoreboard_connection
requests_look_at(const struct requests_overdue *requests, const struct hd_request *req)
{
	const struct scoreboard *board = requests->overdue.mode->board;
	struct scoreboard_connection shown;

	(void)scoreboard_read_connection(board, (size_t)(req->slot - board->slots), &shown);
	return shown;
}

/* The last word of this process, under the lock of the request: its flow cannot go on to another,
 * nor end. */
static void
requests_abort(struct requests_overdue *requests, struct hd_request *req, int64_t now_ns)
{
	struct concurrency *mode = requests->overdue.mode;
	struct scoreboard_connection shown = requests_look_at(requests, req);
	uint64_t open = scoreboard_count_open(mode->board, mode->limit);
	char peer[PEER_NAME_SIZE];
	struct log_context context = overdue_context(mode, &shown, peer);

	log_write(
		LOG_LEVEL_ERROR, &context,
		"handler '%s' has not returned 1 s after it was cancelled (timeouts.handler); its "
		"worker is ended, with %" PRIu64 " other connections of this listener",
		mode->server->handler.name, open > 0 ? open - 1 : 0);
	requests->aborted_ns = now_ns;
	mode->on_stuck(mode, context.connection_id);
	requests->abort(req);
}

/* Under both locks, of one that a flow serves. Returns whether it was cancelled now. */
static bool
requests_examine(struct requests_overdue *requests, struct hd_request *req, int64_t now_ns,
		 int64_t *next_ns)
{
	struct overdue_row row = {
		.opened_ns = req->opened_ns,
		.cancelled_ns = atomic_load(&req->timed_out_ns),
	};

	switch (overdue_judge(&row, requests->overdue.mode->handler_timeout_ns, now_ns, next_ns)) {
	case OVERDUE_CANCEL:
		return request_time_out_here(req);
	case OVERDUE_ABORT:
		if (requests->aborted_ns == 0)
			requests_abort(requests, req, now_ns);
		return false;
	default:
		return false;
	}
}

/* Under the list's lock: whether it was connected to, however indirectly, for one that was
 * cancelled. */
static bool
requests_is_for_overdue(const struct hd_request *req)
{
	for (req = req->parent; req != NULL; req = req->parent) {
		if (atomic_load(&req->timed_out_ns) != 0)
			return true;
	}
	return false;
}

/* Looks at the requests of all flows. Returns how many were cancelled. */
static size_t
requests_examine_all(struct requests_overdue *requests, struct scoreboard_connection *ret,
		     int64_t now_ns, int64_t *next_ns)
{
	struct hd_server *server = requests->overdue.mode->server;
	size_t count = 0;

	(void)pthread_mutex_lock(&server->requests_lock);
	for (struct hd_request *req = server->requests;
	     req != NULL && count < REQUESTS_MOST_CANCELLED; req = req->next) {
		(void)pthread_mutex_lock(&req->lock);
		if (req->slot != NULL && atomic_load(&req->fd) >= 0 &&
		    requests_examine(requests, req, now_ns, next_ns))
			ret[count++] = requests_look_at(requests, req);
		(void)pthread_mutex_unlock(&req->lock);
	}
	/* its handler may just wait for a connection of its own */
	for (struct hd_request *req = server->requests; req != NULL && count > 0; req = req->next) {
		(void)pthread_mutex_lock(&req->lock);
		if (requests_is_for_overdue(req))
			request_cancel_here(req);
		(void)pthread_mutex_unlock(&req->lock);
	}
	(void)pthread_mutex_unlock(&server->requests_lock);
	return count;
}

static void
requests_look(struct overdue *overdue, int64_t now_ns, int64_t *next_ns)
{
	struct requests_overdue *requests = CONTAINER_OF(overdue, struct requests_overdue, overdue);
	struct concurrency *mode = requests->overdue.mode;
	struct scoreboard_connection cancelled[REQUESTS_MOST_CANCELLED];
	size_t count;

	if (requests->aborted_ns == 0) {
		count = requests_examine_all(requests, cancelled, now_ns, next_ns);
		for (size_t i = 0; i < count; i++)
			overdue_tell(mode, &cancelled[i], now_ns);
		if (count > 0)
			*next_ns = count<REQUESTS_MOST_CANCELLED && * next_ns> now_ns +
						   OVERDUE_GRACE_NS
					   ? now_ns + OVERDUE_GRACE_NS
					   : now_ns;
	} else if (now_ns >= requests->aborted_ns + OVERDUE_GRACE_NS) {
		mode->on_lost(mode);
	}
	if (requests->aborted_ns != 0)
		*next_ns = requests->aborted_ns + OVERDUE_GRACE_NS;
}

void
requests_overdue_start(struct requests_overdue *requests, struct concurrency *mode)
{
	overdue_start(&requests->overdue, mode, requests_look);
}
