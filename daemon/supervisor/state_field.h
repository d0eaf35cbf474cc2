/*
 * state_field.h - fields of the state as rows of tables: the name in JSON, and the place in a
 * struct. state_write.c and state_read.c walk the same ones.
 */
#ifndef SUPERVISOR_STATE_FIELD_H
#define SUPERVISOR_STATE_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/state.h"

enum state_type {
	STATE_BOOL,   /* bool */
	STATE_NUMBER, /* an integer of any size */
	STATE_TEXT,   /* char *, owned; NULL is left out */
	STATE_CHARS,  /* char[], NUL-terminated */
	STATE_FD,     /* int; -1 is left out */
};

struct state_field {
	const char *name;
	enum state_type type;
	size_t offset, size;
	bool is_signed;
	bool is_required;
	int64_t min, max; /* of numbers, inclusive */
};

#define STATE_SIZE(type, member) sizeof(((type *)NULL)->member)
#define STATE_AT(type, member) .offset = offsetof(type, member), .size = STATE_SIZE(type, member)
#define STATE_IS_SIGNED(type, member)                                                              \
	((__typeof__(((type *)NULL)->member))-1 < (__typeof__(((type *)NULL)->member))1)

#define STATE_ROW_BOOL(type_, name_, member)                                                       \
	{                                                                                          \
		.name = (name_), .type = STATE_BOOL, STATE_AT(type_, member)                       \
	}
#define STATE_ROW_NUMBER(type_, name_, member, min_, max_)                                         \
	{                                                                                          \
		.name = (name_), .type = STATE_NUMBER, STATE_AT(type_, member),                    \
		.is_signed = STATE_IS_SIGNED(type_, member), .min = (min_), .max = (max_)          \
	}
#define STATE_ROW_REQUIRED(type_, name_, member, min_, max_)                                       \
	{                                                                                          \
		.name = (name_), .type = STATE_NUMBER, STATE_AT(type_, member),                    \
		.is_signed = STATE_IS_SIGNED(type_, member), .min = (min_), .max = (max_),         \
		.is_required = true                                                                \
	}
#define STATE_ROW_TEXT(type_, name_, member)                                                       \
	{                                                                                          \
		.name = (name_), .type = STATE_TEXT, STATE_AT(type_, member), .is_required = true  \
	}
#define STATE_ROW_OPTIONAL_TEXT(type_, name_, member)                                              \
	{                                                                                          \
		.name = (name_), .type = STATE_TEXT, STATE_AT(type_, member)                       \
	}
#define STATE_ROW_CHARS(type_, name_, member)                                                      \
	{                                                                                          \
		.name = (name_), .type = STATE_CHARS, STATE_AT(type_, member)                      \
	}
#define STATE_ROW_FD(type_, name_, member)                                                         \
	{                                                                                          \
		.name = (name_), .type = STATE_FD, STATE_AT(type_, member)                         \
	}

/* The fields of one kind of struct. */
struct state_table {
	const struct state_field *fields;
	size_t count;
	const char *what; /* as messages call it */
};

/* In state_tables.c. */
extern const struct state_table state_supervisor_table, state_origin_table, state_pin_table,
	state_identity_table, state_listener_table, state_socket_table, state_address_table,
	state_child_table, state_backoff_table, state_report_entry_table, state_conf_origin_table,
	state_totals_table, state_record_table, state_fallback_table, state_control_table,
	state_access_table, state_buckets_table;

/* The first thing that was wrong, and the descriptors so far. */
struct state_reader {
	char *reason; /* NULL: nothing was wrong; owned */
	struct state_fds *fds;
};

/* A new object with the fields of the struct at `from`. */
json_t *state_put(const struct state_table *table, const void *from, struct state_fds *fds);
/* Bytes that may be anything: a string where they are text, else an object of their digits. */
json_t *state_put_text(const char *text);
json_t *state_put_bytes(const void *bytes, size_t length);
json_t *state_put_fds(const int *items, size_t count, struct state_fds *fds);
json_t *state_put_numbers(const uint64_t *numbers, size_t count);

/* Fills the struct at `to`; what is missing stays as it is. Returns whether all is well. */
bool state_get(struct state_reader *reader, const struct state_table *table, const json_t *object,
	       void *to);
/* NULL: it is none. For the caller to free. */
char *state_get_text(const json_t *value);
/* At most `size` bytes. Returns whether it is good; a value that is not there is nothing. */
bool state_get_bytes(struct state_reader *reader, const json_t *value, void *to, size_t size,
		     size_t *ret_length);
bool state_get_fds(struct state_reader *reader, const json_t *value, int *to, size_t most,
		   size_t *ret_count);
bool state_get_numbers(struct state_reader *reader, const json_t *value, uint64_t *to,
		       size_t count);

/* A configuration; of one listener alone. Stored in *to, for config_free, good or not. In
 * state_config.c. */
bool state_get_config(struct state_reader *reader, const struct supervisor *supervisor,
		      const json_t *object, struct config **to);
bool state_get_own_config(struct state_reader *reader, const struct supervisor *supervisor,
			  const json_t *object, struct config **to);

/* The workers of a listener, good or not. In state_read_child.c. */
bool state_get_workers(struct state_reader *reader, const json_t *object,
		       struct listener *listener);

/* Notes what is wrong. Always false. */
bool state_refuse(struct state_reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
