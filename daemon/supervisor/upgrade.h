/*
 * upgrade.h - upgrade in place: the running supervisor is replaced by the program that is installed
 * now, which goes on with everything as the same process.
 *
 *	IDLE --asked--> WAITING --no reload under way--> TRYING --passed--> the new program
 *	                   ^                               |  |
 *	                   +------reloaded meanwhile-------+  +--failed--> IDLE
 */
#ifndef SUPERVISOR_UPGRADE_H
#define SUPERVISOR_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/trial.h"

/* The descriptor of the state, for the new program. */
#define UPGRADE_VARIABLE "HANDLERD_STATE"

struct supervisor;

struct upgrade {
	bool is_wanted;
	int64_t began_ns;
	uint32_t generation; /* that is on trial */
	int program_fd;	     /* the new one, while it is on trial */
	struct trial trial;
};

/* Starts an upgrade, or waits with it for the end of a reload; a second one joins the first. If it
 * fails, on_upgrade of the supervisor is told why, perhaps before this returns. */
void upgrade_begin(struct supervisor *supervisor);
/* Goes on with one that waits, if it can. */
void upgrade_look(struct supervisor *supervisor);
/* Gives one up that is under way, because of this. */
void upgrade_abandon(struct supervisor *supervisor, const char *why);

/* The new program's side, in resume.c. The state that the environment names, which is then cleared
 * of it: a descriptor; -1: there is none. */
int resume_find_state(void);
/* Goes on with it. 0; a negative errno, logged: there is no way back. */
int resume(struct supervisor *supervisor, int state_fd);
/* --self-test: whether this program could. The exit status. */
int resume_test(struct supervisor *supervisor);

#endif
