/*
 * forking_kill.c - ends one connection: the child that serves it is told by a signal, cancels it
 * and serves on. A child whose handler does not come back is killed, since it has nothing else to
 * do.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "concurrency/forking.h"

#define FORKING_KILL_NS CLOCK_NS_PER_S

static void
forking_arm_kills(struct forking *forking)
{
	int64_t next_ns = INT64_MAX;

	for (uint32_t i = 0; i < forking->mode->limit; i++) {
		const struct forking_kill *kill = &forking->kills[i];

		if (kill->id != 0 && !kill->is_due && kill->deadline_ns < next_ns)
			next_ns = kill->deadline_ns;
	}
	if (next_ns != INT64_MAX)
		loop_arm(forking->mode->loop, &forking->kills_due, next_ns);
}

/* Whether the slot's child still serves the connection that was to end. */
static bool
forking_is_serving(const struct forking *forking, uint32_t slot, uint64_t id)
{
	return forking->pids[slot] != 0 &&
	       atomic_load(&forking->mode->board->slots[slot].connection_id) == id;
}

void
forking_order(struct concurrency *mode, uint32_t slot, pid_t pid, uint64_t id, uint32_t order)
{
	struct scoreboard_slot *shown = &mode->board->slots[slot];
	/* who looks meanwhile finds none, and never one for another connection */
	uint32_t unread = atomic_exchange(&shown->order, SCOREBOARD_GO_ON);

	if (unread == SCOREBOARD_END_CONNECTION && atomic_load(&shown->ordered_id) == id)
		order = unread;
	atomic_store(&shown->ordered_id, id);
	atomic_store(&shown->order, order);
	(void)kill(pid, SIGTERM);
}

bool
forking_kill(struct concurrency *mode, uint64_t id)
{
	struct forking *forking = mode->state;
	uint32_t slot = 0;

	while (slot < mode->limit && !forking_is_serving(forking, slot, id))
		slot++;
	if (slot == mode->limit || id == 0)
		return false;
	/* not before: each fork would copy it */
	if (forking->kills == NULL)
		forking->kills = calloc(mode->limit, sizeof(*forking->kills));
	if (forking->kills == NULL)
		return false;
	/* once more is no reason to wait longer */
	if (forking->kills[slot].id != id)
		forking->kills[slot] = (struct forking_kill){
			.id = id,
			.deadline_ns = clock_now_ns() + FORKING_KILL_NS,
		};
	forking_order(mode, slot, forking->pids[slot], id, SCOREBOARD_END_CONNECTION);
	forking_arm_kills(forking);
	return true;
}

void
forking_on_kills_due(struct loop_timer *timer)
{
	struct forking *forking = CONTAINER_OF(timer, struct forking, kills_due);
	int64_t now_ns = clock_now_ns();

	for (uint32_t i = 0; i < forking->mode->limit; i++) {
		struct forking_kill *due = &forking->kills[i];

		if (due->id == 0 || due->is_due || due->deadline_ns > now_ns)
			continue;
		if (forking_is_serving(forking, i, due->id)) {
			due->is_due = true;
			(void)kill(forking->pids[i], SIGKILL);
		} else {
			due->id = 0;
		}
	}
	forking_arm_kills(forking);
}

bool
forking_was_killed(struct forking *forking, uint32_t slot, uint64_t id)
{
	struct forking_kill over = {0};

	if (forking->kills == NULL)
		return false;
	over = forking->kills[slot];
	forking->kills[slot] = (struct forking_kill){0};
	if (over.id != id || !over.is_due)
		return false;
	log_notice("'%s' connection #%" PRIu64 " was killed on request; handler '%s' had not ended "
		   "it after 1 s, so its child %d was killed",
		   forking->mode->server->name, id, forking->mode->server->handler.name,
		   (int)forking->pids[slot]);
	return true;
}
