/*
 * forking_reap.c - what becomes of the slot of a child that has died, and of the connection it
 * served.
 */
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "concurrency/concurrency.h"
#include "concurrency/forked.h"
#include "concurrency/forking.h"

bool
forking_is_open(const struct scoreboard_slot *slot)
{
	return atomic_load(&slot->accepted) > atomic_load(&slot->finished) +
						      atomic_load(&slot->refused) +
						      atomic_load(&slot->crashed);
}

/* A child of ours is gone, and reaped. */
static void
forking_bury(struct forking *forking, uint32_t slot_index, int status)
{
	struct concurrency *mode = forking->mode;
	struct scoreboard_slot *slot = &mode->board->slots[slot_index];
	struct forking_death death;
	uint64_t connection_id;
	uint32_t source;
	enum forked_state state;
	bool is_open = forking_is_open(slot);

	forking_note_death(forking, slot_index, status, &death);
	connection_id = atomic_exchange(&slot->connection_id, 0);
	source = atomic_exchange(&slot->source, ADMISSION_NO_SOURCE);
	if (source != ADMISSION_NO_SOURCE)
		admission_leave(&mode->server->admission, source);
	state = (enum forked_state)atomic_exchange(&slot->state, FORKED_FREE);
	atomic_store(&slot->order, SCOREBOARD_GO_ON);
	if (forked_is_waiting(state))
		(void)atomic_fetch_sub(&mode->board->waiting_children, 1);
	if (connection_id != 0 && forking_was_killed(forking, slot_index, connection_id)) {
		if (is_open)
			forking_count_end(forking, &death, CLOSE_KILLED, &slot->finished);
	} else if (connection_id != 0 && is_open) {
		death.is_timeout =
			forking_timeouts_have_ended(&forking->timeouts, slot_index, connection_id);
		forking_count_end(forking, &death,
				  death.is_timeout ? CLOSE_HANDLER_TIMEOUT : CLOSE_CRASH,
				  &slot->crashed);
		forking_log_death(forking, &death);
		if (!death.is_timeout)
			mode->on_crash(mode, status);
	} else if (state != FORKED_LEAVING || status != 0) {
		/* it never got to serve, or died between connections: do not fork in a circle */
		forking_log_early_death(forking, &death);
		forking->is_in_doubt = true;
		loop_arm(mode->loop, &forking->retry, clock_now_ns() + FORKING_RETRY_NS);
	}
	forking->pids[slot_index] = 0;
	forking->child_count--;
	if (mode->is_once)
		forking->is_once_over = true;
}

static bool
forking_reap(struct forking *forking, uint32_t slot)
{
	int status;

	if (forking->pids[slot] == 0 ||
	    waitpid(forking->pids[slot], &status, WNOHANG) != forking->pids[slot])
		return false;
	forking_bury(forking, slot, status);
	return true;
}

static uint32_t
forking_find(const struct forking *forking, pid_t pid)
{
	uint32_t slot = 0;

	while (slot < forking->mode->limit && forking->pids[slot] != pid)
		slot++;
	return slot;
}

void
forking_reap_all(struct forking *forking)
{
	for (;;) {
		siginfo_t info = {0};
		uint32_t slot;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		slot = forking_find(forking, info.si_pid);
		if (slot < forking->mode->limit) {
			(void)forking_reap(forking, slot);
			continue;
		}
		/* a stranger stands first in line: look at ours one by one */
		for (slot = 0; slot < forking->mode->limit; slot++)
			(void)forking_reap(forking, slot);
		return;
	}
}
