/*
 * pool.h - a bounded pool of threads that accept and serve; what threading and serial run on.
 */
#ifndef CONCURRENCY_POOL_H
#define CONCURRENCY_POOL_H

#include <pthread.h>

#include "concurrency/concurrency.h"

/* Makes `min_threads` threads that wait for concurrency_accept, and will make up to `limit`. Where
 * `entry_lock` is given, a session holds it. 0 or a negative errno. */
int pool_prepare(struct concurrency *mode, uint32_t limit, uint32_t min_threads,
		 pthread_mutex_t *entry_lock);
enum concurrency_rest pool_rest(struct concurrency *mode);
void pool_drain(struct concurrency *mode);

#endif
