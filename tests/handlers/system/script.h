/*
 * script.h - a handler commanded by its client: each line is a list of operations, separated by
 * ';', each a name and an argument. What they return is sent back in one line at the line's end.
 */
#ifndef SYSTEM_SCRIPT_H
#define SYSTEM_SCRIPT_H

#include <handlerd/handler.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct script {
	struct hd_request *req;
	struct hd_request *connected; /* of hd_connect; NULL: none */
	char result[32768];
	size_t length;
	int error; /* set by an operation: what the handler returns in the end */
};

struct script_op {
	const char *name;
	void (*run)(struct script *script, char *argument);
};

/* Adds to the line that is sent back. */
static inline void __attribute__((format(printf, 2, 3)))
script_say(struct script *script, const char *format, ...)
{
	size_t left = sizeof(script->result) - script->length;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(script->result + script->length, left, format, args);
	va_end(args);
	if (n > 0)
		script->length += (size_t)n < left ? (size_t)n : left - 1;
}

/* A number of bytes and the bytes, or an error. */
static inline void
script_say_bytes(struct script *script, int64_t n, const void *bytes)
{
	const unsigned char *at = bytes;

	script_say(script, "%" PRId64, n);
	if (n > 0)
		script_say(script, ":");
	for (int64_t i = 0; i < n; i++)
		script_say(script, "%02x", at[i]);
	script_say(script, " ");
}

static inline void
script_say_number(struct script *script, int64_t n)
{
	script_say(script, "%" PRId64 " ", n);
}

static inline void
script_run_op(struct script *script, const struct script_op *ops, char *text)
{
	char *argument = strchr(text, ' ');

	if (argument != NULL)
		*argument++ = '\0';
	for (; ops->name != NULL; ops++) {
		if (strcmp(ops->name, text) == 0) {
			ops->run(script, argument != NULL ? argument : text + strlen(text));
			return;
		}
	}
	script_say(script, "no operation '%s' ", text);
}

/* Reads and runs lines until the client closes or one of them is "quit". */
static inline int
script_run(struct hd_request *req, const struct script_op *ops)
{
	struct script script = {.req = req};
	char line[4096];

	for (;;) {
		ssize_t n = hd_readline(req, line, sizeof(line));
		char *rest = line, *text;
		int r;

		if (n <= 0)
			return n == 0 ? script.error : (int)n;
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "quit") == 0)
			return 0;
		script.length = 0;
		while ((text = strsep(&rest, ";")) != NULL)
			script_run_op(&script, ops, text);
		if (script.length == 0)
			continue;
		/* the blank after the last result becomes the line's end */
		script.result[script.length - 1] = '\n';
		r = hd_sendall(req, script.result, script.length);
		if (r < 0)
			return r;
	}
}

#endif
