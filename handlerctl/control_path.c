/*
 * control_path.c - the same rules as the daemon's for the key `control`, seen from the other side.
 */
#include "handlerctl/control_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define CONTROL_PATH_USUAL "/run/handlerd/control.sock"

static bool
control_path_is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static bool
control_path_is_missing(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 && errno == ENOENT;
}

void
control_path_gather(struct control_path_clues *clues, const char *option)
{
	*clues = (struct control_path_clues){
		.option = option,
		.variable = getenv("HANDLERD_CONTROL"),
		.runtime_directory = getenv("RUNTIME_DIRECTORY"),
		.user_directory = getenv("XDG_RUNTIME_DIR"),
		.usual = CONTROL_PATH_USUAL,
		.is_root = geteuid() == 0,
	};
}

void
control_path_choose(const struct control_path_clues *clues, struct control_path *ret)
{
	*ret = (struct control_path){.path = NULL};
	if (clues->option != NULL) {
		ret->path = memory_text(clues->option);
	} else if (control_path_is_given(clues->variable)) {
		ret->path = memory_text(clues->variable);
	} else if (control_path_is_given(clues->runtime_directory)) {
		ret->path = memory_format("%.*s/control.sock",
					  (int)strcspn(clues->runtime_directory, ":"),
					  clues->runtime_directory);
	} else {
		ret->path = memory_text(clues->usual);
		if (clues->is_root || !control_path_is_given(clues->user_directory) ||
		    !control_path_is_missing(clues->usual))
			return;
		ret->missing = ret->path;
		ret->path = memory_format("%s/handlerd/control.sock", clues->user_directory);
	}
}

void
control_path_free(struct control_path *path)
{
	free(path->path);
	free(path->missing);
	*path = (struct control_path){.path = NULL};
}
