/*
 * state.h - all that a supervisor hands on to the program that replaces it, as JSON in a sealed
 * memory file: what it knows, and the numbers of the descriptors that go along.
 *
 * Both sides walk the same tables (state_field.h). A field that the reader does not know is
 * ignored, one that is missing has a default, so that versions next to each other understand each
 * other; what that cannot bridge counts STATE_VERSION up.
 */
#ifndef SUPERVISOR_STATE_H
#define SUPERVISOR_STATE_H

#include <stddef.h>

#include "supervisor/supervisor.h"

#define STATE_VERSION 1
/* The oldest that is understood. */
#define STATE_OLDEST 1

/* Descriptors that a state names, each once; its owners are others. */
struct state_fds {
	int *items;
	size_t count;
};

void state_fds_free(struct state_fds *fds);

/* What is told beside the supervisor itself. */
struct state_origin {
	char *version; /* of the program that has written it */
	char *program; /* its path */
	pid_t pid;
	int64_t began_ns; /* when it began to be replaced */
	struct control_state control;
};

void state_origin_free(struct state_origin *origin);

/* The state of a supervisor at rest (no reload under way), for the caller to free. Adds the
 * descriptors that must stay open. */
char *state_write(const struct supervisor *supervisor, int64_t began_ns, size_t *ret_length,
		  struct state_fds *ret_fds);

/*
 * Fills a supervisor that was initialised and knows nothing yet. Touches no descriptor and no
 * process: nothing is mapped, watched or armed. Returns 0, or -EBADMSG with a new sentence in
 * *ret_reason; the supervisor can be destroyed either way after state_let_go.
 */
int state_read(const char *text, size_t length, struct supervisor *supervisor,
	       struct state_origin *ret_origin, struct state_fds *ret_fds, char **ret_reason);

/* Makes a supervisor forget the descriptors and processes that state_read has told it of. */
void state_let_go(struct supervisor *supervisor);

#endif
