/*
 * control_request.c - reads a request; whoever sent it may be anybody.
 */
#include "supervisor/control_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Names and the parser's words are cut here in answers. */
#define CONTROL_NAME_SHOWN 120

static const struct control_argument *
control_request_find_argument(const struct control_command *command, const char *name)
{
	for (const struct control_argument *row = command->arguments; row->name != NULL; row++) {
		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

static const struct control_command *
control_request_find_command(const struct control_command *commands, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

/* A name out of the request, safe to show and cut. */
static const char *
control_request_show(const char *name, char buf[CONTROL_NAME_SHOWN + 1])
{
	(void)text_escape(name, strlen(name), buf, CONTROL_NAME_SHOWN + 1);
	return buf;
}

static bool
control_request_check_value(const struct control_argument *row, const json_t *value,
			    char why[CONTROL_WHY_SIZE])
{
	json_int_t number = json_integer_value(value);

	switch (row->kind) {
	case CONTROL_TEXT:
		if (json_is_string(value) && json_string_length(value) > 0)
			return true;
		(void)snprintf(why, CONTROL_WHY_SIZE, "'%s' must be a string that is not empty",
			       row->name);
		return false;
	case CONTROL_NUMBER:
		if (json_is_integer(value) && number >= row->least && number <= row->most)
			return true;
		(void)snprintf(why, CONTROL_WHY_SIZE,
			       "'%s' must be a whole number from %" PRId64 " to %" PRId64,
			       row->name, row->least, row->most);
		return false;
	case CONTROL_TRUTH:
		if (json_is_boolean(value))
			return true;
		(void)snprintf(why, CONTROL_WHY_SIZE, "'%s' must be true or false", row->name);
		return false;
	}
	return false;
}

static bool
control_request_check(const struct control_command *command, json_t *request,
		      char why[CONTROL_WHY_SIZE])
{
	char shown[CONTROL_NAME_SHOWN + 1];
	const struct control_argument *row;
	const char *name;
	json_t *value;

	json_object_foreach(request, name, value)
	{
		if (strcmp(name, "command") == 0)
			continue;
		row = control_request_find_argument(command, name);
		if (row == NULL) {
			(void)snprintf(why, CONTROL_WHY_SIZE,
				       "the command '%s' has no argument '%s'", command->name,
				       control_request_show(name, shown));
			return false;
		}
		if (!control_request_check_value(row, value, why))
			return false;
	}
	for (row = command->arguments; row->name != NULL; row++) {
		if (!row->is_required || json_object_get(request, row->name) != NULL)
			continue;
		(void)snprintf(why, CONTROL_WHY_SIZE, "the command '%s' needs '%s'", command->name,
			       row->name);
		return false;
	}
	return true;
}

json_t *
control_request_read(const char *line, size_t length, const struct control_command *commands,
		     size_t count, const struct control_command **ret_command,
		     char why[CONTROL_WHY_SIZE])
{
	char shown[CONTROL_NAME_SHOWN + 1];
	json_error_t error;
	/* no JSON_ALLOW_NUL: a name with a NUL in it would be taken for a shorter one */
	json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	const char *name = json_string_value(json_object_get(request, "command"));

	if (request == NULL) {
		(void)snprintf(why, CONTROL_WHY_SIZE, "the request is no JSON: %s",
			       control_request_show(error.text, shown));
		return NULL;
	}
	if (name == NULL) {
		(void)snprintf(why, CONTROL_WHY_SIZE,
			       "the request must be a JSON object with a \"command\"");
		json_decref(request);
		return NULL;
	}
	*ret_command = control_request_find_command(commands, count, name);
	if (*ret_command == NULL)
		(void)snprintf(why, CONTROL_WHY_SIZE, "this handlerd has no command '%s'",
			       control_request_show(name, shown));
	else if (control_request_check(*ret_command, request, why))
		return request;
	json_decref(request);
	return NULL;
}

bool
control_request_may(const json_t *request, const struct control_command *command,
		    enum control_access access, char why[CONTROL_WHY_SIZE])
{
	enum control_access needed = command->access;

	for (const struct control_argument *row = command->arguments; row->name != NULL; row++) {
		if (row->access > needed && json_object_get(request, row->name) != NULL)
			needed = row->access;
	}
	if (access >= needed)
		return true;
	(void)snprintf(why, CONTROL_WHY_SIZE,
		       "members of control_group may look and change nothing; '%s' is for root and "
		       "the user that handlerd runs as",
		       command->name);
	return false;
}

const char *
control_request_text(const json_t *request, const char *name)
{
	return json_string_value(json_object_get(request, name));
}

int64_t
control_request_number(const json_t *request, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(request, name);

	return value != NULL ? (int64_t)json_integer_value(value) : otherwise;
}

bool
control_request_truth(const json_t *request, const char *name)
{
	return json_is_true(json_object_get(request, name));
}
