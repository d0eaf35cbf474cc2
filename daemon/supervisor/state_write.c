/*
 * state_write.c - a supervisor as JSON.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "conf/settings.h"
#include "policy/sources.h"
#include "supervisor/state_field.h"

static void
write_set(json_t *object, const char *name, json_t *value)
{
	CHECK(value != NULL && json_object_set_new(object, name, value) == 0);
}

static void
write_append(json_t *array, json_t *value)
{
	CHECK(value != NULL && json_array_append_new(array, value) == 0);
}

/* Where something was written; nothing for what came from the command line. */
static void
write_conf_origin(json_t *object, const char *name, const struct conf_origin *origin)
{
	json_t *value;

	if (origin->file == NULL)
		return;
	value = state_put(&state_conf_origin_table, origin, NULL);
	write_set(value, "file", state_put_text(origin->file));
	write_set(object, name, value);
}

static json_t *
write_conf_text(const struct config *config, const struct conf_listener *listener)
{
	CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	CHECK(out != NULL);
	if (listener != NULL)
		config_emit_part(listener, out);
	else
		config_emit_top(config, out);
	CHECK(fclose(out) == 0);
	return state_put_text(text);
}

/* The line of each entry of a list. */
static json_t *
write_lines(const struct conf_texts *texts)
{
	json_t *lines = json_array();

	for (size_t i = 0; texts->lines != NULL && i < texts->count; i++)
		write_append(lines, json_integer(texts->lines[i]));
	return lines;
}

/* Of all keys, for whoever asks where a rule is written. */
static json_t *
write_origins(const struct conf_listener *listener)
{
	json_t *object = json_object();
	char label[SETTING_LABEL_SIZE];

	for (size_t i = 0; i < setting_count && listener->origins != NULL; i++) {
		if (settings[i].scope == SETTING_LISTENER)
			write_conf_origin(object, setting_label(&settings[i], label, sizeof(label)),
					  &listener->origins[i]);
	}
	return object;
}

static json_t *
write_conf_listener(const struct conf_listener *listener)
{
	json_t *object = json_object(), *options = json_array();

	write_set(object, "text", write_conf_text(NULL, listener));
	write_conf_origin(object, "origin", &listener->origin);
	write_conf_origin(object, "handler_origin", &listener->handler_origin);
	write_conf_origin(object, "address_origin", &listener->address_origin);
	write_set(object, "origins", write_origins(listener));
	write_set(object, "allow_lines", write_lines(&listener->access.allow));
	write_set(object, "deny_lines", write_lines(&listener->access.deny));
	for (size_t i = 0; i < listener->option_count; i++) {
		json_t *option = json_object();

		write_conf_origin(option, "origin", &listener->options[i].origin);
		write_append(options, option);
	}
	write_set(object, "options", options);
	return object;
}

/* With all its listeners, or with one of them. */
static json_t *
write_config(const struct config *config, const struct conf_listener *only)
{
	json_t *object = json_object(), *listeners = json_array();

	write_set(object, "text", write_conf_text(config, NULL));
	for (size_t i = 0; i < config->listener_count; i++) {
		if (only == NULL || only == &config->listeners[i])
			write_append(listeners, write_conf_listener(&config->listeners[i]));
	}
	write_set(object, "listeners", listeners);
	return object;
}

static json_t *
write_address(const struct conf_address *address)
{
	static const char *const kinds[] = {
		[CONF_ADDRESS_INET] = "inet",
		[CONF_ADDRESS_UNIX] = "unix",
		[CONF_ADDRESS_SYSTEMD] = "systemd",
	};
	json_t *object = state_put(&state_address_table, address, NULL);

	write_set(object, "kind", json_string(kinds[address->kind]));
	write_set(object, "bytes", state_put_bytes(&address->addr, address->length));
	return object;
}

static json_t *
write_socket(const struct held_socket *held, struct state_fds *fds)
{
	json_t *object = state_put(&state_socket_table, held, fds);
	CLEANUP_FREE char *options = fingerprint_format(&held->fingerprint);

	write_set(object, "options", json_string(options));
	write_set(object, "asked", write_address(&held->asked));
	write_set(object, "bound", write_address(&held->bound));
	return object;
}

static json_t *
write_failures(const struct report *report)
{
	json_t *array = json_array();

	for (size_t i = 0; i < report->count; i++) {
		const struct report_entry *entry = &report->entries[i];
		json_t *object = state_put(&state_report_entry_table, entry, NULL);

		if (entry->file != NULL)
			write_set(object, "file", state_put_text(entry->file));
		write_set(object, "text", state_put_text(entry->text));
		write_append(array, object);
	}
	return array;
}

static json_t *
write_child(const struct child *child, struct state_fds *fds)
{
	struct child copy = *child;
	json_t *object, *backoff;

	/* numbers of descriptors that were closed */
	if (child->process.pid == 0)
		copy.process.channel.fd = copy.process.refusals.source.fd = -1;
	if (child->board == NULL)
		copy.board_fd = -1;
	object = state_put(&state_child_table, &copy, fds);
	write_set(object, "state", json_string(child_state_name(child->state)));
	if (child->board != NULL)
		write_set(object, "board_size",
			  json_integer((json_int_t)sources_board_size(child->board_slots,
								      child->board_sets)));
	backoff = state_put(&state_backoff_table, &child->backoff, NULL);
	write_set(backoff, "crashes_ns",
		  state_put_numbers((const uint64_t *)child->backoff.crashes_ns, BACKOFF_BURST));
	write_set(object, "backoff", backoff);
	write_set(object, "failures", write_failures(&child->failures));
	return object;
}

static json_t *
write_ids(const uint32_t *ids, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		write_append(array, json_integer(ids[i]));
	return array;
}

static json_t *
write_identity(const struct identity *identity)
{
	json_t *object = state_put(&state_identity_table, identity, NULL);

	write_set(object, "groups", write_ids(identity->groups, identity->group_count));
	return object;
}

static json_t *
write_pin(const struct pin *pin, struct state_fds *fds)
{
	json_t *object = state_put(&state_pin_table, pin, fds);

	write_set(object, "build_id", state_put_bytes(pin->build_id, pin->build_id_size));
	return object;
}

static json_t *
write_access(const struct access_lists *access, struct state_fds *fds)
{
	json_t *object = state_put(&state_access_table, access, fds);

	write_set(object, "ids", write_ids(access->ids, access->id_count));
	return object;
}

static json_t *
write_fallback(const struct fallback *fallback, struct state_fds *fds)
{
	json_t *object = state_put(&state_fallback_table, fallback, NULL);

	write_set(object, "configuration", write_config(fallback->config, fallback->conf));
	write_set(object, "pin", write_pin(&fallback->pin, fds));
	write_set(object, "identity", write_identity(&fallback->identity));
	if (fallback->access != NULL)
		write_set(object, "access", write_access(fallback->access, fds));
	write_set(object, "crashes_ns",
		  state_put_numbers((const uint64_t *)fallback->crashes_ns, fallback->crash_room));
	return object;
}

/* A word of the configuration: numbers are each version's own. */
static json_t *
write_choice(const char *key, int64_t value)
{
	const struct setting *setting = setting_find(SETTING_LISTENER, "", key);

	return json_string(setting->choices[value - setting->first_choice]);
}

static json_t *
write_buckets(const struct buckets *buckets, struct state_fds *fds)
{
	json_t *array = json_array();

	for (size_t i = 0; i < buckets->count; i++)
		write_append(array, state_put(&state_buckets_table, &buckets->tables[i], fds));
	return array;
}

static json_t *
write_listener(const struct listener *listener, struct state_fds *fds)
{
	json_t *object = state_put(&state_listener_table, listener, fds);
	json_t *totals = state_put(&state_totals_table, &listener->totals, NULL);
	json_t *sockets = json_array(), *old = json_array();

	write_set(object, "protocol", write_choice("protocol", listener->protocol));
	write_set(object, "concurrency", write_choice("concurrency", listener->concurrency));
	write_set(object, "start", write_choice("start", listener->start));
	write_set(object, "pin", write_pin(&listener->pin, fds));
	write_set(object, "identity", write_identity(&listener->identity));
	if (listener->access != NULL)
		write_set(object, "access", write_access(listener->access, fds));
	if (listener->own_config != NULL)
		write_set(object, "configuration", write_config(listener->config, listener->conf));
	if (listener->fallback.config != NULL)
		write_set(object, "before", write_fallback(&listener->fallback, fds));
	write_set(totals, "dropped", state_put_numbers(listener->totals.dropped, SCOREBOARD_DROPS));
	write_set(totals, "ended", state_put_numbers(listener->totals.ended, CLOSE_REASONS));
	write_set(object, "totals", totals);
	for (size_t i = 0; i < listener->socket_count; i++)
		write_append(sockets, write_socket(listener->sockets[i], fds));
	write_set(object, "sockets", sockets);
	if (listener->current != NULL)
		write_set(object, "current", write_child(listener->current, fds));
	for (const struct child *child = listener->old; child != NULL; child = child->next)
		write_append(old, write_child(child, fds));
	write_set(object, "old", old);
	write_set(object, "buckets", write_buckets(&listener->buckets, fds));
	return object;
}

static json_t *
write_listeners(struct listener *const *listeners, size_t count, struct state_fds *fds)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		write_append(array, write_listener(listeners[i], fds));
	return array;
}

static json_t *
write_texts(char *const *texts, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		write_append(array, state_put_text(texts[i]));
	return array;
}

static json_t *
write_control(const struct control *control, struct state_fds *fds)
{
	struct control_state state;
	json_t *object;

	control_save(control, &state);
	object = state_put(&state_control_table, &state, fds);
	write_set(object, "waiting", state_put_fds(state.waiting_fds, state.waiting_count, fds));
	write_set(object, "asking", state_put_fds(state.asking_fds, state.asking_count, fds));
	return object;
}

char *
state_write(const struct supervisor *supervisor, int64_t began_ns, size_t *ret_length,
	    struct state_fds *ret_fds)
{
	struct state_origin origin = {
		.version = (char *)HANDLERD_VERSION,
		.program = supervisor->places.program,
		.pid = getpid(),
		.began_ns = began_ns,
	};
	json_t *state = state_put(&state_origin_table, &origin, NULL);
	char *text;

	write_set(state, "state", json_integer(STATE_VERSION));
	write_set(state, "supervisor", state_put(&state_supervisor_table, supervisor, ret_fds));
	write_set(state, "configuration", write_config(supervisor->config, NULL));
	write_set(state, "last_reload",
		  state_put(&state_record_table, &supervisor->last_reload, NULL));
	write_set(state, "listeners",
		  write_listeners(supervisor->listeners, supervisor->listener_count, ret_fds));
	write_set(state, "leaving",
		  write_listeners(supervisor->leaving, supervisor->leaving_count, ret_fds));
	write_set(state, "ban_reporters",
		  write_texts(supervisor->world.bans.reporters,
			      supervisor->world.bans.reporter_count));
	write_set(state, "control", write_control(&supervisor->control, ret_fds));
	text = json_dumps(state, JSON_COMPACT);
	json_decref(state);
	CHECK(text != NULL);
	*ret_length = strlen(text);
	return text;
}
