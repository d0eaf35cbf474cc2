/*
 * status.c - a line about the daemon and a table of its listeners, or all about one of them.
 */
#include "handlerctl/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "handlerctl/ask.h"
#include "handlerctl/ctl.h"
#include "handlerctl/field.h"
#include "handlerctl/human.h"
#include "handlerctl/listener.h"

/* Where listeners stand in the answer. */
static const struct {
	const char *key;
	bool is_leaving;
} status_lists[] = {{"listeners", false}, {"leaving", true}};

static void
status_print_head(const json_t *answer, bool is_colored)
{
	CLEANUP_FREE char *version = field_text(answer, "version");
	CLEANUP_FREE char *state = field_text(answer, "state");
	const char *word = state == NULL ? "-" : state;
	char time[HUMAN_SIZE];

	(void)printf("handlerd %s: ", version == NULL ? "-" : version);
	screen_paint(stdout, is_colored,
		     strcmp(word, "running") == 0 ? SCREEN_GREEN : SCREEN_YELLOW, word);
	(void)printf(", pid %" PRId64 ", generation %" PRId64 ", up %s\n",
		     field_integer(answer, "pid"), field_integer(answer, "generation"),
		     human_duration(field_number(answer, "uptime_seconds"), time, sizeof(time)));
}

/* A reload that went well is the generation above. */
static void
status_print_last_reload(const json_t *answer, bool is_colored)
{
	const json_t *reload = json_object_get(answer, "last_reload");
	CLEANUP_FREE char *at = field_text(reload, "at");
	CLEANUP_FREE char *text = field_text(reload, "text");

	if (!json_is_object(reload) || field_is_true(reload, "ok"))
		return;
	screen_paint(stdout, is_colored, SCREEN_RED, "the last reload failed");
	(void)printf("%s%s%s%s\n", at == NULL ? "" : " at ", at == NULL ? "" : at,
		     text == NULL ? "" : ": ", text == NULL ? "" : text);
}

static void
status_print_all(const struct ask *ask, const json_t *answer)
{
	struct table table = {.columns = listener_columns, .column_count = listener_column_count};
	bool is_colored = screen_wants_color(STDOUT_FILENO);

	status_print_head(answer, is_colored);
	status_print_last_reload(answer, is_colored);
	for (size_t list = 0; list < COUNT_OF(status_lists); list++) {
		const json_t *listener;
		size_t i;

		json_array_foreach(json_object_get(answer, status_lists[list].key), i, listener)
			listener_add_row(&table, listener, status_lists[list].is_leaving,
					 ask->line.is_verbose);
	}
	(void)printf("\n");
	if (table.row_count == 0)
		(void)printf("no listeners\n");
	else
		table_print(&table, is_colored, stdout);
	table_free(&table);
}

static void
status_print_one(const struct ask *ask, const json_t *answer)
{
	bool is_first = true;

	(void)ask;
	for (size_t list = 0; list < COUNT_OF(status_lists); list++) {
		const json_t *listener;
		size_t i;

		json_array_foreach(json_object_get(answer, status_lists[list].key), i, listener)
		{
			(void)printf("%s", is_first ? "" : "\n");
			listener_print(listener, status_lists[list].is_leaving);
			is_first = false;
		}
	}
}

int
status_run(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin_listener(&ask, verb, argc, argv, &status))
		return status;
	ask.print = ask.line.argument == NULL ? status_print_all : status_print_one;
	return ask_run(&ask);
}
