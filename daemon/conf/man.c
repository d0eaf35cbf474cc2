/*
 * man.c - a row of the table becomes an item: its name, its type, range and default in one
 * sentence, and its help.
 */
#include "conf/man.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "conf/config.h"

static const char *const man_types[] = {
	[SETTING_INT] = "Whole number",
	[SETTING_BOOL] = "true or false",
	[SETTING_TEXT] = "String",
	[SETTING_TEXTS] = "String or list of strings",
	[SETTING_DURATION] = "Duration",
	[SETTING_SIZE] = "Size",
	[SETTING_BYTE_RATE] = "Size per second",
	[SETTING_PERCENT] = "Percentage",
	[SETTING_RATE] = "Rate",
	[SETTING_MODE] = "Mode, as a string of octal digits,",
	[SETTING_FRACTION] = "Number",
	[SETTING_CHOICE] = "One of",
	[SETTING_SWITCH] = "true, false, or a group, which means true",
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
		if (*text == '.' && text[1] == ' ' &&
		    (isalnum((unsigned char)text[2]) || text[2] == '"')) {
			(void)fputc('\n', out);
			text++;
		}
	}
}

/* A number as it is written, in quotes where they belong. */
static void
man_write_number(const struct setting *row, int64_t number, FILE *out)
{
	const char *quote = setting_is_quoted(row) ? "\"" : "";
	char text[SETTING_NUMBER_SIZE];

	(void)fprintf(out, "%s%s%s", quote, setting_format(row, number, text, sizeof(text)), quote);
}

static void
man_write_range(const struct setting *row, FILE *out)
{
	if (row->type == SETTING_TEXT && row->max > 0)
		(void)fprintf(out, " of at most %" PRId64 " characters", row->max);
	if (!setting_has_range(row))
		return;
	(void)fputs(" from ", out);
	man_write_number(row, row->min, out);
	(void)fputs(" to ", out);
	man_write_number(row, row->max, out);
	if ((row->flags & SETTING_OR_UNLIMITED) != 0)
		(void)fputs(", or \"unlimited\"", out);
	if ((row->flags & SETTING_OR_NONE) == 0)
		return;
	(void)fputs(", or ", out);
	man_write_number(row, row->none, out);
}

static void
man_write_default(const struct setting *row, const char *default_handler_directory, FILE *out)
{
	const char *quote = setting_is_quoted(row) ? "\"" : "";

	if (row->default_text == NULL)
		return;
	if ((row->flags & SETTING_PLUS_INSTALLED) != 0)
		(void)fprintf(out, "; default [ \"%s\", \"%s\" ]", row->default_text,
			      default_handler_directory);
	else
		(void)fprintf(out, "; default %s%s%s", quote, row->default_text, quote);
}

/* For which protocols and sockets the key is. */
static void
man_write_use(const struct setting *row, FILE *out)
{
	const struct setting *protocol = setting_find(SETTING_LISTENER, "", "protocol");
	const char *before = "Only for protocol ";

	for (size_t i = 0; row->protocols != 0 && protocol->choices[i] != NULL; i++) {
		if ((row->protocols & SETTING_FOR(i)) == 0)
			continue;
		(void)fprintf(out, "%s%s", before, protocol->choices[i]);
		before = " and ";
	}
	if ((row->flags & SETTING_BEFORE_BIND) != 0)
		(void)fputs(", and not with a socket of systemd", out);
	if (row->protocols != 0)
		(void)fputs(".\n", out);
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
	man_write_use(row, out);
}

static void
man_write_group(enum setting_scope scope, const char *group, const char *default_handler_directory,
		FILE *out)
{
	char label[SETTING_LABEL_SIZE];

	(void)fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &settings[i];

		if (row->scope != scope || strcmp(row->group, group) != 0)
			continue;
		man_write_row(row, default_handler_directory, out);
		if (row->type == SETTING_GROUP || row->type == SETTING_SWITCH)
			man_write_group(scope, setting_label(row, label, sizeof(label)),
					default_handler_directory, out);
	}
	(void)fputs(".El\n", out);
}

void
man_write_settings(enum setting_scope scope, const char *default_handler_directory, FILE *out)
{
	man_write_group(scope, "", default_handler_directory, out);
}
