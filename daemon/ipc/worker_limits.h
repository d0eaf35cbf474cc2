/*
 * worker_limits.h - of a worker's settings, what clients may do.
 */
#ifndef IPC_WORKER_LIMITS_H
#define IPC_WORKER_LIMITS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/siphash.h"

/* What becomes of clients that are more than may be. */
enum worker_on_limit {
	WORKER_WAIT, /* they wait until they are accepted */
	WORKER_CLOSE,
	WORKER_RESET,
};

struct worker_limits {
	uint32_t source_sets; /* of the table behind the scoreboard; 0: nobody looks at sources */
	struct siphash_key source_key;
	uint32_t source_prefix_ipv4, source_prefix_ipv6; /* bits */
	uint32_t connections_per_source;		 /* 0: any number */
	uint64_t rate, source_rate;			 /* for an hour; 0: any */
	uint64_t rate_burst, source_rate_burst;		 /* 0: of a second */
	uint32_t on_limit, on_source_limit;		 /* enum worker_on_limit */
	char *banner;					 /* sent before a close; NULL: none */
	uint64_t send_rate, receive_rate;		 /* of one connection; 0: any */
	uint64_t request_memory;			 /* bytes; 0: any */
};

void worker_limits_write(const struct worker_limits *limits, struct buf *out);
void worker_limits_read(struct buf_reader *reader, struct worker_limits *ret);
void worker_limits_free(struct worker_limits *limits);

#endif
