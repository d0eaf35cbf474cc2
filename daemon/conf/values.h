/*
 * values.h - groups of values: every key of a group is looked up in settings[] and its value
 * stored.
 */
#ifndef CONF_VALUES_H
#define CONF_VALUES_H

#include <libconfig.h>

#include "conf/config.h"
#include "conf/value.h"

/*
 * Stores the keys of a group and of the groups in it into target, a struct config or struct
 * conf_listener. Keys with any of the flags in `refused` may not stand there. `origins` has a place
 * for each row of settings[]; a key that is there is noted even if its value is wrong, and so is
 * one that a mistyped key was taken for. Entries and defaults are noted only.
 */
void values_fill(const struct values *values, enum setting_scope scope,
		 const config_setting_t *group, unsigned refused, void *target,
		 struct conf_origin *origins);

/* Complains of every key but `listeners` of a file in listeners.d. */
void values_refuse_others(const struct values *values, const config_setting_t *root);

#endif
