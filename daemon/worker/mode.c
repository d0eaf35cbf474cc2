/*
 * mode.c - what a worker's settings mean for its way of concurrency.
 */
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "worker/identity.h"
#include "worker/worker.h"

static const struct concurrency_ops *
mode_find_ops(uint32_t concurrency)
{
	switch (concurrency) {
	case WORKER_FORKING:
		return &concurrency_forking;
	case WORKER_SERIAL:
		return &concurrency_serial;
	case WORKER_FIBERS:
		return &concurrency_fibers;
	default:
		return &concurrency_threading;
	}
}

void
worker_choose_mode(struct worker *worker)
{
	worker->mode.ops = mode_find_ops(worker->settings.concurrency);
	worker->server.waiter = worker->mode.ops->waiter;
}

bool
worker_is_datagram(const struct worker_settings *settings)
{
	return settings->protocol == WORKER_UDP || settings->protocol == WORKER_UNIXGRAM;
}

/* Whether the listener has a limit of open files of its own. */
static bool
mode_has_file_limit(const struct worker_settings *settings)
{
	for (uint32_t i = 0; i < settings->rlimit_count; i++) {
		if (settings->rlimits[i].resource == RLIMIT_NOFILE)
			return true;
	}
	return false;
}

static void
mode_fill_timeouts(struct worker *worker)
{
	const struct worker_settings *settings = &worker->settings;
	struct timeout_limits *limits = &worker->mode.timeouts;
	struct hd_server *server = &worker->server;

	*limits = (struct timeout_limits){
		.first_byte_ns = (int64_t)settings->first_byte_timeout_ms * CLOCK_NS_PER_MS,
		.idle_ns = (int64_t)settings->client_idle_timeout_ms * CLOCK_NS_PER_MS,
		.total_ns = (int64_t)settings->total_timeout_ms * CLOCK_NS_PER_MS,
		.send_ns = (int64_t)settings->send_timeout_ms * CLOCK_NS_PER_MS,
		.handler_ns = (int64_t)settings->handler_timeout_ms * CLOCK_NS_PER_MS,
		.min_rate = settings->min_rate,
		.grace_ns = (int64_t)settings->min_rate_grace_ms * CLOCK_NS_PER_MS,
	};
	if (!timeouts_ask_for_bytes(limits))
		return;
	server->tell_ns = timeouts_period_ns(limits);
	server->send_flags = server->waiter->parks ? 0 : MSG_DONTWAIT;
}

void
worker_fill_mode(struct worker *worker)
{
	const struct worker_settings *settings = &worker->settings;
	struct concurrency *mode = &worker->mode;

	mode->server = &worker->server;
	mode->socket_count = settings->socket_count;
	mode->is_datagram = worker_is_datagram(settings);
	mode->is_connection = settings->is_connection;
	mode->limit = identity_raise_files(
		settings->limit,
		settings->socket_count + (settings->has_sessions ? settings->max_sessions : 0));
	if (mode->limit < settings->limit)
		log_event(LOG_EVENT_FILES_LIMITED, worker->server.name,
			  "'%s' may serve %" PRIu32 " connections at once instead of %" PRIu32
			  ": the limit of open files is too low; raise %s",
			  worker->server.name, mode->limit, settings->limit,
			  mode_has_file_limit(settings) ? "rlimits.nofile"
							: "LimitNOFILE or ulimit -n");
	mode->min_threads = settings->min_threads;
	mode->idle_timeout_ns = (int64_t)settings->idle_timeout_ms * CLOCK_NS_PER_MS;
	mode->stack_size = settings->stack_size;
	mode->fiber_threads = settings->fiber_threads;
	mode->warn_after_ns = (int64_t)settings->warn_after_ms * CLOCK_NS_PER_MS;
	mode->spare_children = settings->spare_children;
	mode->connections_per_child = settings->connections_per_child;
	mode->is_once = settings->is_once;
	mode_fill_timeouts(worker);
	if (settings->has_sessions)
		mode->session_timeout_ns = (int64_t)settings->session_timeout_ms * CLOCK_NS_PER_MS;
	mode->max_sessions = settings->max_sessions;
	mode->on_limit = (enum worker_on_limit)settings->limits.on_limit;
	mode->on_source_limit = (enum worker_on_limit)settings->limits.on_source_limit;
	mode->banner = settings->limits.banner;
}
