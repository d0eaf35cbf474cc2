/*
 * connection_log.h - the log of connections: one record for each that has come to its end, in the
 * same form from whoever saw it: the flow that served it, the one that turned it away, or, of a
 * process that has died, its parent.
 *
 * What is told of a peer is escaped where it is made (peer_format), and again where it is written.
 */
#ifndef IPC_CONNECTION_LOG_H
#define IPC_CONNECTION_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "ipc/scoreboard.h"

enum connection_kind {
	CONNECTION_STREAM,
	CONNECTION_DATAGRAM,
	CONNECTION_SESSION,
};

/* Which are logged, and how many. */
struct connection_log {
	bool has_refused, has_all;
	uint64_t rate_per_hour; /* 0: any number */
};

/* One that has ended. */
struct connection_end {
	enum connection_kind kind;
	enum close_reason reason;
	int64_t opened_ns; /* monotonic; 0: now */
	uint64_t bytes_in, bytes_out;
	const char *why; /* of one that was refused: a sentence in place of the reason's words */
};

/* Whether one that has ended for this reason is to be logged, and the rate allows it. Those that it
 * does not are counted in *unlogged; *ret_left_out is how many there were since the last record. */
bool connection_log_may(const struct connection_log *log, struct log_limiter *limiter,
			_Atomic uint64_t *unlogged, enum close_reason reason,
			uint64_t *ret_left_out);

/* Writes the record of one. The context names listener, handler, generation, id and peer. */
void connection_log_write(const struct log_context *context, const struct connection_end *end,
			  uint64_t left_out);

#endif
