/*
 * main.c - handlerd-worker: one listener's process, or a throw-away one that looks at a handler.
 *
 * The supervisor executes it with the descriptors of ipc/protocol.h and nothing else. It reads its
 * settings, drops its privileges, loads the handler and then serves, probes or describes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/memory.h"
#include "worker/handler.h"
#include "worker/identity.h"
#include "worker/sandbox.h"
#include "worker/worker.h"

/* Settings are written by our own supervisor; this only bounds a mistake. */
#define WORKER_MOST_SETTINGS (1U << 20)

static int
worker_read_settings(struct worker_settings *ret)
{
	CLEANUP_FREE char *image = NULL;
	struct buf_reader reader = {0};
	struct stat st;
	int r;

	if (fstat(WORKER_FD_SETTINGS, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size > WORKER_MOST_SETTINGS)
		return -EBADMSG;
	image = memory_zero(1, (size_t)st.st_size);
	r = fd_pread_all(WORKER_FD_SETTINGS, image, (size_t)st.st_size, 0);
	if (r < 0)
		return r;
	reader.data = (unsigned char *)image;
	reader.length = (size_t)st.st_size;
	return worker_settings_read(&reader, ret);
}

/* Handlers and what they start see the environment of the configuration. */
static void
worker_forget_tunables(void)
{
	const char *value = getenv(WORKER_TUNABLES_NAME);

	if (value != NULL && strcmp(value, WORKER_TUNABLES) == 0)
		(void)unsetenv(WORKER_TUNABLES_NAME);
}

/* Nothing that a handler starts may inherit what is ours. */
static void
worker_close_on_exec(const struct worker *worker)
{
	int last = WORKER_FD_SOCKETS + (int)worker->settings.socket_count + 1 +
		   (int)worker->settings.older_count;

	for (int fd = WORKER_FD_CHANNEL; fd < last; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Loads the handler and checks it against the listener. Returns whether all is well; what is not
 * was told to the supervisor. */
static bool
worker_load(struct worker *worker, bool is_probe)
{
	struct report report = {0};
	struct server_handler *handler = &worker->server.handler;
	bool is_described = worker->settings.purpose >= WORKER_DESCRIBE;
	bool is_loaded = handler_load(&worker->settings, is_probe, handler, &report);
	bool is_good;

	if (is_loaded && !is_described)
		(void)handler_check_mode(&worker->settings, handler, &report);
	is_good = is_loaded && report.errors == 0;
	worker_send_report(worker, PROTOCOL_STAGE_LOAD, &report);
	report_free(&report);
	/* options are checked even if the mode does not fit: all errors in one run */
	if (is_loaded && !is_described) {
		option_store_fill(&worker->server.options, handler->descriptor.options,
				  handler->descriptor.option_size, &worker->settings, &report);
		is_good = is_good && report.errors == 0;
		worker_send_report(worker, PROTOCOL_STAGE_OPTION, &report);
		report_free(&report);
	}
	return is_good;
}

static void
worker_on_signal(int number)
{
	(void)number;
}

/* Output that nobody reads, and a file that became too large, are errors of a call, not the end:
 * stdio, sendfile and write cannot be told to leave the signals. Handled and not ignored: what is
 * ignored is ignored by the programs that a handler executes, too, and what is handled is as they
 * expect it. */
static void
worker_take_signals(void)
{
	struct sigaction action = {
		.sa_handler = worker_on_signal,
		.sa_flags = SA_RESTART | SA_ONSTACK,
	};

	(void)sigaction(SIGPIPE, &action, NULL);
	(void)sigaction(SIGXFSZ, &action, NULL);
}

/* From here on the process is what its listener may be. */
static bool
worker_drop(struct worker *worker)
{
	struct identity_failure failure;
	int r = identity_drop(&worker->settings, &failure);

	if (r < 0) {
		worker_send_failure(worker, PROTOCOL_STAGE_IDENTITY, "cannot %s: %s%s",
				    failure.step, strerror(-r), failure.advice);
		return false;
	}
	/* needs no_new_privs, and no line of the handler has run yet */
	return sandbox_enter(worker);
}

static bool
worker_prepare(struct worker *worker)
{
	int r = worker_read_settings(&worker->settings);

	if (r < 0) {
		worker_send_failure(worker, PROTOCOL_STAGE_START, "cannot read its settings: %s",
				    strerror(-r));
		return false;
	}
	worker_close_on_exec(worker);
	worker_forget_tunables();
	log_open((enum log_target)worker->settings.log_target, WORKER_FD_LOG,
		 worker->settings.log_is_json, worker->settings.log_level, "handlerd-worker");
	worker_send(worker, PROTOCOL_HELLO, NULL);
	worker_take_signals();
	if (!worker_drop(worker))
		return false;
	r = server_init(&worker->server, worker->settings.listener, worker->settings.generation);
	/* before a line of the handler runs */
	if (r >= 0 && worker->settings.purpose == WORKER_SERVE)
		r = worker_open_board(worker);
	if (r >= 0 && worker->settings.purpose == WORKER_SERVE)
		r = worker_open_pages(worker);
	if (r < 0)
		worker_send_failure(worker, PROTOCOL_STAGE_START, "cannot start: %s", strerror(-r));
	return r >= 0;
}

int
main(void)
{
	static struct worker worker;
	int status = 1;

	/* executed through a descriptor, the name would be a number */
	(void)prctl(PR_SET_NAME, "handlerd-worker", 0, 0, 0);
	if (fcntl(WORKER_FD_SETTINGS, F_GETFD) < 0) {
		(void)fprintf(stderr, "handlerd-worker is started by handlerd, not by hand\n");
		return 2;
	}
	if (!worker_prepare(&worker))
		return status;
	if (worker_load(&worker, worker.settings.purpose == WORKER_PROBE)) {
		switch (worker.settings.purpose) {
		case WORKER_SERVE:
			return worker_serve(&worker);
		case WORKER_PROBE:
			worker_send(&worker, PROTOCOL_READY, NULL);
			break;
		default:
			worker_describe(&worker, worker.settings.purpose == WORKER_DESCRIBE_JSON);
			worker_send(&worker, PROTOCOL_READY, NULL);
			break;
		}
		status = 0;
	}
	/* no destructor of a handler that is only looked at */
	log_flush();
	_exit(status);
}
