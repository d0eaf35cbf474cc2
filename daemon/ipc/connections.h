/*
 * connections.h - the connections that a worker serves, in words, as its scoreboard has them.
 */
#ifndef IPC_CONNECTIONS_H
#define IPC_CONNECTIONS_H

#include <stddef.h>

#include "base/buf.h"
#include "ipc/scoreboard.h"

/* The first slot from *slot on whose connection is being served; *slot is then the next to look at.
 * False: there is none. */
bool connections_next(const struct scoreboard *board, size_t slot_count, size_t *slot,
		      struct scoreboard_connection *ret);

/* Adds "#17 127.0.0.1:4711 (12.345 s), #18 ..., and 3 more". Returns how many connections there
 * are; without any it adds nothing. */
size_t connections_add(const struct scoreboard *board, size_t slot_count, size_t most,
		       struct buf *text);

/* Logs whose connections are about to be cut, and why ("as ..."); nothing if there are none. */
void connections_log_cut(const struct scoreboard *board, size_t slot_count, const char *listener,
			 uint32_t generation, const char *why);

#endif
