/*
 * check_sandbox.c - what a listener's handler may do: whether that can be meant. Whether the paths
 * are there is seen by the process that is confined to them.
 */
#include <string.h>

#include "conf/check.h"

#define SANDBOX_MOST_PATHS 256

static void
sandbox_check_path(const struct conf_listener *listener, const char *text, struct report *report)
{
	struct conf_origin origin = check_origin(listener, "sandbox", "filesystem");

	if (strncmp(text, "ro:/", 4) != 0 && strncmp(text, "rw:/", 4) != 0)
		check_error(report, origin,
			    "sandbox.filesystem of listener '%s': '%s' must be ro: or rw: and an "
			    "absolute path, such as \"ro:/usr\"",
			    check_listener_name(listener), text);
}

void
check_sandbox(const struct conf_listener *listener, struct report *report)
{
	const struct conf_texts *paths = &listener->sandbox.filesystem;

	for (size_t i = 0; i < paths->count; i++)
		sandbox_check_path(listener, paths->items[i], report);
	if (paths->count > SANDBOX_MOST_PATHS)
		check_error(report, check_origin(listener, "sandbox", "filesystem"),
			    "sandbox.filesystem of listener '%s' has %zu paths; %d are the most",
			    check_listener_name(listener), paths->count, SANDBOX_MOST_PATHS);
	if (listener->sandbox.seccomp == CONF_SECCOMP_OFF && !listener->sandbox.network)
		check_error(report, check_origin(listener, "sandbox", "network"),
			    "sandbox.network of listener '%s' is false, which needs the filter of "
			    "system calls, but sandbox.seccomp is \"off\"",
			    check_listener_name(listener));
}
