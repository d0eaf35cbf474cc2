/*
 * death.h - what is known of a worker's death: gathered while its scoreboard is there, told when it
 * is known what follows.
 */
#ifndef SUPERVISOR_DEATH_H
#define SUPERVISOR_DEATH_H

#include <stddef.h>

#include "base/buf.h"
#include "base/log.h"
#include "ipc/crash.h"
#include "net/peer.h"

struct child;

struct death {
	int status;	 /* as waitpid(2) gives it */
	bool has_report; /* it was a crash, and the worker could say where */
	struct crash_report report;
	char peer[PEER_NAME_SIZE]; /* of the connection that crashed; "" */
	size_t connection_count;   /* that ended with it */
	struct buf connections;	   /* the first of them, in words */
};

/* Notes how the worker died, and with which connections. */
void death_note(struct child *child, int status);
void death_free(struct death *death);

/* Logs that the worker died, how, what of, with whom, and what follows; and the frames, a line for
 * each. */
void death_log(const struct child *child, enum log_event event, const char *what_follows);
/* The same as one sentence, for a report of what failed: it died before it was ready. The caller
 * frees it. */
char *death_explain_failure(const struct child *child);

/* Before the worker is killed: logs whose connections are cut, and why. Nothing if there are none.
 */
void death_log_cut(const struct child *child, const char *why);

#endif
