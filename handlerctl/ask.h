/*
 * ask.h - one request to the daemon, from the command line to the exit status.
 */
#ifndef HANDLERCTL_ASK_H
#define HANDLERCTL_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "handlerctl/ask_line.h"

struct ask {
	struct ask_line line;
	json_t *request;
	/* Shows the last line to people. */
	void (*print)(const struct ask *ask, const json_t *answer);
	const char *consequence; /* what a refusal means, or NULL */
	int64_t patience_ms;	 /* for the whole answer; -1: it takes as long as it takes */
	bool is_timed;	     /* --timeout bounds all of it, a daemon that is not there yet too */
	bool is_end_awaited; /* the daemon's end is the end of the connection */
	bool has_progress;   /* out: a line of progress was shown */
};

/* Reads the command line and begins a request with the command's name. True: go on, and end with
 * ask_run. False: *ret_status is the exit status. */
bool ask_begin(struct ask *ask, const struct verb *verb, int argc, char **argv, int *ret_status);

/* The same for a command whose argument, if there is one, is a listener. */
bool ask_begin_listener(struct ask *ask, const struct verb *verb, int argc, char **argv,
			int *ret_status);

/* Adds the argument, if there is one, under this name. False, after a complaint, where it is
 * none: ask_cancel then. */
bool ask_add_name(struct ask *ask, const char *key);

/* Ends a request that is not to be run after all. */
int ask_cancel(struct ask *ask, int status);

/* Asks, shows what comes, and frees the request. Returns the exit status. */
int ask_run(struct ask *ask);

#endif
