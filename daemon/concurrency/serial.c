/*
 * serial.c - one connection after the other, in one thread.
 *
 * The control flow goes on beside it, so a lock keeps service_actions of a handler that is not
 * thread-safe out of its sessions.
 */
#include <errno.h>
#include <pthread.h>

#include "concurrency/intake.h"
#include "concurrency/pool.h"
#include "policy/admission.h"

static pthread_mutex_t serial_entry_lock = PTHREAD_MUTEX_INITIALIZER;

static int
serial_prepare(struct concurrency *mode)
{
	/* what was taken together could not wait for limits.rate one by one */
	if (mode->is_datagram && !mode->is_once && !mode->server->admission.waits_for_rate) {
		mode->batch = intake_make_batch();
		if (mode->batch == NULL)
			return -ENOMEM;
	}
	return pool_prepare(mode, 1, 1, &serial_entry_lock);
}

static void
serial_service(struct concurrency *mode)
{
	bool is_thread_safe = (mode->server->handler.descriptor.flags & HD_THREADS) != 0;

	/* busy: the next time will do */
	if (!is_thread_safe && pthread_mutex_trylock(&serial_entry_lock) != 0)
		return;
	concurrency_service(mode);
	if (!is_thread_safe)
		(void)pthread_mutex_unlock(&serial_entry_lock);
}

const struct concurrency_ops concurrency_serial = {
	.waiter = &waiter_blocking,
	.prepare = serial_prepare,
	.drain = pool_drain,
	.rest = pool_rest,
	.service = serial_service,
};
