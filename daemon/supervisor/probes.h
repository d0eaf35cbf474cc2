/*
 * probes.h - all trial loads of a start or reload. What many listeners have alike (handler file,
 * options, identity, environment) is loaded once for all of them; if it is refused, once for each,
 * so that every place in the configuration is told.
 */
#ifndef SUPERVISOR_PROBES_H
#define SUPERVISOR_PROBES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/report.h"
#include "supervisor/probe.h"

struct probes_row {
	const struct listener *listener; /* not owned */
	struct buf key;			 /* all that makes a difference */
	size_t first;			 /* the row that is loaded for all of the same key */
	bool is_started;
	struct probe probe;
};

struct probes {
	struct probes_row *rows;
	size_t count;
};

/* Adds one before they are started. */
void probes_add(struct probes *probes, const struct listener *listener);
/* Starts as many as are needed; `on_over` is called when one has ended, from the loop. */
void probes_start(struct probes *probes, void (*on_over)(struct probe *probe));

/* Whether all have come to an end; starts more if that is needed to tell all errors. */
bool probes_are_over(struct probes *probes);

/* What they have found. Returns whether one of the errors is about a handler file or its options.
 */
bool probes_gather(const struct probes *probes, struct report *report);

/* Ends those that run. */
void probes_free(struct probes *probes);

#endif
