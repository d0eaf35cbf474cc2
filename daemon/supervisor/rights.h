/*
 * rights.h - what a listener asks for its workers, against what this process may give and what the
 * machine has: known before any worker is started, and told with the line that asks.
 */
#ifndef SUPERVISOR_RIGHTS_H
#define SUPERVISOR_RIGHTS_H

#include <stdbool.h>

#include "base/report.h"
#include "conf/config.h"

/* Returns whether a worker may be started; errors and warnings go into the report. */
bool rights_check(const struct conf_listener *listener, struct report *report);

#endif
