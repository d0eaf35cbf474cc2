/*
 * refusals.h - system calls that a worker's filter refuses: the kernel tells of each, and its
 * caller waits until it is answered. The answer is EPERM.
 *
 * Whoever calls on and on is answered late: so many in a tenth of a second, and then no more until
 * it is over. What waits are the caller's own threads. Nothing is read from the worker.
 */
#ifndef SUPERVISOR_REFUSALS_H
#define SUPERVISOR_REFUSALS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

struct refusal {
	uint32_t arch; /* of libseccomp */
	int call;
	pid_t pid;	       /* of the process, not of its thread that has called */
	uint64_t arguments[6]; /* as the caller gave them */
};

struct refusals {
	struct loop *loop;	   /* not owned */
	struct loop_source source; /* fd -1: the kernel tells of none */
	struct loop_timer rest;	   /* until the next are answered */
	int64_t window_ns;	   /* when the tenth of a second began */
	uint32_t answered;	   /* in it */
	void (*on_refusal)(struct refusals *refusals, const struct refusal *refusal);
};

#define REFUSALS_NONE                                                                              \
	{                                                                                          \
		.source = {.fd = -1 }                                                              \
	}

/* In a tenth of a second, for each worker. */
#define REFUSALS_MOST 100

/* Whether the descriptor is one that the kernel tells of refused calls through. */
bool refusals_is_source(int fd);

/* Answers what comes through source.fd, which it owns from now on; nothing is done with -1.
 * on_refusal must be set. 0 or a negative errno. */
int refusals_begin(struct refusals *refusals, struct loop *loop);

/* What would wait for an answer fails with ENOSYS from now on. */
void refusals_end(struct refusals *refusals);

/* "mount", or "ioctl(..., 0x5412)" where an argument decides; returns buf. */
const char *refusal_format(const struct refusal *refusal, char *buf, size_t size);

/* Without the argument. */
const char *refusal_format_name(const struct refusal *refusal, char *buf, size_t size);

#define REFUSAL_TEXT_SIZE 128

#endif
