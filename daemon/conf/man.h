/*
 * man.h - the rows of settings[] as lists of mdoc(7), for handlerd.conf(5).
 */
#ifndef CONF_MAN_H
#define CONF_MAN_H

#include <stdio.h>

#include "conf/settings.h"

/* Every key of the top level or of a listener. `default_handler_directory` is what handler_path's
 * default ends with. */
void man_write_settings(enum setting_scope scope, const char *default_handler_directory, FILE *out);

#endif
