/*
 * hold.h - what an operator may do to one listener while it runs: nobody accepts, clients wait in
 * the backlog, datagrams in the socket's buffer.
 *
 * It survives reloads and crashes, and not a restart. What belongs to it is listener->is_paused: no
 * worker is told to accept as long as it is set, and none is started on demand.
 */
#ifndef SUPERVISOR_HOLD_H
#define SUPERVISOR_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct listener;

/* Its worker accepts no more, and goes on with what it serves. */
void hold_pause(struct listener *listener);

/* The same, and what it serves ends by then. Another worker is started, which is ready when the
 * listener is resumed. A later call can only bring the end nearer. */
void hold_drain(struct listener *listener, int64_t deadline_ns);

/* Undoes both: clients that have waited are served. */
void hold_resume(struct listener *listener);

/* Whether it has come to that: no worker accepts any more. world->on_change follows when it has. */
bool hold_is_complete(const struct listener *listener);

/* Whether no worker of an older generation, or that was told to drain, is left. */
bool hold_is_drained(const struct listener *listener);

#endif
