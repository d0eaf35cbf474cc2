/*
 * worker.h - one worker process: what its files know of each other.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdbool.h>

#include "api/server.h"
#include "base/loop.h"
#include "base/report.h"
#include "concurrency/concurrency.h"
#include "ipc/channel.h"
#include "ipc/worker_settings.h"

struct worker {
	struct worker_settings settings;
	struct hd_server server;
	struct loop loop;
	struct concurrency mode;
	int *sockets; /* settings.socket_count of them */
	struct loop_source channel;
	struct loop_source signals;
	struct loop_source sensor; /* what its flows report */
	struct loop_source log_keeper;
	struct loop_timer deadline; /* of draining */
	struct loop_timer fresh;    /* clients that had only just connected are spared until then */
	struct loop_timer service;  /* for service_actions */
	struct log_limiter crashes; /* of children, that the supervisor was told */
	bool is_draining;
	bool is_cancelled;
	bool is_failed; /* ends with status 1: to be replaced */
};

/* The most sockets one worker has. */
#define WORKER_MOST_SOCKETS 1024

/* Sends one message to the supervisor. In tell.c, as what follows. */
void worker_send(const struct worker *worker, enum protocol_type type, const struct buf *payload);

/* Tells the supervisor why this worker cannot serve: everything in the report. */
void worker_send_report(const struct worker *worker, enum protocol_stage stage,
			const struct report *report);
void worker_send_failure(const struct worker *worker, enum protocol_stage stage, const char *format,
			 ...) __attribute__((format(printf, 3, 4)));

/* Maps what tells who may come in, and what the daemon serves itself, and closes the descriptors.
 * Before a line of the handler runs. 0 or a negative errno. In admit.c. */
int worker_open_pages(struct worker *worker);
/* When there is a loop: the way of a sensor's reports. */
int worker_open_sensor(struct worker *worker);

/* Maps the scoreboard, and sees to it that a crash is written there. 0 or a negative errno. In
 * ready.c, as what follows. */
int worker_open_board(struct worker *worker);

/* Everything up to READY, with the callbacks of the loop and of the mode set. False: it cannot
 * serve, and the supervisor was told why. */
bool worker_get_ready(struct worker *worker);

/* Has records of connections kept for a moment where that saves system calls; without the means, it
 * is not done. In log_keeper.c. */
void worker_keep_log(struct worker *worker);

/* From the settings, in mode.c: how it serves, and with which numbers. */
void worker_choose_mode(struct worker *worker);
void worker_fill_mode(struct worker *worker);
bool worker_is_datagram(const struct worker_settings *settings);
/* Who may come in, with what is counted in the scoreboard. In limits.c. */
int worker_open_admission(struct worker *worker);
/* What older generations serve counts for its source, once their scoreboards are there. */
void worker_count_older(struct worker *worker);

/* Serves until drained; returns the exit status. In serve.c. */
int worker_serve(struct worker *worker);

/* Sends what the handler says of itself. In describe.c. */
void worker_describe(const struct worker *worker, bool is_json);

#endif
