/*
 * crash.h - the signal handler of a worker and its children: it writes down where it happened, and
 * lets the signal do what it does to a process that nobody has touched.
 *
 * A handler that has its own signal handlers has the last word. Only the process that called
 * crash_open, and children that called crash_begin_child, write: what a handler has forked crashes
 * for itself.
 */
#ifndef CONCURRENCY_CRASH_H
#define CONCURRENCY_CRASH_H

#include <stddef.h>

#include "ipc/crash.h"
#include "ipc/scoreboard.h"

/* From now on crashes are recorded. `path` is how the handler file is going to be opened, `name`
 * how it is called there. Both are copied. */
void crash_open(struct crash_record *record, const char *path, const char *name);

/* This thread serves the connections of the slot, on a stack that may overflow. Until the thread
 * ends. */
void crash_begin_thread(const struct scoreboard_slot *slot);
void crash_end_thread(void);

/* From now on this thread serves the connection of another slot (NULL: none), on a stack with a
 * guard of so many bytes below `stack_low` (NULL: the thread's own). */
void crash_set_flow(const struct scoreboard_slot *slot, const void *stack_low, size_t guard_size);

/* This process was forked to serve the connections of the slot. */
void crash_begin_child(const struct scoreboard_slot *slot);

#endif
