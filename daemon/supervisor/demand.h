/*
 * demand.h - workers that are started on demand: by the first connection or datagram, and ended
 * when they have had nothing to do for idle_exit.
 *
 * While there is no process, the supervisor watches the listening sockets itself; it reads nothing
 * from them. A worker is asked to end, not told: it stops accepting and says whether it serves
 * anything. So whoever comes just then is served by it, or waits in the backlog for the next one,
 * which is started at once.
 */
#ifndef SUPERVISOR_DEMAND_H
#define SUPERVISOR_DEMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

struct child;
struct demand_watch;
struct listener;

struct demand {
	struct demand_watch *watches; /* one for each socket while there is no process; else NULL */
	size_t watch_count;
	struct loop_timer idle; /* while it serves: looks at what it has done */
	uint64_t activity;	/* a number that changes when it does something */
	int64_t since_ns;	/* it has done nothing */
};

/* Whether the listener's workers are started on demand. */
bool demand_is_wanted(const struct listener *listener);
/* Whether no worker is started for it now, though it is new or changed. */
bool demand_begins_idle(const struct listener *listener);

/* To be called when something about the listener or its worker has changed: begins or ends
 * watching, and measuring idleness. Not for a listener that is not committed. */
void demand_look(struct listener *listener);

/* Before the listener or its sockets go. */
void demand_stop(struct listener *listener);

/* The worker has stopped accepting and has nothing to serve. */
void demand_on_idle(struct child *child);

#endif
