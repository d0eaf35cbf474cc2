/*
 * control_path.h - where the daemon's control socket is looked for.
 */
#ifndef HANDLERCTL_CONTROL_PATH_H
#define HANDLERCTL_CONTROL_PATH_H

#include <stdbool.h>

/* What decides; each text may be NULL. Nothing is owned. */
struct control_path_clues {
	const char *option;	       /* --control */
	const char *variable;	       /* $HANDLERD_CONTROL */
	const char *runtime_directory; /* $RUNTIME_DIRECTORY: one or more, with ':' between */
	const char *user_directory;    /* $XDG_RUNTIME_DIR */
	const char *usual;	       /* the socket of the system's daemon */
	bool is_root;
};

struct control_path {
	char *path;
	char *missing; /* looked for before, and not there; or NULL */
};

/* The clues of this process. */
void control_path_gather(struct control_path_clues *clues, const char *option);

/* The first that is known of: the option, the variable, the directory that systemd made, the
 * usual path; in place of a usual one that is not there, one of the user's own, unless root. */
void control_path_choose(const struct control_path_clues *clues, struct control_path *ret);

void control_path_free(struct control_path *path);

#endif
