/*
 * probe.h - a throw-away process that loads a handler, so that what its constructors do, and
 * whether it fits, is known without touching anything that serves.
 */
#ifndef SUPERVISOR_PROBE_H
#define SUPERVISOR_PROBE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/report.h"
#include "supervisor/listener.h"
#include "supervisor/process.h"

struct probe {
	struct process process;
	const struct listener *listener; /* not owned */
	struct report report;
	struct buf description;
	struct loop_timer timer;
	bool is_over;
	bool is_good;
	bool was_killed; /* took too long */
	bool is_refusal; /* an error is about the handler file or its options */
	void (*on_over)(struct probe *probe);
};

/* Starts one; on_over is called when it has ended, from the loop. A failure to start is told in the
 * report and is over at once (on_over is called by the loop all the same). */
void probe_start(struct probe *probe, const struct listener *listener, enum worker_purpose purpose,
		 void (*on_over)(struct probe *probe));
/* Ends it if it runs. */
void probe_free(struct probe *probe);

#endif
