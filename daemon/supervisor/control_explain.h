/*
 * control_explain.h - what one rule of a listener says of a client, between the files that explain.
 */
#ifndef SUPERVISOR_CONTROL_EXPLAIN_H
#define SUPERVISOR_CONTROL_EXPLAIN_H

#include "policy/admission.h"
#include "supervisor/listener.h"

enum explain_says {
	EXPLAIN_PASSES,
	EXPLAIN_REFUSES,
	EXPLAIN_WAITS,	 /* the client would wait */
	EXPLAIN_UNKNOWN, /* nobody is there who could tell */
};

/* What one rule says, and why. */
struct explain_row {
	enum explain_says says;
	enum close_reason reason; /* of what refuses; CLOSE_NONE: what admission_ask has said */
	char *text;		  /* owned */
	const char *file;	  /* where that was written; NULL: nowhere */
	unsigned line;
};

/* What a client would use up, and whether there is some of it: nothing is taken. In
 * control_explain_limits.c. */
void explain_source_connections(const struct listener *listener, const struct admission_peer *peer,
				struct explain_row *ret);
void explain_source_rate(const struct listener *listener, const struct admission_peer *peer,
			 struct explain_row *ret);
void explain_rate(const struct listener *listener, struct explain_row *ret);
void explain_max_connections(const struct listener *listener, struct explain_row *ret);

#endif
