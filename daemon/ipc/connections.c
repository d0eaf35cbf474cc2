/*
 * connections.c - walks over a scoreboard's slots.
 */
#include "ipc/connections.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/peer.h"

/* Named where an order or a deadline cuts them. */
#define CONNECTIONS_MOST_CUT 10

bool
connections_next(const struct scoreboard *board, size_t slot_count, size_t *slot,
		 struct scoreboard_connection *ret)
{
	uint32_t used = atomic_load(&board->used_slots);

	if (slot_count > used)
		slot_count = used;
	while (*slot < slot_count) {
		if (scoreboard_read_connection(board, (*slot)++, ret))
			return true;
	}
	return false;
}

static void
connections_add_one(const struct scoreboard_connection *connection, int64_t now_ns,
		    struct buf *text)
{
	char peer[PEER_NAME_SIZE];
	int64_t age_ms = 0;

	/* a number that cannot be is no age */
	if (connection->opened_ns > 0 && connection->opened_ns <= now_ns)
		age_ms = (now_ns - connection->opened_ns) / CLOCK_NS_PER_MS;
	buf_add_format(text, "#%" PRIu64 " %s (%" PRId64 ".%03" PRId64 " s)", connection->id,
		       scoreboard_format_peer(connection, peer, sizeof(peer)), age_ms / 1000,
		       age_ms % 1000);
}

size_t
connections_add(const struct scoreboard *board, size_t slot_count, size_t most, struct buf *text)
{
	struct scoreboard_connection connection;
	int64_t now_ns = clock_now_ns();
	size_t count = 0, slot = 0;

	while (connections_next(board, slot_count, &slot, &connection)) {
		if (count++ >= most)
			continue;
		if (count > 1)
			buf_add_format(text, ", ");
		connections_add_one(&connection, now_ns, text);
	}
	if (count > most)
		buf_add_format(text, " and %zu more", count - most);
	return count;
}

void
connections_log_cut(const struct scoreboard *board, size_t slot_count, const char *listener,
		    uint32_t generation, const char *why)
{
	struct buf text = {0};
	size_t count = connections_add(board, slot_count, CONNECTIONS_MOST_CUT, &text);

	if (count > 0)
		log_event(LOG_EVENT_CONNECTION_LOST, listener,
			  "'%s' generation %" PRIu32 ": %zu connection%s cut, %s: %.*s", listener,
			  generation, count, count == 1 ? " is" : "s are", why, (int)text.length,
			  (const char *)text.data);
	buf_free(&text);
}
