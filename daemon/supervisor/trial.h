/*
 * trial.h - asks a new version of this program whether it can go on with a state: NEW --self-test,
 * in a child, without stopping anything meanwhile.
 */
#ifndef SUPERVISOR_TRIAL_H
#define SUPERVISOR_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/loop.h"

/* Where it finds the state, and what it says on standard output if all is well, its version behind
 * it. A program that says something else is not this one. */
#define TRIAL_FD_STATE 3
#define TRIAL_PASSED "self-test passed: handlerd "

#define TRIAL_TIMEOUT_MS 10000

struct trial {
	pid_t pid; /* 0: not running */
	struct loop *loop;
	struct loop_source death;
	struct loop_timer timer;
	int output_fd;
	bool was_killed;
	int64_t timeout_ms;
	/* It is over: `why` it failed, one sentence part, or NULL and the version. May start
	 * another. */
	void (*on_over)(struct trial *trial, const char *version, const char *why);
};

/* Executes the program of this descriptor. on_over must be set. 0 or a negative errno. */
int trial_start(struct trial *trial, struct loop *loop, int program_fd, int state_fd,
		int64_t timeout_ms);
/* Ends one that runs; nothing is reported. */
void trial_abandon(struct trial *trial);

#endif
