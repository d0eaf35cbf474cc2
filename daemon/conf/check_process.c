/*
 * check_process.c - keys that say what the processes of a listener are and may.
 */
#include <errno.h>

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

void
check_process(const struct conf_listener *listener, struct report *report)
{
	check_cpu_affinity(listener, report);
}
