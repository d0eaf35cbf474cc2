/*
 * options.h - what the command lines of all commands share: options that there are not, and values
 * of options.
 */
#ifndef HANDLERCTL_OPTIONS_H
#define HANDLERCTL_OPTIONS_H

#include <getopt.h>
#include <stdint.h>

/* Values of options that have no letter begin here. */
#define OPTIONS_FIRST 256

/* Complains of what getopt_long has found, '?' or ':', in `word`: an option that there is not, or
 * that lacks or must not have its value. `hint` is what may help where no option is near, or "". */
void options_refuse(const char *command, const struct option *options, int found, const char *word,
		    const char *hint);

/* A duration up to a day, or "none" unless least_ms is 0. 0, or -EINVAL after a complaint. */
int options_take_duration(const char *command, const char *name, const char *text, int64_t least_ms,
			  int64_t *ret_ms);

#endif
