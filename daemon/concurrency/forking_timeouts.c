/*
 * forking_timeouts.c - what the parent sees of its children is the scoreboard, and what it can do
 * are signals: SIGTERM with an order, then SIGABRT, then SIGKILL.
 */
#include "concurrency/forking_timeouts.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "concurrency/concurrency.h"
#include "concurrency/forking.h"
#include "net/peer.h"

/* The child may have gone on to another connection before it hears of this, or spare the client.
 */
static void
forking_order_end(struct forking_timeouts *watch, uint32_t slot,
		  const struct scoreboard_connection *shown, enum close_reason reason,
		  int64_t now_ns)
{
	struct concurrency *mode = watch->timeouts.mode;
	struct timeouts_row *row = &watch->rows[slot];

	forking_order(mode, slot, watch->pids[slot], shown->id, scoreboard_order_time_out(reason));
	if (reason == CLOSE_HANDLER_TIMEOUT) {
		row->ended_ns = now_ns;
		timeouts_tell(mode, shown, now_ns);
	} else {
		timeouts_spare(row, now_ns + TIMEOUTS_GRACE_NS);
	}
}

static void
forking_abort_overdue(struct forking_timeouts *watch, uint32_t slot,
		      const struct scoreboard_connection *shown, int64_t now_ns)
{
	struct concurrency *mode = watch->timeouts.mode;
	char peer[PEER_NAME_SIZE];
	struct log_context context = timeouts_context(mode, shown, peer);

	watch->rows[slot].aborted_ns = now_ns;
	log_write(
		LOG_LEVEL_ERROR, &context,
		"handler '%s' has not returned 1 s after it was cancelled (timeouts.handler); its "
		"child %d is ended; no other connection is affected",
		mode->server->handler.name, (int)watch->pids[slot]);
	(void)kill(watch->pids[slot], SIGABRT);
}

static void
forking_examine(struct forking_timeouts *watch, uint32_t slot, int64_t now_ns, int64_t *next_ns)
{
	struct concurrency *mode = watch->timeouts.mode;
	struct timeouts_row *row = &watch->rows[slot];
	struct scoreboard_connection shown;
	enum close_reason reason;

	if (!scoreboard_read_connection(mode->board, slot, &shown))
		return;
	switch (timeouts_judge(&mode->timeouts, row, &shown, now_ns, next_ns, &reason)) {
	case TIMEOUTS_NOTHING:
		return;
	case TIMEOUTS_END:
		forking_order_end(watch, slot, &shown, reason, now_ns);
		break;
	case TIMEOUTS_ABORT:
		forking_abort_overdue(watch, slot, &shown, now_ns);
		break;
	case TIMEOUTS_KILL:
		row->aborted_ns = now_ns;
		(void)kill(watch->pids[slot], SIGKILL);
		break;
	}
	if (*next_ns > now_ns + TIMEOUTS_GRACE_NS)
		*next_ns = now_ns + TIMEOUTS_GRACE_NS;
}

static void
forking_look_for_timeouts(struct timeouts *timeouts, int64_t now_ns, int64_t *next_ns)
{
	struct forking_timeouts *watch = CONTAINER_OF(timeouts, struct forking_timeouts, timeouts);

	for (uint32_t slot = 0; slot < timeouts->mode->limit; slot++) {
		if (watch->pids[slot] != 0)
			forking_examine(watch, slot, now_ns, next_ns);
	}
}

int
forking_timeouts_start(struct forking_timeouts *watch, struct concurrency *mode, const pid_t *pids)
{
	size_t size = mode->limit * sizeof(*watch->rows);

	watch->pids = pids;
	if (timeouts_are_set(&mode->timeouts)) {
		/* not with malloc: each look writes here, and would copy what children share */
		void *rows = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);

		if (rows == MAP_FAILED)
			return -errno;
		(void)madvise(rows, size, MADV_DONTFORK);
		watch->rows = rows;
	}
	timeouts_start(&watch->timeouts, mode, forking_look_for_timeouts);
	return 0;
}

bool
forking_timeouts_have_ended(const struct forking_timeouts *watch, uint32_t slot, uint64_t id)
{
	return watch->rows != NULL && watch->rows[slot].id == id &&
	       watch->rows[slot].aborted_ns != 0;
}
