/*
 * control_path.c - where the control socket is.
 */
#include "supervisor/control_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"

#define CONTROL_NAME "control.sock"

/* A variable that is not empty, or NULL. */
static const char *
control_path_variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Typed on the command line: from the directory in which that was done. */
static char *
control_path_absolute(const char *path)
{
	CLEANUP_FREE char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

	return here != NULL ? memory_format("%s/%s", here, path) : memory_text(path);
}

static void
control_place_find_default(struct control_place *ret)
{
	const char *runtime = control_path_variable("RUNTIME_DIRECTORY");
	const char *home = control_path_variable("XDG_RUNTIME_DIR");

	if (runtime != NULL) {
		/* systemd writes all of RuntimeDirectory=, with colons between */
		ret->path =
			memory_format("%.*s/" CONTROL_NAME, (int)strcspn(runtime, ":"), runtime);
	} else if (geteuid() == 0) {
		ret->path = memory_text("/run/handlerd/" CONTROL_NAME);
		ret->needs_parent = true;
		ret->parent_mode = 0755;
	} else if (home != NULL) {
		ret->path = memory_format("%s/handlerd/" CONTROL_NAME, home);
		ret->needs_parent = true;
		ret->parent_mode = 0700;
	}
}

void
control_place_find(const struct cmdline *cmdline, const struct config *config,
		   struct control_place *ret)
{
	const char *variable = control_path_variable("HANDLERD_CONTROL");
	const char *asked = cmdline->control;

	*ret = (struct control_place){0};
	if (asked == NULL && cmdline_has_no_file(cmdline))
		return;
	if (asked == NULL)
		asked = config->control != NULL ? config->control : variable;
	if (asked == NULL)
		control_place_find_default(ret);
	else if (asked[0] != '\0')
		*ret = (struct control_place){
			.path = control_path_absolute(asked),
			.is_asked = true,
			.is_written = cmdline->control == NULL && config->control != NULL,
		};
}

bool
control_place_equal(const struct control_place *a, const struct control_place *b)
{
	if (a->path == NULL || b->path == NULL)
		return a->path == b->path;
	return strcmp(a->path, b->path) == 0;
}

void
control_place_free(struct control_place *place)
{
	free(place->path);
	*place = (struct control_place){0};
}

int
control_place_make_parent(const struct control_place *place)
{
	CLEANUP_FREE char *parent = NULL;
	CLEANUP_CLOSE int fd = -1;

	if (!place->needs_parent)
		return 0;
	parent = memory_format("%.*s", (int)(strrchr(place->path, '/') - place->path), place->path);
	if (mkdir(parent, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	/* whatever the umask is */
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, place->parent_mode) < 0)
		return -errno;
	return 0;
}
