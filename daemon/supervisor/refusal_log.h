/*
 * refusal_log.h - refused system calls in the log: the first of a call at once, and in ten seconds
 * one line for all that follow.
 */
#ifndef SUPERVISOR_REFUSAL_LOG_H
#define SUPERVISOR_REFUSAL_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "supervisor/refusals.h"

struct child;

/* One call of a listener's workers; or, as the last row, all that the others leave no room for. */
struct refusal_row {
	uint32_t arch;
	int call;
	uint64_t left_out; /* since the last line */
};

struct refusal_log {
	const char *listener; /* these not owned; from the first refusal on */
	const char *handler;
	struct loop *loop;
	struct refusal_row *rows;
	size_t count;
	struct loop_timer timer; /* while one of them may not be told at once */
	uint64_t total;		 /* ever */
};

/* A worker of the listener was refused a call. */
void refusal_log_note(const struct child *child, struct refusal_log *log,
		      const struct refusal *refusal);

/* Tells what was left out. Before the listener goes. */
void refusal_log_end(struct refusal_log *log);

#endif
