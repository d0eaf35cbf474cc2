/*
 * serve.c - the control flow of a serving worker: channel, signals, draining, service_actions.
 *
 *	prepare -> READY -> (ACCEPT) serving -> (DRAIN, STOP, end of file) draining -> exit
 *	                              | ^
 *	                        (PAUSE) (ACCEPT)
 *	                              v |
 *	                             paused
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/request.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "ipc/connections.h"
#include "worker/worker.h"

/* After the supervisor's death, and from the deadline to the end. */
#define SERVE_ORPHAN_NS (2 * CLOCK_NS_PER_S)
#define SERVE_GRACE_NS CLOCK_NS_PER_S
#define SERVE_SERVICE_NS (500 * CLOCK_NS_PER_MS)
/* In 10 s. */
#define SERVE_CRASHES_TOLD 1000
/* For answers that are on their way when a worker ends because its listening socket is gone. */
#define SERVE_BROKEN_NS (50 * CLOCK_NS_PER_MS)

/* What is told of a handler's version. */
#define SERVE_VERSION_SIZE 256

static void
serve_send(const struct worker *worker, enum protocol_type type)
{
	(void)channel_send(WORKER_FD_CHANNEL, worker->settings.generation, type, NULL);
}

/* Ends now, with everything that would outlive this process. */
static _Noreturn void
serve_end_at_once(struct worker *worker, int status)
{
	concurrency_stop(&worker->mode);
	log_flush();
	_exit(status);
}

static void
serve_log_cut(const struct worker *worker, const char *why)
{
	connections_log_cut(worker->server.board, worker->settings.limit, worker->server.name,
			    worker->server.generation, why);
}

static void
serve_on_deadline(struct loop_timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, deadline);

	if (worker->is_cancelled) {
		log_event(LOG_EVENT_HANDLER_STUCK, worker->server.name,
			  "'%s' generation %" PRIu32
			  ": handler '%s' has not returned 1 s after the "
			  "drain deadline; the worker is ended with its connections",
			  worker->server.name, worker->server.generation,
			  worker->server.handler.name);
		serve_log_cut(worker, "as their handler has not returned");
		serve_end_at_once(worker, 1);
	}
	worker->is_cancelled = true;
	serve_log_cut(worker, "as the drain deadline has come");
	server_cancel_requests(&worker->server);
	concurrency_cancel(&worker->mode);
	loop_arm(&worker->loop, &worker->deadline, clock_now_ns() + SERVE_GRACE_NS);
}

static void
serve_drain(struct worker *worker, int64_t deadline_ns)
{
	if (!worker->is_draining) {
		worker->is_draining = true;
		server_begin_drain(&worker->server);
		worker->mode.ops->drain(&worker->mode);
		loop_arm(&worker->loop, &worker->fresh, clock_now_ns() + REQUEST_FRESH_NS);
	}
	/* a later order may only bring the end nearer */
	if (!worker->is_cancelled &&
	    (!worker->deadline.is_armed || deadline_ns < worker->deadline.when_ns))
		loop_arm(&worker->loop, &worker->deadline, deadline_ns);
}

/* Those who were spared and have still sent nothing are idle like the others. */
static void
serve_on_fresh(struct loop_timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, fresh);

	server_begin_drain(&worker->server);
	worker->mode.ops->drain(&worker->mode);
}

static void
serve_orphaned(struct worker *worker)
{
	int64_t timeout_ns = (int64_t)worker->settings.drain_timeout_ms * CLOCK_NS_PER_MS;

	loop_remove(&worker->loop, &worker->channel);
	serve_drain(worker,
		    clock_now_ns() + (timeout_ns < SERVE_ORPHAN_NS ? timeout_ns : SERVE_ORPHAN_NS));
}

static void
serve_kill(struct worker *worker, uint64_t id)
{
	struct buf payload = {0};

	if (!concurrency_kill(&worker->mode, id))
		return;
	buf_add_u64(&payload, id);
	worker_send(worker, PROTOCOL_KILLED, &payload);
	buf_free(&payload);
}

static void
serve_on_message(struct worker *worker, struct channel_message *message)
{
	switch (message->type) {
	case PROTOCOL_ACCEPT:
		if (!worker->is_draining)
			concurrency_accept(&worker->mode);
		break;
	case PROTOCOL_PAUSE:
		if (!worker->is_draining)
			concurrency_pause(&worker->mode);
		break;
	case PROTOCOL_RETIRE:
		if (!worker->is_draining)
			concurrency_retire(&worker->mode);
		break;
	case PROTOCOL_DRAIN:
		serve_drain(worker, (int64_t)buf_read_u64(&message->payload));
		break;
	case PROTOCOL_STOP:
		serve_end_at_once(worker, 0);
	case PROTOCOL_LOG_LEVEL:
		log_set_level((int)buf_read_u32(&message->payload));
		break;
	case PROTOCOL_KILL:
		serve_kill(worker, buf_read_u64(&message->payload));
		break;
	case PROTOCOL_ALONE:
		older_end(&worker->mode.older);
		break;
	default:
		break;
	}
}

static void
serve_on_channel(struct loop_source *source, uint32_t events)
{
	struct worker *worker = CONTAINER_OF(source, struct worker, channel);
	struct channel_message message;

	(void)events;
	for (;;) {
		int r = channel_receive(source->fd, &message);

		if (r == 1) {
			serve_on_message(worker, &message);
		} else if (r == -EBADMSG) {
			continue;
		} else {
			if (r != -EAGAIN)
				serve_orphaned(worker);
			return;
		}
	}
}

/* SIGTERM: from the kernel when the supervisor died, or from somebody who means this worker. */
static void
serve_on_signal(struct loop_source *source, uint32_t events)
{
	struct worker *worker = CONTAINER_OF(source, struct worker, signals);
	struct signalfd_siginfo info; /* of an eventfd, its counter */

	(void)events;
	while (read(source->fd, &info, sizeof(info)) > 0)
		;
	serve_orphaned(worker);
}

static void
serve_on_service(struct loop_timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, service);

	worker->mode.ops->service(&worker->mode);
	loop_arm(&worker->loop, &worker->service, clock_now_ns() + SERVE_SERVICE_NS);
}

static void
serve_on_quiet(struct concurrency *mode)
{
	struct worker *worker = CONTAINER_OF(mode, struct worker, mode);

	/* datagrams that are still being served are answered through theirs */
	for (uint32_t i = 0; i < worker->settings.socket_count && !mode->is_datagram; i++)
		(void)close(worker->sockets[i]);
	serve_send(worker, PROTOCOL_QUIET);
}

static void
serve_on_empty(struct concurrency *mode)
{
	struct worker *worker = CONTAINER_OF(mode, struct worker, mode);

	loop_stop(&worker->loop);
}

static void
serve_on_crash(struct concurrency *mode, int status)
{
	struct worker *worker = CONTAINER_OF(mode, struct worker, mode);
	struct buf payload = {0};
	uint64_t suppressed;

	/* as many as anybody counts */
	if (!log_limit(&worker->crashes, SERVE_CRASHES_TOLD, &suppressed))
		return;
	buf_add_u32(&payload, (uint32_t)status);
	worker_send(worker, PROTOCOL_CRASHED, &payload);
	buf_free(&payload);
}

static void
serve_on_held(struct concurrency *mode)
{
	serve_send(CONTAINER_OF(mode, struct worker, mode), PROTOCOL_QUIET);
}

static void
serve_on_idle(struct concurrency *mode)
{
	serve_send(CONTAINER_OF(mode, struct worker, mode), PROTOCOL_IDLE);
}

static void
serve_on_broken(struct concurrency *mode)
{
	struct worker *worker = CONTAINER_OF(mode, struct worker, mode);

	worker->is_failed = true;
	serve_drain(worker, clock_now_ns() + SERVE_BROKEN_NS);
}

static void
serve_on_stuck(struct concurrency *mode, uint64_t connection_id)
{
	struct worker *worker = CONTAINER_OF(mode, struct worker, mode);
	struct buf payload = {0};

	buf_add_u64(&payload, connection_id);
	worker_send(worker, PROTOCOL_STUCK, &payload);
	buf_free(&payload);
}

static void
serve_on_lost(struct concurrency *mode)
{
	serve_end_at_once(CONTAINER_OF(mode, struct worker, mode), 1);
}

static void
serve_set_callbacks(struct worker *worker)
{
	struct concurrency *mode = &worker->mode;

	worker->channel.on_event = serve_on_channel;
	worker->signals.on_event = serve_on_signal;
	worker->deadline.on_timer = serve_on_deadline;
	worker->fresh.on_timer = serve_on_fresh;
	worker->service.on_timer = serve_on_service;
	mode->on_quiet = serve_on_quiet;
	mode->on_empty = serve_on_empty;
	mode->on_crash = serve_on_crash;
	mode->on_broken = serve_on_broken;
	mode->on_held = serve_on_held;
	mode->on_idle = serve_on_idle;
	mode->on_stuck = serve_on_stuck;
	mode->on_lost = serve_on_lost;
}

static void
serve_send_ready(const struct worker *worker)
{
	const char *version = worker->server.handler.descriptor.version;
	char start[SERVE_VERSION_SIZE];
	struct buf payload = {0};

	if (version != NULL)
		(void)snprintf(start, sizeof(start), "%s", version);
	buf_add_text(&payload, version != NULL ? start : NULL);
	worker_send(worker, PROTOCOL_READY, &payload);
	buf_free(&payload);
}

int
worker_serve(struct worker *worker)
{
	const struct hd_handler *descriptor = &worker->server.handler.descriptor;

	serve_set_callbacks(worker);
	if (!worker_get_ready(worker))
		return 1;
	if (descriptor->service_actions != NULL)
		loop_arm(&worker->loop, &worker->service, clock_now_ns() + SERVE_SERVICE_NS);
	serve_send_ready(worker);
	if (loop_run(&worker->loop) < 0)
		serve_end_at_once(worker, 1);
	if (descriptor->server_stop != NULL)
		descriptor->server_stop(&worker->server);
	log_flush();
	return worker->is_failed ? 1 : 0;
}
