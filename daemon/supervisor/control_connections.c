/*
 * control_connections.c - the connections that are being served, as their workers' scoreboards show
 * them. There may be very many: the text is written as it will be sent, and cut where it gets long.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "net/peer.h"
#include "supervisor/control_commands.h"
#include "supervisor/supervisor.h"

/* One row is never longer. */
#define CONTROL_ROW_SIZE 512
/* Room for what ends the list. */
#define CONTROL_LIST_END 64

struct control_list {
	char *text;
	size_t length, room, most;
	bool is_cut; /* there are more */
	bool has_rows;
	int64_t now_ns;
};

static bool
control_list_add(struct control_list *list, const char *text, size_t length)
{
	if (list->length + length > list->room) {
		size_t larger = 2 * (list->room + length);
		char *grown = realloc(list->text, larger);

		if (grown == NULL)
			return false;
		list->text = grown;
		list->room = larger;
	}
	memcpy(list->text + list->length, text, length);
	list->length += length;
	return true;
}

static const char *
control_connection_peer(const struct scoreboard_connection *connection, char *buf, size_t size)
{
	uint16_t port = (uint16_t)(connection->peer_kind >> 16);
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	switch (connection->peer_kind & 0xffff) {
	case AF_INET:
		memcpy(&in.sin_addr, connection->peer, sizeof(in.sin_addr));
		return peer_format((const struct sockaddr *)&in, sizeof(in), buf, size);
	case AF_INET6:
		memcpy(&in6.sin6_addr, connection->peer, sizeof(in6.sin6_addr));
		return peer_format((const struct sockaddr *)&in6, sizeof(in6), buf, size);
	case AF_UNIX:
		return peer_format_unix((pid_t)connection->peer[0], (uid_t)connection->peer[1], buf,
					size);
	default:
		return NULL;
	}
}

static uint64_t
control_connection_clamp(uint64_t number)
{
	return number <= INT64_MAX ? number : INT64_MAX;
}

static void
control_list_add_connection(struct control_list *list, const struct listener *listener,
			    const struct child *child,
			    const struct scoreboard_connection *connection)
{
	char row[CONTROL_ROW_SIZE], name[PEER_NAME_SIZE], peer[PEER_NAME_SIZE + 2] = "null";
	int64_t age_ns = 0;
	int length;

	/* numbers and dots: nothing to be escaped, as in a listener's name */
	if (control_connection_peer(connection, name, sizeof(name)) != NULL)
		(void)snprintf(peer, sizeof(peer), "\"%s\"", name);
	if (connection->opened_ns > 0 && connection->opened_ns < list->now_ns)
		age_ns = list->now_ns - connection->opened_ns;
	length =
		snprintf(row, sizeof(row),
			 "%s{\"id\":%" PRIu64 ",\"listener\":\"%s\",\"generation\":%" PRIu32
			 ",\"peer\":%s,\"age_seconds\":%" PRId64 ".%03" PRId64
			 ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64 ",\"state\":\"%s\"}",
			 list->has_rows ? "," : "", control_connection_clamp(connection->id),
			 listener->name, child->generation, peer, age_ns / CLOCK_NS_PER_S,
			 age_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS,
			 control_connection_clamp(connection->bytes_in),
			 control_connection_clamp(connection->bytes_out),
			 child->state == CHILD_DRAINING ? "draining"
							: scoreboard_phase_name(connection->phase));
	if (length < 0 || (size_t)length >= sizeof(row))
		return;
	if (list->length + (size_t)length + CONTROL_LIST_END > list->most ||
	    !control_list_add(list, row, (size_t)length))
		list->is_cut = true;
	list->has_rows = true;
}

static void
control_list_add_child(struct control_list *list, const struct listener *listener,
		       const struct child *child)
{
	struct scoreboard_connection connection;
	size_t slots;

	if (child == NULL || child->board == NULL)
		return;
	slots = atomic_load_explicit(&child->board->used_slots, memory_order_relaxed);
	if (slots > child->board_slots)
		slots = child->board_slots;
	for (size_t i = 0; i < slots && !list->is_cut; i++) {
		if (scoreboard_read_connection(child->board, i, &connection))
			control_list_add_connection(list, listener, child, &connection);
	}
}

/* Whether there is one of that name. */
static bool
control_list_add_listeners(struct control_list *list, struct listener *const *listeners,
			   size_t count, const char *name)
{
	bool is_known = false;

	for (size_t i = 0; i < count; i++) {
		const struct listener *listener = listeners[i];

		if (name != NULL && strcmp(listener->name, name) != 0)
			continue;
		is_known = true;
		control_list_add_child(list, listener, listener->current);
		for (const struct child *child = listener->old; child != NULL; child = child->next)
			control_list_add_child(list, listener, child);
	}
	return is_known;
}

void
control_run_connections(struct supervisor *supervisor, struct control_client *client,
			const json_t *request)
{
	static const char begin[] = "{\"ok\":true,\"connections\":[";
	const char *name = control_request_text(request, "listener");
	struct control_list list = {
		.most = control_client_room(client),
		.now_ns = clock_now_ns(),
	};
	char end[CONTROL_LIST_END];
	bool is_known = name == NULL;
	bool is_whole = control_list_add(&list, begin, sizeof(begin) - 1);
	int length;

	is_known |= control_list_add_listeners(&list, supervisor->listeners,
					       supervisor->listener_count, name);
	is_known |= control_list_add_listeners(&list, supervisor->leaving,
					       supervisor->leaving_count, name);
	length = snprintf(end, sizeof(end), "],\"is_cut\":%s}", list.is_cut ? "true" : "false");
	is_whole = is_whole && control_list_add(&list, end, (size_t)length);
	if (!is_known)
		control_refuse_listener(supervisor, client, name);
	else
		control_client_answer_text(client, is_whole ? list.text : NULL, list.length);
	free(list.text);
}
