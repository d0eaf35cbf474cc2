/*
 * bans.c - who is refused by all listeners, and the end of that.
 */
#include "handlerctl/bans.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "handlerctl/ask.h"
#include "handlerctl/ctl.h"
#include "handlerctl/field.h"
#include "handlerctl/human.h"
#include "handlerctl/table.h"

enum {
	COLUMN_ADDRESS,
	COLUMN_LISTENER,
	COLUMN_LEFT,
};

static const struct table_column bans_columns[] = {
	[COLUMN_ADDRESS] = {.title = "ADDRESS"},
	[COLUMN_LISTENER] = {.title = "REPORTED BY"},
	[COLUMN_LEFT] = {.title = "LEFT", .is_number = true},
};

static void
bans_add(struct table *table, const json_t *row)
{
	CLEANUP_FREE char *address = field_text(row, "address");
	CLEANUP_FREE char *listener = field_text(row, "listener");
	char left[HUMAN_SIZE];

	table_add_row(table);
	table_set(table, COLUMN_ADDRESS, SCREEN_PLAIN, "%s", address != NULL ? address : "-");
	table_set(table, COLUMN_LISTENER, SCREEN_PLAIN, "%s", listener != NULL ? listener : "-");
	table_set(table, COLUMN_LEFT, SCREEN_PLAIN, "%s",
		  human_duration(field_number(row, "seconds_left"), left, sizeof(left)));
}

static void
bans_print(const struct ask *ask, const json_t *answer)
{
	struct table table = {.columns = bans_columns, .column_count = COUNT_OF(bans_columns)};
	int64_t cleared = field_integer(answer, "cleared");
	const json_t *row;
	size_t i;

	if (ask->line.is_clear) {
		(void)printf("%" PRId64 " ban%s ended\n", cleared, cleared == 1 ? "" : "s");
		return;
	}
	json_array_foreach(json_object_get(answer, "bans"), i, row) bans_add(&table, row);
	if (table.row_count == 0)
		(void)printf("no bans\n");
	else
		table_print(&table, screen_wants_color(STDOUT_FILENO), stdout);
	table_free(&table);
}

int
bans_run(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin(&ask, verb, argc, argv, &status))
		return status;
	if (ask.line.argument != NULL && !ask.line.is_clear) {
		(void)ctl_complain_usage(verb->name, "an address goes with --clear alone");
		return ask_cancel(&ask, CTL_USAGE);
	}
	if (ask.line.is_clear)
		(void)json_object_set_new(ask.request, "clear", json_true());
	if (!ask_add_name(&ask, "address"))
		return ask_cancel(&ask, CTL_USAGE);
	ask.print = bans_print;
	return ask_run(&ask);
}
