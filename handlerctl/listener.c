/*
 * listener.c - what is told of one listener. Numbers of connections are exact everywhere.
 */
#include "handlerctl/listener.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "handlerctl/field.h"
#include "handlerctl/human.h"

enum {
	COLUMN_NAME,
	COLUMN_ADDRESS,
	COLUMN_HANDLER,
	COLUMN_CONCURRENCY,
	COLUMN_STATE,
	COLUMN_NOW,
	COLUMN_TOTAL,
	COLUMN_REFUSED,
	COLUMN_FAILED,
	COLUMN_CRASHED,
	COLUMN_PID,
	COLUMN_UPTIME,
};

const struct table_column listener_columns[] = {
	[COLUMN_NAME] = {.title = "LISTENER"},
	[COLUMN_ADDRESS] = {.title = "ADDRESS"},
	[COLUMN_HANDLER] = {.title = "HANDLER"},
	[COLUMN_CONCURRENCY] = {.title = "CONCURRENCY"},
	[COLUMN_STATE] = {.title = "STATE"},
	[COLUMN_NOW] = {.title = "NOW/LIMIT", .is_number = true},
	[COLUMN_TOTAL] = {.title = "TOTAL", .is_number = true},
	[COLUMN_REFUSED] = {.title = "REFUSED", .is_number = true},
	[COLUMN_FAILED] = {.title = "FAILED", .is_number = true},
	[COLUMN_CRASHED] = {.title = "CRASHED", .is_number = true},
	[COLUMN_PID] = {.title = "PID", .is_number = true},
	[COLUMN_UPTIME] = {.title = "UPTIME"},
};
const size_t listener_column_count = COUNT_OF(listener_columns);

/* States that are not here have no colour. */
static const struct {
	const char *state;
	enum screen_color color;
} listener_colors[] = {
	{"serving", SCREEN_GREEN},   {"paused", SCREEN_YELLOW},	    {"draining", SCREEN_YELLOW},
	{"starting", SCREEN_YELLOW}, {"restarting", SCREEN_YELLOW}, {"waiting", SCREEN_YELLOW},
	{"stalled", SCREEN_RED},     {"gone", SCREEN_RED},	    {"shedding", SCREEN_RED},
};

/* The counters of "connections" in columns. */
static const struct {
	size_t column;
	const char *key;
} listener_counters[] = {
	{COLUMN_TOTAL, "total"},
	{COLUMN_REFUSED, "refused"},
	{COLUMN_FAILED, "failed"},
	{COLUMN_CRASHED, "crashed"},
};

static const char *
listener_or_dash(const char *text)
{
	return text == NULL ? "-" : text;
}

/* The state in words, with what an operator must not overlook. */
static char *
listener_describe_state(const json_t *listener, bool is_leaving, enum screen_color *ret_color)
{
	CLEANUP_FREE char *state = field_text(listener, "state");
	const char *word = listener_or_dash(state);
	CLEANUP_FREE char *crashes = NULL;
	bool is_rolled_back = field_is_true(listener, "is_rolled_back");
	int64_t count = field_integer(listener, "crashes");

	*ret_color = SCREEN_PLAIN;
	for (size_t i = 0; i < COUNT_OF(listener_colors); i++) {
		if (strcmp(word, listener_colors[i].state) == 0)
			*ret_color = listener_colors[i].color;
	}
	if (is_rolled_back)
		*ret_color = SCREEN_RED;
	if (strcmp(word, "stalled") == 0)
		word = "STALLED";
	if (strcmp(word, "restarting") == 0 && count > 0)
		crashes = memory_format(" (%" PRId64 " crash%s)", count, count == 1 ? "" : "es");
	return memory_format("%s%s%s%s", word, crashes == NULL ? "" : crashes,
			     is_rolled_back ? ", ROLLED_BACK" : "", is_leaving ? ", removed" : "");
}

static void
listener_set_addresses(struct table *table, const json_t *listener, bool is_verbose)
{
	CLEANUP_FREE char *protocol = field_text(listener, "protocol");
	const json_t *addresses = json_object_get(listener, "addresses");
	CLEANUP_FREE char *first = field_text_of(json_array_get(addresses, 0));
	size_t count = json_array_size(addresses);

	if (count > 1 && !is_verbose)
		table_set(table, COLUMN_ADDRESS, SCREEN_PLAIN, "%s %s +%zu",
			  listener_or_dash(protocol), listener_or_dash(first), count - 1);
	else
		table_set(table, COLUMN_ADDRESS, SCREEN_PLAIN, "%s %s", listener_or_dash(protocol),
			  listener_or_dash(first));
	for (size_t i = 1; is_verbose && i < count; i++) {
		CLEANUP_FREE char *address = field_text_of(json_array_get(addresses, i));

		table_add_row(table);
		table_set(table, COLUMN_ADDRESS, SCREEN_PLAIN, "%s %s", listener_or_dash(protocol),
			  listener_or_dash(address));
	}
}

static void
listener_set_counters(struct table *table, const json_t *listener)
{
	const json_t *connections = json_object_get(listener, "connections");

	if (field_is_there(connections, "limit"))
		table_set(table, COLUMN_NOW, SCREEN_PLAIN, "%" PRId64 "/%" PRId64,
			  field_integer(connections, "now"), field_integer(connections, "limit"));
	else
		table_set(table, COLUMN_NOW, SCREEN_PLAIN, "%" PRId64,
			  field_integer(connections, "now"));
	for (size_t i = 0; i < COUNT_OF(listener_counters); i++)
		table_set(table, listener_counters[i].column, SCREEN_PLAIN, "%" PRId64,
			  field_integer(connections, listener_counters[i].key));
}

static void
listener_set_process(struct table *table, const json_t *listener)
{
	char time[HUMAN_SIZE];

	if (!field_is_there(listener, "pid")) {
		table_set(table, COLUMN_PID, SCREEN_PLAIN, "-");
		table_set(table, COLUMN_UPTIME, SCREEN_PLAIN, "-");
		return;
	}
	table_set(table, COLUMN_PID, SCREEN_PLAIN, "%" PRId64, field_integer(listener, "pid"));
	table_set(table, COLUMN_UPTIME, SCREEN_PLAIN, "%s",
		  human_duration(field_number(listener, "uptime_seconds"), time, sizeof(time)));
}

/* What is left of an old generation, in words; the caller frees it. */
static char *
listener_describe_old(const json_t *old)
{
	int64_t connections = field_integer(old, "connections");
	CLEANUP_FREE char *left = NULL;
	char time[HUMAN_SIZE];

	if (field_is_there(old, "seconds_left"))
		left = memory_format(", %s left", human_duration(field_number(old, "seconds_left"),
								 time, sizeof(time)));
	return memory_format("%" PRId64 " connection%s%s", connections, connections == 1 ? "" : "s",
			     left == NULL ? "" : left);
}

static void
listener_add_old(struct table *table, const json_t *listener)
{
	const json_t *old;
	size_t i;

	json_array_foreach(json_object_get(listener, "old"), i, old)
	{
		CLEANUP_FREE char *words = listener_describe_old(old);

		table_add_note(table, "%s generation %" PRId64 ", pid %" PRId64 ": %s",
			       screen_branch(), field_integer(old, "generation"),
			       field_integer(old, "pid"), words);
	}
}

void
listener_add_row(struct table *table, const json_t *listener, bool is_leaving, bool is_verbose)
{
	const json_t *handler = json_object_get(listener, "handler");
	CLEANUP_FREE char *name = field_text(listener, "name");
	CLEANUP_FREE char *handler_name = field_text(handler, "name");
	CLEANUP_FREE char *version = field_text(handler, "version");
	CLEANUP_FREE char *concurrency = field_text(listener, "concurrency");
	enum screen_color color;
	CLEANUP_FREE char *state = listener_describe_state(listener, is_leaving, &color);

	table_add_row(table);
	table_set(table, COLUMN_NAME, SCREEN_PLAIN, "%s", listener_or_dash(name));
	table_set(table, COLUMN_HANDLER, SCREEN_PLAIN, "%s%s%s", listener_or_dash(handler_name),
		  version == NULL ? "" : " ", version == NULL ? "" : version);
	table_set(table, COLUMN_CONCURRENCY, SCREEN_PLAIN, "%s", listener_or_dash(concurrency));
	table_set(table, COLUMN_STATE, color, "%s", state);
	listener_set_counters(table, listener);
	listener_set_process(table, listener);
	listener_set_addresses(table, listener, is_verbose);
	listener_add_old(table, listener);
}

static void
listener_print_text(const char *key, const json_t *object, const char *field)
{
	CLEANUP_FREE char *text = field_text(object, field);

	(void)printf("%s: %s\n", key, listener_or_dash(text));
}

static void
listener_print_number(const char *key, const json_t *object, const char *field)
{
	if (field_is_there(object, field))
		(void)printf("%s: %" PRId64 "\n", key, field_integer(object, field));
	else
		(void)printf("%s: -\n", key);
}

static void
listener_print_addresses(const json_t *listener)
{
	const json_t *address;
	size_t i;

	json_array_foreach(json_object_get(listener, "addresses"), i, address)
	{
		CLEANUP_FREE char *text = field_text_of(address);

		(void)printf("address: %s\n", listener_or_dash(text));
	}
}

static void
listener_print_connections(const json_t *listener)
{
	static const struct {
		const char *key, *field;
	} rows[] = {
		{"connections now", "now"},
		{"connections limit", "limit"},
		{"connections total", "total"},
		{"connections finished", "finished"},
		{"connections refused", "refused"},
		{"connections failed", "failed"},
		{"connections crashed", "crashed"},
		{"connections timed out", "timed_out"},
		{"connections not logged", "unlogged"},
	};
	const json_t *connections = json_object_get(listener, "connections");

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		listener_print_number(rows[i].key, connections, rows[i].field);
}

/* Why they have come to their end, each reason with its number. */
static void
listener_print_ended(const json_t *listener)
{
	const json_t *connections = json_object_get(listener, "connections");
	const char *reason;
	json_t *count;

	json_object_foreach(json_object_get(connections, "ended"), reason, count)
	{
		CLEANUP_FREE char *safe = field_escape(reason, strlen(reason));

		(void)printf("ended, %s: %" PRId64 "\n", safe, (int64_t)json_integer_value(count));
	}
}

static void
listener_print_datagrams(const json_t *listener)
{
	json_t *datagrams = json_object_get(listener, "datagrams");
	const char *reason;
	json_t *count;

	if (!json_is_object(datagrams))
		return;
	listener_print_number("datagrams dropped by the kernel", datagrams, "dropped_by_kernel");
	json_object_foreach(json_object_get(datagrams, "dropped"), reason, count)
	{
		CLEANUP_FREE char *safe = field_escape(reason, strlen(reason));

		(void)printf("datagrams dropped, %s: %" PRId64 "\n", safe,
			     (int64_t)json_integer_value(count));
	}
}

static void
listener_print_sandbox(const json_t *listener)
{
	const json_t *sandbox = json_object_get(listener, "sandbox");
	const json_t *path;
	size_t i;

	if (!json_is_object(sandbox))
		return;
	if (field_is_there(sandbox, "seccomp")) {
		listener_print_text("sandbox seccomp", sandbox, "seccomp");
		(void)printf("sandbox network: %s\n",
			     field_is_true(sandbox, "network") ? "yes" : "no");
	}
	json_array_foreach(json_object_get(sandbox, "filesystem"), i, path)
	{
		CLEANUP_FREE char *text = field_text_of(path);

		(void)printf("sandbox filesystem: %s\n", listener_or_dash(text));
	}
	listener_print_number("calls refused", sandbox, "calls_refused");
}

static void
listener_print_old(const json_t *listener)
{
	const json_t *old;
	size_t i;

	json_array_foreach(json_object_get(listener, "old"), i, old)
	{
		CLEANUP_FREE char *words = listener_describe_old(old);
		CLEANUP_FREE char *state = field_text(old, "state");

		(void)printf("old generation %" PRId64 ": pid %" PRId64 ", %s, %s\n",
			     field_integer(old, "generation"), field_integer(old, "pid"),
			     listener_or_dash(state), words);
	}
}

void
listener_print(const json_t *listener, bool is_leaving)
{
	const json_t *handler = json_object_get(listener, "handler");
	enum screen_color color;
	CLEANUP_FREE char *state = listener_describe_state(listener, is_leaving, &color);
	char time[HUMAN_SIZE];

	listener_print_text("listener", listener, "name");
	listener_print_text("protocol", listener, "protocol");
	listener_print_addresses(listener);
	listener_print_text("handler", handler, "name");
	listener_print_text("handler version", handler, "version");
	listener_print_text("handler file", handler, "path");
	listener_print_text("handler build-id", handler, "build_id");
	listener_print_text("concurrency", listener, "concurrency");
	listener_print_text("start", listener, "start");
	(void)printf("state: ");
	screen_paint(stdout, screen_wants_color(STDOUT_FILENO), color, state);
	(void)printf("\npaused: %s\n", field_is_true(listener, "is_paused") ? "yes" : "no");
	listener_print_number("generation", listener, "generation");
	listener_print_number("pid", listener, "pid");
	if (field_is_there(listener, "uptime_seconds"))
		(void)printf("uptime: %s\n",
			     human_duration(field_number(listener, "uptime_seconds"), time,
					    sizeof(time)));
	else
		(void)printf("uptime: -\n");
	listener_print_number("crashes", listener, "crashes");
	if (field_integer(listener, "recycled") > 0)
		listener_print_number("recycled", listener, "recycled");
	listener_print_connections(listener);
	listener_print_ended(listener);
	listener_print_datagrams(listener);
	listener_print_sandbox(listener);
	listener_print_old(listener);
}
