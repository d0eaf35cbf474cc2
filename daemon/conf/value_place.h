/*
 * value_place.h - what value.c, value_number.c and value_unit.c share.
 */
#ifndef CONF_VALUE_PLACE_H
#define CONF_VALUE_PLACE_H

#include <stdbool.h>

#include "conf/value.h"

/* A row with its name as messages write it, and where its value goes. */
struct value_place {
	const struct values *values;
	const struct setting *row;
	const config_setting_t *node;
	char label[SETTING_LABEL_SIZE];
	void *field;
};

/* The string of a value that must be one; NULL: it is none, or none that can be used, as the report
 * tells. */
const char *value_get_text(const struct value_place *place);

/* Stores a value whose row has a range. In value_number.c, as what follows. */
void value_set_number(const struct value_place *place);
/* Stores a number if it is within the row's range. */
void value_store_number(const struct value_place *place, int64_t number);
bool value_is_int(const config_setting_t *node);

/* A default text of the table, which must be right. */
int64_t value_read_default_number(const struct setting *row);

/* The same for rows whose numbers are strings. In value_unit.c. */
void value_set_unit(const struct value_place *place);
/* A text as such a row has it, "none" as it is stored. -EINVAL, -ERANGE. */
int value_parse_unit(const struct setting *row, const char *text, int64_t *ret);

#endif
