/*
 * listener.h - one listener of one configuration at run time: its sockets, its pinned handler file,
 * its worker, and the older workers that still drain.
 */
#ifndef SUPERVISOR_LISTENER_H
#define SUPERVISOR_LISTENER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/loop.h"
#include "conf/config.h"
#include "ipc/connection_log.h"
#include "ipc/worker_settings.h"
#include "policy/sensor.h"
#include "supervisor/access_lists.h"
#include "supervisor/ban_list.h"
#include "supervisor/buckets.h"
#include "supervisor/child.h"
#include "supervisor/demand.h"
#include "supervisor/fallback.h"
#include "supervisor/filter.h"
#include "supervisor/names.h"
#include "supervisor/overload.h"
#include "supervisor/pin.h"
#include "supervisor/places.h"
#include "supervisor/recycle.h"
#include "supervisor/refusal_log.h"
#include "supervisor/sockets.h"
#include "supervisor/stall.h"

/* What all listeners share. */
struct listener_world {
	struct loop *loop;
	const struct places *places;
	int journal_fd;	      /* -1: workers log to standard error */
	int ports_fd;	      /* the page of UDP ports that are served; -1: none */
	int ports_reading_fd; /* the same, for workers */
	struct port_page *ports;
	struct ban_list bans;
	uint64_t next_serial; /* of workers, ever */
	/* Tables of sources are made with it: random, and the same as long as there are workers. */
	int64_t source_key[2];
	/* Instead of what that configuration says; 0: nothing instead. */
	int log_level;
	const struct config *log_level_of;    /* not owned, only compared */
	struct connection_log connection_log; /* which ends of connections are told */
	struct filters filters;		      /* of system calls, for workers */
	bool is_unreported_told;	      /* that refused calls are not told of */
	bool is_once;
	bool is_connection; /* --inetd: the only socket is the connection to be served */
	/* Something about some child has changed: look again, soon. */
	void (*on_change)(struct listener_world *world);
	/* A worker says that it had this connection and ends it; NULL: nobody asks. */
	/* a worker of that listener says that it had the connection, and ends it */
	void (*on_killed)(struct listener_world *world, const struct listener *listener,
			  uint64_t id);
};

struct listener {
	struct listener_world *world;	  /* not owned */
	struct config *config;		  /* not owned; replaced at each commit */
	const struct conf_listener *conf; /* in config */
	char *name;
	char *handler;
	int64_t protocol;
	/* copies, for when it leaves and its configuration is gone */
	int64_t concurrency; /* enum conf_concurrency */
	int64_t start;	     /* enum conf_start */
	int64_t limit;	     /* connections at once */
	bool has_sessions;
	struct pin pin;
	struct identity identity; /* its own copy */
	struct socket_owner socket_owner;
	struct access_lists *access;  /* who may come in; NULL: everybody, always */
	struct held_socket **sockets; /* owned by the table */
	size_t socket_count;
	bool is_socket_suspect;	   /* a worker has ended: what has it left set on them? */
	struct buf image;	   /* all that a worker is told, to see whether it changes */
	struct buf address_image;  /* the same, of its addresses */
	int vacancy_fd;		   /* event that all its generations share */
	struct listener *replaces; /* until the commit; not owned */
	struct child *current;
	bool is_paused; /* nobody accepts until it is resumed, see hold.h */
	struct demand demand;
	struct child *old;		 /* draining, the newest first */
	struct scoreboard_totals totals; /* of workers that are gone */
	struct log_limiter ends;	 /* of connections that have ended with their worker */
	struct stall stall;
	struct recycle recycle;
	struct sensor sensor;
	struct buckets buckets; /* of workers that are gone */
	struct overload overload;
	struct refusal_log refusals;

	struct fallback fallback;  /* what it was before the reload that changed it */
	struct config *own_config; /* held: that of one that went back; else NULL */
	bool is_rolled_back;
	bool wants_back; /* it has crashed too often since it was changed */
};

/* A listener without sockets and workers. NULL, told in the report, if its handler is not there. */
struct listener *listener_new(struct listener_world *world, struct config *config,
			      const struct conf_listener *conf, const struct identity *identity,
			      struct report *report);
/* The first step of making one: without handler file, identity and image. */
struct listener *listener_make(struct listener_world *world, struct config *config,
			       const struct conf_listener *conf);

/* What its reports are judged by; as listener_make does. */
void listener_open_sensor(struct listener *listener);

/* This listener is to replace a running one: their connections count together. */
void listener_set_replaces(struct listener *listener, struct listener *running);
/* Kills what still runs. Accepts NULL. */
void listener_free(struct listener *listener);

/* What workers of the second would be told differently from those of the first, as bits of enum
 * plan_change; 0: the running one may stay. In image.c, as what follows. */
unsigned listener_compare(const struct listener *a, const struct listener *b);
/* Whether the entry says what the listener's says. */
bool listener_is_entry_same(const struct listener *listener, const struct conf_listener *conf);
/* Before it has its sockets. */
void listener_make_image(struct listener *listener);

/* Finds or opens its sockets. Returns whether all are there. */
bool listener_want_sockets(struct listener *listener, struct sockets *sockets,
			   struct report *report);
/* The same for one that stays as it is, as its new entry has them: those it has already, with what
 * can be changed on them. */
bool listener_keep_sockets(const struct listener *listener, const struct conf_listener *conf,
			   struct sockets *sockets, struct report *report);

/* After the end of a worker: mends what it has left of the sockets that another one serves, who
 * ends and is replaced if one of them must be opened anew. */
void listener_look_at_sockets(struct listener *listener);

/* At the commit: what the supervisor itself goes by, for listeners that stay as they are too. */
void listener_set_config(struct listener *listener, struct config *config,
			 const struct conf_listener *conf);

/* Makes a child one of this listener's. */
void listener_own(struct listener *listener, struct child *child);
/* Maps a child's scoreboard, which has this descriptor from now on. 0 or a negative errno. */
int listener_map_board(struct child *child, int fd, size_t slots, uint32_t sets);

/* A child that is not started yet, with this listener as its owner. In listener_worker.c, as what
 * follows. */
struct child *listener_make_child(struct listener *listener);
/* The same, as the current one. */
struct child *listener_new_child(struct listener *listener);
/* Kills what runs, at once. Accepts NULL. */
void listener_free_child(struct child *child);
/* What a child keeps open for reports of crashes. */
void listener_close_files(struct child *child);

/* Starts its worker, which accepts nothing until CHILD_COMMIT; or, of one that is started on demand
 * and replaces none that runs, gets ready to. */
void listener_start(struct listener *listener, uint32_t generation);

/* Takes over the workers of the listener that it replaces, and tells them to drain. */
void listener_take_over(struct listener *listener, struct listener *replaced, int64_t deadline_ns);
/* Its worker drains among the old ones. Another takes its place, which the caller must start. */
struct child *listener_set_aside(struct listener *listener, int64_t deadline_ns);
/* Another worker, which is READY, accepts in place of the current one, which drains. */
void listener_replace_worker(struct listener *listener, struct child *next, int64_t deadline_ns);
/* Tells all its workers to drain, for good: its sockets are somebody else's from now on. */
void listener_drain(struct listener *listener, int64_t deadline_ns);
/* Frees the old workers that are gone; ends the oldest where there are more than the most, which
 * the report, unless it is NULL, tells too. */
void listener_tidy(struct listener *listener, int64_t most, struct report *report);

/* Asks all its workers to end the connection with this id; one that has it says so, and
 * world->on_killed is told. */
void listener_kill_connection(struct listener *listener, uint64_t id);

/* Whether no old worker can accept any more; whether no worker is left. */
bool listener_is_quiet(const struct listener *listener);
bool listener_is_gone(const struct listener *listener);

/* The numbers of all its workers, gone and living. */
struct scoreboard_totals listener_count(const struct listener *listener);
/* Connections that are open, of all of them. */
uint64_t listener_count_open(const struct listener *listener);

/* The settings of a worker for this listener, some of which are borrowed from it; freed with
 * listener_free_settings. Without a generation: only what makes a difference, for comparing. */
struct worker_settings listener_settings(const struct listener *listener, uint32_t generation,
					 enum worker_purpose purpose);
void listener_free_settings(struct worker_settings *settings);

/* The filter of system calls, which stays the world's, and what messages about the sandbox need. 0
 * or a negative errno. */
int listener_add_filter(const struct listener *listener, struct worker_settings *settings);

/* The environment of a worker, NULL-terminated; freed with listener_free_environment. In
 * environment.c. */
char **listener_environment(const struct identity *identity, const struct conf_listener *conf);
void listener_free_environment(char **environment);

#endif
