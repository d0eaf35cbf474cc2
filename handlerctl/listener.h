/*
 * listener.h - a listener in the answer to "status", for people: a row of the table, or everything
 * there is to tell.
 */
#ifndef HANDLERCTL_LISTENER_H
#define HANDLERCTL_LISTENER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "handlerctl/table.h"

extern const struct table_column listener_columns[];
extern const size_t listener_column_count;

/* Adds the listener and, below it, its old generations; with every address on a row of its own, or
 * the first one and how many more there are. */
void listener_add_row(struct table *table, const json_t *listener, bool is_leaving,
		      bool is_verbose);

/* Prints lines "key: value". */
void listener_print(const json_t *listener, bool is_leaving);

#endif
