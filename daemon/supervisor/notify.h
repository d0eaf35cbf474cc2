/*
 * notify.h - tells systemd what is going on; does nothing where there is no systemd.
 */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include "base/loop.h"

/* Begins to answer the watchdog from this loop, if the unit has one. */
void notify_open(struct loop *loop);
void notify_close(void);

/* Answers the watchdog out of turn, before what takes its time. */
void notify_alive(void);

void notify_reloading(void);
/* What is going on, and nothing else. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Serving, after a start, a reload, or a reload that failed. */
void notify_ready(const char *format, ...) __attribute__((format(printf, 1, 2)));
void notify_stopping(void);
/* While draining: the next extension comes within `ms`. */
void notify_extend(int64_t ms);

#endif
