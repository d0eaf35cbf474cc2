/*
 * answer.h - a line of the daemon: what kind it is, and what all commands do with it alike.
 */
#ifndef HANDLERCTL_ANSWER_H
#define HANDLERCTL_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum answer_kind {
	ANSWER_BAD,	 /* nothing that handlerd says */
	ANSWER_PROGRESS, /* more will come */
	ANSWER_DONE,
	ANSWER_REFUSED,
};

/* Reads a line; the caller drops *ret, which is NULL for ANSWER_BAD. */
enum answer_kind answer_read(const char *line, size_t length, json_t **ret);

/* Prints a last line as it came, or, on a terminal, indented and without anything that could drive
 * it. */
void answer_print_json(const char *line, size_t length, const json_t *answer, bool is_terminal);

/* Why it was refused, with all errors, on standard error. `consequence` is said last, unless the
 * daemon has said it, or NULL. */
void answer_complain(const json_t *answer, const char *consequence);

/* The list of errors or warnings of this name, on standard error. */
void answer_complain_list(const json_t *answer, const char *key);

#endif
