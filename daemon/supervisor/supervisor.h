/*
 * supervisor.h - the state of the main process. It never runs handler code, never reads a client's
 * byte, never loads a library, and has no threads.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include <handlerd/handler.h>

#include "base/loop.h"
#include "base/report.h"
#include "supervisor/access_watch.h"
#include "supervisor/cmdline.h"
#include "supervisor/control.h"
#include "supervisor/listener.h"
#include "supervisor/orphans.h"
#include "supervisor/places.h"
#include "supervisor/reload.h"
#include "supervisor/sockets.h"
#include "supervisor/stall.h"
#include "supervisor/upgrade.h"

#define EXIT_CONFIGURATION 78 /* EX_CONFIG */
#define EXIT_USAGE 2

struct supervisor {
	const struct cmdline *cmdline;
	struct places places;
	struct loop loop;
	struct loop_source signals;
	struct orphans orphans;
	struct loop_timer look; /* set off by every change of a child */
	struct listener_world world;
	struct config *config; /* of the last commit; NULL before the first */
	struct listener **listeners;
	size_t listener_count;
	struct listener **leaving; /* removed, their workers drain */
	size_t leaving_count;
	struct sockets sockets;
	struct reload reload;
	struct reload_queue reload_queue;
	struct reload_record last_reload;
	/* Who shows reloads to those who asked for them; NULL: nobody. */
	void (*on_plan)(struct supervisor *supervisor, uint64_t ticket, const struct plan *plan);
	void (*on_reload)(struct supervisor *supervisor, const struct reload_outcome *outcome);
	struct upgrade upgrade;
	/* An upgrade has failed; NULL: nobody asks. */
	void (*on_upgrade)(struct supervisor *supervisor, const char *why);
	int64_t inetd_protocol; /* of the connection that --inetd serves */
	uint32_t generation;	/* of the last commit */
	bool is_stopping;
	struct loop_timer extend; /* of systemd's patience while stopping */
	struct control control;
	struct stall_watch stalls;
	struct access_watch access_watch;
	struct overload_watch overloads;
	int64_t started_ns; /* on the monotonic clock */
	int64_t started_s;  /* since 1970 */
	uint32_t upgrades;  /* in place, since then */
	int exit_status;
};

/* Opens the loop and finds the installation. 0, or a negative errno, told on standard error. */
int supervisor_init(struct supervisor *supervisor, const struct cmdline *cmdline);
void supervisor_destroy(struct supervisor *supervisor);

/* Serves until stopped; returns the exit status. In serve.c. */
int supervisor_serve(struct supervisor *supervisor);
/* Tells everything to drain; a second call ends everything at once. In serve.c. */
void supervisor_stop(struct supervisor *supervisor, bool is_at_once);

/* Reads the configuration, from the file or the command line. With errors in the report it is good
 * for nothing but to look for more of them. Never NULL. */
struct config *supervisor_read_config(const struct supervisor *supervisor, struct report *report);
/* A handler that was typed as a path, from the root; NULL for a name. The caller frees it. */
char *supervisor_absolute_handler(const char *handler);
/* Finds the handlers that a configuration with errors names and that are not there. */
void supervisor_find_missing_handlers(const struct config *config, struct report *report);
/* Logs as the configuration says, from now on. In logging.c, as what follows. */
void supervisor_open_log(struct supervisor *supervisor, const struct config *config);
/* Before there is a configuration, and when the end is near. Nothing where standard error is not
 * the journal's. */
void supervisor_log_by_stream(int level);
/* Daemon and workers log at this level until the configuration is read again. */
void supervisor_set_log_level(struct supervisor *supervisor, int level);
int supervisor_log_level(const struct supervisor *supervisor);

/* Writes the state of everything to the log. In status.c. */
void status_log(const struct supervisor *supervisor);

#endif
