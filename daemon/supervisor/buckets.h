/*
 * buckets.h - what is left of the rates of a listener's clients when the worker that has counted
 * them is gone: its buckets that are not full yet. The workers that come after it begin with them,
 * as they do with those of older generations.
 *
 * They stand in memory of the supervisor's own, which workers can only read, laid out as a
 * scoreboard without slots: nobody is connected to it. A worker may have written anything into its
 * own; what is taken from there says at most that a bucket is empty.
 */
#ifndef SUPERVISOR_BUCKETS_H
#define SUPERVISOR_BUCKETS_H

#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "policy/bucket.h"
#include "policy/sources.h"

struct child;
struct listener;

/* One table for each size that those of workers have had: all powers of two, and none. */
#define BUCKETS_MOST 12

struct buckets_table {
	int fd;		/* owned */
	int reading_fd; /* the same, for workers */
	uint32_t sets;
	int64_t until_ns;    /* when all are full */
	struct sources view; /* mapped; shared is NULL: not yet, after an upgrade */
};

struct buckets {
	struct bucket_rate rate, source_rate; /* as its configuration has them, a copy */
	struct buckets_table tables[BUCKETS_MOST];
	size_t count;
	struct loop_timer timer; /* when a table is not needed any more */
};

/* By what the listener's configuration says. */
void buckets_open(struct listener *listener);
/* Accepts one that is not open. */
void buckets_close(struct listener *listener);

/* A worker of this listener is gone; its scoreboard is still there. */
void buckets_keep(struct listener *listener, const struct child *child);

/* What another listener knows, which this one replaces. */
void buckets_take_over(struct listener *listener, struct listener *replaced);

/* What is known of a source, and of all together, as sources_look and the bucket itself have it. */
int64_t buckets_look(const struct buckets *buckets, uint64_t hash);
int64_t buckets_look_all(const struct buckets *buckets);

/* After an upgrade, of tables of which only fd, sets and until_ns are there. */
void buckets_resume(struct listener *listener);

#endif
