/*
 * scoreboard.c - size and sums.
 */
#include "ipc/scoreboard.h"

#include "base/fence.h"
#include "net/peer.h"

_Static_assert(sizeof(struct scoreboard_slot) == 128, "a slot is two cache lines");
_Static_assert(offsetof(struct scoreboard_slot, opened_ns) == 64, "counters have one of their own");
_Static_assert(offsetof(struct scoreboard, crash) == 128, "counters have two of their own");
_Static_assert(offsetof(struct scoreboard, slots) % 64 == 0, "slots begin on a cache line");

static const char *const scoreboard_drop_names[SCOREBOARD_DROPS] = {
	[SCOREBOARD_TOO_LONG] = "longer than max_datagram",
	[SCOREBOARD_EMPTY] = "empty",
	[SCOREBOARD_SESSIONS_FULL] = "above max_sessions",
	[SCOREBOARD_QUEUE_FULL] = "faster than its session reads",
	[SCOREBOARD_UNREAD] = "unread by their session",
	[SCOREBOARD_AMPLIFIED] = "unanswered by limits.amplification",
	[SCOREBOARD_LOW_PORT] = "unanswered by limits.reply_to_low_ports",
	[SCOREBOARD_OWN_PORT] = "unanswered as from a port of this daemon",
	[SCOREBOARD_UNSENT] = "unanswered as it could not be sent",
};

const char *
scoreboard_drop_name(enum scoreboard_drop reason)
{
	return scoreboard_drop_names[reason];
}

const char *
scoreboard_phase_name(enum scoreboard_phase phase)
{
	static const char *const names[SCOREBOARD_PHASES] = {
		[SCOREBOARD_VERIFY] = "setup",	[SCOREBOARD_HANDLE] = "handle",
		[SCOREBOARD_IDLE] = "idle",	[SCOREBOARD_FINISH] = "finish",
		[SCOREBOARD_CLOSE] = "closing",
	};

	return names[phase];
}

const char *
scoreboard_waits_name(unsigned waits)
{
	static const char *const names[] = {
		[SCOREBOARD_WAITS_INPUT] = "input",
		[SCOREBOARD_WAITS_OUTPUT] = "output",
		[SCOREBOARD_WAITS_INPUT | SCOREBOARD_WAITS_OUTPUT] = "input or output",
	};

	return names[waits & (SCOREBOARD_WAITS_INPUT | SCOREBOARD_WAITS_OUTPUT)];
}

bool
scoreboard_read_connection(const struct scoreboard *board, size_t slot,
			   struct scoreboard_connection *ret)
{
	const struct scoreboard_slot *from = &board->slots[slot];
	uint64_t id = atomic_load_explicit(&from->connection_id, memory_order_acquire);
	uint32_t phase = atomic_load_explicit(&from->phase, memory_order_relaxed);
	uint16_t reason = atomic_load_explicit(&from->reason, memory_order_relaxed);

	*ret = (struct scoreboard_connection){
		.id = id,
		.opened_ns = atomic_load_explicit(&from->opened_ns, memory_order_relaxed),
		.bytes_in = atomic_load_explicit(&from->bytes_in, memory_order_relaxed),
		.bytes_out = atomic_load_explicit(&from->bytes_out, memory_order_relaxed),
		.peer_kind = atomic_load_explicit(&from->peer_kind, memory_order_relaxed),
		.peer_scope = atomic_load_explicit(&from->peer_scope, memory_order_relaxed),
		.phase = phase < SCOREBOARD_PHASES ? (enum scoreboard_phase)phase
						   : SCOREBOARD_HANDLE,
		.unsent = atomic_load_explicit(&from->unsent, memory_order_relaxed),
		.waits = atomic_load_explicit(&from->waits, memory_order_relaxed),
		.reason = reason < CLOSE_REASONS ? (enum close_reason)reason : CLOSE_NONE,
	};
	for (size_t i = 0; i < 2; i++)
		ret->peer[i] = atomic_load_explicit(&from->peer[i], memory_order_relaxed);
	/* the flow may have gone on to another meanwhile */
	FENCE(memory_order_acquire);
	return id != 0 && atomic_load_explicit(&from->connection_id, memory_order_relaxed) == id;
}

const char *
scoreboard_format_peer(const struct scoreboard_connection *connection, char *buf, size_t size)
{
	return peer_format_words(connection->peer_kind, connection->peer_scope, connection->peer,
				 buf, size);
}

size_t
scoreboard_size(size_t slot_count)
{
	return sizeof(struct scoreboard) + slot_count * sizeof(struct scoreboard_slot);
}

void
scoreboard_use_slot(struct scoreboard *board, uint32_t slot)
{
	uint32_t used = atomic_load(&board->used_slots);

	while (used <= slot && !atomic_compare_exchange_weak(&board->used_slots, &used, slot + 1))
		;
}

uint64_t
scoreboard_count_open(const struct scoreboard *board, size_t slot_count)
{
	struct scoreboard_totals sum = scoreboard_sum(board, slot_count);
	uint64_t ended = sum.finished + sum.refused + sum.crashed;

	return sum.accepted > ended ? sum.accepted - ended : 0;
}

struct scoreboard_totals
scoreboard_sum(const struct scoreboard *board, size_t slot_count)
{
	struct scoreboard_totals totals = {0};
	uint32_t used = atomic_load(&board->used_slots);

	if (slot_count > used)
		slot_count = used;
	for (size_t i = 0; i < slot_count; i++) {
		const struct scoreboard_slot *slot = &board->slots[i];

		totals.accepted += atomic_load_explicit(&slot->accepted, memory_order_relaxed);
		totals.finished += atomic_load_explicit(&slot->finished, memory_order_relaxed);
		totals.refused += atomic_load_explicit(&slot->refused, memory_order_relaxed);
		totals.failed += atomic_load_explicit(&slot->failed, memory_order_relaxed);
		totals.crashed += atomic_load_explicit(&slot->crashed, memory_order_relaxed);
	}
	totals.unlogged = atomic_load_explicit(&board->unlogged, memory_order_relaxed);
	totals.timed_out = atomic_load_explicit(&board->timed_out, memory_order_relaxed);
	for (size_t i = 0; i < SCOREBOARD_DROPS; i++)
		totals.dropped[i] = atomic_load_explicit(&board->dropped[i], memory_order_relaxed);
	for (size_t i = 0; i < CLOSE_REASONS; i++) {
		totals.ended[i] = atomic_load_explicit(&board->ended[i], memory_order_relaxed);
		if (i >= CLOSE_FIRST_TURNED_AWAY) {
			totals.accepted += totals.ended[i];
			totals.refused += totals.ended[i];
		}
	}
	return totals;
}

void
scoreboard_add(struct scoreboard_totals *to, const struct scoreboard_totals *more)
{
	to->accepted += more->accepted;
	to->finished += more->finished;
	to->refused += more->refused;
	to->failed += more->failed;
	to->crashed += more->crashed;
	to->timed_out += more->timed_out;
	to->unlogged += more->unlogged;
	for (size_t i = 0; i < SCOREBOARD_DROPS; i++)
		to->dropped[i] += more->dropped[i];
	for (size_t i = 0; i < CLOSE_REASONS; i++)
		to->ended[i] += more->ended[i];
}
