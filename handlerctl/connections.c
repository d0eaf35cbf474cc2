/*
 * connections.c - a table of what is open.
 */
#include "handlerctl/connections.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "handlerctl/ask.h"
#include "handlerctl/ctl.h"
#include "handlerctl/field.h"
#include "handlerctl/human.h"
#include "handlerctl/table.h"

enum {
	COLUMN_ID,
	COLUMN_LISTENER,
	COLUMN_GENERATION,
	COLUMN_PEER,
	COLUMN_AGE,
	COLUMN_IN,
	COLUMN_OUT,
	COLUMN_STATE,
};

static const struct table_column connections_columns[] = {
	[COLUMN_ID] = {.title = "ID", .is_number = true},
	[COLUMN_LISTENER] = {.title = "LISTENER"},
	[COLUMN_GENERATION] = {.title = "GENERATION", .is_number = true},
	[COLUMN_PEER] = {.title = "PEER"},
	[COLUMN_AGE] = {.title = "AGE", .is_number = true},
	[COLUMN_IN] = {.title = "IN", .is_number = true},
	[COLUMN_OUT] = {.title = "OUT", .is_number = true},
	[COLUMN_STATE] = {.title = "STATE"},
};

static void
connections_set_text(struct table *table, size_t column, const json_t *row, const char *key)
{
	CLEANUP_FREE char *text = field_text(row, key);

	table_set(table, column, SCREEN_PLAIN, "%s", text == NULL ? "-" : text);
}

static void
connections_set_number(struct table *table, size_t column, const json_t *row, const char *key)
{
	table_set(table, column, SCREEN_PLAIN, "%" PRId64, field_integer(row, key));
}

static void
connections_set_bytes(struct table *table, size_t column, const json_t *row, const char *key)
{
	int64_t bytes = field_integer(row, key);
	char text[HUMAN_SIZE];

	table_set(table, column, SCREEN_PLAIN, "%s",
		  human_bytes(bytes < 0 ? 0 : (uint64_t)bytes, text, sizeof(text)));
}

static void
connections_add(struct table *table, const json_t *row)
{
	char time[HUMAN_SIZE];

	table_add_row(table);
	connections_set_number(table, COLUMN_ID, row, "id");
	connections_set_text(table, COLUMN_LISTENER, row, "listener");
	connections_set_number(table, COLUMN_GENERATION, row, "generation");
	connections_set_text(table, COLUMN_PEER, row, "peer");
	table_set(table, COLUMN_AGE, SCREEN_PLAIN, "%s",
		  human_duration(field_number(row, "age_seconds"), time, sizeof(time)));
	connections_set_bytes(table, COLUMN_IN, row, "bytes_in");
	connections_set_bytes(table, COLUMN_OUT, row, "bytes_out");
	connections_set_text(table, COLUMN_STATE, row, "state");
}

static void
connections_print(const struct ask *ask, const json_t *answer)
{
	struct table table = {.columns = connections_columns,
			      .column_count = COUNT_OF(connections_columns)};
	const json_t *row;
	size_t i;

	(void)ask;
	json_array_foreach(json_object_get(answer, "connections"), i, row)
		connections_add(&table, row);
	if (table.row_count == 0)
		(void)printf("no connections\n");
	else
		table_print(&table, screen_wants_color(STDOUT_FILENO), stdout);
	table_free(&table);
	if (field_is_true(answer, "is_cut")) {
		(void)fflush(stdout);
		ctl_complain("there are more connections than can be told at once");
	}
}

int
connections_run(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin_listener(&ask, verb, argc, argv, &status))
		return status;
	ask.print = connections_print;
	return ask_run(&ask);
}
