/*
 * state_read.c - a supervisor from JSON: nothing is mapped, watched or armed here, so that a state
 * can be tried by a process that has none of its descriptors.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "conf/settings.h"
#include "supervisor/state_field.h"

#define READ_MOST_GROUPS 65536

static bool
read_address(struct state_reader *reader, const json_t *object, struct conf_address *to)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	size_t length;

	if (kind != NULL && strcmp(kind, "inet") == 0)
		to->kind = CONF_ADDRESS_INET;
	else if (kind != NULL && strcmp(kind, "unix") == 0)
		to->kind = CONF_ADDRESS_UNIX;
	else if (kind != NULL && strcmp(kind, "systemd") == 0)
		to->kind = CONF_ADDRESS_SYSTEMD;
	else
		return state_refuse(reader, "'kind' of an address is not what it can be");
	if (!state_get(reader, &state_address_table, object, to) ||
	    !state_get_bytes(reader, json_object_get(object, "bytes"), &to->addr, sizeof(to->addr),
			     &length))
		return false;
	to->length = (socklen_t)length;
	return true;
}

/* One that the listener holds; it goes into the table of all. */
static bool
read_socket(struct state_reader *reader, struct sockets *sockets, struct listener *listener,
	    const json_t *object)
{
	struct held_socket *held = memory_zero(1, sizeof(*held));

	sockets->items = memory_grow(sockets->items, sockets->count, sizeof(struct held_socket *));
	sockets->items[sockets->count++] = held;
	listener->sockets = memory_grow(listener->sockets, listener->socket_count,
					sizeof(struct held_socket *));
	listener->sockets[listener->socket_count++] = held;
	held->fd = -1;
	held->protocol = listener->protocol;
	held->owner = memory_text(listener->name);
	if (listener->conf != NULL)
		held->settings = sockets_settings(listener->conf, &listener->socket_owner);
	if (json_is_string(json_object_get(object, "options")))
		fingerprint_parse(json_string_value(json_object_get(object, "options")),
				  &held->fingerprint);
	return state_get(reader, &state_socket_table, object, held) &&
	       read_address(reader, json_object_get(object, "asked"), &held->asked) &&
	       read_address(reader, json_object_get(object, "bound"), &held->bound);
}

/* All numbers of an array; false: one is none of 32 bits. */
static bool
read_ids(const json_t *array, uint32_t *to)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *value = json_array_get(array, i);
		json_int_t id = json_integer_value(value);

		if (!json_is_integer(value) || id < 0 || id > UINT32_MAX)
			return false;
		to[i] = (uint32_t)id;
	}
	return true;
}

static bool
read_identity(struct state_reader *reader, const json_t *object, struct identity *to)
{
	const json_t *groups = json_object_get(object, "groups");
	size_t count = json_array_size(groups);

	if (!state_get(reader, &state_identity_table, object, to))
		return false;
	if (count > READ_MOST_GROUPS)
		return state_refuse(reader, "an identity has %zu groups", count);
	to->groups = memory_zero(count, sizeof(*to->groups));
	to->group_count = (uint32_t)count;
	return read_ids(groups, to->groups) ||
	       state_refuse(reader, "an identity has a group that is none");
}

static bool
read_pin(struct state_reader *reader, const json_t *object, struct pin *to)
{
	return state_get(reader, &state_pin_table, object, to) &&
	       state_get_bytes(reader, json_object_get(object, "build_id"), to->build_id,
			       sizeof(to->build_id), &to->build_id_size);
}

/* A word of the configuration; without it the field stays as it is. */
static bool
read_choice(struct state_reader *reader, const json_t *object, const char *key, int64_t *to)
{
	const struct setting *setting = setting_find(SETTING_LISTENER, "", key);
	const json_t *value = json_object_get(object, key);
	const char *name = json_string_value(value);

	if (value == NULL)
		return true;
	for (size_t i = 0; name != NULL && setting->choices[i] != NULL; i++) {
		if (strcmp(setting->choices[i], name) == 0) {
			*to = setting->first_choice + (int64_t)i;
			return true;
		}
	}
	return state_refuse(reader, "'%s' of a listener is not what it can be", key);
}

/* Only what cannot be had anew: access_lists_resume does the rest. */
static bool
read_access(struct state_reader *reader, const json_t *object, struct access_lists **to)
{
	const json_t *ids = json_object_get(object, "ids");
	size_t count = json_array_size(ids);
	struct access_lists *access;

	if (object == NULL)
		return true;
	access = *to = access_lists_known(-1);
	if (!state_get(reader, &state_access_table, object, access))
		return false;
	if (access->writer.fd < 0 || count > ACCESS_MOST_RULES)
		return state_refuse(reader, "access lists are not whole");
	access->ids = memory_zero(count, sizeof(*access->ids));
	access->id_count = count;
	return read_ids(ids, access->ids) ||
	       state_refuse(reader, "access lists have a number that is none");
}

/* What it was before the reload that changed it. */
static bool
read_fallback(struct state_reader *reader, const struct supervisor *supervisor,
	      const json_t *object, struct fallback *to)
{
	const json_t *crashes = json_object_get(object, "crashes_ns");

	if (object == NULL)
		return true;
	if (!state_get(reader, &state_fallback_table, object, to) ||
	    !state_get_own_config(reader, supervisor, json_object_get(object, "configuration"),
				  &to->config) ||
	    !read_pin(reader, json_object_get(object, "pin"), &to->pin) ||
	    !read_identity(reader, json_object_get(object, "identity"), &to->identity) ||
	    !read_access(reader, json_object_get(object, "access"), &to->access))
		return false;
	to->conf = &to->config->listeners[0];
	to->crash_room = json_array_size(crashes);
	to->crashes_ns = memory_zero(to->crash_room, sizeof(*to->crashes_ns));
	if (to->pin.fd < 0 || (to->crash_room > 0 && to->next_crash >= to->crash_room))
		return state_refuse(reader, "what a listener was before is not whole");
	return state_get_numbers(reader, crashes, (uint64_t *)to->crashes_ns, to->crash_room);
}

/* The entry of a listener that serves; those that leave have none any more. */
static bool
read_find_conf(struct state_reader *reader, const struct supervisor *supervisor,
	       struct listener *listener, const json_t *own)
{
	if (own != NULL) {
		if (!state_get_own_config(reader, supervisor, own, &listener->own_config))
			return false;
		listener->config = listener->own_config;
		listener->conf = &listener->own_config->listeners[0];
		return true;
	}
	for (size_t i = 0; i < supervisor->config->listener_count; i++) {
		const struct conf_listener *conf = &supervisor->config->listeners[i];

		if (strcmp(conf->name, listener->name) != 0)
			continue;
		listener->config = supervisor->config;
		listener->conf = conf;
		return true;
	}
	return state_refuse(reader, "its configuration has no listener '%s'", listener->name);
}

/* Only what cannot be had anew: buckets_resume does the rest, and finds out one whose layout is
 * another version's. */
static bool
read_buckets(struct state_reader *reader, const json_t *array, struct buckets *to)
{
	if (json_array_size(array) > BUCKETS_MOST)
		return state_refuse(reader, "a listener has %zu tables of buckets",
				    json_array_size(array));
	for (size_t i = 0; i < json_array_size(array); i++) {
		struct buckets_table *table = &to->tables[to->count];

		*table = (struct buckets_table){.fd = -1, .reading_fd = -1};
		if (!state_get(reader, &state_buckets_table, json_array_get(array, i), table))
			return false;
		to->count++;
		if (table->fd < 0 || (table->sets & (table->sets - 1)) != 0)
			return state_refuse(reader, "a table of buckets is not whole");
	}
	return true;
}

static void
read_fill_listener(struct state_reader *reader, struct supervisor *supervisor,
		   struct listener *listener, const json_t *object, bool is_leaving)
{
	const json_t *totals = json_object_get(object, "totals");
	const json_t *sockets = json_object_get(object, "sockets");

	if (!state_get(reader, &state_listener_table, object, listener) ||
	    !read_choice(reader, object, "protocol", &listener->protocol) ||
	    !read_choice(reader, object, "concurrency", &listener->concurrency) ||
	    !read_choice(reader, object, "start", &listener->start) ||
	    (!is_leaving && !read_find_conf(reader, supervisor, listener,
					    json_object_get(object, "configuration"))) ||
	    !read_pin(reader, json_object_get(object, "pin"), &listener->pin) ||
	    !read_identity(reader, json_object_get(object, "identity"), &listener->identity) ||
	    !read_access(reader, json_object_get(object, "access"), &listener->access) ||
	    !read_fallback(reader, supervisor, json_object_get(object, "before"),
			   &listener->fallback) ||
	    !state_get(reader, &state_totals_table, totals, &listener->totals) ||
	    !state_get_numbers(reader, json_object_get(totals, "dropped"), listener->totals.dropped,
			       SCOREBOARD_DROPS) ||
	    !state_get_numbers(reader, json_object_get(totals, "ended"), listener->totals.ended,
			       CLOSE_REASONS))
		return;
	if (!is_leaving && (listener->pin.fd < 0 || listener->vacancy_fd < 0 ||
			    json_object_get(object, "current") == NULL)) {
		(void)state_refuse(reader, "listener '%s' is not whole", listener->name);
		return;
	}
	if (!is_leaving) {
		listener_open_sensor(listener);
		listener_make_image(listener);
		buckets_open(listener);
	}
	for (size_t i = 0; i < json_array_size(sockets) && reader->reason == NULL; i++)
		(void)read_socket(reader, &supervisor->sockets, listener,
				  json_array_get(sockets, i));
	(void)state_get_workers(reader, object, listener);
	if (reader->reason == NULL)
		(void)read_buckets(reader, json_object_get(object, "buckets"), &listener->buckets);
}

static void
read_listeners(struct state_reader *reader, struct supervisor *supervisor, const json_t *array,
	       bool is_leaving)
{
	struct listener ***list = is_leaving ? &supervisor->leaving : &supervisor->listeners;
	size_t *count = is_leaving ? &supervisor->leaving_count : &supervisor->listener_count;

	for (size_t i = 0; i < json_array_size(array) && reader->reason == NULL; i++) {
		struct listener *listener = memory_zero(1, sizeof(*listener));

		listener->world = &supervisor->world;
		listener->pin = PIN_NONE;
		listener->fallback = FALLBACK_NONE;
		listener->vacancy_fd = -1;
		*list = memory_grow(*list, *count, sizeof(struct listener *));
		(*list)[(*count)++] = listener;
		read_fill_listener(reader, supervisor, listener, json_array_get(array, i),
				   is_leaving);
	}
}

/* Their numbers are in the page of bans. */
static void
read_ban_reporters(struct state_reader *reader, const json_t *array, struct ban_list *to)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		CLEANUP_FREE char *name = state_get_text(json_array_get(array, i));

		if (name == NULL || ban_list_find_reporter(to, name) != i)
			(void)state_refuse(reader, "'ban_reporters' is not what it can be");
	}
}

static bool
read_version(struct state_reader *reader, const json_t *state)
{
	const json_t *number = json_object_get(state, "state");
	json_int_t version = json_integer_value(number);
	const char *program = json_string_value(json_object_get(state, "version"));

	if (!json_is_integer(number))
		return state_refuse(reader, "it is no state of handlerd");
	if (version >= STATE_OLDEST && version <= STATE_VERSION)
		return true;
	return state_refuse(reader,
			    "the running handlerd %s hands over a state of version %" PRId64
			    ", and this one (%s) understands %d to %d; stop and start instead",
			    program != NULL ? program : "", (int64_t)version, HANDLERD_VERSION,
			    STATE_OLDEST, STATE_VERSION);
}

static bool
read_control(struct state_reader *reader, const json_t *object, struct control_state *to)
{
	return object == NULL ||
	       (state_get(reader, &state_control_table, object, to) &&
		state_get_fds(reader, json_object_get(object, "waiting"), to->waiting_fds,
			      CONTROL_MOST_CLIENTS, &to->waiting_count) &&
		state_get_fds(reader, json_object_get(object, "asking"), to->asking_fds,
			      CONTROL_MOST_CLIENTS, &to->asking_count));
}

int
state_read(const char *text, size_t length, struct supervisor *supervisor,
	   struct state_origin *ret_origin, struct state_fds *ret_fds, char **ret_reason)
{
	struct state_reader reader = {.fds = ret_fds};
	json_error_t error;
	json_t *state = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);

	*ret_origin = (struct state_origin){.control.listening_fd = -1};
	if (state == NULL)
		(void)state_refuse(&reader, "it cannot be parsed: %s", error.text);
	else if (read_version(&reader, state) &&
		 state_get(&reader, &state_origin_table, state, ret_origin) &&
		 state_get(&reader, &state_supervisor_table, json_object_get(state, "supervisor"),
			   supervisor) &&
		 (json_object_get(state, "last_reload") == NULL ||
		  state_get(&reader, &state_record_table, json_object_get(state, "last_reload"),
			    &supervisor->last_reload)) &&
		 state_get_config(&reader, supervisor, json_object_get(state, "configuration"),
				  &supervisor->config)) {
		read_ban_reporters(&reader, json_object_get(state, "ban_reporters"),
				   &supervisor->world.bans);
		read_listeners(&reader, supervisor, json_object_get(state, "listeners"), false);
		read_listeners(&reader, supervisor, json_object_get(state, "leaving"), true);
		(void)read_control(&reader, json_object_get(state, "control"),
				   &ret_origin->control);
	}
	json_decref(state);
	*ret_reason = reader.reason;
	return reader.reason != NULL ? -EBADMSG : 0;
}

void
state_origin_free(struct state_origin *origin)
{
	free(origin->version);
	free(origin->program);
	free(origin->control.place.path);
	*origin = (struct state_origin){.version = NULL};
}

static void
read_let_go_child(struct child *child)
{
	if (child == NULL)
		return;
	child->process.pid = 0;
	child->handler_fd = child->program_fd = -1;
	child->process.refusals.source.fd = -1;
	child->board = NULL;
	child->timer.is_armed = false;
	child->state = CHILD_GONE;
}

static void
read_let_go_access(struct access_lists *access)
{
	if (access != NULL)
		access->writer.fd = -1;
}

static void
read_let_go_listeners(struct listener **listeners, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		read_let_go_child(listeners[i]->current);
		for (struct child *child = listeners[i]->old; child != NULL; child = child->next)
			read_let_go_child(child);
		read_let_go_access(listeners[i]->access);
		read_let_go_access(listeners[i]->fallback.access);
		for (size_t k = 0; k < listeners[i]->buckets.count; k++)
			listeners[i]->buckets.tables[k].fd = -1;
		listeners[i]->vacancy_fd = -1;
		listeners[i]->pin.fd = listeners[i]->fallback.pin.fd = -1;
	}
}

void
state_let_go(struct supervisor *supervisor)
{
	read_let_go_listeners(supervisor->listeners, supervisor->listener_count);
	read_let_go_listeners(supervisor->leaving, supervisor->leaving_count);
	for (size_t i = 0; i < supervisor->sockets.count; i++)
		supervisor->sockets.items[i]->fd = -1;
	supervisor->sockets.store.is_open = false;
	supervisor->world.journal_fd = supervisor->world.ports_fd = -1;
	supervisor->world.bans.fd = -1;
}
