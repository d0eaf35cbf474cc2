/*
 * control_status.c - the state of everything, as the command `status` tells it. handlerctl(8) has
 * the schema: fields are added, never changed.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "conf/settings.h"
#include "supervisor/control_commands.h"
#include "supervisor/stall.h"
#include "supervisor/supervisor.h"

/* Of this schema. */
#define CONTROL_STATUS_SCHEMA 1

static json_t *
control_status_addresses(const struct listener *listener)
{
	json_t *list = json_array();

	for (size_t i = 0; i < listener->socket_count; i++) {
		const struct held_socket *socket = listener->sockets[i];
		char text[CONF_ADDRESS_TEXT_SIZE];

		/* of several on one address, one is told */
		if (!socket->is_connection && (socket->is_adopted || socket->index == 0))
			(void)json_array_append_new(
				list, control_json_text(conf_address_format(&socket->bound, text,
									    sizeof(text))));
	}
	return list;
}

static json_t *
control_status_build_id(const struct pin *pin)
{
	char text[2 * ELF_BUILD_ID_SIZE + 1] = "";

	if (pin->build_id_size == 0)
		return json_null();
	for (size_t i = 0; i < pin->build_id_size; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", pin->build_id[i]);
	return json_string(text);
}

static json_t *
control_status_handler(const struct listener *listener)
{
	const struct child *child = listener->current;

	return json_pack("{s:o,s:o,s:o,s:o}", "name", control_json_text(listener->handler), "path",
			 control_json_text(listener->pin.path), "version",
			 control_json_text(child != NULL ? child->version : NULL), "build_id",
			 control_status_build_id(&listener->pin));
}

/* Whether connections of before it was drained are left: a reload has another generation. */
static bool
control_status_is_drained_by_hand(const struct listener *listener)
{
	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (child->generation == listener->current->generation)
			return true;
	}
	return false;
}

const char *
control_listener_state(const struct listener *listener)
{
	static const char *const names[CHILD_STATES] = {
		[CHILD_STARTING] = "starting",	[CHILD_READY] = "waiting",
		[CHILD_SERVING] = "serving",	[CHILD_REPLACING] = "restarting",
		[CHILD_BACKOFF] = "restarting", [CHILD_IDLE] = "idle",
		[CHILD_DRAINING] = "draining",	[CHILD_FAILED] = "gone",
		[CHILD_GONE] = "gone",
	};
	const struct child *child = listener->current;

	if (child == NULL)
		return "gone";
	if (listener->is_paused && child->state != CHILD_GONE && child->state != CHILD_DRAINING)
		return control_status_is_drained_by_hand(listener) ? "draining" : "paused";
	if (child->state == CHILD_SERVING && listener->stall.is_stalled)
		return "stalled";
	if (child->state == CHILD_SERVING && listener->overload.is_shedding)
		return "shedding";
	if (child->state == CHILD_REPLACING && child->is_on_demand)
		return "starting";
	return names[child->state];
}

static uint64_t
control_status_open(const struct scoreboard_totals *totals)
{
	uint64_t ended = totals->finished + totals->refused + totals->crashed;

	return totals->accepted > ended ? totals->accepted - ended : 0;
}

/* Why they have come to their end: those reasons that there were. */
static json_t *
control_status_ended(const struct scoreboard_totals *totals)
{
	json_t *ended = json_object();

	for (int i = 0; i < CLOSE_REASONS; i++) {
		if (totals->ended[i] > 0)
			(void)json_object_set_new(ended, close_reason_name((enum close_reason)i),
						  control_json_count(totals->ended[i]));
	}
	return ended;
}

static json_t *
control_status_connections(const struct listener *listener, const struct scoreboard_totals *totals)
{
	return json_pack(
		"{s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "now",
		control_json_count(control_status_open(totals)), "limit",
		(json_int_t)listener->limit, "total", control_json_count(totals->accepted),
		"finished", control_json_count(totals->finished), "refused",
		control_json_count(totals->refused), "failed", control_json_count(totals->failed),
		"crashed", control_json_count(totals->crashed), "timed_out",
		control_json_count(totals->timed_out), "unlogged",
		control_json_count(totals->unlogged), "ended", control_status_ended(totals));
}

static json_t *
control_status_datagrams(const struct listener *listener, const struct scoreboard_totals *totals)
{
	json_t *dropped = json_object();
	uint64_t by_kernel = 0;

	for (size_t i = 0; i < listener->socket_count; i++)
		by_kernel += held_count_drops(listener->sockets[i]);
	for (int i = 0; i < SCOREBOARD_DROPS; i++) {
		if (totals->dropped[i] > 0)
			(void)json_object_set_new(dropped,
						  scoreboard_drop_name((enum scoreboard_drop)i),
						  control_json_count(totals->dropped[i]));
	}
	return json_pack("{s:o,s:o}", "dropped_by_kernel", control_json_count(by_kernel), "dropped",
			 dropped);
}

/* The workers that drain, the newest first. */
static json_t *
control_status_old(const struct listener *listener)
{
	int64_t now_ns = clock_now_ns();
	json_t *list = json_array();

	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		uint64_t open = 0;

		if (child->process.pid == 0)
			continue;
		if (child->board != NULL)
			open = scoreboard_count_open(child->board, child->board_slots);
		(void)json_array_append_new(
			list, json_pack("{s:I,s:I,s:s,s:o,s:o}", "generation",
					(json_int_t)child->generation, "pid",
					(json_int_t)child->process.pid, "state", "draining",
					"connections", control_json_count(open), "seconds_left",
					child->deadline_ns < INT64_MAX / 4
						? control_json_seconds(child->deadline_ns - now_ns)
						: json_null()));
	}
	return list;
}

static json_t *
control_status_paths(const struct conf_texts *paths)
{
	json_t *list = json_array();

	for (size_t i = 0; i < paths->count; i++)
		(void)json_array_append_new(list, control_json_text(paths->items[i]));
	return list;
}

/* What its entry says; one that is removed has none any more. */
static json_t *
control_status_sandbox(const struct listener *listener, bool is_leaving)
{
	const struct conf_sandbox *sandbox = is_leaving ? NULL : &listener->conf->sandbox;
	const struct setting *row = setting_find(SETTING_LISTENER, "sandbox", "seccomp");
	bool is_confined = sandbox != NULL && sandbox->filesystem.count > 0;

	return json_pack("{s:o,s:o,s:o,s:o}", "seccomp",
			 sandbox != NULL
				 ? json_string(row->choices[sandbox->seccomp - row->first_choice])
				 : json_null(),
			 "filesystem",
			 is_confined ? control_status_paths(&sandbox->filesystem) : json_null(),
			 "network", sandbox != NULL ? json_boolean(sandbox->network) : json_null(),
			 "calls_refused", control_json_count(listener->refusals.total));
}

static json_t *
control_status_listener(const struct listener *listener, bool is_leaving)
{
	struct scoreboard_totals totals = listener_count(listener);
	const struct child *child = listener->current;
	bool is_alive = child != NULL && child->process.pid != 0;
	json_t *result = json_pack(
		"{s:s,s:o,s:o,s:o,s:o,s:o,s:s,s:b,s:b,s:I,s:o,s:o,s:o,s:o}", "name", listener->name,
		"protocol", control_json_choice("protocol", listener->protocol), "addresses",
		control_status_addresses(listener), "handler", control_status_handler(listener),
		"concurrency", control_json_choice("concurrency", listener->concurrency), "start",
		control_json_choice("start", listener->start), "state",
		control_listener_state(listener), "is_paused", listener->is_paused,
		"is_rolled_back", listener->is_rolled_back, "generation",
		(json_int_t)(child != NULL ? child->generation : 0), "pid",
		is_alive ? json_integer(child->process.pid) : json_null(), "uptime_seconds",
		is_alive && child->was_ready
			? control_json_seconds(clock_now_ns() - child->ready_ns)
			: json_null(),
		"crashes", control_json_count(child != NULL ? child->crashes : 0), "connections",
		control_status_connections(listener, &totals));

	if (conf_protocol_is_datagram(listener->protocol))
		(void)json_object_set_new(result, "datagrams",
					  control_status_datagrams(listener, &totals));
	(void)json_object_set_new(result, "old", control_status_old(listener));
	(void)json_object_set_new(result, "recycled", control_json_count(listener->recycle.count));
	(void)json_object_set_new(result, "sandbox", control_status_sandbox(listener, is_leaving));
	return result;
}

static json_t *
control_status_listeners(struct listener *const *listeners, size_t count, const char *name,
			 bool is_leaving)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		if (name == NULL || strcmp(listeners[i]->name, name) == 0)
			(void)json_array_append_new(
				list, control_status_listener(listeners[i], is_leaving));
	}
	return list;
}

static const char *
control_status_of_all(const struct supervisor *supervisor)
{
	if (supervisor->is_stopping)
		return "stopping";
	if (supervisor->reload.phase == RELOAD_IDLE || supervisor->reload.kind == RELOAD_DRY)
		return "running";
	return supervisor->reload.kind == RELOAD_START ? "starting" : "reloading";
}

static json_t *
control_status_reload(const struct reload_record *record)
{
	if (!record->is_known)
		return json_null();
	return json_pack("{s:b,s:o,s:I,s:o}", "ok", record->is_ok, "at",
			 control_json_time(record->at), "generation",
			 (json_int_t)record->generation, "text", control_json_text(record->text));
}

void
control_run_status(struct supervisor *supervisor, struct control_client *client,
		   const json_t *request)
{
	const char *name = control_request_text(request, "listener");
	const struct cmdline *cmdline = supervisor->cmdline;
	/* what starts now is not yet in the list of what serves */
	bool is_start = supervisor->config == NULL;
	struct listener *const *listeners =
		is_start ? supervisor->reload.next : supervisor->listeners;
	size_t count = is_start ? supervisor->reload.next_count : supervisor->listener_count;
	json_t *shown = control_status_listeners(listeners, count, name, false);
	json_t *leaving = control_status_listeners(supervisor->leaving, supervisor->leaving_count,
						   name, true);
	json_t *result;
	char abi[16];

	if (name != NULL && json_array_size(shown) == 0 && json_array_size(leaving) == 0) {
		json_decref(shown);
		json_decref(leaving);
		control_refuse_listener(supervisor, client, name);
		return;
	}
	(void)snprintf(abi, sizeof(abi), "%d.%d", HD_ABI_MAJOR, HD_ABI_MINOR);
	result = json_pack("{s:b,s:i,s:s,s:s,s:I,s:s,s:o,s:o,s:I,s:o,s:I,s:o,s:o,s:o}", "ok", 1,
			   "schema", CONTROL_STATUS_SCHEMA, "version", HANDLERD_VERSION, "abi", abi,
			   "pid", (json_int_t)getpid(), "state", control_status_of_all(supervisor),
			   "started", control_json_time(supervisor->started_s), "uptime_seconds",
			   control_json_seconds(clock_now_ns() - supervisor->started_ns),
			   "generation", (json_int_t)supervisor->generation, "configuration",
			   cmdline_has_no_file(cmdline) ? json_null()
							: control_json_text(cmdline->file),
			   "upgrades", (json_int_t)supervisor->upgrades, "last_reload",
			   control_status_reload(&supervisor->last_reload), "listeners", shown,
			   "leaving", leaving);
	control_client_answer(client, result);
}
