/*
 * serve.c - the control flow of a serving worker: channel, signals, draining, service_actions.
 *
 *	prepare -> READY -> (ACCEPT) serving -> (DRAIN, STOP, end of file) draining -> exit
 *	                              | ^
 *	                        (PAUSE) (ACCEPT)
 *	                              v |
 *	                             paused
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/request.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "concurrency/crash.h"
#include "ipc/connections.h"
#include "worker/handler.h"
#include "worker/identity.h"
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
	worker->mode.ops->stop(&worker->mode);
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
	worker->mode.ops->cancel(&worker->mode);
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

	if (!worker->mode.ops->kill(&worker->mode, id))
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

static int
serve_count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	int count = 0;

	if (tasks == NULL)
		return -errno;
	while ((entry = readdir(tasks)) != NULL)
		count += entry->d_name[0] != '.';
	(void)closedir(tasks);
	return count;
}

/* Calls the handler's server_start. Forking needs a process that stays single-threaded: a fork
 * copies one thread, and the locks that the others hold for ever. */
static bool
serve_start_handler(struct worker *worker)
{
	const struct hd_handler *descriptor = &worker->server.handler.descriptor;
	int before, r;

	if (descriptor->server_start == NULL)
		return true;
	before = serve_count_threads();
	r = descriptor->server_start(&worker->server);
	if (r < 0) {
		worker_send_failure(worker, PROTOCOL_STAGE_SERVE,
				    "server_start of handler '%s' failed: %s (%d)",
				    worker->settings.handler, text_error(r), r);
		return false;
	}
	if (worker->settings.concurrency == WORKER_FORKING && serve_count_threads() > before) {
		worker_send_failure(
			worker, PROTOCOL_STAGE_SERVE,
			"server_start of handler '%s' left a thread running, but listener "
			"'%s' says forking; start threads in child_start",
			worker->settings.handler, worker->settings.listener);
		return false;
	}
	return true;
}

static void
serve_fill_mode(struct worker *worker)
{
	struct concurrency *mode = &worker->mode;

	worker_fill_mode(worker);
	mode->loop = &worker->loop;
	mode->sockets = worker->sockets;
	mode->on_quiet = serve_on_quiet;
	mode->on_empty = serve_on_empty;
	mode->on_crash = serve_on_crash;
	mode->on_broken = serve_on_broken;
	mode->on_held = serve_on_held;
	mode->on_idle = serve_on_idle;
	mode->on_stuck = serve_on_stuck;
	mode->on_lost = serve_on_lost;
}

/* Descriptors that were handed over, and what is in them. */
static int
serve_take_sockets(struct worker *worker)
{
	const struct worker_settings *settings = &worker->settings;
	int r;

	worker->sockets = calloc(settings->socket_count + 1, sizeof(*worker->sockets));
	if (worker->sockets == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < settings->socket_count; i++)
		worker->sockets[i] = WORKER_FD_SOCKETS + (int)i;
	worker->server.max_datagram = settings->max_datagram;
	worker->server.amplification = settings->amplification;
	worker->server.answers_low_ports = settings->answers_low_ports;
	r = worker_open_rules(worker);
	if (r < 0)
		return r;
	if (!worker_is_datagram(settings))
		return 0;
	worker->server.ports = ports_map(WORKER_FD_PORTS);
	return worker->server.ports == NULL ? -EBADF : 0;
}

static int
serve_open_older(struct worker *worker)
{
	const struct worker_settings *settings = &worker->settings;
	int vacancy_fd = WORKER_FD_SOCKETS + (int)settings->socket_count;

	return older_open(&worker->mode.older, vacancy_fd, vacancy_fd + 1, settings->older_slots,
			  settings->older_sets, settings->older_count);
}

static int serve_signal_fd = -1;

static void
serve_note_signal(int number)
{
	int saved_errno = errno;

	(void)number;
	fd_raise_event(serve_signal_fd);
	errno = saved_errno;
}

/* A descriptor that tells of SIGTERM. Blocked and read from a signalfd, it would be blocked in
 * programs that a handler executes, which nobody could end then; so it is handled. A forking
 * parent, in which no handler serves, blocks it all the same: its children have a handler of their
 * own, and must not be hit before they are what they are (forked.c). */
static int
serve_open_signals(const struct worker *worker)
{
	struct sigaction action = {
		.sa_handler = serve_note_signal,
		.sa_flags = SA_RESTART | SA_ONSTACK,
	};
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	if (worker->settings.concurrency == WORKER_FORKING) {
		(void)sigprocmask(SIG_BLOCK, &set, NULL);
		fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
		return fd < 0 ? -errno : fd;
	}
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	serve_signal_fd = fd;
	return sigaction(SIGTERM, &action, NULL) < 0 ? -errno : fd;
}

static int
serve_open_loop(struct worker *worker)
{
	int r = loop_init(&worker->loop);

	if (r < 0)
		return r;
	r = serve_open_signals(worker);
	if (r < 0)
		return r;
	worker->signals = (struct loop_source){.fd = r, .on_event = serve_on_signal};
	r = loop_add(&worker->loop, &worker->signals, EPOLLIN);
	if (r < 0)
		return r;
	worker->channel = (struct loop_source){
		.fd = WORKER_FD_CHANNEL,
		.on_event = serve_on_channel,
	};
	return loop_add(&worker->loop, &worker->channel, EPOLLIN);
}

int
worker_open_board(struct worker *worker)
{
	size_t size =
		sources_board_size(worker->settings.limit, worker->settings.limits.source_sets);
	char path[HANDLER_PATH_SIZE];
	void *board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_FD_SCOREBOARD, 0);

	if (board == MAP_FAILED)
		return -errno;
	worker->server.board = worker->mode.board = board;
	atomic_store(&worker->server.board->next_connection_id,
		     worker->settings.serial * SCOREBOARD_IDS_PER_WORKER);
	crash_open(&worker->server.board->crash, handler_format_path(path, sizeof(path)),
		   worker->settings.handler_path);
	return worker_open_admission(worker);
}

/* Everything up to READY. */
static bool
serve_prepare(struct worker *worker)
{
	int r;

	if (worker->settings.socket_count > WORKER_MOST_SOCKETS) {
		worker_send_failure(worker, PROTOCOL_STAGE_START, "has too many addresses");
		return false;
	}
	worker_choose_mode(worker);
	worker->server.connection_log = (struct connection_log){
		.has_refused = worker->settings.log_connections != WORKER_LOG_NO_CONNECTIONS,
		.has_all = worker->settings.log_connections == WORKER_LOG_ALL,
		.rate_per_hour = worker->settings.log_connection_rate,
	};
	worker->deadline.on_timer = serve_on_deadline;
	worker->fresh.on_timer = serve_on_fresh;
	worker->service.on_timer = serve_on_service;
	r = serve_take_sockets(worker);
	if (r >= 0)
		r = serve_open_loop(worker);
	if (r >= 0)
		r = worker_open_sensor(worker);
	if (r < 0) {
		worker_send_failure(worker, PROTOCOL_STAGE_START, "cannot start: %s", strerror(-r));
		return false;
	}
	if (!serve_start_handler(worker))
		return false;
	worker->server.is_sharing_over = true;
	serve_fill_mode(worker);
	r = concurrency_init(&worker->mode);
	if (r >= 0)
		r = serve_open_older(worker);
	worker_count_older(worker);
	if (r >= 0)
		r = worker->mode.ops->prepare(&worker->mode);
	if (r < 0) {
		worker_send_failure(worker, PROTOCOL_STAGE_SERVE,
				    "cannot make its threads or children: %s", strerror(-r));
		worker->mode.ops->stop(&worker->mode);
	}
	return r >= 0;
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

	if (!serve_prepare(worker))
		return 1;
	if (descriptor->service_actions != NULL)
		loop_arm(&worker->loop, &worker->service, clock_now_ns() + SERVE_SERVICE_NS);
	serve_send_ready(worker);
	if (loop_run(&worker->loop) < 0)
		serve_end_at_once(worker, 1);
	if (descriptor->server_stop != NULL)
		descriptor->server_stop(&worker->server);
	return worker->is_failed ? 1 : 0;
}
