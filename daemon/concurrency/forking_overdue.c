/*
 * forking_overdue.c - what the parent sees of its children is the scoreboard, and what it can do
 * are signals: SIGTERM with an order, then SIGABRT, then SIGKILL.
 */
#include "concurrency/forking_overdue.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "concurrency/concurrency.h"
#include "net/peer.h"

/* The child may have gone on to another connection before it hears of this. */
static void
forking_cancel_overdue(struct forking_overdue *watch, uint32_t slot,
		       const struct scoreboard_connection *shown, int64_t now_ns)
{
	struct concurrency *mode = watch->overdue.mode;

	watch->rows[slot].cancelled_ns = now_ns;
	atomic_store(&mode->board->slots[slot].ordered_id, shown->id);
	atomic_store(&mode->board->slots[slot].order, SCOREBOARD_TIME_OUT);
	(void)kill(watch->pids[slot], SIGTERM);
	overdue_tell(mode, shown, now_ns);
}

static void
forking_abort_overdue(struct forking_overdue *watch, uint32_t slot,
		      const struct scoreboard_connection *shown, int64_t now_ns)
{
	struct concurrency *mode = watch->overdue.mode;
	char peer[PEER_NAME_SIZE];
	struct log_context context = overdue_context(mode, shown, peer);

	watch->rows[slot].aborted_ns = now_ns;
	log_write(
		LOG_LEVEL_ERROR, &context,
		"handler '%s' has not returned 1 s after it was cancelled (timeouts.handler); its "
		"child %d is ended; no other connection is affected",
		mode->server->handler.name, (int)watch->pids[slot]);
	(void)kill(watch->pids[slot], SIGABRT);
}

static void
forking_examine(struct forking_overdue *watch, uint32_t slot, int64_t now_ns, int64_t *next_ns)
{
	struct concurrency *mode = watch->overdue.mode;
	struct overdue_row *row = &watch->rows[slot];
	struct scoreboard_connection shown;

	if (!scoreboard_read_connection(mode->board, slot, &shown))
		return;
	if (row->id != shown.id)
		*row = (struct overdue_row){.id = shown.id, .opened_ns = shown.opened_ns};
	switch (overdue_judge(row, mode->handler_timeout_ns, now_ns, next_ns)) {
	case OVERDUE_NOTHING:
		return;
	case OVERDUE_CANCEL:
		forking_cancel_overdue(watch, slot, &shown, now_ns);
		break;
	case OVERDUE_ABORT:
		forking_abort_overdue(watch, slot, &shown, now_ns);
		break;
	case OVERDUE_KILL:
		row->aborted_ns = now_ns;
		(void)kill(watch->pids[slot], SIGKILL);
		break;
	}
	if (*next_ns > now_ns + OVERDUE_GRACE_NS)
		*next_ns = now_ns + OVERDUE_GRACE_NS;
}

static void
forking_look_overdue(struct overdue *overdue, int64_t now_ns, int64_t *next_ns)
{
	struct forking_overdue *watch = CONTAINER_OF(overdue, struct forking_overdue, overdue);

	for (uint32_t slot = 0; slot < overdue->mode->limit; slot++) {
		if (watch->pids[slot] != 0)
			forking_examine(watch, slot, now_ns, next_ns);
	}
}

int
forking_overdue_start(struct forking_overdue *watch, struct concurrency *mode, const pid_t *pids)
{
	watch->pids = pids;
	if (mode->handler_timeout_ns > 0) {
		watch->rows = calloc(mode->limit, sizeof(*watch->rows));
		if (watch->rows == NULL)
			return -ENOMEM;
	}
	overdue_start(&watch->overdue, mode, forking_look_overdue);
	return 0;
}

bool
forking_overdue_has_ended(const struct forking_overdue *watch, uint32_t slot, uint64_t id)
{
	return watch->rows != NULL && watch->rows[slot].id == id &&
	       watch->rows[slot].aborted_ns != 0;
}
