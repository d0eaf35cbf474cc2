/*
 * explain.c - what every rule of a listener says of a client, and what comes of it.
 */
#include "handlerctl/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "handlerctl/ask.h"
#include "handlerctl/ctl.h"
#include "handlerctl/field.h"
#include "handlerctl/table.h"

/* A request has 4096 bytes. */
#define EXPLAIN_LONGEST 1024

enum {
	COLUMN_RULE,
	COLUMN_SAYS,
	COLUMN_WHY,
};

static const struct table_column explain_columns[] = {
	[COLUMN_RULE] = {.title = "RULE"},
	[COLUMN_SAYS] = {.title = "SAYS"},
	[COLUMN_WHY] = {.title = "WHY"},
};

/* Words that are not here have no colour. */
static const struct {
	const char *word;
	enum screen_color color;
} explain_colors[] = {
	{"accepted", SCREEN_GREEN}, {"refuses", SCREEN_RED},	{"refused", SCREEN_RED},
	{"waits", SCREEN_YELLOW},   {"unknown", SCREEN_YELLOW},
};

static enum screen_color
explain_color(const char *word)
{
	for (size_t i = 0; i < COUNT_OF(explain_colors); i++) {
		if (strcmp(word, explain_colors[i].word) == 0)
			return explain_colors[i].color;
	}
	return SCREEN_PLAIN;
}

static void
explain_add(struct table *table, const json_t *row)
{
	CLEANUP_FREE char *rule = field_text(row, "rule");
	CLEANUP_FREE char *says = field_text(row, "says");
	CLEANUP_FREE char *text = field_text(row, "text");
	CLEANUP_FREE char *file = field_text(row, "file");
	const char *why = text != NULL ? text : "";

	table_add_row(table);
	table_set(table, COLUMN_RULE, SCREEN_PLAIN, "%s", rule != NULL ? rule : "-");
	table_set(table, COLUMN_SAYS, explain_color(says != NULL ? says : ""), "%s",
		  says != NULL ? says : "-");
	if (file != NULL)
		table_set(table, COLUMN_WHY, SCREEN_PLAIN, "%s (%s:%" PRId64 ")", why, file,
			  field_integer(row, "line"));
	else
		table_set(table, COLUMN_WHY, SCREEN_PLAIN, "%s", why);
}

static void
explain_print(const struct ask *ask, const json_t *answer)
{
	struct table table = {.columns = explain_columns,
			      .column_count = COUNT_OF(explain_columns)};
	CLEANUP_FREE char *decision = field_text(answer, "decision");
	CLEANUP_FREE char *reason = field_text(answer, "reason");
	CLEANUP_FREE char *listener = field_text(answer, "listener");
	CLEANUP_FREE char *address = field_text(answer, "address");
	const char *word = decision != NULL ? decision : "-";
	bool is_colored = screen_wants_color(STDOUT_FILENO);
	const json_t *row;
	size_t i;

	(void)ask;
	(void)printf("%s, %s: ", listener != NULL ? listener : "-",
		     address != NULL ? address : "-");
	screen_paint(stdout, is_colored, explain_color(word), word);
	(void)printf("%s%s%s\n\n", reason != NULL ? " (" : "", reason != NULL ? reason : "",
		     reason != NULL ? ")" : "");
	json_array_foreach(json_object_get(answer, "rules"), i, row) explain_add(&table, row);
	table_print(&table, is_colored, stdout);
	table_free(&table);
}

/* False, after a complaint: it cannot even be asked. */
static bool
explain_set(struct ask *ask, const char *key, const char *value)
{
	if (value == NULL)
		return true;
	if (value[0] != '\0' && strlen(value) <= EXPLAIN_LONGEST &&
	    json_object_set_new(ask->request, key, json_string(value)) == 0)
		return true;
	(void)ctl_complain_usage(ask->line.verb->name, "'%s' can be no %s", value, key);
	return false;
}

int
explain_run(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin_listener(&ask, verb, argc, argv, &status))
		return status;
	if (!explain_set(&ask, "address", ask.line.second) ||
	    !explain_set(&ask, "gid", ask.line.gid))
		return ask_cancel(&ask, CTL_USAGE);
	ask.print = explain_print;
	return ask_run(&ask);
}
