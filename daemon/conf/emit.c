/*
 * emit.c - writes a configuration as a file that reads back as the same. The listeners come last,
 * each with all it has: there is no group `defaults`.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "conf/config.h"
#include "conf/settings.h"

#define EMIT_INDENT 2

/* Where a line is written, and how far from the left. */
struct emit {
	FILE *out;
	int depth;
};

static void
emit_indent(const struct emit *emit)
{
	(void)fprintf(emit->out, "%*s", emit->depth * EMIT_INDENT, "");
}

static void
emit_string(const struct emit *emit, const char *text)
{
	(void)fputc('"', emit->out);
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\')
			(void)fprintf(emit->out, "\\%c", c);
		else if (c == '\n')
			(void)fputs("\\n", emit->out);
		else if (c == '\r')
			(void)fputs("\\r", emit->out);
		else if (c == '\t')
			(void)fputs("\\t", emit->out);
		else if (c < ' ' || c == 0x7f)
			(void)fprintf(emit->out, "\\x%02x", c);
		else
			(void)fputc(c, emit->out);
	}
	(void)fputc('"', emit->out);
}

/* Without an L, libconfig keeps 32 bits. */
static void
emit_int(const struct emit *emit, int64_t number)
{
	(void)fprintf(emit->out, "%" PRId64 "%s", number,
		      number > INT32_MAX || number < INT32_MIN ? "L" : "");
}

static void
emit_texts(const struct emit *emit, const struct conf_texts *texts)
{
	(void)fputs("[ ", emit->out);
	for (size_t i = 0; i < texts->count; i++) {
		if (i > 0)
			(void)fputs(", ", emit->out);
		emit_string(emit, texts->items[i]);
	}
	(void)fputs(texts->count > 0 ? " ]" : "]", emit->out);
}

static void
emit_key(const struct emit *emit, const char *name)
{
	emit_indent(emit);
	(void)fprintf(emit->out, "%s = ", name);
}

static void
emit_end(const struct emit *emit)
{
	(void)fputs(";\n", emit->out);
}

static void
emit_open_group(struct emit *emit, const char *name)
{
	emit_key(emit, name);
	(void)fputs("{\n", emit->out);
	emit->depth++;
}

static void
emit_close_group(struct emit *emit)
{
	emit->depth--;
	emit_indent(emit);
	(void)fputs("};\n", emit->out);
}

static void
emit_options(struct emit *emit, const char *name, const struct conf_listener *listener)
{
	if (listener->option_count == 0)
		return;
	emit_open_group(emit, name);
	for (size_t i = 0; i < listener->option_count; i++) {
		const struct conf_option *option = &listener->options[i];

		emit_key(emit, option->name);
		switch (option->type) {
		case CONF_VALUE_INT:
			emit_int(emit, option->number);
			break;
		case CONF_VALUE_BOOL:
			(void)fputs(option->number != 0 ? "true" : "false", emit->out);
			break;
		case CONF_VALUE_STRING:
			emit_string(emit, option->text);
			break;
		case CONF_VALUE_LIST:
			emit_texts(emit, &option->list);
			break;
		}
		emit_end(emit);
	}
	emit_close_group(emit);
}

static void
emit_variables(struct emit *emit, const char *name, const struct conf_listener *listener)
{
	if (listener->environment_count == 0)
		return;
	emit_open_group(emit, name);
	for (size_t i = 0; i < listener->environment_count; i++) {
		emit_key(emit, listener->environment[i].name);
		emit_string(emit, listener->environment[i].value);
		emit_end(emit);
	}
	emit_close_group(emit);
}

static void
emit_number(const struct emit *emit, const struct setting *row, int64_t number)
{
	char text[SETTING_NUMBER_SIZE];

	if (row->type == SETTING_INT && !setting_is_number_quoted(row, number)) {
		emit_int(emit, number);
		return;
	}
	(void)setting_format(row, number, text, sizeof(text));
	if (setting_is_number_quoted(row, number))
		emit_string(emit, text);
	else
		(void)fputs(text, emit->out);
}

/* A value that stands in one field. */
static void
emit_value(const struct emit *emit, const struct setting *row, const void *target)
{
	const void *field = (const char *)target + row->offset;

	if (setting_is_unset(row, field))
		return;
	emit_key(emit, row->name);
	switch (row->type) {
	case SETTING_BOOL:
	case SETTING_SWITCH:
		(void)fputs(*(const bool *)field ? "true" : "false", emit->out);
		break;
	case SETTING_TEXT:
		emit_string(emit, *(char *const *)field);
		break;
	case SETTING_TEXTS:
		emit_texts(emit, field);
		break;
	default:
		CHECK(setting_has_range(row) || row->type == SETTING_CHOICE);
		emit_number(emit, row, *(const int64_t *)field);
	}
	emit_end(emit);
}

static void emit_group(struct emit *emit, enum setting_scope scope, const char *group,
		       const void *target);

static void
emit_listeners(struct emit *emit, const char *name, const struct config *config)
{
	emit_key(emit, name);
	(void)fputs("(", emit->out);
	emit->depth++;
	for (size_t i = 0; i < config->listener_count; i++) {
		(void)fputs(i > 0 ? ",\n" : "\n", emit->out);
		emit_indent(emit);
		(void)fputs("{\n", emit->out);
		emit->depth++;
		emit_group(emit, SETTING_LISTENER, "", &config->listeners[i]);
		emit->depth--;
		emit_indent(emit);
		(void)fputs("}", emit->out);
	}
	emit->depth--;
	(void)fputs(config->listener_count > 0 ? "\n);\n" : ");\n", emit->out);
}

/* A key that would be refused if it were read back is left out. */
static bool
emit_has_row(const struct setting *row, enum setting_scope scope, const char *group,
	     const void *target)
{
	return row->scope == scope && strcmp(row->group, group) == 0 &&
	       (scope != SETTING_LISTENER || conf_listener_takes(target, row));
}

static void
emit_subgroup(struct emit *emit, const struct setting *row, const void *target)
{
	char label[SETTING_LABEL_SIZE];
	bool is_empty = true;

	(void)setting_label(row, label, sizeof(label));
	for (size_t i = 0; i < setting_count && is_empty; i++)
		is_empty =
			!emit_has_row(&settings[i], row->scope, label, target) ||
			setting_is_unset(&settings[i], (const char *)target + settings[i].offset);
	if (is_empty)
		return;
	emit_open_group(emit, row->name);
	emit_group(emit, row->scope, label, target);
	emit_close_group(emit);
}

/* The keys of one group of the table, in its order. */
static void
emit_group(struct emit *emit, enum setting_scope scope, const char *group, const void *target)
{
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &settings[i];

		if (!emit_has_row(row, scope, group, target))
			continue;
		switch (row->type) {
		case SETTING_GROUP:
			emit_subgroup(emit, row, target);
			break;
		case SETTING_SWITCH:
			if (*(const bool *)((const char *)target + row->offset))
				emit_subgroup(emit, row, target);
			else
				emit_value(emit, row, target);
			break;
		case SETTING_OPTIONS:
			emit_options(emit, row->name, target);
			break;
		case SETTING_VARIABLES:
			emit_variables(emit, row->name, target);
			break;
		case SETTING_ENTRIES:
			emit_listeners(emit, row->name, target);
			break;
		case SETTING_DEFAULTS:
			break;
		default:
			emit_value(emit, row, target);
			break;
		}
	}
}

void
config_emit(const struct config *config, FILE *out)
{
	struct emit emit = {.out = out};

	emit_group(&emit, SETTING_TOP, "", config);
}

void
config_emit_listener(const struct conf_listener *listener, FILE *out)
{
	struct emit emit = {.out = out};

	emit_group(&emit, SETTING_LISTENER, "", listener);
}

void
config_emit_top(const struct config *config, FILE *out)
{
	struct config top = *config;

	top.listeners = NULL;
	top.listener_count = 0;
	config_emit(&top, out);
}

void
config_emit_part(const struct conf_listener *listener, FILE *out)
{
	struct emit emit = {.out = out};
	struct config alone = {
		.listeners = (struct conf_listener *)listener,
		.listener_count = 1,
	};

	emit_listeners(&emit, "listeners", &alone);
}
