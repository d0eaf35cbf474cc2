/*
 * manager.h - messages to the service manager, in order and without waiting for it: what it does
 * not take at once waits here until it does. Does nothing where there is no manager.
 */
#ifndef SUPERVISOR_MANAGER_H
#define SUPERVISOR_MANAGER_H

#include "base/loop.h"

/* From now on messages may have to wait; before, they are sent at once. */
void manager_open(struct loop *loop);
void manager_close(void);

/* Sends a message of sd_notify(3), with a descriptor unless that is -1; it stays the caller's. */
void manager_tell(const char *state, int fd);
void manager_tell_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for what is soon said again: left out if others wait already. */
void manager_remind(const char *state);

#endif
