/*
 * settings.c - the table of keys. A key is added here, as a field in config.h, and nowhere else.
 *
 * It is one table and stays one file, however long: whoever looks for a key looks here, and rows
 * are known by their number. A group's row stands before the rows of its keys; `listeners` is the
 * last row of the top level, so that a file as -T writes it cannot lose its end unnoticed.
 */
#include "conf/settings.h"

#include "base/cleanup.h"
#include "base/parse.h"
#include "conf/config.h"

#define TOP_AT(field) offsetof(struct config, field)
#define LISTENER_AT(field) offsetof(struct conf_listener, field)

#define MS_PER_S INT64_C(1000)
#define MS_PER_H (3600 * MS_PER_S)
#define MS_PER_D (24 * MS_PER_H)
/* a million in a second */
#define BYTE_RATE_MAX (1024 * GIB)
#define RATE_MAX (1000000 * INT64_C(3600))
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define PIB (1024 * 1024 * GIB)

#define FOR_TCP SETTING_FOR(CONF_TCP)
#define FOR_UDP SETTING_FOR(CONF_UDP)
#define FOR_INET (FOR_TCP | FOR_UDP)
/* accepted Unix connections do not inherit them */
#define FOR_BUFFERS (FOR_INET | SETTING_FOR(CONF_UNIXGRAM))
/* whoever serves streams, and those that have a client to wait for */
#define FOR_STREAMS (FOR_TCP | SETTING_FOR(CONF_UNIX))
#define FOR_CLIENTS (FOR_STREAMS | FOR_UDP)
#define FOR_UNIX (SETTING_FOR(CONF_UNIX) | SETTING_FOR(CONF_UNIXGRAM))

/* the kernel's bounds */
#define KEEPALIVE_MAX_S 32767
#define INTERFACE_LENGTH_MAX 15
#define CONGESTION_LENGTH_MAX 15

/* in the order of enum conf_protocol */
static const char *const protocols[] = {"tcp", "udp", "unix", "unixgram", NULL};
static const char *const concurrencies[] = {"threading", "forking", "serial", "fibers", NULL};
static const char *const seccomp_modes[] = {"standard", "strict", "off", NULL};
static const char *const starts[] = {"now", "on_demand", NULL};
static const char *const log_targets[] = {"auto", "stderr", "journal", NULL};
static const char *const log_levels[] = {"error", "warning", "notice", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const log_connections[] = {"none", "refused", "all", NULL};

static const char *const on_limits[] = {"wait", "close", "reset", NULL};
static const char *const on_source_limits[] = {"close", "reset", NULL};

/* clang-format off */
const struct setting settings[] = {
	{SETTING_TOP, "", "handler_path", SETTING_TEXTS, TOP_AT(handler_path),
	 .default_text = "/usr/local/lib/handlerd", .flags = SETTING_PLUS_INSTALLED,
	 .help = "Directories, each an absolute path, in which a handler that is given by its name "
		 "is looked for, the first match winning."},
	{SETTING_TOP, "", "user", SETTING_TEXT, TOP_AT(user),
	 .help = "The user that the workers run as. Started as root and unset: handlerd, or nobody "
		 "where there is no such account. Started by another user, no other name is allowed."},
	{SETTING_TOP, "", "group", SETTING_TEXT, TOP_AT(group),
	 .help = "The group that the workers run as. Unset: the user's own group."},
	{SETTING_TOP, "", "control", SETTING_TEXT, TOP_AT(control), .flags = SETTING_OR_EMPTY,
	 .help = "The path of the Unix socket that handlerctl(8) talks to; --control on the command "
		 "line goes before it. Unset: the path in the environment variable HANDLERD_CONTROL; "
		 "else control.sock in $RUNTIME_DIRECTORY where systemd sets that, else in "
		 "/run/handlerd, or, not started by root, in $XDG_RUNTIME_DIR/handlerd. An empty "
		 "string: none. A reload cannot change it."},
	{SETTING_TOP, "", "control_group", SETTING_TEXT, TOP_AT(control_group),
	 .help = "A group whose members may ask handlerctl what there is to see (status, "
		 "connections, explain, bans, wait), and change nothing. It may not be a group of any "
		 "worker."},
	{SETTING_TOP, "", "start_timeout", SETTING_DURATION, TOP_AT(start_timeout_ms),
	 .min = 100, .max = MS_PER_H, .default_text = "10s",
	 .help = "A worker that is not ready by then has failed."},
	{SETTING_TOP, "", "drain_timeout", SETTING_DURATION, TOP_AT(drain_timeout_ms),
	 .min = 0, .max = MS_PER_D, .default_text = "30s",
	 .help = "How long old connections may finish after a reload or a stop."},
	{SETTING_TOP, "", "max_generations", SETTING_INT, TOP_AT(max_generations),
	 .min = 1, .max = 100, .default_text = "3",
	 .help = "How many old workers of one listener may be finishing their connections at once. "
		 "One more ends the oldest before its time."},

	{SETTING_TOP, "", "log", SETTING_GROUP, 0,
	 .help = "Where and how the daemon logs."},
	{SETTING_TOP, "log", "target", SETTING_CHOICE, TOP_AT(log_target),
	 .default_text = "auto", .choices = log_targets, .first_choice = CONF_LOG_AUTO,
	 .help = "Where the log goes; \"auto\" is the journal where standard error is connected "
		 "to it, and standard error elsewhere."},
	{SETTING_TOP, "log", "level", SETTING_CHOICE, TOP_AT(log_level),
	 .default_text = "info", .choices = log_levels, .first_choice = 3,
	 .help = "The least important kind of message that is still logged."},
	{SETTING_TOP, "log", "format", SETTING_CHOICE, TOP_AT(log_format),
	 .default_text = "text", .choices = log_formats, .first_choice = CONF_LOG_TEXT,
	 .help = "How a line on standard error looks."},
	{SETTING_TOP, "log", "connections", SETTING_CHOICE, TOP_AT(log_connections),
	 .default_text = "refused", .choices = log_connections,
	 .first_choice = CONF_LOG_CONNECTIONS_NONE,
	 .help = "Which connections, datagrams and sessions get a record of their own, at their end."},
	{SETTING_TOP, "log", "connection_rate", SETTING_RATE, TOP_AT(log_connection_rate),
	 .min = 1, .max = RATE_MAX, .default_text = "10000/s", .none = 0, .flags = SETTING_OR_NONE,
	 .help = "How many such records each worker writes in a time; of those that are left out the "
		 "next one tells the number. With log.connections \"refused\" the bound is 100 in 10 s."},

	{SETTING_TOP, "", "defaults", SETTING_DEFAULTS, 0,
	 .help = "Keys for every listener that does not have them itself; groups are merged key by "
		 "key."},
	{SETTING_TOP, "", "listeners", SETTING_ENTRIES, 0, .flags = SETTING_REQUIRED,
	 .help = "The list of listeners, each a group. It may be empty but must be there; written "
		 "last, it proves that the file has not lost its end."},

	{SETTING_LISTENER, "", "name", SETTING_TEXT, LISTENER_AT(name),
	 .flags = SETTING_REQUIRED | SETTING_NO_DEFAULTS,
	 .help = "Names the listener in the log. 1 to 64 letters, digits, dots and the characters _ "
		 "and -. No two listeners have the same."},
	{SETTING_LISTENER, "", "protocol", SETTING_CHOICE, LISTENER_AT(protocol),
	 .default_text = "tcp", .choices = protocols, .first_choice = CONF_TCP,
	 .help = "What is spoken on the address: TCP, UDP, or a Unix socket, of type stream "
		 "(unix) or datagram (unixgram)."},
	{SETTING_LISTENER, "", "address", SETTING_TEXTS, LISTENER_AT(address_texts),
	 .flags = SETTING_REQUIRED | SETTING_NO_DEFAULTS,
	 .help = "What to listen on, in one of the forms told below."},
	{SETTING_LISTENER, "", "handler", SETTING_TEXT, LISTENER_AT(handler),
	 .flags = SETTING_REQUIRED | SETTING_NO_DEFAULTS,
	 .help = "The handler that serves the connections: a name, which is looked for in "
		 "handler_path with .so added, or the absolute path of a file."},
	{SETTING_LISTENER, "", "concurrency", SETTING_CHOICE, LISTENER_AT(concurrency),
	 .default_text = "threading", .choices = concurrencies, .first_choice = CONF_THREADING,
	 .help = "How several connections are served at the same time: each by a thread, each by a "
		 "process, one after the other, or each by a fiber: a flow of control of the "
		 "handler's own, of which a thread runs thousands."},
	{SETTING_LISTENER, "", "options", SETTING_OPTIONS, 0,
	 .help = "The handler's own options, checked against those that it declares."},
	{SETTING_LISTENER, "", "enabled", SETTING_BOOL, LISTENER_AT(is_enabled),
	 .default_text = "true",
	 .help = "A listener that is switched off is checked but not served."},
	{SETTING_LISTENER, "", "start", SETTING_CHOICE, LISTENER_AT(start),
	 .default_text = "now", .choices = starts, .first_choice = CONF_START_NOW,
	 .help = "When the worker is started: with the daemon, or on demand, by the first connection "
		 "or datagram."},
	{SETTING_LISTENER, "", "idle_exit", SETTING_DURATION, LISTENER_AT(idle_exit_ms),
	 .min = 100, .max = MS_PER_D, .default_text = "1min", .none = PARSE_NONE,
	 .flags = SETTING_OR_NONE,
	 .help = "A worker that was started on demand ends after it had nothing to do for so long; "
		 "the next client starts it again."},
	{SETTING_LISTENER, "", "backlog", SETTING_INT, LISTENER_AT(backlog),
	 .min = 0, .max = 65535, .default_text = "0",
	 .help = "How many connections the kernel keeps waiting until they are accepted. 0 takes "
		 "the system's net.core.somaxconn."},
	{SETTING_LISTENER, "", "max_connections", SETTING_INT, LISTENER_AT(max_connections),
	 .min = 0, .max = 1000000, .default_text = "1024",
	 .help = "The most connections at once; further ones wait. 0 leaves it to the bound of the "
		 "concurrency in use."},
	{SETTING_LISTENER, "", "max_datagram", SETTING_SIZE, LISTENER_AT(max_datagram),
	 .min = 1, .max = MIB, .default_text = "8KiB",
	 .protocols = FOR_UDP | SETTING_FOR(CONF_UNIXGRAM),
	 .help = "The longest datagram that is taken; longer ones are dropped and counted."},

	{SETTING_LISTENER, "", "threading", SETTING_GROUP, 0,
	 .help = "The pool of threads, for concurrency threading."},
	{SETTING_LISTENER, "threading", "min_threads", SETTING_INT,
	 LISTENER_AT(threading.min_threads), .min = 1, .max = 10000, .default_text = "4",
	 .help = "Threads that are kept when there is nothing to do. Unset, it is lowered to the "
		 "listener's limit where that is smaller."},
	{SETTING_LISTENER, "threading", "max_threads", SETTING_INT,
	 LISTENER_AT(threading.max_threads), .min = 0, .max = 100000, .default_text = "0",
	 .help = "The most threads, and so the most connections at once. 0 takes max_connections; "
		 "both may not be 0."},
	{SETTING_LISTENER, "threading", "idle_timeout", SETTING_DURATION,
	 LISTENER_AT(threading.idle_timeout_ms), .min = 10, .max = MS_PER_D, .default_text = "10s",
	 .help = "A thread above min_threads ends after it had nothing to do for so long."},
	{SETTING_LISTENER, "threading", "stack_size", SETTING_SIZE,
	 LISTENER_AT(threading.stack_size), .min = 64 * KIB, .max = 256 * MIB,
	 .default_text = "256KiB",
	 .help = "The stack of each thread."},

	{SETTING_LISTENER, "", "forking", SETTING_GROUP, 0,
	 .help = "The child processes, for concurrency forking."},
	{SETTING_LISTENER, "forking", "max_children", SETTING_INT,
	 LISTENER_AT(forking.max_children), .min = 1, .max = 10000, .default_text = "40",
	 .help = "The most children, spare ones included, and so the most connections at once."},
	{SETTING_LISTENER, "forking", "spare_children", SETTING_INT,
	 LISTENER_AT(forking.spare_children), .min = 0, .max = 10000, .default_text = "4",
	 .help = "Children that wait for connections, so that no client has to wait for a fork. "
		 "Unset, it is lowered to the listener's limit where that is smaller."},
	{SETTING_LISTENER, "forking", "connections_per_child", SETTING_INT,
	 LISTENER_AT(forking.connections_per_child), .min = 0, .max = 1000000000,
	 .default_text = "1",
	 .help = "How many connections a child serves, one after the other, before it ends. 0 sets "
		 "no limit."},

	{SETTING_LISTENER, "", "fibers", SETTING_GROUP, 0,
	 .help = "The fibers, for concurrency fibers."},
	{SETTING_LISTENER, "fibers", "threads", SETTING_INT, LISTENER_AT(fibers.threads),
	 .min = 1, .max = 256, .default_text = "1",
	 .help = "Threads that run fibers, each with its own share of the connections. More than "
		 "one needs a handler that is thread-safe (HD_THREADS)."},
	{SETTING_LISTENER, "fibers", "stack_size", SETTING_SIZE, LISTENER_AT(fibers.stack_size),
	 .min = 32 * KIB, .max = 256 * MIB, .default_text = "64KiB",
	 .help = "The stack of each fiber, rounded up to whole pages. Only what a handler uses of it "
		 "takes memory; one that uses more crashes with its worker."},
	{SETTING_LISTENER, "fibers", "warn_after", SETTING_DURATION,
	 LISTENER_AT(fibers.warn_after_ms), .min = 10, .max = MS_PER_D, .default_text = "100ms",
	 .none = PARSE_NONE, .flags = SETTING_OR_NONE,
	 .help = "A handler that goes on for so long without waiting holds up the other fibers of its "
		 "thread, and is told of in the log."},

	{SETTING_LISTENER, "", "udp", SETTING_GROUP, 0,
	 .help = "What is done with the datagrams of protocol udp."},
	{SETTING_LISTENER, "udp", "session_timeout", SETTING_DURATION,
	 LISTENER_AT(udp.session_timeout_ms), .min = 10, .max = MS_PER_D, .default_text = "none",
	 .none = PARSE_NONE, .protocols = FOR_UDP, .flags = SETTING_OR_NONE,
	 .help = "The datagrams of one client are a session, served as a connection is, which ends "
		 "when none came for so long. With \"none\", each datagram is served by itself. "
		 "Needs concurrency threading or fibers."},
	{SETTING_LISTENER, "udp", "max_sessions", SETTING_INT, LISTENER_AT(udp.max_sessions),
	 .min = 1, .max = 1000000, .default_text = "4096", .protocols = FOR_UDP,
	 .help = "The most sessions at once; datagrams of further clients are dropped and "
		 "counted."},

	{SETTING_LISTENER, "", "timeouts", SETTING_GROUP, 0,
	 .help = "How long things may take."},
	{SETTING_LISTENER, "timeouts", "handler", SETTING_DURATION,
	 LISTENER_AT(timeouts.handler_ms), .min = 100, .max = MS_PER_D, .default_text = "none",
	 .none = PARSE_NONE, .flags = SETTING_OR_NONE,
	 .help = "How long one connection, datagram or session may take from its beginning to its "
		 "end, by the clock: idle time counts too. Then what it waits for fails with "
		 "ECANCELED; a handler that has not returned 1 s later is ended, under concurrency "
		 "forking with its child, else with its worker and the listener's other "
		 "connections."},
	{SETTING_LISTENER, "timeouts", "first_byte", SETTING_DURATION,
	 LISTENER_AT(timeouts.first_byte_ms), .min = 100, .max = MS_PER_D, .default_text = "none",
	 .none = PARSE_NONE, .protocols = FOR_CLIENTS, .flags = SETTING_OR_NONE,
	 .help = "How long the handler may wait for the client's first byte, from the beginning of the "
		 "connection."},
	{SETTING_LISTENER, "timeouts", "idle", SETTING_DURATION,
	 LISTENER_AT(timeouts.idle_ms), .min = 100, .max = MS_PER_D, .default_text = "none",
	 .none = PARSE_NONE, .protocols = FOR_CLIENTS, .flags = SETTING_OR_NONE,
	 .help = "How long the handler may wait for the client without a byte passing either way."},
	{SETTING_LISTENER, "timeouts", "total", SETTING_DURATION,
	 LISTENER_AT(timeouts.total_ms), .min = 100, .max = MS_PER_D, .default_text = "none",
	 .none = PARSE_NONE, .flags = SETTING_OR_NONE,
	 .help = "How long one connection, datagram or session may last, whatever happens on it. Then the "
		 "socket is shut and what the handler waits for fails with ECANCELED; a handler that goes "
		 "on all the same is left to timeouts.handler."},
	{SETTING_LISTENER, "timeouts", "send", SETTING_DURATION,
	 LISTENER_AT(timeouts.send_ms), .min = 100, .max = MS_PER_D, .default_text = "none",
	 .none = PARSE_NONE, .protocols = FOR_STREAMS, .flags = SETTING_OR_NONE,
	 .help = "How long the client may take nothing of what is sent to it."},
	{SETTING_LISTENER, "timeouts", "min_rate", SETTING_BYTE_RATE,
	 LISTENER_AT(timeouts.min_rate), .min = 1, .max = GIB, .default_text = "none", .none = 0,
	 .protocols = FOR_CLIENTS, .flags = SETTING_OR_NONE,
	 .help = "The fewest bytes per second, both ways together, that must pass in each time of "
		 "grace in which the handler waits for its client; against clients that send or take "
		 "a byte now and then. Between messages, where the handler has said so with "
		 "hd_set_idle, a client may be silent."},
	{SETTING_LISTENER, "timeouts", "grace", SETTING_DURATION,
	 LISTENER_AT(timeouts.grace_ms), .min = 100, .max = MS_PER_D, .default_text = "10s",
	 .protocols = FOR_CLIENTS,
	 .help = "Over how long min_rate is measured, from the first byte on."},

	{SETTING_LISTENER, "", "rollback", SETTING_GROUP, 0,
	 .help = "When a listener that a reload has changed keeps crashing, it goes back to the "
		 "settings and the handler file that it had before."},
	{SETTING_LISTENER, "rollback", "crashes", SETTING_INT, LISTENER_AT(rollback.crashes),
	 .min = 0, .max = 1000, .default_text = "3",
	 .help = "How many crashes bring the listener back. 0: none does."},
	{SETTING_LISTENER, "rollback", "within", SETTING_DURATION,
	 LISTENER_AT(rollback.within_ms), .min = MS_PER_S, .max = MS_PER_D, .default_text = "1min",
	 .help = "The time within which so many crashes must come."},

	{SETTING_LISTENER, "", "recycle", SETTING_GROUP, 0,
	 .help = "When a worker has served long enough: another one gets ready, takes its place, and "
		 "it drains as at a reload. No client notices; what lasts longer than drain_timeout is "
		 "ended. Where max_generations old workers still drain, it waits for one of them."},
	{SETTING_LISTENER, "recycle", "connections", SETTING_INT,
	 LISTENER_AT(recycle.connections), .min = 0, .max = 1000000000, .default_text = "0",
	 .help = "After about so many connections, datagrams or sessions. 0: however many."},
	{SETTING_LISTENER, "recycle", "memory", SETTING_SIZE, LISTENER_AT(recycle.memory),
	 .min = MIB, .max = 1024 * GIB, .default_text = "0B", .flags = SETTING_OR_NONE,
	 .help = "When it takes so much memory, or would before another one is ready, as fast as it "
		 "grows: what ps(1) shows as RSS, and what its children, or processes that its "
		 "handler has started, have of their own. \"0B\": however much."},
	{SETTING_LISTENER, "recycle", "age", SETTING_DURATION, LISTENER_AT(recycle.age_ms),
	 .min = MS_PER_S, .max = 365 * MS_PER_D, .default_text = "none", .none = PARSE_NONE,
	 .flags = SETTING_OR_NONE,
	 .help = "After it has served for so long, or up to a tenth less, by chance: so workers that "
		 "were started together do not end together."},

	{SETTING_LISTENER, "", "limits", SETTING_GROUP, 0,
	 .help = "What clients may do."},
	{SETTING_LISTENER, "limits", "amplification", SETTING_FRACTION,
	 LISTENER_AT(limits.amplification_thousandths), .min = 0, .max = 1000000,
	 .default_text = "3.0", .protocols = FOR_UDP,
	 .help = "How many bytes are sent for each byte that came from a client, whose address may "
		 "be forged. At most three decimals count. 0 sets no limit."},
	{SETTING_LISTENER, "limits", "reply_to_low_ports", SETTING_BOOL,
	 LISTENER_AT(limits.reply_to_low_ports), .default_text = "true", .protocols = FOR_UDP,
	 .help = "Whether datagrams that come from ports below 1024 are answered. Where they are "
		 "not, two servers cannot be made to answer each other for ever."},
	{SETTING_LISTENER, "limits", "connections_per_source", SETTING_INT,
	 LISTENER_AT(limits.connections_per_source), .min = 0, .max = 1000000, .default_text = "0",
	 .help = "The most connections (sessions, datagrams being served) at once of one source: an "
		 "address, or of a Unix socket the client's user. 0 sets no limit."},
	{SETTING_LISTENER, "limits", "source_prefix", SETTING_GROUP, 0,
	 .help = "How much of an address makes a source. A reload that changes it begins counting "
		 "anew."},
	{SETTING_LISTENER, "limits.source_prefix", "ipv4", SETTING_INT,
	 LISTENER_AT(limits.source_prefix_ipv4), .min = 1, .max = 32, .default_text = "32",
	 .protocols = FOR_INET,
	 .help = "IPv4 addresses with the same first so many bits are one source."},
	{SETTING_LISTENER, "limits.source_prefix", "ipv6", SETTING_INT,
	 LISTENER_AT(limits.source_prefix_ipv6), .min = 1, .max = 128, .default_text = "64",
	 .protocols = FOR_INET,
	 .help = "The same of IPv6 addresses. A single client often has a whole /64."},
	{SETTING_LISTENER, "limits", "rate", SETTING_RATE, LISTENER_AT(limits.rate),
	 .min = 1, .max = RATE_MAX, .default_text = "none", .flags = SETTING_OR_NONE,
	 .help = "How many connections are accepted in a time, of all clients together; of "
		 "datagrams each counts, and with udp.session_timeout each session."},
	{SETTING_LISTENER, "limits", "rate_burst", SETTING_INT, LISTENER_AT(limits.rate_burst),
	 .min = 0, .max = 1000000, .default_text = "0",
	 .help = "How many of them may come at once after a while without any. 0: as many as rate "
		 "allows in a second, at least 1. An error where rate is not set."},
	{SETTING_LISTENER, "limits", "rate_per_source", SETTING_RATE,
	 LISTENER_AT(limits.rate_per_source), .min = 1, .max = RATE_MAX, .default_text = "none",
	 .flags = SETTING_OR_NONE,
	 .help = "The same as rate, for each source."},
	{SETTING_LISTENER, "limits", "rate_per_source_burst", SETTING_INT,
	 LISTENER_AT(limits.rate_per_source_burst), .min = 0, .max = 1000000, .default_text = "0",
	 .help = "The same as rate_burst, for each source."},
	{SETTING_LISTENER, "limits", "send_rate", SETTING_BYTE_RATE, LISTENER_AT(limits.send_rate),
	 .min = 1, .max = BYTE_RATE_MAX, .default_text = "none", .protocols = FOR_STREAMS,
	 .flags = SETTING_OR_NONE,
	 .help = "How fast bytes leave for one client. A handler that sends faster waits; nothing is "
		 "lost, and it is not the client that is late."},
	{SETTING_LISTENER, "limits", "receive_rate", SETTING_BYTE_RATE,
	 LISTENER_AT(limits.receive_rate), .min = 1, .max = BYTE_RATE_MAX, .default_text = "none",
	 .protocols = FOR_STREAMS, .flags = SETTING_OR_NONE,
	 .help = "How fast bytes are taken from one client. One that sends faster has to wait, as it "
		 "has for any slow reader."},
	{SETTING_LISTENER, "limits", "request_memory", SETTING_SIZE,
	 LISTENER_AT(limits.request_memory), .min = 16 * KIB, .max = 64 * GIB,
	 .default_text = "0B", .flags = SETTING_OR_NONE,
	 .help = "What hd_alloc and the buffers of one connection, session or datagram may take "
		 "together. Beyond it, hd_alloc gives NULL and other calls -ENOMEM. \"0B\": any."},
	{SETTING_LISTENER, "limits", "on_limit", SETTING_CHOICE, LISTENER_AT(limits.on_limit),
	 .default_text = "wait", .choices = on_limits, .first_choice = CONF_LIMIT_WAIT,
	 .help = "What becomes of a client beyond max_connections or rate: it waits in the kernel's "
		 "queue until it may be accepted, or is closed or (of tcp) reset at once. Datagrams "
		 "wait or are dropped. Sessions of UDP always wait beyond max_connections, and are "
		 "dropped beyond rate."},
	{SETTING_LISTENER, "limits", "on_source_limit", SETTING_CHOICE,
	 LISTENER_AT(limits.on_source_limit), .default_text = "close", .choices = on_source_limits,
	 .first_choice = CONF_LIMIT_CLOSE,
	 .help = "What becomes of a client beyond connections_per_source or rate_per_source. It "
		 "never waits: others would have to wait behind it. Only tcp can reset; datagrams are "
		 "dropped."},
	{SETTING_LISTENER, "limits", "banner", SETTING_TEXT, LISTENER_AT(limits.banner),
	 .max = 1024, .protocols = FOR_STREAMS, .flags = SETTING_OR_CONTROL,
	 .help = "What a client that is beyond a limit is sent before it is closed; not before a "
		 "reset. A line end is written \\n. What its socket does not take at once is lost."},
	{SETTING_LISTENER, "limits", "overload", SETTING_GROUP, 0,
	 .help = "When the machine has too much to do already, new clients are turned away; those that "
		 "are served are not touched. Of several listeners that have the group, the one that "
		 "grows most begins; another one that grows joins in when it gets no better, of memory within 2 "
		 "s, of the load average within 15 s."},
	{SETTING_LISTENER, "limits.overload", "memory", SETTING_PERCENT,
	 LISTENER_AT(limits.overload_memory), .min = 1, .max = 100, .default_text = "none",
	 .none = 0, .flags = SETTING_OR_NONE,
	 .help = "When so much of the memory is in use, of the machine's or of what the daemon's control "
		 "group may have, until it is 5% less. \"none\": however much."},
	{SETTING_LISTENER, "limits.overload", "load", SETTING_FRACTION,
	 LISTENER_AT(limits.overload_load_thousandths), .min = 0, .max = 1000000000,
	 .default_text = "0.0",
	 .help = "When the load average of the last minute is so high, until it is a tenth lower. 0: "
		 "however high."},

	{SETTING_LISTENER, "", "access", SETTING_GROUP, 0,
	 .help = "Who may come in, and when; further down there is more of it."},
	{SETTING_LISTENER, "access", "allow", SETTING_TEXTS, LISTENER_AT(access.allow),
	 .help = "Addresses, blocks of them (192.0.2.0/24, 2001:db8::/32) or \"all\"; of a Unix "
		 "socket's clients, uid:NUMBER, user:NAME, gid:NUMBER, group:NAME or \"all\". Once "
		 "anybody is allowed, here or in access.file, nobody else may come in."},
	{SETTING_LISTENER, "access", "deny", SETTING_TEXTS, LISTENER_AT(access.deny),
	 .help = "Likewise, who may not. The longest prefix wins; where it is both allowed and "
		 "denied, it is denied."},
	{SETTING_LISTENER, "access", "file", SETTING_TEXT, LISTENER_AT(access.file),
	 .help = "The absolute path of a file with more of them, each on a line of its own: allow or "
		 "deny, and one entry. It is read again whenever it changes, without a reload; a "
		 "version that is wrong is told in the log, and the one before stays."},
	{SETTING_LISTENER, "access", "times", SETTING_TEXTS, LISTENER_AT(access.times),
	 .help = "Parts of the day, HH:MM-HH:MM in local time, outside of which nobody may come in: "
		 "from the first minute on, up to the last, which is not in it. 22:00-06:00 goes over "
		 "midnight. Unset: always."},
	{SETTING_LISTENER, "access", "sensor", SETTING_DURATION, LISTENER_AT(access.sensor_ms),
	 .min = MS_PER_S, .max = 365 * MS_PER_D, .default_text = "none", .none = PARSE_NONE,
	 .protocols = FOR_TCP, .flags = SETTING_OR_NONE,
	 .help = "Nobody has business with this listener: whoever connects to it is refused by all "
		 "listeners of the daemon for so long, and no handler serves him here. Of IPv6, the "
		 "/64 that he comes from. The loopback is excepted."},
	{SETTING_LISTENER, "access", "sensor_except", SETTING_TEXTS,
	 LISTENER_AT(access.sensor_except), .protocols = FOR_TCP,
	 .help = "Addresses and blocks of them that the sensor does nothing to; the handler serves "
		 "them. An error where sensor is not set."},

	{SETTING_LISTENER, "", "sandbox", SETTING_GROUP, 0,
	 .help = "What the listener's handler, and programs that it starts, may do."},
	{SETTING_LISTENER, "sandbox", "seccomp", SETTING_CHOICE, LISTENER_AT(sandbox.seccomp),
	 .default_text = "standard", .choices = seccomp_modes,
	 .first_choice = CONF_SECCOMP_STANDARD,
	 .help = "Which system calls there are. \"standard\" is what handlers need: others fail with "
		 "EPERM and are told of in the log. \"strict\" has no execution of programs and no "
		 "new sockets, and so no outgoing connections, either. \"off\": all."},
	{SETTING_LISTENER, "sandbox", "filesystem", SETTING_TEXTS, LISTENER_AT(sandbox.filesystem),
	 .flags = SETTING_OR_UNSET | SETTING_NOT_EMPTY,
	 .help = "All files and directories that there are beside those that the C library needs: "
		 "\"ro:PATH\" to read and execute, \"rw:PATH\" to read, write, make and remove, "
		 "each with what lies below. The paths must be there. Unset: all that the user "
		 "may."},
	{SETTING_LISTENER, "sandbox", "network", SETTING_BOOL, LISTENER_AT(sandbox.network),
	 .default_text = "true",
	 .help = "Whether a handler may make connections of its own to anything but Unix sockets. "
		 "Clients are accepted and answered either way."},

	{SETTING_LISTENER, "", "socket", SETTING_GROUP, 0,
	 .help = "What is set on the listener's sockets; socket(7), ip(7), tcp(7) and unix(7) tell "
		 "more of each."},
	{SETTING_LISTENER, "socket", "freebind", SETTING_BOOL, LISTENER_AT(socket.freebind),
	 .default_text = "false", .protocols = FOR_INET, .flags = SETTING_BEFORE_BIND,
	 .help = "Whether an address is taken that the machine does not have (yet), with "
		 "IP_FREEBIND."},
	{SETTING_LISTENER, "socket", "transparent", SETTING_BOOL, LISTENER_AT(socket.transparent),
	 .default_text = "false", .protocols = FOR_INET, .flags = SETTING_BEFORE_BIND,
	 .help = "Whether connections to foreign addresses that are routed here are taken, with "
		 "IP_TRANSPARENT."},
	{SETTING_LISTENER, "socket", "device", SETTING_TEXT, LISTENER_AT(socket.device),
	 .max = INTERFACE_LENGTH_MAX, .protocols = FOR_INET, .flags = SETTING_BEFORE_BIND,
	 .help = "The only network interface that is listened on, with SO_BINDTODEVICE. Unset: "
		 "all."},
	{SETTING_LISTENER, "socket", "keepalive", SETTING_SWITCH, LISTENER_AT(socket.keepalive),
	 .default_text = "false", .protocols = FOR_TCP,
	 .help = "Whether the kernel looks after connections on which nothing is sent, and ends "
		 "those whose other end is gone. The group sets how."},
	{SETTING_LISTENER, "socket.keepalive", "idle", SETTING_DURATION,
	 LISTENER_AT(socket.keepalive_idle_ms), .min = MS_PER_S,
	 .max = KEEPALIVE_MAX_S * MS_PER_S, .default_text = "none",
	 .flags = SETTING_OR_NONE | SETTING_WHOLE_SECONDS,
	 .help = "How long a connection is silent before it is probed, in whole seconds. \"none\" "
		 "takes the system's net.ipv4.tcp_keepalive_time."},
	{SETTING_LISTENER, "socket.keepalive", "interval", SETTING_DURATION,
	 LISTENER_AT(socket.keepalive_interval_ms), .min = MS_PER_S,
	 .max = KEEPALIVE_MAX_S * MS_PER_S, .default_text = "none",
	 .flags = SETTING_OR_NONE | SETTING_WHOLE_SECONDS,
	 .help = "The time between probes, in whole seconds. \"none\" takes the system's "
		 "net.ipv4.tcp_keepalive_intvl."},
	{SETTING_LISTENER, "socket.keepalive", "count", SETTING_INT,
	 LISTENER_AT(socket.keepalive_count), .min = 1, .max = 127, .default_text = "0",
	 .flags = SETTING_OR_NONE,
	 .help = "How many probes without an answer end a connection. 0 takes the system's "
		 "net.ipv4.tcp_keepalive_probes."},
	{SETTING_LISTENER, "socket", "receive_buffer", SETTING_SIZE,
	 LISTENER_AT(socket.receive_buffer), .min = 2 * KIB, .max = GIB, .default_text = "0B",
	 .flags = SETTING_OR_NONE, .protocols = FOR_BUFFERS,
	 .help = "How much the kernel keeps that was not read yet, for each socket. \"0B\" takes "
		 "the system's own value, which adapts itself under tcp."},
	{SETTING_LISTENER, "socket", "send_buffer", SETTING_SIZE, LISTENER_AT(socket.send_buffer),
	 .min = 2 * KIB, .max = GIB, .default_text = "0B", .flags = SETTING_OR_NONE,
	 .protocols = FOR_BUFFERS,
	 .help = "How much the kernel keeps that was not sent yet, for each socket. \"0B\" takes "
		 "the system's own value, which adapts itself under tcp."},
	{SETTING_LISTENER, "socket", "defer_accept", SETTING_DURATION,
	 LISTENER_AT(socket.defer_accept_ms), .min = MS_PER_S, .max = MS_PER_H,
	 .default_text = "none", .protocols = FOR_TCP,
	 .flags = SETTING_OR_NONE | SETTING_WHOLE_SECONDS,
	 .help = "A connection is handed over only when its client has sent something, or after "
		 "about so long, in whole seconds. Not for protocols in which the server speaks "
		 "first."},
	{SETTING_LISTENER, "socket", "fast_open", SETTING_INT, LISTENER_AT(socket.fast_open),
	 .min = 0, .max = 65535, .default_text = "0", .protocols = FOR_TCP,
	 .help = "The length of the queue of connections that brought data before they were "
		 "established (TCP Fast Open). 0 does without it."},
	{SETTING_LISTENER, "socket", "mark", SETTING_INT, LISTENER_AT(socket.mark),
	 .min = 0, .max = UINT32_MAX, .default_text = "0", .protocols = FOR_INET,
	 .help = "The mark that routing and packet filter rules see on what is sent."},
	{SETTING_LISTENER, "socket", "tos", SETTING_INT, LISTENER_AT(socket.tos),
	 .min = 0, .max = 255, .default_text = "0", .protocols = FOR_INET,
	 .help = "The type of service (IPv4) or traffic class (IPv6) of what is sent."},
	{SETTING_LISTENER, "socket", "congestion", SETTING_TEXT, LISTENER_AT(socket.congestion),
	 .max = CONGESTION_LENGTH_MAX, .protocols = FOR_TCP,
	 .help = "The congestion control, such as \"cubic\" or \"bbr\". Unset: the system's "
		 "net.ipv4.tcp_congestion_control."},
	{SETTING_LISTENER, "socket", "reuse_port", SETTING_INT, LISTENER_AT(socket.reuse_port),
	 .min = 0, .max = 64, .default_text = "0", .protocols = FOR_INET,
	 .flags = SETTING_BEFORE_BIND,
	 .help = "How many sockets are opened for each address, with SO_REUSEPORT; the kernel "
		 "divides what comes among them. 0: one, and nobody else may have the address."},
	{SETTING_LISTENER, "socket", "mode", SETTING_MODE, LISTENER_AT(socket.mode),
	 .min = 0, .max = 0777, .default_text = "0660", .protocols = FOR_UNIX,
	 .flags = SETTING_BEFORE_BIND,
	 .help = "The mode of the socket's file. Whoever may write to it may connect."},
	{SETTING_LISTENER, "socket", "owner", SETTING_TEXT, LISTENER_AT(socket.owner),
	 .protocols = FOR_UNIX, .flags = SETTING_BEFORE_BIND,
	 .help = "The user that the socket's file belongs to. Unset: the one that handlerd was "
		 "started as."},
	{SETTING_LISTENER, "socket", "group", SETTING_TEXT, LISTENER_AT(socket.group),
	 .protocols = FOR_UNIX, .flags = SETTING_BEFORE_BIND,
	 .help = "The group that the socket's file belongs to. Unset: the one that handlerd was "
		 "started as."},

	{SETTING_LISTENER, "", "environment", SETTING_VARIABLES, 0,
	 .help = "Strings that are added to the environment of the listener's workers. Names are "
		 "letters, digits and _, and do not begin with LD_."},

	{SETTING_LISTENER, "", "user", SETTING_TEXT, LISTENER_AT(user),
	 .help = "The user that the listener's workers run as. Unset: the user of the top level. "
		 "Started by another user than root, no other name is allowed."},
	{SETTING_LISTENER, "", "group", SETTING_TEXT, LISTENER_AT(group),
	 .help = "The group that the listener's workers run as. Unset: the group of the top level; of a "
		 "listener with a user of its own, that user's group."},
	{SETTING_LISTENER, "", "groups", SETTING_TEXTS, LISTENER_AT(groups),
	 .flags = SETTING_OR_UNSET,
	 .help = "The supplementary groups of the listener's workers: these and no others. Unset: those "
		 "that the user has in the group database."},
	{SETTING_LISTENER, "", "umask", SETTING_MODE, LISTENER_AT(umask), .min = 0, .max = 0777,
	 .default_text = "0077",
	 .help = "The permissions that files made by the handler do not get."},

	{SETTING_LISTENER, "", "root_directory", SETTING_TEXT, LISTENER_AT(root_directory),
	 .help = "A directory that becomes the root of the listener's workers. They see what is in it; "
		 "to read only /usr, libraries, /proc and what else loading a handler takes; and an "
		 "empty /tmp of their own. Only root can set it."},

	{SETTING_LISTENER, "", "rlimits", SETTING_GROUP, 0,
	 .help = "The limits of each of the listener's processes, soft and hard, as setrlimit(2) has them. "
		 "Unset: as handlerd was started with. Only root can raise one."},
	{SETTING_LISTENER, "rlimits", "as", SETTING_SIZE, LISTENER_AT(rlimits.as),
	 .min = 16 * MIB, .max = PIB, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "The address space: all that is mapped, stacks and libraries included."},
	{SETTING_LISTENER, "rlimits", "core", SETTING_SIZE, LISTENER_AT(rlimits.core),
	 .min = 0, .max = PIB, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "The size of a core dump; \"0B\": there is none."},
	{SETTING_LISTENER, "rlimits", "cpu", SETTING_DURATION, LISTENER_AT(rlimits.cpu_ms),
	 .min = MS_PER_S, .max = 365 * MS_PER_D, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED | SETTING_WHOLE_SECONDS,
	 .help = "The processor time of a process, in whole seconds. It is ended then by SIGXCPU, and "
		 "replaced."},
	{SETTING_LISTENER, "rlimits", "data", SETTING_SIZE, LISTENER_AT(rlimits.data),
	 .min = MIB, .max = PIB, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "What a process allocates: its heap, and memory of its own that it maps."},
	{SETTING_LISTENER, "rlimits", "fsize", SETTING_SIZE, LISTENER_AT(rlimits.fsize),
	 .min = 0, .max = PIB, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "The size of files that it writes. Writing more fails with EFBIG."},
	{SETTING_LISTENER, "rlimits", "memlock", SETTING_SIZE, LISTENER_AT(rlimits.memlock),
	 .min = 0, .max = PIB, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "Memory that it keeps from being swapped out."},
	{SETTING_LISTENER, "rlimits", "msgqueue", SETTING_SIZE, LISTENER_AT(rlimits.msgqueue),
	 .min = 0, .max = PIB, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "POSIX message queues of its user."},
	{SETTING_LISTENER, "rlimits", "nofile", SETTING_INT, LISTENER_AT(rlimits.nofile),
	 .min = 64, .max = 1073741816, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "Open files. A worker needs its connections and 64 more; with less, it serves fewer "
		 "connections at once, and says so."},
	{SETTING_LISTENER, "rlimits", "nproc", SETTING_INT, LISTENER_AT(rlimits.nproc),
	 .min = 1, .max = 4194304, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "Processes and threads of its user, those of other workers included."},
	{SETTING_LISTENER, "rlimits", "sigpending", SETTING_INT, LISTENER_AT(rlimits.sigpending),
	 .min = 0, .max = 4194304, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "Signals of its user that wait to be delivered."},
	{SETTING_LISTENER, "rlimits", "stack", SETTING_SIZE, LISTENER_AT(rlimits.stack),
	 .min = 64 * KIB, .max = PIB, .flags = SETTING_OR_UNSET | SETTING_OR_UNLIMITED,
	 .help = "The stack of its first thread. Others have threading.stack_size and "
		 "fibers.stack_size."},

	{SETTING_LISTENER, "", "nice", SETTING_INT, LISTENER_AT(nice), .min = -20, .max = 19,
	 .flags = SETTING_OR_UNSET,
	 .help = "The nice value of the listener's processes: 19 has the least of the processor, -20 the "
		 "most. Unset: as handlerd was started with. Only root can lower it."},
	{SETTING_LISTENER, "", "cpu_affinity", SETTING_TEXTS, LISTENER_AT(cpu_affinity),
	 .flags = SETTING_OR_UNSET,
	 .help = "The processors that the listener's processes run on, such as [ \"0-3\", \"6\" ]. Those "
		 "that the machine does not have are left out with a warning. Unset or an empty list: "
		 "as handlerd was started with."},
	{SETTING_LISTENER, "", "oom_score_adj", SETTING_INT, LISTENER_AT(oom_score_adj),
	 .min = -1000, .max = 1000, .flags = SETTING_OR_UNSET,
	 .help = "How likely the kernel takes the listener's processes when memory runs out: 1000 first, "
		 "-1000 never. Unset: as handlerd was started with. Only root can lower it."},
};
/* clang-format on */

const size_t setting_count = COUNT_OF(settings);
