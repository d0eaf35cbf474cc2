/*
 * field.c - the one place where text of the daemon becomes text for a terminal.
 */
#include "handlerctl/field.h"

#include "base/memory.h"
#include "base/text.h"

/* The most that a byte becomes. */
#define FIELD_ESCAPED 4

char *
field_escape(const char *text, size_t length)
{
	size_t size = length * FIELD_ESCAPED + 1;
	char *escaped = memory_zero(1, size);

	(void)text_escape(text, length, escaped, size);
	return escaped;
}

char *
field_text_of(const json_t *value)
{
	if (!json_is_string(value))
		return NULL;
	return field_escape(json_string_value(value), json_string_length(value));
}

char *
field_text(const json_t *object, const char *key)
{
	return field_text_of(json_object_get(object, key));
}

int64_t
field_integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

double
field_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

bool
field_is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

bool
field_is_there(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value != NULL && !json_is_null(value);
}
