/*
 * field.h - what stands in a JSON object. A field that is not there, or of another type, reads as
 * nothing: versions of both programs may differ.
 */
#ifndef HANDLERCTL_FIELD_H
#define HANDLERCTL_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes text safe to print; the caller frees it, as with the others. */
char *field_escape(const char *text, size_t length);
/* A copy that is safe to print, or NULL. */
char *field_text(const json_t *object, const char *key);
/* The same of a value by itself. */
char *field_text_of(const json_t *value);
int64_t field_integer(const json_t *object, const char *key);
/* Integers, too. */
double field_number(const json_t *object, const char *key);
bool field_is_true(const json_t *object, const char *key);
/* There, and not null. */
bool field_is_there(const json_t *object, const char *key);

#endif
