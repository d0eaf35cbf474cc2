/*
 * worker_settings.h - all that a worker is told at its birth, as one sealed memory file.
 */
#ifndef IPC_WORKER_SETTINGS_H
#define IPC_WORKER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "ipc/worker_limits.h"

enum worker_purpose {
	WORKER_SERVE,
	WORKER_PROBE,	 /* load the handler, check the options, tell, exit */
	WORKER_DESCRIBE, /* load the handler, send what it says of itself, exit */
	WORKER_DESCRIBE_JSON,
};

enum worker_concurrency {
	WORKER_THREADING,
	WORKER_FORKING,
	WORKER_SERIAL,
	WORKER_FIBERS,
};

enum worker_protocol {
	WORKER_TCP,
	WORKER_UDP,
	WORKER_UNIX,
	WORKER_UNIXGRAM,
};

enum worker_seccomp {
	WORKER_SECCOMP_STANDARD,
	WORKER_SECCOMP_STRICT,
	WORKER_SECCOMP_OFF,
};

enum worker_log_connections {
	WORKER_LOG_NO_CONNECTIONS,
	WORKER_LOG_REFUSED,
	WORKER_LOG_ALL,
};

enum worker_option_type {
	WORKER_OPTION_INT,
	WORKER_OPTION_BOOL,
	WORKER_OPTION_STRING,
	WORKER_OPTION_LIST,
};

/* One value of the listener's `options`, as written. */
struct worker_option {
	char *name;
	uint32_t type; /* enum worker_option_type */
	int64_t number;
	char *text;
	char **items;
	uint32_t item_count;
	char *file; /* where it was written; NULL: on the command line */
	uint32_t line;
};

/* One limit of setrlimit(2). */
struct worker_rlimit {
	uint32_t resource; /* RLIMIT_NOFILE and so on */
	uint64_t value;	   /* UINT64_MAX: unlimited */
};

struct worker_settings {
	uint32_t purpose; /* enum worker_purpose */
	uint32_t generation;
	uint64_t serial; /* of this worker, in the daemon: its connections' ids begin there */
	pid_t supervisor_pid;
	uid_t supervisor_uid;
	char *listener;	    /* its name */
	char *handler;	    /* as configured: name or path */
	char *handler_path; /* of the pinned file, for messages */
	char *handler_file; /* where `handler` was written, for messages; may be NULL */
	uint32_t handler_line;

	bool has_identity; /* drop to uid, gid, groups; else stay who we are */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	uint32_t group_count;
	uint32_t umask;
	char *root_directory; /* NULL: the one that there is */
	struct worker_rlimit *rlimits;
	uint32_t rlimit_count;
	bool has_nice;
	int32_t nice;
	char *cpus; /* as base/cpus.h reads it; NULL: those that there are */
	bool has_oom_score;
	int32_t oom_score;

	uint32_t protocol;    /* enum worker_protocol */
	uint32_t concurrency; /* enum worker_concurrency */
	uint32_t limit;	      /* connections at once; slots of the scoreboard */
	uint32_t min_threads;
	uint64_t idle_timeout_ms;
	uint64_t stack_size;
	uint32_t fiber_threads;
	uint64_t warn_after_ms; /* of a fiber that does not wait; 0: never */
	uint32_t spare_children;
	uint64_t connections_per_child; /* 0: no limit */
	uint64_t handler_timeout_ms;	/* for one request; 0: none, and so with the next ones */
	uint64_t first_byte_timeout_ms;
	uint64_t client_idle_timeout_ms;
	uint64_t total_timeout_ms;
	uint64_t send_timeout_ms;
	uint64_t min_rate; /* bytes per second; 0: none */
	uint64_t min_rate_grace_ms;
	uint64_t drain_timeout_ms; /* after the supervisor's death */
	bool is_once;		   /* serve one connection, then end */

	bool is_connection;	/* the only socket is the connection itself */
	uint32_t max_datagram;	/* bytes */
	uint32_t amplification; /* answer to question, in thousandths; 0: any */
	bool answers_low_ports; /* below 1024 */
	bool has_sessions;	/* each peer of a UDP listener has one request */
	uint64_t session_timeout_ms;
	uint32_t max_sessions;

	uint32_t socket_count; /* listening sockets from WORKER_FD_SOCKETS on */
	uint32_t *older_slots; /* of the scoreboards of older generations */
	uint32_t older_count;
	uint32_t *older_sets; /* of their tables of sources, as many */
	struct worker_limits limits;

	uint64_t sensor_ms; /* whoever connects is banned for so long; 0: the listener is no sensor
			     */
	char **sensor_excepts; /* prefixes */
	uint32_t sensor_except_count;
	bool has_access; /* WORKER_FD_ACCESS is there */

	uint32_t log_target; /* enum log_target */
	bool log_is_json;
	int32_t log_level;
	uint32_t log_connections;     /* enum worker_log_connections */
	uint64_t log_connection_rate; /* in an hour; 0: any number */

	struct worker_option *options;
	uint32_t option_count;

	uint32_t seccomp; /* enum worker_seccomp */
	uint64_t *filter; /* its program: instructions of linux/filter.h */
	uint32_t filter_count;
	bool has_network; /* may make connections */
	char **paths;	  /* "ro:PATH" and "rw:PATH": all that there is; none: everything */
	uint32_t path_count;
	char *sandbox_file; /* where the paths were written, for messages; may be NULL */
	uint32_t sandbox_line;
};

void worker_settings_write(const struct worker_settings *settings, struct buf *out);
/* 0, or -EBADMSG for what is not a whole image of this version. */
int worker_settings_read(struct buf_reader *reader, struct worker_settings *ret);
void worker_settings_free(struct worker_settings *settings);

#endif
