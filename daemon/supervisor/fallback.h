/*
 * fallback.h - what a listener was before the reload that changed it: its entry of the
 * configuration and its handler file. When the changed one keeps crashing, it goes back to both.
 */
#ifndef SUPERVISOR_FALLBACK_H
#define SUPERVISOR_FALLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/config.h"
#include "supervisor/access_lists.h"
#include "supervisor/names.h"
#include "supervisor/pin.h"
#include "supervisor/sockets.h"

struct fallback {
	struct config *config; /* held; NULL: there is nothing to go back to */
	const struct conf_listener *conf;
	struct pin pin;
	struct identity identity;
	struct socket_owner socket_owner;
	struct access_lists *access; /* NULL: none */
	uint32_t generation;	     /* that had it */

	int64_t *crashes_ns; /* the last ones, as a ring; as many as bring it back */
	size_t crash_room, crash_count, next_crash;
};

#define FALLBACK_NONE ((struct fallback){.pin = PIN_NONE})

/* A crash of what came after, now. Returns whether it is one too many: so many as the entry says
 * have come within its time. */
bool fallback_count_crash(struct fallback *fallback, const struct conf_rollback *rollback,
			  int64_t now_ns);

/* Whether a death counts: by a signal that tells of a fault of the program, or an exit that nobody
 * asked for. `status` is as of waitpid(2). */
bool fallback_is_crash(int status);

struct listener;

/* The listener has crashed; one crash too many sets wants_back. */
void fallback_note_crash(struct listener *listener);

/* At the commit: the listener remembers what it replaces, whose worker was of that generation.
 * Takes the handler file, the identity and the access lists from it. */
void fallback_keep(struct listener *listener, struct listener *replaced, uint32_t generation);

/* A listener that is what `crashing` was before the last reload changed it, and is to replace it.
 * NULL, told in the report, if that cannot be; there is nothing to go back to any more either way.
 */
struct listener *fallback_make_listener(struct listener *crashing, struct report *report);

void fallback_clear(struct fallback *fallback);

#endif
