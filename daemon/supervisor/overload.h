/*
 * overload.h - limits.overload: when memory or processors run short, listeners refuse new work, the
 * one that grows most first, until they no longer do.
 *
 *	well --a limit is passed--> the worst one refuses --no better a while later--> the next one,
 *too ^                                     |                                        |
 *	  +-- each of them: both are below its own limits by a margin -------------------+
 *
 * No better: memory has not fallen within 2 s, the load average not within 15. Who has hardly grown
 * since does not join in: it would help nobody.
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

/* Another listener may join in after so long. The kernel works the load average out every 5 s. */
#define OVERLOAD_MEMORY_MS 2000
#define OVERLOAD_LOAD_MS 15000

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
	uint64_t ticks_then;  /* the same when the trend of the load began */
};

/* Whether something gets better while somebody refuses because of it. */
struct overload_trend {
	int64_t since_ns; /* when somebody joined in, or it was found to get better; 0: nobody
			     refuses */
	int64_t value;	  /* what it was then */
};

/* Of memory, and of the load. */
struct overload_trends {
	struct overload_trend memory, load;
};

/* Of all listeners together. */
struct overload_watch {
	struct loop_timer timer;
	struct machine_state state; /* as it was at the last look */
	struct overload_trends trends;
	bool is_memory_told, is_load_told; /* that it is not known */
};

/* One listener, when it is decided who is to refuse. */
struct overload_row {
	int64_t memory_limit; /* in thousandths; 0: none */
	int64_t load_limit;   /* likewise */
	bool may_shed;	      /* it has a worker that accepts */
	bool is_shedding;
	uint64_t memory_grown; /* bytes, since memory was well */
	uint64_t ticks_grown;  /* of processors used, since the trend of the load began */
	bool for_memory;       /* if it begins, that is what for */
	bool begins, ends;     /* what is decided */
};

/* Decides, for all rows: any number may end, one may begin. Of the trends, which are 0 at first, it
 * notes those that begin now. */
void overload_decide(struct overload_row *rows, size_t count, const struct machine_state *state,
		     struct overload_trends *trends, int64_t now_ns);

/* Listeners have changed. */
void overload_look(struct supervisor *supervisor);
void overload_stop(struct supervisor *supervisor);

/* One replaces another, and goes on as that has left it. */
void overload_take_over(struct listener *listener, const struct listener *replaced);

#endif
