/*
 * outcome.h - the ways in which an exchange ends, what is said of each, and the exit status.
 */
#ifndef HANDLERCTL_OUTCOME_H
#define HANDLERCTL_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

struct exchange;

enum outcome_end {
	OUTCOME_ANSWERED,    /* also: a stream that was closed in order, without a byte */
	OUTCOME_SILENT,	     /* nothing came in time */
	OUTCOME_ENDLESS,     /* something came, but not the end of it */
	OUTCOME_UNREAD,	     /* the peer does not take what is sent */
	OUTCOME_UNCONNECTED, /* no connection in time */
	OUTCOME_NO_LISTENER, /* refused */
	OUTCOME_NO_SOCKET,   /* no such file */
	OUTCOME_WRONG_KIND,  /* a datagram socket was taken for a stream, or the reverse */
	OUTCOME_RESET,	     /* broken off by the peer */
	OUTCOME_CUT,	     /* closed by the peer before everything was sent */
	OUTCOME_TOO_LONG,    /* for one datagram */
	OUTCOME_FAILED,	     /* any other error of the socket */
	OUTCOME_INPUT,	     /* our own input cannot be read */
	OUTCOME_OUTPUT,	     /* our own output cannot be written */
};

struct outcome {
	enum outcome_end end;
	int error;	    /* a positive errno where one tells more, or 0 */
	bool is_unsent;	    /* the peer has seen nothing: another address may be tried */
	int64_t latency_ns; /* from the start to the last thing that came; of answers only */
};

/* The end that an errno of the socket stands for. */
struct outcome outcome_of_error(int error);

int outcome_exit_status(const struct outcome *outcome);

/* One sentence about anything but an answer; the caller frees it. */
char *outcome_sentence(const struct outcome *outcome, const struct exchange *exchange);

#endif
