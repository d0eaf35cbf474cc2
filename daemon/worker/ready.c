/*
 * ready.c - all that a worker has done when it says READY: it has taken what it was handed over,
 * the handler has started, threads or children are made.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

#include "base/fd.h"
#include "base/text.h"
#include "concurrency/crash.h"
#include "worker/handler.h"
#include "worker/worker.h"

static int
ready_count_threads(void)
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
ready_start_handler(struct worker *worker)
{
	const struct hd_handler *descriptor = &worker->server.handler.descriptor;
	int before, r;

	if (descriptor->server_start == NULL)
		return true;
	before = ready_count_threads();
	r = descriptor->server_start(&worker->server);
	if (r < 0) {
		worker_send_failure(worker, PROTOCOL_STAGE_SERVE,
				    "server_start of handler '%s' failed: %s (%d)",
				    worker->settings.handler, text_error(r), r);
		return false;
	}
	if (worker->settings.concurrency == WORKER_FORKING && ready_count_threads() > before) {
		worker_send_failure(
			worker, PROTOCOL_STAGE_SERVE,
			"server_start of handler '%s' left a thread running, but listener "
			"'%s' says forking; start threads in child_start",
			worker->settings.handler, worker->settings.listener);
		return false;
	}
	return true;
}

/* Sockets that were handed over, and what holds for them. */
static int
ready_take_sockets(struct worker *worker)
{
	const struct worker_settings *settings = &worker->settings;

	worker->sockets = calloc(settings->socket_count + 1, sizeof(*worker->sockets));
	if (worker->sockets == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < settings->socket_count; i++)
		worker->sockets[i] = WORKER_FD_SOCKETS + (int)i;
	worker->server.max_datagram = settings->max_datagram;
	worker->server.amplification = settings->amplification;
	worker->server.answers_low_ports = settings->answers_low_ports;
	return 0;
}

static int ready_signal_fd = -1;

static void
ready_note_signal(int number)
{
	int saved_errno = errno;

	(void)number;
	fd_raise_event(ready_signal_fd);
	errno = saved_errno;
}

/* A descriptor that tells of SIGTERM. Blocked and read from a signalfd, it would be blocked in
 * programs that a handler executes, which nobody could end then; so it is handled. A forking
 * parent, in which no handler serves, blocks it all the same: its children have a handler of their
 * own, and must not be hit before they are what they are (forked.c). */
static int
ready_open_signals(const struct worker *worker)
{
	struct sigaction action = {
		.sa_handler = ready_note_signal,
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
	ready_signal_fd = fd;
	return sigaction(SIGTERM, &action, NULL) < 0 ? -errno : fd;
}

static int
ready_open_loop(struct worker *worker)
{
	int r = loop_init(&worker->loop);

	if (r < 0)
		return r;
	r = ready_open_signals(worker);
	if (r < 0)
		return r;
	worker->signals.fd = r;
	r = loop_add(&worker->loop, &worker->signals, EPOLLIN);
	if (r < 0)
		return r;
	worker->channel.fd = WORKER_FD_CHANNEL;
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
	log_share(&worker->server.board->log);
	atomic_store(&worker->server.board->next_connection_id,
		     worker->settings.serial * SCOREBOARD_IDS_PER_WORKER);
	crash_open(&worker->server.board->crash, handler_format_path(path, sizeof(path)),
		   worker->settings.handler_path);
	return worker_open_admission(worker);
}

bool
worker_get_ready(struct worker *worker)
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
	r = ready_take_sockets(worker);
	if (r >= 0)
		r = ready_open_loop(worker);
	if (r >= 0)
		r = worker_open_sensor(worker);
	if (r >= 0)
		worker_keep_log(worker);
	if (r < 0) {
		worker_send_failure(worker, PROTOCOL_STAGE_START, "cannot start: %s", strerror(-r));
		return false;
	}
	if (!ready_start_handler(worker))
		return false;
	worker->server.is_sharing_over = true;
	worker_fill_mode(worker);
	worker->mode.loop = &worker->loop;
	worker->mode.sockets = worker->sockets;
	r = concurrency_init(&worker->mode);
	if (r >= 0)
		r = worker->mode.ops->prepare(&worker->mode);
	if (r < 0) {
		worker_send_failure(worker, PROTOCOL_STAGE_SERVE,
				    "cannot make its threads or children: %s", strerror(-r));
		concurrency_stop(&worker->mode);
	}
	return r >= 0;
}
