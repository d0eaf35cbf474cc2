/*
 * plan.h - what a reload changes: a row for each listener that is or was configured. Made before
 * anything is touched; shown by `handlerctl reload` and in the log.
 */
#ifndef SUPERVISOR_PLAN_H
#define SUPERVISOR_PLAN_H

#include <stddef.h>
#include <stdint.h>

struct conf_listener;
struct listener;

/* Bits; the one that weighs most comes last. 0: unchanged. */
enum plan_change {
	PLAN_SETTINGS = 0x1,
	PLAN_HANDLER = 0x2,
	PLAN_ADDRESS = 0x4,
	PLAN_ADDED = 0x8,
	PLAN_REMOVED = 0x10,
};

struct plan_row {
	char *listener;
	unsigned changes;
	uint64_t connections; /* that drain */
};

struct plan {
	struct plan_row *rows; /* in the file's order; removed ones come last */
	size_t count;
};

/* The row of a listener: `running` is what serves now, `next` what is to, the same one if its
 * worker stays; NULL: none. `conf` is its new entry; NULL for one that is removed. */
void plan_add(struct plan *plan, const struct listener *running, const struct listener *next,
	      const struct conf_listener *conf);

/* "unchanged", "settings changed", "handler changed", "address changed", "added", "removed"; of
 * several, the one that weighs most. */
const char *plan_change_name(unsigned changes);

/* "'echo' handler changed, settings changed (drains 3 connections)", in a new string. */
char *plan_sentence(const struct plan_row *row);

void plan_free(struct plan *plan);

#endif
