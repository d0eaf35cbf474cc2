/*
 * value.h - one value of a configuration file: checked by its row of settings[] and stored where
 * the row says.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include <libconfig.h>

#include "base/report.h"
#include "conf/scan.h"
#include "conf/settings.h"

struct conf_texts;

/* Where values come from, and where complaints go to. */
struct values {
	const char *file;	 /* owned by the configuration */
	bool is_shared;		 /* they stand in `defaults` */
	const struct scan *scan; /* the numbers of the file that were refused already */
	struct report *report;	 /* NULL: what is wrong here was told before */
};

/* "a string" and so on, of what a value is. */
const char *value_kind(const config_setting_t *node);

/* Adds an error about a value. */
void value_error(const struct values *values, const config_setting_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The strings of a list; false: something else is in it, and nothing is stored. */
bool value_get_texts(const config_setting_t *node, struct conf_texts *ret);

/* Stores a value of any type that stands in one field. What was there is freed; it stays if the
 * value is wrong, but a word that is mistyped becomes the one it was taken for. `target` is the
 * struct config or struct conf_listener. */
void value_set(const struct values *values, const struct setting *row, const config_setting_t *node,
	       void *target);

/* Stores the default that the row declares, and of a switch those of its group. A text becomes
 * NULL. What was there is freed. */
void value_set_default(const struct setting *row, void *target);

#endif
