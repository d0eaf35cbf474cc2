/*
 * state_field.c - one struct by its table of fields: to JSON, and back.
 */
#include "supervisor/state_field.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"

void
state_fds_free(struct state_fds *fds)
{
	free(fds->items);
	*fds = (struct state_fds){0};
}

static bool
state_fds_add(struct state_fds *fds, int fd)
{
	for (size_t i = 0; i < fds->count; i++) {
		if (fds->items[i] == fd)
			return false;
	}
	fds->items = memory_grow(fds->items, fds->count, sizeof(*fds->items));
	fds->items[fds->count++] = fd;
	return true;
}

/* Values that were made a moment ago; without memory there is no going on. */
static json_t *
state_value(json_t *value)
{
	CHECK(value != NULL);
	return value;
}

json_t *
state_put_bytes(const void *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	CLEANUP_FREE char *hex = memory_zero(2 * length + 1, 1);
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++) {
		hex[2 * i] = digits[at[i] >> 4];
		hex[2 * i + 1] = digits[at[i] & 15];
	}
	return state_value(json_pack("{s:s}", "hex", hex));
}

json_t *
state_put_text(const char *text)
{
	json_t *value = json_string(text);

	return value != NULL ? value : state_put_bytes(text, strlen(text));
}

json_t *
state_put_numbers(const uint64_t *numbers, size_t count)
{
	json_t *array = state_value(json_array());

	for (size_t i = 0; i < count; i++)
		CHECK(json_array_append_new(array, json_integer((json_int_t)numbers[i])) == 0);
	return array;
}

json_t *
state_put_fds(const int *items, size_t count, struct state_fds *fds)
{
	json_t *array = state_value(json_array());

	for (size_t i = 0; i < count; i++) {
		CHECK(state_fds_add(fds, items[i]));
		CHECK(json_array_append_new(array, json_integer(items[i])) == 0);
	}
	return array;
}

static int64_t
state_load_number(const struct state_field *field, const void *at)
{
	switch (field->size) {
	case 2:
		return *(const uint16_t *)at;
	case 4:
		return field->is_signed ? *(const int32_t *)at : (int64_t) * (const uint32_t *)at;
	default:
		CHECK(field->size == 8);
		return *(const int64_t *)at;
	}
}

static void
state_store_number(const struct state_field *field, void *at, int64_t number)
{
	switch (field->size) {
	case 2:
		*(uint16_t *)at = (uint16_t)number;
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)number;
		break;
	default:
		CHECK(field->size == 8);
		*(int64_t *)at = number;
	}
}

static json_t *
state_put_field(const struct state_field *field, const void *at, struct state_fds *fds)
{
	switch (field->type) {
	case STATE_BOOL:
		return json_boolean(*(const bool *)at);
	case STATE_NUMBER:
		return state_value(json_integer(state_load_number(field, at)));
	case STATE_TEXT:
		return *(char *const *)at != NULL ? state_put_text(*(char *const *)at) : NULL;
	case STATE_CHARS:
		return state_put_text(at);
	case STATE_FD:
		if (*(const int *)at < 0)
			return NULL;
		CHECK(state_fds_add(fds, *(const int *)at));
		return state_value(json_integer(*(const int *)at));
	}
	return NULL;
}

json_t *
state_put(const struct state_table *table, const void *from, struct state_fds *fds)
{
	json_t *object = state_value(json_object());

	for (size_t i = 0; i < table->count; i++) {
		const struct state_field *field = &table->fields[i];
		json_t *value = state_put_field(field, (const char *)from + field->offset, fds);

		if (value != NULL)
			CHECK(json_object_set_new(object, field->name, value) == 0);
	}
	return object;
}

bool
state_refuse(struct state_reader *reader, const char *format, ...)
{
	va_list args;

	if (reader->reason != NULL)
		return false;
	va_start(args, format);
	reader->reason = memory_vformat(format, args);
	va_end(args);
	return false;
}

static int
state_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of {"hex": "..."}, with a NUL behind them; NULL: it is none. */
static unsigned char *
state_parse_hex(const json_t *value, size_t *ret_length)
{
	const char *hex = json_string_value(json_object_get(value, "hex"));
	size_t length = hex != NULL ? strlen(hex) : 1;
	unsigned char *bytes;

	if (length % 2 != 0)
		return NULL;
	bytes = memory_zero(length / 2 + 1, 1);
	for (size_t i = 0; i < length; i += 2) {
		int high = state_digit(hex[i]), low = state_digit(hex[i + 1]);

		if (high < 0 || low < 0) {
			free(bytes);
			return NULL;
		}
		bytes[i / 2] = (unsigned char)(high << 4 | low);
	}
	*ret_length = length / 2;
	return bytes;
}

char *
state_get_text(const json_t *value)
{
	size_t length = 0;
	char *text;

	if (json_is_string(value))
		return memory_text(json_string_value(value));
	text = (char *)state_parse_hex(value, &length);
	/* a text has no NUL in it */
	if (text != NULL && strlen(text) == length)
		return text;
	free(text);
	return NULL;
}

bool
state_get_bytes(struct state_reader *reader, const json_t *value, void *to, size_t size,
		size_t *ret_length)
{
	CLEANUP_FREE unsigned char *bytes = NULL;

	*ret_length = 0;
	if (value == NULL)
		return true;
	bytes = state_parse_hex(value, ret_length);
	if (bytes == NULL || *ret_length > size)
		return state_refuse(reader, "it has bytes that are none, or too many");
	memcpy(to, bytes, *ret_length);
	return true;
}

bool
state_get_numbers(struct state_reader *reader, const json_t *value, uint64_t *to, size_t count)
{
	/* more of them are those of a later version */
	for (size_t i = 0; i < json_array_size(value) && i < count; i++) {
		const json_t *number = json_array_get(value, i);

		if (!json_is_integer(number))
			return state_refuse(reader,
					    "it has a list of numbers with something else in it");
		to[i] = (uint64_t)json_integer_value(number);
	}
	return true;
}

static bool
state_get_fd(struct state_reader *reader, const json_t *value, int *to)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number <= 2 || number > INT32_MAX ||
	    !state_fds_add(reader->fds, (int)number))
		return false;
	*to = (int)number;
	return true;
}

bool
state_get_fds(struct state_reader *reader, const json_t *value, int *to, size_t most,
	      size_t *ret_count)
{
	size_t count = json_array_size(value);

	*ret_count = 0;
	if (count > most)
		return state_refuse(reader, "it has a list of %zu descriptors", count);
	for (size_t i = 0; i < count; i++) {
		if (!state_get_fd(reader, json_array_get(value, i), &to[i]))
			return state_refuse(reader, "it has a list with what is no descriptor");
		(*ret_count)++;
	}
	return true;
}

static bool
state_get_chars(const json_t *value, char *to, size_t size)
{
	CLEANUP_FREE char *text = state_get_text(value);

	if (text == NULL || strlen(text) >= size)
		return false;
	memset(to, 0, size);
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool
state_get_field(struct state_reader *reader, const struct state_field *field, const json_t *value,
		void *at)
{
	switch (field->type) {
	case STATE_BOOL:
		*(bool *)at = json_is_true(value);
		return json_is_boolean(value);
	case STATE_NUMBER:
		if (!json_is_integer(value) || json_integer_value(value) < field->min ||
		    json_integer_value(value) > field->max)
			return false;
		state_store_number(field, at, json_integer_value(value));
		return true;
	case STATE_TEXT:
		free(*(char **)at);
		*(char **)at = state_get_text(value);
		return *(char **)at != NULL;
	case STATE_CHARS:
		return state_get_chars(value, at, field->size);
	case STATE_FD:
		return state_get_fd(reader, value, at);
	}
	return false;
}

bool
state_get(struct state_reader *reader, const struct state_table *table, const json_t *object,
	  void *to)
{
	if (!json_is_object(object))
		return state_refuse(reader, "%s is missing", table->what);
	for (size_t i = 0; i < table->count; i++) {
		const struct state_field *field = &table->fields[i];
		const json_t *value = json_object_get(object, field->name);

		if (value == NULL && !field->is_required)
			continue;
		if (value == NULL)
			return state_refuse(reader, "'%s' of %s is missing", field->name,
					    table->what);
		if (!state_get_field(reader, field, value, (char *)to + field->offset))
			return state_refuse(reader, "'%s' of %s is not what it can be", field->name,
					    table->what);
	}
	return true;
}
