/*
 * state_field.c - the tables of the state, and how one struct is written and read by its table.
 */
#include "supervisor/state_field.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "policy/sources.h"

#define TABLE(name_, what_)                                                                        \
	const struct state_table state_##name_##_table = {                                         \
		.fields = name_##_fields,                                                          \
		.count = COUNT_OF(name_##_fields),                                                 \
		.what = (what_),                                                                   \
	}

static const struct state_field supervisor_fields[] = {
	STATE_ROW_REQUIRED(struct supervisor, "generation", generation, 1, UINT32_MAX),
	STATE_ROW_NUMBER(struct supervisor, "upgrades", upgrades, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct supervisor, "started_ns", started_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct supervisor, "started_s", started_s, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct supervisor, "log_level", world.log_level, 0, LOG_LEVEL_DEBUG),
	STATE_ROW_NUMBER(struct supervisor, "source_key_0", world.source_key[0], INT64_MIN,
			 INT64_MAX),
	STATE_ROW_NUMBER(struct supervisor, "source_key_1", world.source_key[1], INT64_MIN,
			 INT64_MAX),
	STATE_ROW_NUMBER(struct supervisor, "next_serial", world.next_serial, 0, INT64_MAX),
	STATE_ROW_BOOL(struct supervisor, "has_store", sockets.store.is_open),
	STATE_ROW_FD(struct supervisor, "journal", world.journal_fd),
	STATE_ROW_FD(struct supervisor, "ports", world.ports_fd),
	STATE_ROW_FD(struct supervisor, "bans", world.bans.fd),
};
TABLE(supervisor, "the supervisor");

static const struct state_field record_fields[] = {
	STATE_ROW_BOOL(struct reload_record, "is_known", is_known),
	STATE_ROW_BOOL(struct reload_record, "is_ok", is_ok),
	STATE_ROW_NUMBER(struct reload_record, "at", at, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct reload_record, "generation", generation, 0, UINT32_MAX),
	STATE_ROW_OPTIONAL_TEXT(struct reload_record, "text", text),
};
TABLE(record, "the last reload");

static const struct state_field origin_fields[] = {
	STATE_ROW_TEXT(struct state_origin, "version", version),
	STATE_ROW_TEXT(struct state_origin, "program", program),
	STATE_ROW_REQUIRED(struct state_origin, "pid", pid, 1, INT32_MAX),
	STATE_ROW_NUMBER(struct state_origin, "began_ns", began_ns, 0, INT64_MAX),
};
TABLE(origin, "the state");

static const struct state_field pin_fields[] = {
	STATE_ROW_FD(struct pin, "fd", fd),
	STATE_ROW_TEXT(struct pin, "path", path),
	STATE_ROW_NUMBER(struct pin, "device", st.st_dev, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct pin, "inode", st.st_ino, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct pin, "size", st.st_size, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct pin, "mtime_s", st.st_mtim.tv_sec, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct pin, "mtime_ns", st.st_mtim.tv_nsec, 0, 999999999),
};
TABLE(pin, "a handler file");

static const struct state_field identity_fields[] = {
	STATE_ROW_BOOL(struct identity, "is_dropped", is_dropped),
	STATE_ROW_REQUIRED(struct identity, "uid", uid, 0, UINT32_MAX),
	STATE_ROW_REQUIRED(struct identity, "gid", gid, 0, UINT32_MAX),
	STATE_ROW_TEXT(struct identity, "user", user),
	STATE_ROW_TEXT(struct identity, "home", home),
};
TABLE(identity, "an identity");

static const struct state_field listener_fields[] = {
	STATE_ROW_TEXT(struct listener, "name", name),
	STATE_ROW_TEXT(struct listener, "handler", handler),
	STATE_ROW_NUMBER(struct listener, "socket_uid", socket_owner.uid, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct listener, "socket_gid", socket_owner.gid, 0, UINT32_MAX),
	STATE_ROW_FD(struct listener, "vacancy", vacancy_fd),
	STATE_ROW_BOOL(struct listener, "is_rolled_back", is_rolled_back),
	STATE_ROW_BOOL(struct listener, "wants_back", wants_back),
	STATE_ROW_BOOL(struct listener, "is_paused", is_paused),
	STATE_ROW_NUMBER(struct listener, "limit", limit, 0, UINT32_MAX),
	STATE_ROW_BOOL(struct listener, "has_sessions", has_sessions),
	STATE_ROW_NUMBER(struct listener, "stalled_since_ns", stall.since_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "stall_taken", stall.taken, INT64_MIN, INT64_MAX),
	STATE_ROW_BOOL(struct listener, "is_stalled", stall.is_stalled),
	STATE_ROW_BOOL(struct listener, "is_shedding", overload.is_shedding),
	STATE_ROW_NUMBER(struct listener, "shedding_since_ns", overload.since_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "shed_before", overload.refused, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "memory_well", overload.memory_well, INT64_MIN,
			 INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "recycled", recycle.count, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "calls_refused", refusals.total, 0, INT64_MAX),
};
TABLE(listener, "a listener");

static const struct state_field fallback_fields[] = {
	STATE_ROW_NUMBER(struct fallback, "socket_uid", socket_owner.uid, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct fallback, "socket_gid", socket_owner.gid, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct fallback, "generation", generation, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct fallback, "crash_count", crash_count, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct fallback, "next_crash", next_crash, 0, INT32_MAX),
};
TABLE(fallback, "what a listener was before");

static const struct state_field totals_fields[] = {
	STATE_ROW_NUMBER(struct scoreboard_totals, "accepted", accepted, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "finished", finished, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "refused", refused, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "failed", failed, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "crashed", crashed, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "timed_out", timed_out, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "unlogged", unlogged, INT64_MIN, INT64_MAX),
};
TABLE(totals, "the totals of a listener");

static const struct state_field address_fields[] = {
	STATE_ROW_BOOL(struct conf_address, "is_dual_stack", is_dual_stack),
	STATE_ROW_CHARS(struct conf_address, "name", name),
};
TABLE(address, "an address");

static const struct state_field socket_fields[] = {
	STATE_ROW_FD(struct held_socket, "fd", fd),
	STATE_ROW_NUMBER(struct held_socket, "index", index, 0, 65535),
	STATE_ROW_BOOL(struct held_socket, "is_adopted", is_adopted),
	STATE_ROW_OPTIONAL_TEXT(struct held_socket, "store_name", store_name),
	STATE_ROW_NUMBER(struct held_socket, "device", identity.device, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct held_socket, "inode", identity.inode, INT64_MIN, INT64_MAX),
};
TABLE(socket, "a socket");

static const struct state_field child_fields[] = {
	STATE_ROW_REQUIRED(struct child, "generation", generation, 1, UINT32_MAX),
	STATE_ROW_NUMBER(struct child, "pid", process.pid, 0, INT32_MAX),
	STATE_ROW_NUMBER(struct child, "protocol", process.protocol, 0, UINT16_MAX),
	STATE_ROW_FD(struct child, "channel", process.channel.fd),
	STATE_ROW_FD(struct child, "refusals", process.refusals.source.fd),
	STATE_ROW_BOOL(struct child, "is_confined", process.is_confined),
	STATE_ROW_BOOL(struct child, "is_on_demand", is_on_demand),
	STATE_ROW_BOOL(struct child, "has_accepted", has_accepted),
	STATE_ROW_BOOL(struct child, "is_retiring", is_retiring),
	STATE_ROW_BOOL(struct child, "is_pausing", is_pausing),
	STATE_ROW_BOOL(struct child, "is_quiet", is_quiet),
	STATE_ROW_BOOL(struct child, "was_ready", was_ready),
	STATE_ROW_NUMBER(struct child, "ready_ns", ready_ns, 0, INT64_MAX),
	STATE_ROW_OPTIONAL_TEXT(struct child, "version", version),
	STATE_ROW_NUMBER(struct child, "deadline_ns", deadline_ns, 0, INT64_MAX),
	STATE_ROW_BOOL(struct child, "timer_is_armed", timer.is_armed),
	STATE_ROW_NUMBER(struct child, "timer_ns", timer.when_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct child, "crashes", crashes, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct child, "stuck_ns", stuck_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct child, "last_status", last_status, INT32_MIN, INT32_MAX),
	STATE_ROW_FD(struct child, "handler", handler_fd),
	STATE_ROW_FD(struct child, "program", program_fd),
	STATE_ROW_CHARS(struct child, "build_id", build_id),
	STATE_ROW_FD(struct child, "board", board_fd),
	STATE_ROW_NUMBER(struct child, "slots", board_slots, 0, SCOREBOARD_MOST_SLOTS),
	STATE_ROW_NUMBER(struct child, "sets", board_sets, 0, SOURCES_MOST_SETS),
};
TABLE(child, "a worker");

static const struct state_field backoff_fields[] = {
	STATE_ROW_NUMBER(struct backoff, "early_delay_ns", early_delay_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct backoff, "crash_delay_ns", crash_delay_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct backoff, "next_crash", next_crash, 0, BACKOFF_BURST - 1),
};
TABLE(backoff, "the pauses of a worker");

static const struct state_field report_entry_fields[] = {
	STATE_ROW_BOOL(struct report_entry, "is_warning", is_warning),
	STATE_ROW_NUMBER(struct report_entry, "line", line, 0, UINT32_MAX),
};
TABLE(report_entry, "a worker's complaint");

static const struct state_field conf_origin_fields[] = {
	STATE_ROW_NUMBER(struct conf_origin, "line", line, 0, UINT32_MAX),
};
TABLE(conf_origin, "a place in a file");

static const struct state_field control_fields[] = {
	STATE_ROW_FD(struct control_state, "fd", listening_fd),
	STATE_ROW_OPTIONAL_TEXT(struct control_state, "path", place.path),
	STATE_ROW_BOOL(struct control_state, "is_asked", place.is_asked),
	STATE_ROW_BOOL(struct control_state, "is_written", place.is_written),
	STATE_ROW_BOOL(struct control_state, "needs_parent", place.needs_parent),
	STATE_ROW_NUMBER(struct control_state, "parent_mode", place.parent_mode, 0, 07777),
	STATE_ROW_NUMBER(struct control_state, "device", identity.device, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct control_state, "inode", identity.inode, INT64_MIN, INT64_MAX),
	STATE_ROW_BOOL(struct control_state, "has_group", group.is_given),
	STATE_ROW_NUMBER(struct control_state, "gid", group.gid, 0, UINT32_MAX),
};
TABLE(control, "the control socket");

static const struct state_field access_fields[] = {
	STATE_ROW_FD(struct access_lists, "fd", writer.fd),
};
TABLE(access, "access lists");

void
state_fds_free(struct state_fds *fds)
{
	free(fds->items);
	*fds = (struct state_fds){0};
}

static bool
state_fds_add(struct state_fds *fds, int fd)
{
	for (size_t i = 0; i < fds->count; i++) {
		if (fds->items[i] == fd)
			return false;
	}
	fds->items = memory_grow(fds->items, fds->count, sizeof(*fds->items));
	fds->items[fds->count++] = fd;
	return true;
}

/* Values that were made a moment ago; without memory there is no going on. */
static json_t *
state_value(json_t *value)
{
	CHECK(value != NULL);
	return value;
}

json_t *
state_put_bytes(const void *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	CLEANUP_FREE char *hex = memory_zero(2 * length + 1, 1);
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++) {
		hex[2 * i] = digits[at[i] >> 4];
		hex[2 * i + 1] = digits[at[i] & 15];
	}
	return state_value(json_pack("{s:s}", "hex", hex));
}

json_t *
state_put_text(const char *text)
{
	json_t *value = json_string(text);

	return value != NULL ? value : state_put_bytes(text, strlen(text));
}

json_t *
state_put_numbers(const uint64_t *numbers, size_t count)
{
	json_t *array = state_value(json_array());

	for (size_t i = 0; i < count; i++)
		CHECK(json_array_append_new(array, json_integer((json_int_t)numbers[i])) == 0);
	return array;
}

json_t *
state_put_fds(const int *items, size_t count, struct state_fds *fds)
{
	json_t *array = state_value(json_array());

	for (size_t i = 0; i < count; i++) {
		CHECK(state_fds_add(fds, items[i]));
		CHECK(json_array_append_new(array, json_integer(items[i])) == 0);
	}
	return array;
}

static int64_t
state_load_number(const struct state_field *field, const void *at)
{
	switch (field->size) {
	case 2:
		return *(const uint16_t *)at;
	case 4:
		return field->is_signed ? *(const int32_t *)at : (int64_t) * (const uint32_t *)at;
	default:
		CHECK(field->size == 8);
		return *(const int64_t *)at;
	}
}

static void
state_store_number(const struct state_field *field, void *at, int64_t number)
{
	switch (field->size) {
	case 2:
		*(uint16_t *)at = (uint16_t)number;
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)number;
		break;
	default:
		CHECK(field->size == 8);
		*(int64_t *)at = number;
	}
}

static json_t *
state_put_field(const struct state_field *field, const void *at, struct state_fds *fds)
{
	switch (field->type) {
	case STATE_BOOL:
		return json_boolean(*(const bool *)at);
	case STATE_NUMBER:
		return state_value(json_integer(state_load_number(field, at)));
	case STATE_TEXT:
		return *(char *const *)at != NULL ? state_put_text(*(char *const *)at) : NULL;
	case STATE_CHARS:
		return state_put_text(at);
	case STATE_FD:
		if (*(const int *)at < 0)
			return NULL;
		CHECK(state_fds_add(fds, *(const int *)at));
		return state_value(json_integer(*(const int *)at));
	}
	return NULL;
}

json_t *
state_put(const struct state_table *table, const void *from, struct state_fds *fds)
{
	json_t *object = state_value(json_object());

	for (size_t i = 0; i < table->count; i++) {
		const struct state_field *field = &table->fields[i];
		json_t *value = state_put_field(field, (const char *)from + field->offset, fds);

		if (value != NULL)
			CHECK(json_object_set_new(object, field->name, value) == 0);
	}
	return object;
}

bool
state_refuse(struct state_reader *reader, const char *format, ...)
{
	va_list args;

	if (reader->reason != NULL)
		return false;
	va_start(args, format);
	reader->reason = memory_vformat(format, args);
	va_end(args);
	return false;
}

static int
state_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of {"hex": "..."}, with a NUL behind them; NULL: it is none. */
static unsigned char *
state_parse_hex(const json_t *value, size_t *ret_length)
{
	const char *hex = json_string_value(json_object_get(value, "hex"));
	size_t length = hex != NULL ? strlen(hex) : 1;
	unsigned char *bytes;

	if (length % 2 != 0)
		return NULL;
	bytes = memory_zero(length / 2 + 1, 1);
	for (size_t i = 0; i < length; i += 2) {
		int high = state_digit(hex[i]), low = state_digit(hex[i + 1]);

		if (high < 0 || low < 0) {
			free(bytes);
			return NULL;
		}
		bytes[i / 2] = (unsigned char)(high << 4 | low);
	}
	*ret_length = length / 2;
	return bytes;
}

char *
state_get_text(const json_t *value)
{
	size_t length = 0;
	char *text;

	if (json_is_string(value))
		return memory_text(json_string_value(value));
	text = (char *)state_parse_hex(value, &length);
	/* a text has no NUL in it */
	if (text != NULL && strlen(text) == length)
		return text;
	free(text);
	return NULL;
}

bool
state_get_bytes(struct state_reader *reader, const json_t *value, void *to, size_t size,
		size_t *ret_length)
{
	CLEANUP_FREE unsigned char *bytes = NULL;

	*ret_length = 0;
	if (value == NULL)
		return true;
	bytes = state_parse_hex(value, ret_length);
	if (bytes == NULL || *ret_length > size)
		return state_refuse(reader, "it has bytes that are none, or too many");
	memcpy(to, bytes, *ret_length);
	return true;
}

bool
state_get_numbers(struct state_reader *reader, const json_t *value, uint64_t *to, size_t count)
{
	/* more of them are those of a later version */
	for (size_t i = 0; i < json_array_size(value) && i < count; i++) {
		const json_t *number = json_array_get(value, i);

		if (!json_is_integer(number))
			return state_refuse(reader,
					    "it has a list of numbers with something else in it");
		to[i] = (uint64_t)json_integer_value(number);
	}
	return true;
}

static bool
state_get_fd(struct state_reader *reader, const json_t *value, int *to)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number <= 2 || number > INT32_MAX ||
	    !state_fds_add(reader->fds, (int)number))
		return false;
	*to = (int)number;
	return true;
}

bool
state_get_fds(struct state_reader *reader, const json_t *value, int *to, size_t most,
	      size_t *ret_count)
{
	size_t count = json_array_size(value);

	*ret_count = 0;
	if (count > most)
		return state_refuse(reader, "it has a list of %zu descriptors", count);
	for (size_t i = 0; i < count; i++) {
		if (!state_get_fd(reader, json_array_get(value, i), &to[i]))
			return state_refuse(reader, "it has a list with what is no descriptor");
		(*ret_count)++;
	}
	return true;
}

static bool
state_get_chars(const json_t *value, char *to, size_t size)
{
	CLEANUP_FREE char *text = state_get_text(value);

	if (text == NULL || strlen(text) >= size)
		return false;
	memset(to, 0, size);
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool
state_get_field(struct state_reader *reader, const struct state_field *field, const json_t *value,
		void *at)
{
	switch (field->type) {
	case STATE_BOOL:
		*(bool *)at = json_is_true(value);
		return json_is_boolean(value);
	case STATE_NUMBER:
		if (!json_is_integer(value) || json_integer_value(value) < field->min ||
		    json_integer_value(value) > field->max)
			return false;
		state_store_number(field, at, json_integer_value(value));
		return true;
	case STATE_TEXT:
		free(*(char **)at);
		*(char **)at = state_get_text(value);
		return *(char **)at != NULL;
	case STATE_CHARS:
		return state_get_chars(value, at, field->size);
	case STATE_FD:
		return state_get_fd(reader, value, at);
	}
	return false;
}

bool
state_get(struct state_reader *reader, const struct state_table *table, const json_t *object,
	  void *to)
{
	if (!json_is_object(object))
		return state_refuse(reader, "%s is missing", table->what);
	for (size_t i = 0; i < table->count; i++) {
		const struct state_field *field = &table->fields[i];
		const json_t *value = json_object_get(object, field->name);

		if (value == NULL && !field->is_required)
			continue;
		if (value == NULL)
			return state_refuse(reader, "'%s' of %s is missing", field->name,
					    table->what);
		if (!state_get_field(reader, field, value, (char *)to + field->offset))
			return state_refuse(reader, "'%s' of %s is not what it can be", field->name,
					    table->what);
	}
	return true;
}
