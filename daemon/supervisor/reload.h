/*
 * reload.h - start, reload, dry run and the return of one listener: one transaction.
 *
 *	IDLE --read, check, pin--> PROBING --open sockets, start workers--> STARTING
 *	                                                                      | all READY
 *	IDLE <--every old worker QUIET-- SETTLING <--ACCEPT new, DRAIN old----+
 *
 * Any failure before the commit leads back to IDLE with nothing changed; so does the end of probing
 * in a dry run. A start is a reload of nothing.
 */
#ifndef SUPERVISOR_RELOAD_H
#define SUPERVISOR_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/loop.h"
#include "base/report.h"
#include "supervisor/plan.h"
#include "supervisor/probes.h"

struct config;
struct identities;
struct listener;
struct supervisor;

enum reload_kind {
	RELOAD_START,
	RELOAD_FILE, /* asked for: the configuration is read again */
	RELOAD_DRY,  /* the same, but for its effects */
	RELOAD_BACK, /* one listener goes back to what it was, see fallback.h */
};

enum reload_phase {
	RELOAD_IDLE,
	RELOAD_PROBING,	 /* changed handlers are loaded on trial */
	RELOAD_STARTING, /* replacement workers get ready */
	RELOAD_SETTLING, /* committed; old workers stop accepting */
};

/* The one under way. */
struct reload {
	enum reload_phase phase;
	enum reload_kind kind;
	uint64_t ticket; /* of those who asked for it; 0: nobody waits */
	int64_t began_ns;
	uint32_t generation;
	struct config *config;
	struct listener **next; /* in the file's order; the unchanged ones are the running ones */
	size_t next_count;
	struct probes probes;
	struct plan plan;
	struct report report;
	struct loop_timer settle; /* the end of waiting for old workers */
	bool is_settled;	  /* whatever they say */
};

/* What was asked for meanwhile; those who ask for the same share one. */
struct reload_queue {
	uint64_t last_ticket;
	uint64_t file_ticket; /* 0: none */
	uint64_t dry_ticket;
};

/* What came of one. */
struct reload_outcome {
	enum reload_kind kind;
	uint64_t ticket;
	bool is_ok;	     /* committed, or could be */
	uint32_t generation; /* that it made */
	int64_t took_us;
	const struct plan *plan;     /* without rows if it did not come so far */
	const struct report *report; /* errors and warnings */
	const char *text;	     /* one sentence */
};

/* The last reload, for the status. */
struct reload_record {
	bool is_known, is_ok;
	time_t at;
	uint32_t generation;
	char *text; /* owned */
};

/* The first one, with which the program starts to serve. */
void reload_start(struct supervisor *supervisor);

/* Asks for a reload (RELOAD_FILE) or a dry run. It begins at once, or when what is under way is
 * over. Returns its ticket: supervisor->on_reload will be called with it; 0 if it is not to be had,
 * with the reason in *ret_reason (static). */
uint64_t reload_ask(struct supervisor *supervisor, enum reload_kind kind, const char **ret_reason);

/* Whether the daemon serves, nothing is under way and nobody waits for anything. */
bool reload_is_idle(const struct supervisor *supervisor);

/* Goes on with the reload under way if what it waits for has happened, or begins the next. */
void reload_look(struct supervisor *supervisor);

/* Gives up the reload under way and those that wait: what was prepared goes, what was stays. */
void reload_abandon(struct supervisor *supervisor);

/* What remains of the supervisor's own. */
void reload_record_free(struct reload_record *record);

/* Between reload.c, prepare.c and commit.c: */

/* Whether the listener serves now. */
bool reload_is_running(const struct supervisor *supervisor, const struct listener *listener);
struct listener *reload_find_running(const struct supervisor *supervisor, const char *name);
/* Tells everybody what came of it, forgets it, and begins the next. */
void reload_end(struct supervisor *supervisor, bool is_ok, const char *text);
void reload_log_report(struct report *report);
/* Nothing is changed; why is told. At a start the program ends with this status. */
void reload_fail(struct supervisor *supervisor, int exit_status);

/* Prepares what the configuration says; what one listener was. In prepare.c. */
void prepare_from_file(struct supervisor *supervisor);
void prepare_back(struct supervisor *supervisor, struct listener *crashing);
/* Go on when all probes are over; when all new workers have spoken. */
void prepare_look_probing(struct supervisor *supervisor);
void prepare_look_starting(struct supervisor *supervisor);

/* Brings the running listeners to what was prepared. In commit.c. */
void commit_reload(struct supervisor *supervisor);
/* Ends it if no old worker can accept any more. */
void commit_look(struct supervisor *supervisor);

#endif
