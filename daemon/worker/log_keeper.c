/*
 * log_keeper.c - records that are kept for a moment are written by the control flow when it is
 * over.
 */
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/log_file.h"
#include "worker/worker.h"

/* There is one control flow in a worker; its threads know it by this. */
static int log_keeper_fd = -1;

/* In any thread: one system call for what may be a hundred records. */
static void
log_keeper_on_kept(void)
{
	static const struct itimerspec moment = {.it_value.tv_nsec = LOG_FILE_KEEP_NS};

	(void)timerfd_settime(log_keeper_fd, 0, &moment, NULL);
}

static void
log_keeper_on_due(struct loop_source *source, uint32_t events)
{
	(void)events;
	fd_clear_event(source->fd);
	log_write_kept();
}

void
worker_keep_log(struct worker *worker)
{
	/* children write their own: each may end at any moment */
	if (!log_is_file() || !worker->server.connection_log.has_all ||
	    worker->settings.concurrency == WORKER_FORKING)
		return;
	log_keeper_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (log_keeper_fd < 0)
		return;
	worker->log_keeper = (struct loop_source){
		.fd = log_keeper_fd,
		.on_event = log_keeper_on_due,
	};
	if (loop_add(&worker->loop, &worker->log_keeper, EPOLLIN) < 0)
		(void)close(log_keeper_fd);
	else
		log_file_keep(&worker->server.board->spool, log_keeper_on_kept);
}
