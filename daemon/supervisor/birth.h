/*
 * birth.h - parts of what a worker is told that the supervisor itself looks at.
 */
#ifndef SUPERVISOR_BIRTH_H
#define SUPERVISOR_BIRTH_H

#include "base/cpus.h"
#include "conf/config.h"
#include "ipc/worker_settings.h"

/* As many as struct conf_rlimits has. */
#define BIRTH_MOST_RLIMITS 16

/* The limits that are set, in the kernel's units; how many there are. */
uint32_t birth_rlimits(const struct conf_rlimits *conf,
		       struct worker_rlimit ret[BIRTH_MOST_RLIMITS]);

/* The processors that a listener names; none: it names none. */
struct cpus birth_cpus(const struct conf_listener *conf);

/* The place in the configuration that a worker names, if it is one that it was told of; file NULL:
 * it is none. What is returned is the configuration's own. */
struct conf_origin birth_find_origin(const struct conf_listener *conf, const char *file,
				     unsigned line);

#endif
