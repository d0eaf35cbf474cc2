/*
 * stream.h - the exchange over a connected stream.
 */
#ifndef HANDLERCTL_STREAM_H
#define HANDLERCTL_STREAM_H

#include <stdint.h>

#include "handlerctl/outcome.h"

struct exchange;

/* Sends and receives at the same time, so that neither side waits for the other to read. */
struct outcome stream_run(const struct exchange *exchange, int fd, int64_t started_ns);

#endif
