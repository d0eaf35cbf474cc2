/*
 * marker.h - shows that code of this handler has run: its constructor makes the file that
 * HANDLERD_TEST_MARKER names.
 */
#ifndef TESTS_MARKER_H
#define TESTS_MARKER_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void
marker_set(void)
{
	const char *path = getenv("HANDLERD_TEST_MARKER");

	if (path != NULL)
		(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

#endif
