/*
 * identity.h - the drop: the one function that makes a worker what its listener may be, on every
 * path that runs handler code.
 */
#ifndef WORKER_IDENTITY_H
#define WORKER_IDENTITY_H

#include "ipc/worker_settings.h"

/*
 * Drops to the identity in the settings, step by step, each checked and read back. 0; a negative
 * errno with *ret_step, a static text that names the step. After a failure the process must end.
 */
int identity_drop(const struct worker_settings *settings, const char **ret_step);

/* Raises the soft limit of open files for `connections` at once and `more` descriptors. Returns how
 * many connections the hard limit bears, at most `connections`. */
uint32_t identity_raise_files(uint32_t connections, uint32_t more);

/* What stands in the way of a step that failed with this error, for behind the message; "" if that
 * is not known. */
const char *identity_advise(int error);

#endif
