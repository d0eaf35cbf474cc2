/*
 * check_process.c - keys that say what the processes of a listener are and may.
 */
#include <errno.h>
#include <string.h>

#include "base/cpus.h"
#include "conf/check.h"

static void
check_cpu_affinity(const struct conf_listener *listener, struct report *report)
{
	struct conf_origin origin = check_origin(listener, "", "cpu_affinity");

	for (size_t i = 0; i < listener->cpu_affinity.count; i++) {
		const char *text = listener->cpu_affinity.items[i];
		struct cpus cpus = {0};
		int r = cpus_parse(text, &cpus);

		if (r == -ERANGE)
			check_error(report, origin,
				    "cpu_affinity: '%s': no processor has a number above %d", text,
				    CPUS_MOST - 1);
		else if (r < 0)
			check_error(
				report, origin,
				"cpu_affinity: '%s' is no processor; write a number or a range, "
				"such as \"6\" or \"0-3\"",
				text);
	}
}

static void
check_root_directory(const struct conf_listener *listener, struct report *report)
{
	struct conf_origin origin = check_origin(listener, "", "root_directory");
	const char *path = listener->root_directory;

	if (path == NULL)
		return;
	if (path[0] != '/')
		check_error(report, origin,
			    "root_directory: '%s' must be an absolute path, beginning with /",
			    path);
	else if (path[strspn(path, "/")] == '\0')
		check_error(report, origin,
			    "root_directory: '%s' is the root that there is; remove the key, or "
			    "name another directory",
			    path);
}

void
check_process(const struct conf_listener *listener, struct report *report)
{
	check_root_directory(listener, report);
	check_cpu_affinity(listener, report);
}
