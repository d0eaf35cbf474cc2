/*
 * outlet.h - where a worker puts what it has to say: its log, standard output and standard error.
 *
 * A socket is one object, whoever has a descriptor of it: a handler that shuts down, connects or
 * fills the one that its worker was given does so for everybody who has it. So a worker gets
 * connections to the journal of its own, and not those of this process. A terminal is one object,
 * too, but it can be opened such that nobody waits for it, however it is stopped. Of a file it is
 * the flag that whatever is written goes to its end that all would have in common.
 */
#ifndef SUPERVISOR_OUTLET_H
#define SUPERVISOR_OUTLET_H

#include <stdbool.h>

#include "base/log.h"

struct outlet {
	enum log_target target;
	/* Which of these, or of this process's own, is what; not owned. -1: as this process has it.
	 */
	int log_fd, output_fd, error_fd;
	int journal_fd, stream_fd, own_fd; /* owned; negative: none */
};

/* For one worker, which is to log to the journal or to its standard error. What cannot be had is
 * left out: the worker then shares what this process has. */
void outlet_open(struct outlet *outlet, bool wants_journal);
void outlet_close(struct outlet *outlet);

#endif
