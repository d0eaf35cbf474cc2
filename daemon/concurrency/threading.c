/*
 * threading.c - a thread for each connection, from a pool that grows and shrinks.
 */
#include "concurrency/concurrency.h"
#include "concurrency/pool.h"

static int
threading_prepare(struct concurrency *mode)
{
	int r = server_remember_requests(mode->server, mode->limit);

	mode->takes_in_runs = mode->is_datagram && !mode->is_once;
	return r < 0 ? r
		     : pool_prepare(mode, mode->is_once ? 1 : mode->limit, mode->min_threads, NULL);
}

const struct concurrency_ops concurrency_threading = {
	.waiter = &waiter_blocking,
	.prepare = threading_prepare,
	.drain = pool_drain,
	.rest = pool_rest,
	.service = concurrency_service,
};
