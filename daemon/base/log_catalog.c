/*
 * log_catalog.c - a program of the build: writes the journal's catalogue of log_events.inc, or with
 * --markdown the table of docs/operating.md.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

static const struct row {
	const char *name, *id, *meaning, *action;
	int level;
} rows[] = {
#define LOG_EVENT(symbol, name, level, id, meaning, action) {name, id, meaning, action, level},
#include "base/log_events.inc"
#undef LOG_EVENT
};

static const char *
catalog_level(int level)
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_NOTICE] = "notice",
		[LOG_LEVEL_INFO] = "info",
	};

	return names[level];
}

/* The journal shows the message itself above this text. */
static void
catalog_print(void)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		(void)printf("%s-- %s\nSubject: handlerd: %s\nDefined-By: handlerd\n"
			     "Documentation: man:handlerd(8)\n\n%s\n%s\n",
			     i > 0 ? "\n" : "", rows[i].id, rows[i].name, rows[i].meaning,
			     rows[i].action);
}

static void
catalog_print_markdown(void)
{
	(void)printf("| event | level | id | meaning | what to do |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		(void)printf("| `%s` | %s | `%s` | %s | %s |\n", rows[i].name,
			     catalog_level(rows[i].level), rows[i].id, rows[i].meaning,
			     rows[i].action);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--markdown") == 0)
		catalog_print_markdown();
	else
		catalog_print();
	return fflush(stdout) == 0 ? 0 : 1;
}
