/*
 * value_place.h - what value.c and value_number.c share.
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

/* Stores a value whose row has a range. */
void value_set_number(const struct value_place *place);

/* A default text of the table, which must be right. */
int64_t value_read_default_number(const struct setting *row);

#endif
