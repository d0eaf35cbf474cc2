/*
 * inetd.h - --inetd: the one connection that inetd or systemd (Accept=yes) has accepted and passed
 * as standard input.
 */
#ifndef SUPERVISOR_INETD_H
#define SUPERVISOR_INETD_H

#include <stdint.h>

#include "supervisor/adopted.h"

/* What the connection is called among the adopted sockets. */
#define INETD_NAME "connection"

/* Moves the connection from descriptor 0 to where listeners find sockets that were passed on, and
 * keeps everything that is printed away from the client. Its protocol, or a negative errno, told on
 * standard error, if there is no connection. */
int64_t inetd_take(struct adopted *adopted);

#endif
