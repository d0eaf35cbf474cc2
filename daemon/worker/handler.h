/*
 * handler.h - loads a handler file: checked from the file first, opened only then.
 */
#ifndef WORKER_HANDLER_H
#define WORKER_HANDLER_H

#include <stdbool.h>
#include <stddef.h>

#include "api/server.h"
#include "base/report.h"
#include "ipc/worker_settings.h"

/*
 * Loads the file on WORKER_FD_HANDLER and fills *ret. Every refusal has its own sentence in the
 * report. Warnings (an exported function whose name is nearly that of an absent one) are only
 * looked for with `wants_warnings`. Returns whether it was loaded.
 */
bool handler_load(const struct worker_settings *settings, bool wants_warnings,
		  struct server_handler *ret, struct report *report);

/* How the handler file is opened: the name by which the dynamic linker knows it. Returns buf. */
#define HANDLER_PATH_SIZE 48
const char *handler_format_path(char *buf, size_t size);

/* Whether the handler serves what the listener asks of it; complains if not. */
bool handler_check_mode(const struct worker_settings *settings,
			const struct server_handler *handler, struct report *report);

#endif
