/*
 * orphans.h - children that nobody here has made.
 *
 * Where the supervisor is process 1, as in a container, or a subreaper, whatever the processes of
 * handlers leave behind becomes its child, and stays, dead, in the place of another process until
 * it is waited for. So does what a handler has made with CLONE_PARENT where its sandbox lets it.
 */
#ifndef SUPERVISOR_ORPHANS_H
#define SUPERVISOR_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"

/* A child of our own that lives on while the loop turns: whoever made it waits for it, and nobody
 * else, until it is disowned. */
void orphans_own(pid_t pid);
void orphans_disown(pid_t pid);

struct orphans {
	struct loop *loop; /* not owned */
	struct loop_timer timer;
};

/* Looks when the loop turns first, and whenever it is told to. */
void orphans_begin(struct orphans *orphans, struct loop *loop);
/* A child may have died: buries those that are nobody's. Does not wait. */
void orphans_look(struct orphans *orphans);

#endif
