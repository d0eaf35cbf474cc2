/*
 * control_connections.c - the commands `connections` and `kill`: what is being served, as the
 * workers' scoreboards show it. There may be very many: the text is written as it will be sent, and
 * cut where it gets long.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "net/peer.h"
#include "supervisor/control_commands.h"
#include "supervisor/supervisor.h"

/* One row is never longer. */
#define CONTROL_ROW_SIZE 1024
/* A name of a link may be anything. */
#define CONTROL_PEER_SIZE (6 * PEER_NAME_SIZE)
/* Room for what ends the list. */
#define CONTROL_LIST_END 64

/* A worker answers at once, if it answers. */
#define CONTROL_KILL_MS 5000

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
	char row[CONTROL_ROW_SIZE], name[PEER_NAME_SIZE], peer[CONTROL_PEER_SIZE] = "null";
	const char *waits = scoreboard_waits_name(connection->waits);
	/* it ends already, as soon as its handler returns */
	const char *reason =
		connection->reason != CLOSE_NONE ? close_reason_name(connection->reason) : NULL;
	int64_t age_ns = 0;
	int length;

	if (connection->peer_kind != 0) {
		(void)scoreboard_format_peer(connection, name, sizeof(name));
		peer[0] = '"';
		length = (int)text_escape_json(name, strlen(name), peer + 1, sizeof(peer) - 2);
		memcpy(peer + 1 + length, "\"", 2);
	}
	if (connection->opened_ns > 0 && connection->opened_ns < list->now_ns)
		age_ns = list->now_ns - connection->opened_ns;
	length = snprintf(row, sizeof(row),
			  "%s{\"id\":%" PRIu64 ",\"listener\":\"%s\",\"generation\":%" PRIu32
			  ",\"peer\":%s,\"age_seconds\":%" PRId64 ".%03" PRId64
			  ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64
			  ",\"state\":\"%s\",\"waits_for\":%s%s%s,\"reason\":%s%s%s}",
			  list->has_rows ? "," : "", control_connection_clamp(connection->id),
			  listener->name, child->generation, peer, age_ns / CLOCK_NS_PER_S,
			  age_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS,
			  control_connection_clamp(connection->bytes_in),
			  control_connection_clamp(connection->bytes_out),
			  child->state == CHILD_DRAINING ? "draining"
							 : scoreboard_phase_name(connection->phase),
			  waits != NULL ? "\"" : "", waits != NULL ? waits : "null",
			  waits != NULL ? "\"" : "", reason != NULL ? "\"" : "",
			  reason != NULL ? reason : "null", reason != NULL ? "\"" : "");
	if (length < 0 || (size_t)length >= sizeof(row))
		return;
	if (list->length + (size_t)length + CONTROL_LIST_END > list->most ||
	    !control_list_add(list, row, (size_t)length))
		list->is_cut = true;
	list->has_rows = true;
}

/* Slots of a worker, which tells how many it has used. */
static size_t
control_count_slots(const struct child *child)
{
	size_t slots;

	if (child == NULL || child->board == NULL)
		return 0;
	slots = atomic_load_explicit(&child->board->used_slots, memory_order_relaxed);
	return slots < child->board_slots ? slots : child->board_slots;
}

static void
control_list_add_child(struct control_list *list, const struct listener *listener,
		       const struct child *child)
{
	struct scoreboard_connection connection;

	for (size_t i = 0; i < control_count_slots(child) && !list->is_cut; i++) {
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

static bool
control_child_has(const struct child *child, uint64_t id)
{
	struct scoreboard_connection connection;

	for (size_t i = 0; i < control_count_slots(child); i++) {
		if (scoreboard_read_connection(child->board, i, &connection) && connection.id == id)
			return true;
	}
	return false;
}

static struct listener *
control_find_connection_among(struct listener *const *listeners, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++) {
		if (control_child_has(listeners[i]->current, id))
			return listeners[i];
		for (const struct child *child = listeners[i]->old; child != NULL;
		     child = child->next) {
			if (control_child_has(child, id))
				return listeners[i];
		}
	}
	return NULL;
}

/* The listener whose worker shows a connection of that number; NULL: none. */
static struct listener *
control_find_connection(const struct supervisor *supervisor, uint64_t id)
{
	struct listener *listener = control_find_connection_among(supervisor->listeners,
								  supervisor->listener_count, id);

	return listener != NULL ? listener
				: control_find_connection_among(supervisor->leaving,
								supervisor->leaving_count, id);
}

void
control_run_kill(struct supervisor *supervisor, struct control_client *client,
		 const json_t *request)
{
	uint64_t id = (uint64_t)control_request_number(request, "id", 0);
	struct listener *listener = control_find_connection(supervisor, id);

	client->ticket = id;
	if (listener == NULL) {
		control_client_refuse(client, "there is no connection %" PRIu64 " (any more)", id);
		return;
	}
	control_log_change(client, "the end of connection %" PRIu64 " of '%s'", id, listener->name);
	client->listener = strdup(listener->name);
	control_client_wait(client, CONTROL_WAITS_KILL, CONTROL_KILL_MS);
	listener_kill_connection(listener, id);
}

void
control_on_killed(struct listener_world *world, const struct listener *listener, uint64_t id)
{
	struct supervisor *supervisor = CONTAINER_OF(world, struct supervisor, world);

	for (struct control_client *client = supervisor->control.clients; client != NULL;
	     client = client->next) {
		/* of what is another's, a worker knows nothing */
		if (client->wait == CONTROL_WAITS_KILL && client->ticket == id &&
		    client->listener != NULL && strcmp(client->listener, listener->name) == 0)
			control_client_answer(client,
					      json_pack("{s:b,s:o,s:o}", "ok", 1, "id",
							json_integer((json_int_t)id), "listener",
							control_json_text(client->listener)));
	}
}

void
control_kill_is_late(struct supervisor *supervisor, struct control_client *client)
{
	if (control_find_connection(supervisor, client->ticket) == NULL)
		control_client_refuse(client, "connection %" PRIu64 " has ended by itself",
				      client->ticket);
	else
		control_client_refuse(client,
				      "the worker of connection %" PRIu64
				      " has not answered within %d s; it may be stuck",
				      client->ticket, CONTROL_KILL_MS / 1000);
}
