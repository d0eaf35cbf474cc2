/*
 * stall.h - finds workers that accept nothing for a long time although clients wait and nothing
 * keeps them from it.
 *
 * At rest nothing is looked at: an event of a listening socket begins it, and it goes on for as
 * long as somebody waits.
 */
#ifndef SUPERVISOR_STALL_H
#define SUPERVISOR_STALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/loop.h"

#define STALL_SAMPLE_MS 5000
#define STALL_AFTER_NS (30 * CLOCK_NS_PER_S)

struct supervisor;

/* What is known of one listener. */
struct stall {
	int64_t since_ns; /* clients have waited, and nothing was accepted; 0: not so */
	uint64_t taken;	  /* a number that changes with all that is accepted */
	bool is_stalled;
};

struct stall_watch {
	struct loop_source source; /* an epoll of all listening sockets; fd -1: none */
	struct loop_timer timer;
};

/* One look at a listener: whether clients wait that it could accept, and what it has taken so far.
 * Returns whether is_stalled has changed. */
bool stall_note(struct stall *stall, bool is_waiting, uint64_t taken, int64_t now_ns);

void stall_init(struct stall_watch *watch);
/* 0 or a negative errno. */
int stall_open(struct supervisor *supervisor);
void stall_close(struct supervisor *supervisor);

/* Workers or sockets have changed: looks at them in a while. */
void stall_look(struct supervisor *supervisor);

#endif
