/*
 * admit.c - what a worker knows of who may come in: the pages that it was given, and its settings.
 */
#include <errno.h>

#include "ipc/protocol.h"
#include "worker/worker.h"

int
worker_open_rules(struct worker *worker)
{
	const struct worker_settings *settings = &worker->settings;
	struct admission *admission = &worker->server.admission;
	int r;

	if (settings->has_access) {
		r = access_map(WORKER_FD_ACCESS, &admission->access);
		if (r < 0)
			return r;
		admission->is_asked = true;
	}
	if (settings->protocol == WORKER_TCP || settings->protocol == WORKER_UDP) {
		admission->bans = bans_map(WORKER_FD_BANS);
		if (admission->bans == NULL)
			return -EBADF;
	}
	if (settings->sensor_ms == 0)
		return 0;
	sensor_open(&admission->sensor, (int64_t)settings->sensor_ms, settings->sensor_excepts,
		    settings->sensor_except_count);
	admission->sensor.generation = settings->generation;
	admission->is_asked = true;
	return 0;
}
