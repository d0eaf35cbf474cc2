/*
 * control_path.h - where the control socket is.
 */
#ifndef SUPERVISOR_CONTROL_PATH_H
#define SUPERVISOR_CONTROL_PATH_H

#include <stdbool.h>
#include <sys/types.h>

#include "conf/config.h"
#include "supervisor/cmdline.h"

struct control_place {
	char *path;	   /* NULL: none; owned */
	bool is_asked;	   /* somebody named it: it must be had */
	bool is_written;   /* in the configuration */
	bool needs_parent; /* its directory is made if it is not there */
	mode_t parent_mode;
};

/*
 * The first of: --control, the key `control`, HANDLERD_CONTROL, RUNTIME_DIRECTORY, and
 * /run/handlerd or, where root has not started us, XDG_RUNTIME_DIR. Without a configuration file
 * only --control counts.
 */
void control_place_find(const struct cmdline *cmdline, const struct config *config,
			struct control_place *ret);
bool control_place_equal(const struct control_place *a, const struct control_place *b);
void control_place_free(struct control_place *place);

/* Makes the directory of a default path. 0 or a negative errno. */
int control_place_make_parent(const struct control_place *place);

#endif
