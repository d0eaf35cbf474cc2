/*
 * sandbox.h - what the listener leaves to its handler: files, connections, system calls. Entered
 * once, after the drop of privileges and before anything of the handler is loaded; there is no way
 * out.
 */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

#include <stdbool.h>

#include "base/report.h"
#include "worker/worker.h"

/* Enters the sandbox of the settings, and tells the supervisor what has become of the filter.
 * Returns whether all of it is in force; what is not was told to the supervisor. */
bool sandbox_enter(const struct worker *worker);

/* Only the listed files, and no TCP without network, by Landlock. A failure is in the report. In
 * sandbox_files.c. */
bool sandbox_confine(const struct worker_settings *settings, struct report *report);

#endif
