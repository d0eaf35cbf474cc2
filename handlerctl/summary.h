/*
 * summary.h - what came of many exchanges.
 */
#ifndef HANDLERCTL_SUMMARY_H
#define HANDLERCTL_SUMMARY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct outcome;

/* Every latency is kept, 8 bytes each. */
#define SUMMARY_MOST 1000000

/* Starts zeroed. */
struct summary {
	uint64_t failed; /* refused, reset, not to be reached */
	uint64_t lost;	 /* nothing came in time */
	uint64_t lasted_ns;
	size_t answered;
	int64_t *latencies_ns; /* of those that were answered */
};

void summary_add(struct summary *summary, const struct outcome *outcome);

/* Puts the latencies in order; to be called after the last one, before what follows. */
void summary_finish(struct summary *summary, int64_t lasted_ns);

uint64_t summary_sent(const struct summary *summary);

/* The smallest latency that `percent` of all do not exceed (0: the smallest of all). There must be
 * at least one. */
int64_t summary_percentile_ns(const struct summary *summary, unsigned percent);

/* Two lines of aligned columns. */
void summary_print(const struct summary *summary, FILE *out);
/* One line: a JSON object. */
void summary_print_json(const struct summary *summary, FILE *out);

void summary_free(struct summary *summary);

#endif
