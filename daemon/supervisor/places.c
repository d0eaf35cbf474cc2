/*
 * places.c - resolves the worker program and the handler directory.
 */
#include "supervisor/places.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/trusted.h"

/* The path of this program. One that was replaced or removed is still called by its name: that is
 * where the next version will be. */
static int
places_find_program(char *path, size_t size)
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	size_t suffix = sizeof(deleted) - 1;

	if (n < 0)
		return -errno;
	path[n] = '\0';
	if ((size_t)n > suffix && strcmp(path + (size_t)n - suffix, deleted) == 0 &&
	    access(path, F_OK) < 0)
		path[(size_t)n - suffix] = '\0';
	return 0;
}

int
places_find(struct places *places, char **ret_reason)
{
	struct trusted_owner owner = trusted_owner_self(true);
	char program[PATH_MAX];
	int r = places_find_program(program, sizeof(program));
	char *slash;
	int fd;

	*places = (struct places){.worker_fd = -1};
	if (r < 0) {
		*ret_reason = memory_format("cannot tell where handlerd is installed: "
					    "/proc/self/exe: %s",
					    strerror(-r));
		return r;
	}
	places->program = memory_text(program);
	slash = strrchr(program, '/');
	if (slash != NULL)
		*slash = '\0';
	places->handler_directory = memory_format("%s/%s", program, PLACES_HANDLERS_FROM_SBIN);
	places->worker_path = memory_format("%s/%s", program, PLACES_WORKER_FROM_SBIN);
	/* without "..", as messages show it */
	{
		char *real = realpath(places->handler_directory, NULL);

		if (real != NULL) {
			free(places->handler_directory);
			places->handler_directory = real;
		}
	}
	fd = trusted_open(places->worker_path, TRUSTED_FILE, &owner, ret_reason, NULL);
	if (fd < 0) {
		char *reason = *ret_reason;

		*ret_reason = memory_format("its worker program cannot be used: %s", reason);
		free(reason);
		return fd;
	}
	places->worker_fd = fd;
	return 0;
}

void
places_free(struct places *places)
{
	free(places->program);
	free(places->handler_directory);
	free(places->worker_path);
	if (places->worker_fd >= 0)
		(void)close(places->worker_fd);
	*places = (struct places){.worker_fd = -1};
}
