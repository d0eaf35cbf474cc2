/*
 * identity.h - the drop: the one function that makes a worker what its listener may be, on every
 * path that runs handler code.
 */
#ifndef WORKER_IDENTITY_H
#define WORKER_IDENTITY_H

#include "ipc/worker_settings.h"

/* Why a worker is not what its listener says. */
struct identity_failure {
	char step[256];	    /* what could not be done, for behind "cannot" */
	const char *advice; /* static, for behind the message; "" if nothing is known */
};

/*
 * Drops to the identity in the settings, step by step, each checked and read back. 0; a negative
 * errno with *ret_failure filled in. After a failure the process must end.
 */
int identity_drop(const struct worker_settings *settings, struct identity_failure *ret_failure);

/* Names the step more closely than the table of steps does. */
void identity_name_step(struct identity_failure *failure, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The steps that limit what the process takes of the machine. In identity_limits.c, as what
 * follows. */
int identity_set_oom_score(const struct worker_settings *settings,
			   struct identity_failure *failure);
int identity_set_limits(const struct worker_settings *settings, struct identity_failure *failure);
int identity_set_nice(const struct worker_settings *settings, struct identity_failure *failure);
int identity_set_cpus(const struct worker_settings *settings, struct identity_failure *failure);

/* The step that gives it a root of its own. In identity_root.c. */
int identity_set_root(const struct worker_settings *settings, struct identity_failure *failure);

/* Raises the soft limit of open files for `connections` at once and `more` descriptors. Returns how
 * many connections the hard limit bears, at most `connections`. */
uint32_t identity_raise_files(uint32_t connections, uint32_t more);

#endif
