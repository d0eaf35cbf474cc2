/*
 * requests_timeouts.c - requests of this process whose time is over: each is ended, and if its
 * handler does not return for that within timeouts.handler, the process ends, since a flow cannot
 * be taken away from the code it runs.
 *
 * The slots are looked at without a lock; those of which something is due are looked for among the
 * requests, and looked at again under their locks: meanwhile they may have gone on.
 */
#include "concurrency/requests_timeouts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "api/request.h"
#include "base/cleanup.h"
#include "concurrency/concurrency.h"

/* Told of in one look; the others whose handlers take too long follow in the next. */
#define REQUESTS_MOST_TOLD 64

/* One look. */
struct requests_round {
	struct requests_timeouts *requests;
	int64_t now_ns;
	size_t due;   /* rows with a step */
	size_t ended; /* of those */
	size_t told;
	struct scoreboard_connection tell[REQUESTS_MOST_TOLD]; /* for timeouts.handler */
};

/* What the slot of a flow shows; under the lock of the request that is as it was when it began. */
static struct scoreboard_connection
requests_look_at(const struct requests_timeouts *requests, const struct hd_request *req)
{
	const struct scoreboard *board = requests->timeouts.mode->board;
	struct scoreboard_connection shown;

	(void)scoreboard_read_connection(board, (size_t)(req->slot - board->slots), &shown);
	return shown;
}

/* The last word of this process, under the lock of the request: its flow cannot go on to another,
 * nor end. */
static void
requests_abort(struct requests_timeouts *requests, struct hd_request *req, int64_t now_ns)
{
	struct concurrency *mode = requests->timeouts.mode;
	struct scoreboard_connection shown = requests_look_at(requests, req);
	uint64_t open = scoreboard_count_open(mode->board, mode->limit);
	char peer[PEER_NAME_SIZE];
	struct log_context context = timeouts_context(mode, &shown, peer);

	log_write(
		LOG_LEVEL_ERROR, &context,
		"handler '%s' has not returned 1 s after it was cancelled (timeouts.handler); its "
		"worker is ended, with %" PRIu64 " other connections of this listener",
		mode->server->handler.name, open > 0 ? open - 1 : 0);
	requests->aborted_ns = now_ns;
	mode->on_stuck(mode, context.connection_id);
	requests->abort(req);
}

/* Under its lock: ends it, unless its client has done something just now. */
static void
requests_end(struct requests_round *round, struct hd_request *req, struct timeouts_row *row)
{
	if (row->reason == CLOSE_HANDLER_TIMEOUT) {
		/* the others are told, and ended, in the next look */
		if (round->told == REQUESTS_MOST_TOLD)
			return;
		row->ended_ns = round->now_ns;
		round->tell[round->told++] = requests_look_at(round->requests, req);
	} else if (row->reason != CLOSE_TOTAL) {
		struct scoreboard_connection shown = requests_look_at(round->requests, req);

		if (shown.bytes_in != row->bytes_in ||
		    shown.bytes_out - shown.unsent != row->bytes_out ||
		    request_is_spared(req, row->reason)) {
			timeouts_spare(row, round->now_ns + round->requests->timeouts.period_ns);
			return;
		}
	}
	round->ended += request_end_here(req, row->reason);
}

/* Under both locks: what is due of one that a flow serves. */
static void
requests_act(struct requests_round *round, struct hd_request *req)
{
	struct requests_timeouts *requests = round->requests;
	const struct scoreboard *board = requests->timeouts.mode->board;
	struct timeouts_row *row = &requests->rows[req->slot - board->slots];

	if (row->step == TIMEOUTS_NOTHING || atomic_load(&req->id) != row->id)
		return;
	if (row->step == TIMEOUTS_END)
		requests_end(round, req, row);
	else if (requests->aborted_ns == 0)
		requests_abort(requests, req, round->now_ns);
	row->step = TIMEOUTS_NOTHING;
}

/* Under the list's lock: whether it was connected to, however indirectly, for one that is being
 * ended. */
static bool
requests_is_for_ended(const struct hd_request *req)
{
	for (req = req->parent; req != NULL; req = req->parent) {
		if (atomic_load(&req->reason) != CLOSE_NONE)
			return true;
	}
	return false;
}

static void
requests_act_on_all(struct requests_round *round)
{
	struct hd_server *server = round->requests->timeouts.mode->server;

	(void)pthread_mutex_lock(&server->requests_lock);
	for (struct hd_request *req = server->requests; req != NULL; req = req->next) {
		(void)pthread_mutex_lock(&req->lock);
		if (req->slot != NULL && atomic_load(&req->fd) >= 0)
			requests_act(round, req);
		(void)pthread_mutex_unlock(&req->lock);
	}
	/* its handler may just wait for a connection of its own */
	for (struct hd_request *req = server->requests; req != NULL && round->ended > 0;
	     req = req->next) {
		(void)pthread_mutex_lock(&req->lock);
		if (requests_is_for_ended(req))
			request_cancel_here(req);
		(void)pthread_mutex_unlock(&req->lock);
	}
	(void)pthread_mutex_unlock(&server->requests_lock);
}

/* Notes in the rows what is due. */
static void
requests_judge_all(struct requests_round *round, int64_t *next_ns)
{
	struct requests_timeouts *requests = round->requests;
	const struct concurrency *mode = requests->timeouts.mode;
	uint32_t used = atomic_load(&mode->board->used_slots);

	for (uint32_t slot = 0; slot < used && slot < mode->limit; slot++) {
		struct timeouts_row *row = &requests->rows[slot];
		struct scoreboard_connection shown;

		if (!scoreboard_read_connection(mode->board, slot, &shown)) {
			row->step = TIMEOUTS_NOTHING;
			continue;
		}
		row->step = timeouts_judge(&mode->timeouts, row, &shown, round->now_ns, next_ns,
					   &row->reason);
		round->due += row->step != TIMEOUTS_NOTHING;
	}
}

static void
requests_look(struct timeouts *timeouts, int64_t now_ns, int64_t *next_ns)
{
	struct requests_timeouts *requests =
		CONTAINER_OF(timeouts, struct requests_timeouts, timeouts);
	struct requests_round round = {.requests = requests, .now_ns = now_ns};

	if (requests->aborted_ns == 0) {
		requests_judge_all(&round, next_ns);
		if (round.due > 0)
			requests_act_on_all(&round);
		for (size_t i = 0; i < round.told; i++)
			timeouts_tell(timeouts->mode, &round.tell[i], now_ns);
		if (round.told == REQUESTS_MOST_TOLD)
			*next_ns = now_ns;
		else if (round.due > 0 && *next_ns > now_ns + TIMEOUTS_GRACE_NS)
			*next_ns = now_ns + TIMEOUTS_GRACE_NS;
	} else if (now_ns >= requests->aborted_ns + TIMEOUTS_GRACE_NS) {
		timeouts->mode->on_lost(timeouts->mode);
	}
	if (requests->aborted_ns != 0)
		*next_ns = requests->aborted_ns + TIMEOUTS_GRACE_NS;
}

int
requests_timeouts_start(struct requests_timeouts *requests, struct concurrency *mode)
{
	if (timeouts_are_set(&mode->timeouts)) {
		requests->rows = calloc(mode->limit, sizeof(*requests->rows));
		if (requests->rows == NULL)
			return -ENOMEM;
	}
	timeouts_start(&requests->timeouts, mode, requests_look);
	return 0;
}
