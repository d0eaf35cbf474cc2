/*
 * config.h - one checked configuration: what the files say, defaults filled in.
 *
 * A configuration is made by config_load or built up from the command line, is never changed after
 * it was checked, and is freed as a whole.
 */
#ifndef CONF_CONFIG_H
#define CONF_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/report.h"
#include "conf/address.h"

struct setting;

enum conf_protocol {
	CONF_TCP,
	CONF_UDP,
	CONF_UNIX,
	CONF_UNIXGRAM,
};

enum conf_concurrency {
	CONF_THREADING,
	CONF_FORKING,
	CONF_SERIAL,
	CONF_FIBERS,
};

enum conf_start {
	CONF_START_NOW,
	CONF_START_ON_DEMAND,
};

enum conf_seccomp {
	CONF_SECCOMP_STANDARD,
	CONF_SECCOMP_STRICT,
	CONF_SECCOMP_OFF,
};

enum conf_log_target {
	CONF_LOG_AUTO,
	CONF_LOG_STDERR,
	CONF_LOG_JOURNAL,
};

enum conf_log_format {
	CONF_LOG_TEXT,
	CONF_LOG_JSON,
};

enum conf_log_connections {
	CONF_LOG_CONNECTIONS_NONE,
	CONF_LOG_CONNECTIONS_REFUSED,
	CONF_LOG_CONNECTIONS_ALL,
};

/* A number that was not given and has no default; one that is no bound. */
#define CONF_UNSET INT64_MIN
#define CONF_UNLIMITED INT64_MAX

/* Where something was written. file is NULL for what came from the command line or a default. */
struct conf_origin {
	const char *file; /* owned by the configuration */
	unsigned line;
	bool is_shared; /* written in `defaults` */
};

struct conf_texts {
	char **items;
	size_t count;
	unsigned *lines; /* where each was written; 0: in no file */
};

void conf_texts_add(struct conf_texts *texts, const char *text);
void conf_texts_add_line(struct conf_texts *texts, const char *text, unsigned line);
void conf_texts_free(struct conf_texts *texts);

enum conf_value_type {
	CONF_VALUE_INT,
	CONF_VALUE_BOOL,
	CONF_VALUE_STRING,
	CONF_VALUE_LIST, /* of strings */
};

/* One value of a listener's `options`, as written; the handler's rows decide what it must be. */
struct conf_option {
	char *name;
	enum conf_value_type type;
	int64_t number; /* int; bool as 0 or 1 */
	char *text;	/* string */
	struct conf_texts list;
	struct conf_origin origin;
};

struct conf_variable {
	char *name;
	char *value;
	struct conf_origin origin;
};

struct conf_threading {
	int64_t min_threads;
	int64_t max_threads; /* 0: max_connections */
	int64_t idle_timeout_ms;
	int64_t stack_size; /* bytes */
};

struct conf_fibers {
	int64_t threads;
	int64_t stack_size;    /* bytes */
	int64_t warn_after_ms; /* PARSE_NONE: never */
};

struct conf_forking {
	int64_t max_children;
	int64_t spare_children;
	int64_t connections_per_child; /* 0: no limit */
};

/* What is set on a listener's sockets. 0, NULL and false leave it to the system. */
struct conf_socket {
	bool freebind;
	bool transparent;
	char *device;
	bool keepalive;
	int64_t keepalive_idle_ms; /* whole seconds, as the next one */
	int64_t keepalive_interval_ms;
	int64_t keepalive_count;
	int64_t receive_buffer; /* bytes */
	int64_t send_buffer;
	int64_t defer_accept_ms; /* whole seconds */
	int64_t fast_open;	 /* length of its queue */
	int64_t mark;
	int64_t tos;
	char *congestion;
	int64_t reuse_port; /* sockets for each address; 0: one, without SO_REUSEPORT */
	int64_t mode;	    /* of a Unix socket's file, as are owner and group */
	char *owner;
	char *group;
};

struct conf_udp {
	int64_t session_timeout_ms; /* PARSE_NONE: each datagram is a request of its own */
	int64_t max_sessions;
};

enum conf_on_limit {
	CONF_LIMIT_WAIT,
	CONF_LIMIT_CLOSE,
	CONF_LIMIT_RESET,
};

/* What clients may do. */
struct conf_limits {
	int64_t amplification_thousandths; /* bytes sent for each one received; 0: no limit */
	bool reply_to_low_ports;
	int64_t overload_memory;	   /* in a hundred; 0: whatever there is left */
	int64_t overload_load_thousandths; /* 0: whatever it is */
	int64_t connections_per_source;	   /* 0: no limit, as in what follows */
	int64_t source_prefix_ipv4;	   /* bits */
	int64_t source_prefix_ipv6;
	int64_t rate; /* for an hour */
	int64_t rate_burst;
	int64_t rate_per_source; /* for an hour */
	int64_t rate_per_source_burst;
	int64_t send_rate; /* bytes for a second, of one connection */
	int64_t receive_rate;
	int64_t request_memory;	 /* bytes */
	int64_t on_limit;	 /* enum conf_on_limit */
	int64_t on_source_limit; /* the same, but for waiting */
	char *banner;		 /* NULL: none */
};

struct conf_timeouts {
	int64_t handler_ms; /* PARSE_NONE: none, and so with the next four */
	int64_t first_byte_ms;
	int64_t idle_ms;
	int64_t total_ms;
	int64_t send_ms;
	int64_t min_rate; /* bytes per second; 0: none */
	int64_t grace_ms;
};

/* Limits of a worker process, setrlimit(2). CONF_UNSET: as handlerd has them itself;
 * CONF_UNLIMITED. */
struct conf_rlimits {
	int64_t as; /* bytes, as those without another unit */
	int64_t core;
	int64_t cpu_ms; /* whole seconds */
	int64_t data;
	int64_t fsize;
	int64_t memlock;
	int64_t msgqueue;
	int64_t nofile;
	int64_t nproc;
	int64_t sigpending;
	int64_t stack;
};

/* Who may come in, and when. */
struct conf_access {
	struct conf_texts allow;
	struct conf_texts deny;
	struct conf_texts times;
	char *file;	   /* NULL: none */
	int64_t sensor_ms; /* PARSE_NONE: it is none */
	struct conf_texts sensor_except;
};

/* What a handler may do. */
struct conf_sandbox {
	int64_t seccomp;	      /* enum conf_seccomp */
	struct conf_texts filesystem; /* "ro:PATH" and "rw:PATH"; none: all that its user may */
	bool network;		      /* connections to elsewhere */
};

struct conf_rollback {
	int64_t crashes; /* 0: off */
	int64_t within_ms;
};

/* When a worker has served long enough. */
struct conf_recycle {
	int64_t connections; /* 0: however many */
	int64_t memory;	     /* bytes; 0: however much */
	int64_t age_ms;	     /* PARSE_NONE: however long */
};

struct conf_listener {
	char *name;
	int64_t protocol; /* enum conf_protocol */
	struct conf_texts address_texts;
	/* The same, parsed; a range of ports makes several. With a text that is no address, there
	 * are fewer than texts. */
	struct conf_address *addresses;
	size_t address_count;
	char *handler;
	int64_t concurrency; /* enum conf_concurrency */
	struct conf_option *options;
	size_t option_count;
	bool is_enabled;
	int64_t start;		 /* enum conf_start */
	int64_t idle_exit_ms;	 /* PARSE_NONE: never */
	int64_t backlog;	 /* 0: somaxconn */
	int64_t max_connections; /* 0: no limit of its own */
	int64_t max_datagram;	 /* bytes */
	struct conf_threading threading;
	struct conf_forking forking;
	struct conf_fibers fibers;
	struct conf_udp udp;
	struct conf_limits limits;
	struct conf_timeouts timeouts;
	struct conf_rollback rollback;
	struct conf_recycle recycle;
	struct conf_access access;
	struct conf_sandbox sandbox;
	struct conf_socket socket;
	struct conf_variable *environment;
	size_t environment_count;
	char *user;		  /* NULL: of the configuration, as the group */
	char *group;		  /* NULL: the user's own, where the listener has a user */
	struct conf_texts groups; /* items NULL: the user's own */
	int64_t umask;
	char *root_directory; /* NULL: the one that there is */
	struct conf_rlimits rlimits;
	int64_t nice; /* CONF_UNSET: as handlerd's, as what follows */
	struct conf_texts cpu_affinity;
	int64_t oom_score_adj;

	struct conf_origin origin;	   /* of the entry */
	struct conf_origin handler_origin; /* of the key `handler` */
	struct conf_origin address_origin;
	/* Of each key, in the order of settings[]; file NULL: a default. NULL: from the command
	 * line. */
	struct conf_origin *origins;
};

struct config {
	struct conf_texts handler_path;
	char *user; /* NULL: not given */
	char *group;
	char *control;	     /* NULL: the default; "": none */
	char *control_group; /* NULL: none */
	int64_t start_timeout_ms;
	int64_t drain_timeout_ms;
	int64_t max_generations;
	int64_t log_target;	     /* enum conf_log_target */
	int64_t log_level;	     /* 3 err .. 7 debug */
	int64_t log_format;	     /* enum conf_log_format */
	int64_t log_connections;     /* enum conf_log_connections */
	int64_t log_connection_rate; /* in an hour; 0: any number */
	struct conf_listener *listeners;
	size_t listener_count;
	struct conf_origin handler_path_origin;
	struct conf_origin user_origin;
	struct conf_origin group_origin;
	struct conf_origin control_origin;
	struct conf_origin control_group_origin;

	char **files; /* every file that was read; what origins point to */
	size_t file_count;
	unsigned holders; /* beside the first, see config_hold */
};

/*
 * Reads `path` and every *.conf of the directory listeners.d beside it, and checks everything.
 * Never NULL: with an error in the report it is what could be made of the files, good for nothing
 * but to look for more errors. `default_handler_directory` is <libdir>/handlerd, the second
 * directory of handler_path's default. (Not config_read: libconfig has a function of that name.)
 */
struct config *config_load(const char *path, const char *default_handler_directory,
			   struct report *report);

/* A configuration as text that stands in no file: the name is what messages call it. */
struct conf_part {
	const char *name;
	const char *text;
};

/* The same from texts: the first is a main file, the others are files of listeners.d. NULL when the
 * report has an error. What config_emit_top and config_emit_part write means the same when it is
 * read back here. */
struct config *config_load_parts(const struct conf_part *parts, size_t count,
				 const char *default_handler_directory, struct report *report);

/* A configuration with every default and no listener; for the command line. */
struct config *config_new(const char *default_handler_directory);

/* Adds a listener with every default but these. The pointer is good until the next one is added. */
struct conf_listener *config_add_listener(struct config *config, const char *name,
					  const char *handler);

/* The checks that concern more than one value of a listener or more than one listener. Part of
 * config_load; to be called after config_add_listener. Parses address_texts, and takes back what
 * `defaults` say and the listener has no use for. */
void config_check(struct config *config, struct report *report);

/* The most connections the listener may have at once: the smaller of max_connections and the
 * concurrency mode's own bound; never 0 after config_check. */
int64_t conf_listener_limit(const struct conf_listener *listener);

/* "tcp" and so on, of an enum conf_protocol. */
const char *conf_protocol_name(int64_t protocol);

bool conf_protocol_is_datagram(int64_t protocol);

bool conf_protocol_is_unix(int64_t protocol);

/* Whether the key means something for the listener: not of another protocol's, and not of what
 * systemd has done already. Known after config_check. */
bool conf_listener_takes(const struct conf_listener *listener, const struct setting *row);

/* Writes the configuration as a valid file, defaults filled in. */
void config_emit(const struct config *config, FILE *out);

/* Writes one entry of the list of listeners, defaults filled in. */
void config_emit_listener(const struct conf_listener *listener, FILE *out);

/* The same as config_emit in parts: all but the listeners, and one of them. Many small texts are
 * read faster than a long one. */
void config_emit_top(const struct config *config, FILE *out);
void config_emit_part(const struct conf_listener *listener, FILE *out);

/* The path of a file as origins point to it: the configuration's own copy. */
const char *config_keep_file(struct config *config, const char *path);

/* One more that keeps it: it takes one config_free more until it is gone. Returns it. */
struct config *config_hold(struct config *config);
/* Accepts NULL. */
void config_free(struct config *config);

#endif
