/*
 * man.c - a row of the table becomes an item: its name, its type, range and default in one
 * sentence, and its help.
 */
#include "conf/man.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/parse.h"

#define MAN_NUMBER_SIZE 32

static const char *const man_types[] = {
	[SETTING_INT] = "Whole number",
	[SETTING_BOOL] = "true or false",
	[SETTING_TEXT] = "String",
	[SETTING_TEXTS] = "String or list of strings",
	[SETTING_DURATION] = "Duration",
	[SETTING_SIZE] = "Size",
	[SETTING_CHOICE] = "One of",
	[SETTING_GROUP] = "Group",
	[SETTING_OPTIONS] = "Group",
	[SETTING_VARIABLES] = "Group of strings",
	[SETTING_ENTRIES] = "List of groups",
	[SETTING_DEFAULTS] = "Group",
};

/* Text that mdoc is not to take for anything else. */
static void
man_write_text(const char *text, FILE *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			(void)fputs("\\e", out);
		else
			(void)fputc(*text, out);
		/* a new sentence is a new line */
		if (*text == '.' && text[1] == ' ' && isalnum((unsigned char)text[2])) {
			(void)fputc('\n', out);
			text++;
		}
	}
}

static const char *
man_format_limit(const struct setting *row, int64_t limit, char *buf)
{
	if (row->type == SETTING_DURATION)
		return parse_format_duration(limit, buf, MAN_NUMBER_SIZE);
	if (row->type == SETTING_SIZE)
		return parse_format_size((uint64_t)limit, buf, MAN_NUMBER_SIZE);
	(void)snprintf(buf, MAN_NUMBER_SIZE, "%" PRId64, limit);
	return buf;
}

static void
man_write_range(const struct setting *row, FILE *out)
{
	char min[MAN_NUMBER_SIZE], max[MAN_NUMBER_SIZE];

	if (row->type != SETTING_INT && row->type != SETTING_DURATION && row->type != SETTING_SIZE)
		return;
	(void)fprintf(out, " from %s to %s", man_format_limit(row, row->min, min),
		      man_format_limit(row, row->max, max));
}

static void
man_write_default(const struct setting *row, const char *default_handler_directory, FILE *out)
{
	bool is_bare = row->type == SETTING_INT || row->type == SETTING_BOOL;
	const char *quote = is_bare ? "" : "\"";

	if (row->default_text == NULL)
		return;
	if ((row->flags & SETTING_PLUS_INSTALLED) != 0)
		(void)fprintf(out, "; default [ \"%s\", \"%s\" ]", row->default_text,
			      default_handler_directory);
	else
		(void)fprintf(out, "; default %s%s%s", quote, row->default_text, quote);
}

static void
man_write_row(const struct setting *row, const char *default_handler_directory, FILE *out)
{
	(void)fprintf(out, ".It Ic %s\n%s", row->name, man_types[row->type]);
	for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
		(void)fprintf(out, "%s \"%s\"", i > 0 ? "," : "", row->choices[i]);
	man_write_range(row, out);
	man_write_default(row, default_handler_directory, out);
	if ((row->flags & SETTING_REQUIRED) != 0)
		(void)fputs("; required", out);
	if ((row->flags & SETTING_NO_DEFAULTS) != 0)
		(void)fputs(", and not in defaults", out);
	(void)fputs(".\n", out);
	man_write_text(row->help, out);
	(void)fputc('\n', out);
}

static void
man_write_group(enum setting_scope scope, const char *group, const char *default_handler_directory,
		FILE *out)
{
	(void)fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &settings[i];

		if (row->scope != scope || strcmp(row->group, group) != 0)
			continue;
		man_write_row(row, default_handler_directory, out);
		if (row->type == SETTING_GROUP)
			man_write_group(scope, row->name, default_handler_directory, out);
	}
	(void)fputs(".El\n", out);
}

void
man_write_settings(enum setting_scope scope, const char *default_handler_directory, FILE *out)
{
	man_write_group(scope, "", default_handler_directory, out);
}
