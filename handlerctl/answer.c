/*
 * answer.c - reads lines; prints what is the same for every command.
 */
#include "handlerctl/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/report.h"
#include "handlerctl/ctl.h"
#include "handlerctl/field.h"

#define ANSWER_INDENT 2

static enum answer_kind
answer_tell_kind(const json_t *answer)
{
	const json_t *ok = json_object_get(answer, "ok");

	if (json_is_boolean(ok))
		return json_is_true(ok) ? ANSWER_DONE : ANSWER_REFUSED;
	return json_is_string(json_object_get(answer, "progress")) ? ANSWER_PROGRESS : ANSWER_BAD;
}

enum answer_kind
answer_read(const char *line, size_t length, json_t **ret)
{
	json_t *answer = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
	enum answer_kind kind = answer_tell_kind(answer);

	*ret = NULL;
	if (kind == ANSWER_BAD)
		json_decref(answer);
	else
		*ret = answer;
	return kind;
}

/* Everything above ASCII is escaped by jansson already, what is below a blank by JSON itself. */
static int
answer_write(const char *text, size_t size, void *data)
{
	(void)data;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == 0x7f)
			(void)fputs("\\u007f", stdout);
		else
			(void)fputc(text[i], stdout);
	}
	return 0;
}

void
answer_print_json(const char *line, size_t length, const json_t *answer, bool is_terminal)
{
	if (is_terminal)
		(void)json_dump_callback(answer, answer_write, NULL,
					 JSON_INDENT(ANSWER_INDENT) | JSON_ENSURE_ASCII);
	else
		(void)fwrite(line, 1, length, stdout);
	(void)fputc('\n', stdout);
}

/* The offending line: tabs are usual there, and become blanks. */
static char *
answer_copy_source(const json_t *row)
{
	CLEANUP_FREE char *copy = memory_text(json_string_value(json_object_get(row, "source")));

	if (copy == NULL)
		return NULL;
	for (char *at = copy; (at = strchr(at, '\t')) != NULL;)
		*at = ' ';
	return field_escape(copy, strlen(copy));
}

static void
answer_add_entry(struct report *report, const json_t *row)
{
	CLEANUP_FREE char *file = field_text(row, "file");
	CLEANUP_FREE char *text = field_text(row, "text");
	CLEANUP_FREE char *source = NULL;
	int64_t line = field_integer(row, "line");

	if (line > 0 && line <= INT32_MAX)
		source = answer_copy_source(row);
	else
		line = 0;
	report_add(report, field_is_true(row, "is_warning"), file, (unsigned)line, source,
		   text == NULL ? "" : text);
}

void
answer_complain_list(const json_t *answer, const char *key)
{
	struct report report = {.count = 0};
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(answer, key), i, row) answer_add_entry(&report, row);
	report_print(&report, stderr);
	report_free(&report);
}

void
answer_complain(const json_t *answer, const char *consequence)
{
	CLEANUP_FREE char *error = field_text(answer, "error");

	ctl_complain("%s", error == NULL ? "the daemon refuses and does not say why" : error);
	answer_complain_list(answer, "errors");
	if (consequence != NULL && (error == NULL || strstr(error, consequence) == NULL))
		ctl_complain("%s", consequence);
}
