/*
 * check.c - what one value cannot be checked for by itself: names that must be unique, limits that
 * contradict each other. Addresses are checked in check_address.c, what belongs to a protocol in
 * check_protocol.c, what the workers are in check_process.c, what has no effect in check_effect.c.
 */
#include "conf/check.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "conf/config.h"
#include "conf/settings.h"

#define CHECK_NAME_LENGTH_MAX 64

#define CHECK_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define CHECK_DIGITS "0123456789"

struct conf_origin
check_origin(const struct conf_listener *listener, const char *group, const char *name)
{
	const struct setting *row = setting_find(SETTING_LISTENER, group, name);

	if (row == NULL || listener->origins == NULL ||
	    listener->origins[row - settings].file == NULL)
		return listener->origin;
	return listener->origins[row - settings];
}

void
check_error(struct report *report, struct conf_origin origin, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	report_error(report, origin.file, origin.line, "%s", text);
}

char *
check_format_origin(struct conf_origin origin)
{
	if (origin.file == NULL)
		return memory_text("");
	return memory_format(" (%s:%u)", origin.file, origin.line);
}

const char *
check_listener_name(const struct conf_listener *listener)
{
	return listener->name != NULL ? listener->name : "?";
}

static bool
check_is_made_of(const char *text, const char *characters)
{
	return *text != '\0' && strspn(text, characters) == strlen(text);
}

static void
check_name(const struct config *config, size_t index, struct report *report)
{
	const struct conf_listener *listener = &config->listeners[index];
	struct conf_origin origin = check_origin(listener, "", "name");

	if (listener->name == NULL)
		return;
	if (!check_is_made_of(listener->name, CHECK_LETTERS CHECK_DIGITS "_.-") ||
	    strlen(listener->name) > CHECK_NAME_LENGTH_MAX) {
		check_error(report, origin,
			    "name '%s' must be 1 to %d letters, digits and characters out of _ . -",
			    listener->name, CHECK_NAME_LENGTH_MAX);
		return;
	}
	for (size_t i = 0; i < index; i++) {
		const struct conf_listener *other = &config->listeners[i];
		CLEANUP_FREE char *where = NULL;

		if (other->name == NULL || strcmp(other->name, listener->name) != 0)
			continue;
		where = check_format_origin(check_origin(other, "", "name"));
		check_error(report, origin, "the name '%s' is taken by another listener%s",
			    listener->name, where);
		return;
	}
}

static void
check_handler(const struct conf_listener *listener, struct report *report)
{
	const char *handler = listener->handler;
	struct conf_origin origin = check_origin(listener, "", "handler");
	size_t length;

	if (handler == NULL || handler[0] == '/' ||
	    check_is_made_of(handler, CHECK_LETTERS CHECK_DIGITS "_-"))
		return;
	length = strlen(handler);
	if (strchr(handler, '/') == NULL && length > 3 && strcmp(handler + length - 3, ".so") == 0)
		check_error(report, origin,
			    "handler '%s' is given by its name without .so: write \"%.*s\", or an "
			    "absolute path",
			    handler, (int)(length - 3), handler);
	else
		check_error(report, origin,
			    "handler '%s' must be a name of letters, digits, _ and -, or an "
			    "absolute path",
			    handler);
}

/* A number of threads or children that are kept ready must be within the listener's limit. */
static void
check_ready_count(const struct conf_listener *listener, const char *group, const char *key,
		  int64_t count, struct report *report)
{
	int64_t limit = conf_listener_limit(listener);

	if (count > limit)
		check_error(report, check_origin(listener, group, key),
			    "%s.%s (%" PRId64 ") is above the limit of listener '%s', %" PRId64
			    ", which is the smaller of max_connections and %s",
			    group, key, count, check_listener_name(listener), limit,
			    listener->concurrency == CONF_THREADING ? "threading.max_threads"
								    : "forking.max_children");
}

static void
check_limits(const struct conf_listener *listener, struct report *report)
{
	const struct conf_threading *threading = &listener->threading;

	if (conf_listener_limit(listener) == 0 && listener->concurrency == CONF_FIBERS)
		check_error(report, check_origin(listener, "", "max_connections"),
			    "max_connections of listener '%s' is 0, but concurrency \"fibers\" has "
			    "no bound of its own; set the most connections at once",
			    check_listener_name(listener));
	else if (conf_listener_limit(listener) == 0)
		check_error(report, check_origin(listener, "", "max_connections"),
			    "max_connections and threading.max_threads of listener '%s' are both "
			    "0; one of them must set a limit",
			    check_listener_name(listener));
	else if (listener->concurrency == CONF_THREADING)
		check_ready_count(listener, "threading", "min_threads", threading->min_threads,
				  report);
	else if (listener->concurrency == CONF_FORKING)
		check_ready_count(listener, "forking", "spare_children",
				  listener->forking.spare_children, report);
}

static void
check_environment(const struct conf_listener *listener, struct report *report)
{
	for (size_t i = 0; i < listener->environment_count; i++) {
		const struct conf_variable *variable = &listener->environment[i];
		const char *name = variable->name;

		if (!check_is_made_of(name, CHECK_LETTERS CHECK_DIGITS "_") ||
		    strchr(CHECK_DIGITS, name[0]) != NULL)
			check_error(report, variable->origin,
				    "environment: '%s' is no name of a variable; letters, digits "
				    "and _ make one",
				    name);
		else if (strncmp(name, "LD_", 3) == 0)
			check_error(report, variable->origin,
				    "environment: '%s' would change how programs and handlers are "
				    "loaded; names that begin with LD_ are refused",
				    name);
	}
}

static void
check_handler_path(const struct config *config, struct report *report)
{
	for (size_t i = 0; i < config->handler_path.count; i++) {
		if (config->handler_path.items[i][0] != '/')
			check_error(report, config->handler_path_origin,
				    "handler_path: '%s' must be an absolute path, beginning "
				    "with /",
				    config->handler_path.items[i]);
	}
}

static void
check_control(const struct config *config, struct report *report)
{
	const char *path = config->control;

	if (path != NULL && path[0] != '\0' && path[0] != '/')
		check_error(report, config->control_origin,
			    "control: '%s' must be an absolute path, beginning with /, or \"\" "
			    "for none",
			    path);
}

void
config_check(struct config *config, struct report *report)
{
	check_handler_path(config, report);
	check_control(config, report);
	for (size_t i = 0; i < config->listener_count; i++) {
		struct conf_listener *listener = &config->listeners[i];

		check_name(config, i, report);
		check_handler(listener, report);
		check_parse_addresses(listener, report);
		check_protocol(listener, report);
		check_socket_count(listener, report);
		check_limits(listener, report);
		check_environment(listener, report);
		check_process(listener, report);
		check_access(listener, report);
		check_sandbox(listener, report);
		check_effect(listener, report);
	}
	check_overlaps(config, report);
}
