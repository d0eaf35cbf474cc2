/*
 * refuser.h - the control flow accepts and refuses, as long as max_connections are served and
 * limits.on_limit says that clients are not to wait.
 *
 * It watches the listening sockets only then. A client is taken only while the mode holds it to be
 * so that no flow is free (begin, end); the first event at which one is ends the watching.
 */
#ifndef CONCURRENCY_REFUSER_H
#define CONCURRENCY_REFUSER_H

#include <stdbool.h>

#include "base/loop.h"
#include "concurrency/acceptor.h"
#include "concurrency/intake.h"

struct refuser_socket {
	struct refuser *refuser; /* not owned */
	struct loop_source source;
};

struct refuser {
	struct concurrency *mode; /* not owned; NULL: clients wait, and nothing below is used */
	/* Whether every flow serves; if so, that stays until `end`. */
	bool (*begin)(struct concurrency *mode);
	void (*end)(struct concurrency *mode);
	struct refuser_socket *sockets; /* one for each of the listener's; owned */
	struct loop_timer retry;	/* after a shortage of descriptors */
	struct acceptor acceptor;
	struct intake intake;
	bool is_watching;
	bool is_over;
};

/* Nothing is done where clients are to wait. 0 or a negative errno. */
int refuser_open(struct refuser *refuser, struct concurrency *mode,
		 bool (*begin)(struct concurrency *mode), void (*end)(struct concurrency *mode));

/* Every flow may serve now. */
void refuser_look(struct refuser *refuser);

/* No more, for good. */
void refuser_stop(struct refuser *refuser);

#endif
