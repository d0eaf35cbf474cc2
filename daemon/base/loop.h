/*
 * loop.h - the event loop of the single-threaded processes: descriptors (epoll) and timers.
 *
 * A loop does not own its sources and timers; they are embedded in their owner and must be removed
 * before it goes. A callback may remove and free any source or timer, its own included.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop_source {
	int fd; /* not owned */
	void (*on_event)(struct loop_source *source, uint32_t events);
	bool is_added;
};

struct loop_timer {
	int64_t when_ns; /* on the monotonic clock */
	void (*on_timer)(struct loop_timer *timer);
	struct loop_timer *next;
	bool is_armed;
};

struct loop {
	int epoll_fd;
	struct loop_timer *timers; /* sorted, soonest first */
	bool is_stopped;
	struct loop_source **pending; /* of the batch being dispatched */
	int pending_count;
};

/* 0 or a negative errno. */
int loop_init(struct loop *loop);
void loop_close(struct loop *loop);

/* `events` of epoll(7). 0 or a negative errno. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
/* Does nothing for a source that is not in the loop. To be called before its fd is closed. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Arms or re-arms a timer. */
void loop_arm(struct loop *loop, struct loop_timer *timer, int64_t when_ns);
void loop_disarm(struct loop *loop, struct loop_timer *timer);

/* Waits once and dispatches. 0 or a negative errno. */
int loop_turn(struct loop *loop);
/* Turns until loop_stop. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
