/*
 * text.h - makes text from outside safe to print: one record stays one line, and no terminal is
 * driven by it.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>
#include <stdio.h>

/*
 * Writes `text` (length bytes) to out, NUL-terminated and cut at size - 1 bytes between characters.
 * Control characters (C0, DEL, C1, Unicode's line ends) and bytes that are not valid UTF-8 become
 * \n, \t, \r or \xHH. Returns the length written.
 */
size_t text_escape(const char *text, size_t length, char *out, size_t size);

/* The same for the inside of a JSON string (\u00HH for bytes that are not valid UTF-8). */
size_t text_escape_json(const char *text, size_t length, char *out, size_t size);

/* Prints `text` (length bytes) whole, as text_escape makes it. */
void text_print(const char *text, size_t length, FILE *out);

/* What a negative errno that a handler returned means; any int will do. */
const char *text_error(int error);

#endif
