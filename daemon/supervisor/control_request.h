/*
 * control_request.h - what a client of the control socket asks: one JSON object on one line,
 * checked against the table of commands.
 *
 * A command and its arguments are rows; what is not in the rows is refused, so that a misspelt
 * argument never means less than was asked for.
 */
#ifndef SUPERVISOR_CONTROL_REQUEST_H
#define SUPERVISOR_CONTROL_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/control_access.h"

/* The longest line, without its end. */
#define CONTROL_REQUEST_SIZE 4096
#define CONTROL_MOST_ARGUMENTS 3
#define CONTROL_WHY_SIZE 256

struct supervisor;
struct control_client;

enum control_kind {
	CONTROL_TEXT, /* not empty */
	CONTROL_NUMBER,
	CONTROL_TRUTH,
};

struct control_argument {
	const char *name; /* NULL: behind the last */
	enum control_kind kind;
	bool is_required;
	enum control_access access; /* who may give it; 0: whoever may give the command */
	int64_t least, most;	    /* of a number */
};

struct control_command {
	const char *name;
	enum control_access access;
	struct control_argument arguments[CONTROL_MOST_ARGUMENTS + 1];
	/* Answers, or notes what the client waits for. */
	void (*run)(struct supervisor *supervisor, struct control_client *client,
		    const json_t *request);
};

/*
 * Reads a line (without its end). Returns the request, which the caller gives back with
 * json_decref, and its row; or NULL with a sentence.
 */
json_t *control_request_read(const char *line, size_t length,
			     const struct control_command *commands, size_t count,
			     const struct control_command **ret_command,
			     char why[CONTROL_WHY_SIZE]);

/* Whether somebody may ask that; if not, with a sentence. */
bool control_request_may(const json_t *request, const struct control_command *command,
			 enum control_access access, char why[CONTROL_WHY_SIZE]);

/* Arguments of a request that was read; NULL, false and the number otherwise where not given. */
const char *control_request_text(const json_t *request, const char *name);
int64_t control_request_number(const json_t *request, const char *name, int64_t otherwise);
bool control_request_truth(const json_t *request, const char *name);

#endif
