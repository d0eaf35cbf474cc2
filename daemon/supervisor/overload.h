/*
 * overload.h - limits.overload: when memory or processors run short, listeners refuse new work, the
 * one that grows most first, until they no longer do.
 *
 *	well --a limit is passed--> the worst one refuses --still so 2 s later--> the next one, too
 *	  ^                                     |                                     |
 *	  +-- each of them: both are below its own limits by a margin ---------------+
 *
 * What is served is not touched. It is looked at about once a second, and five times while somebody
 * refuses or memory is near a limit, and only while some listener has the key.
 */
#ifndef SUPERVISOR_OVERLOAD_H
#define SUPERVISOR_OVERLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "supervisor/machine.h"

/* Another listener joins in after so long. */
#define OVERLOAD_NEXT_MS 2000

struct listener;
struct supervisor;

/* What is known of one listener. */
struct overload {
	bool is_shedding;
	int64_t since_ns;
	uint64_t refused;     /* in all, when it began */
	uint64_t memory_well; /* of its workers, when memory was well the last time */
	uint64_t memory;      /* now */
	uint64_t ticks;	      /* of processors that its workers have used in their lives */
	uint64_t ticks_grown; /* since the look before */
};

/* Of all listeners together. */
struct overload_watch {
	struct loop_timer timer;
	struct machine_state state;	   /* as it was at the last look */
	int64_t joined_ns;		   /* when the last one began to refuse; 0: none ever did */
	bool is_memory_told, is_load_told; /* that it is not known */
};

/* One listener, when it is decided who is to refuse. */
struct overload_row {
	int64_t memory_limit; /* in thousandths; 0: none */
	int64_t load_limit;   /* likewise */
	bool may_shed;	      /* it has a worker that accepts */
	bool is_shedding;
	uint64_t memory_grown; /* bytes, since memory was well */
	uint64_t ticks_grown;  /* of processors used, since the look before */
	bool begins, ends;     /* what is decided */
};

/* Decides, for all rows: any number may end, one may begin. `since_ns`: since the last one began.
 */
void overload_decide(struct overload_row *rows, size_t count, const struct machine_state *state,
		     int64_t since_ns);

/* Listeners have changed. */
void overload_look(struct supervisor *supervisor);
void overload_stop(struct supervisor *supervisor);

/* One replaces another, and goes on as that has left it. */
void overload_take_over(struct listener *listener, const struct listener *replaced);

#endif
