/*
 * settings.c - the table of keys. A key is added here, as a field in config.h, and nowhere else.
 *
 * A group's row stands before the rows of its keys; `listeners` is the last row of the top level,
 * so that a file as -T writes it cannot lose its end unnoticed.
 */
#include "conf/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/config.h"

#define TOP_AT(field) offsetof(struct config, field)
#define LISTENER_AT(field) offsetof(struct conf_listener, field)

#define MS_PER_S INT64_C(1000)
#define MS_PER_H (3600 * MS_PER_S)
#define MS_PER_D (24 * MS_PER_H)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)

static const char *const protocols[] = {"tcp", NULL};
static const char *const concurrencies[] = {"threading", "forking", "serial", NULL};
static const char *const log_targets[] = {"auto", "stderr", "journal", NULL};
static const char *const log_levels[] = {"error", "warning", "notice", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const log_connections[] = {"none", "refused", "all", NULL};

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
	 .help = "Which connections get a line of their own."},

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
	 .help = "What is spoken on the address."},
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
		 "process, or one after the other."},
	{SETTING_LISTENER, "", "options", SETTING_OPTIONS, 0,
	 .help = "The handler's own options, checked against those that it declares."},
	{SETTING_LISTENER, "", "enabled", SETTING_BOOL, LISTENER_AT(is_enabled),
	 .default_text = "true",
	 .help = "A listener that is switched off is checked but not served."},
	{SETTING_LISTENER, "", "backlog", SETTING_INT, LISTENER_AT(backlog),
	 .min = 0, .max = 65535, .default_text = "0",
	 .help = "How many connections the kernel keeps waiting until they are accepted. 0 takes "
		 "the system's net.core.somaxconn."},
	{SETTING_LISTENER, "", "max_connections", SETTING_INT, LISTENER_AT(max_connections),
	 .min = 0, .max = 1000000, .default_text = "1024",
	 .help = "The most connections at once; further ones wait. 0 leaves it to the bound of the "
		 "concurrency in use."},

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

	{SETTING_LISTENER, "", "environment", SETTING_VARIABLES, 0,
	 .help = "Strings that are added to the environment of the listener's workers. Names are "
		 "letters, digits and _, and do not begin with LD_."},
};
/* clang-format on */

const size_t setting_count = COUNT_OF(settings);

const struct setting *
setting_find(enum setting_scope scope, const char *group, const char *name)
{
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &settings[i];

		if (row->scope == scope && strcmp(row->group, group) == 0 &&
		    strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

const char *
setting_label(const struct setting *row, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s%s%s", row->group, *row->group != '\0' ? "." : "", row->name);
	return buf;
}
