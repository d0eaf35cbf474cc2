/*
 * exchange.h - one exchange with a server: connect, send, receive.
 */
#ifndef HANDLERCTL_EXCHANGE_H
#define HANDLERCTL_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handlerctl/outcome.h"

struct target;

/* The answer of a stream that stays open is complete when nothing has come for so long. */
#define EXCHANGE_PAUSE_MS 200
/* The largest payload of UDP over IPv4. */
#define EXCHANGE_DATAGRAM_MOST 65507

struct exchange {
	const struct target *target; /* not owned */
	const char *data;	     /* sent first; not owned */
	size_t length;
	int input;  /* sent after that, as it comes, to its end; -1: nothing. Streams only */
	int output; /* where what comes back is written to; -1: nowhere */
	int64_t timeout_ms; /* -1: for ever */
	bool is_half_close; /* streams: end what is sent, then read to the end */
};

/* Runs it from a new socket to the end. With several addresses, the first that takes it. */
struct outcome exchange_run(const struct exchange *exchange);

/* Whether the kernel chose the very address that is connected to, which it may where nothing
 * listens: what is sent comes back, and nobody has answered. */
bool exchange_is_connected_to_itself(int fd);

/* Writes what came to `output`; OUTCOME_ANSWERED, or OUTCOME_OUTPUT. */
struct outcome exchange_write(const struct exchange *exchange, const char *data, size_t length);

#endif
