/*
 * fuzz_control.c - what a client of the control socket sends, as far as its line goes. What is
 * taken for a request has a command of the table and none but its arguments, each of its kind.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/control_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct control_command commands[] = {
	{"status", CONTROL_READ, {{.name = "listener"}}, NULL},
	{"wait",
	 CONTROL_READ,
	 {{.name = "for", .is_required = true},
	  {.name = "timeout_ms", .kind = CONTROL_NUMBER, .most = 86400000}},
	 NULL},
	{"log-level", CONTROL_READ, {{.name = "level", .access = CONTROL_ALL}}, NULL},
	{"stop", CONTROL_ALL, {{.name = "now", .kind = CONTROL_TRUTH}}, NULL},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
check_argument(const json_t *request, const struct control_argument *row)
{
	const json_t *value = json_object_get(request, row->name);
	const char *text = control_request_text(request, row->name);
	int64_t number = control_request_number(request, row->name, row->least);

	if (value == NULL) {
		if (row->is_required)
			abort();
		return;
	}
	if (row->kind == CONTROL_TEXT && (text == NULL || *text == '\0'))
		abort();
	if (row->kind == CONTROL_NUMBER && (number < row->least || number > row->most))
		abort();
	if (row->kind == CONTROL_TRUTH &&
	    control_request_truth(request, row->name) != json_is_true(value))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct control_command *command = NULL;
	char why[CONTROL_WHY_SIZE] = "";
	size_t known = 1; /* "command" */
	json_t *request;

	if (size > CONTROL_REQUEST_SIZE)
		return 0;
	request = control_request_read((const char *)data, size, commands, COMMANDS, &command, why);
	if (request == NULL) {
		if (why[0] == '\0' || strnlen(why, sizeof(why)) == sizeof(why))
			abort();
		return 0;
	}
	if (strcmp(control_request_text(request, "command"), command->name) != 0)
		abort();
	for (const struct control_argument *row = command->arguments; row->name != NULL; row++) {
		check_argument(request, row);
		known += json_object_get(request, row->name) != NULL;
	}
	if (json_object_size(request) != known)
		abort();
	if (!control_request_may(request, command, CONTROL_ALL, why) ||
	    control_request_may(request, command, CONTROL_NOTHING, why))
		abort();
	json_decref(request);
	return 0;
}
