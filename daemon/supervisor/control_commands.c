/*
 * control_commands.c - the table of commands, and the short ones.
 */
#include "supervisor/control_commands.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/suggest.h"
#include "conf/settings.h"
#include "supervisor/supervisor.h"

#define MS_PER_DAY INT64_C(86400000)

struct listener *
control_find_listener(const struct supervisor *supervisor, const char *name)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (strcmp(supervisor->listeners[i]->name, name) == 0)
			return supervisor->listeners[i];
	}
	return NULL;
}

void
control_log_change(const struct control_client *client, const char *format, ...)
{
	CLEANUP_FREE char *what = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = NULL;
	va_end(args);
	log_event(LOG_EVENT_CONTROL, NULL, "control: %s asked for by pid %d of uid %lu",
		  what != NULL ? what : "something", (int)client->pid, (unsigned long)client->uid);
}

void
control_is_late(struct control_client *client)
{
	if (client->wait == CONTROL_WAITS_KILL)
		control_kill_is_late(client->supervisor, client);
	else if (client->wait == CONTROL_WAITS_PAUSE || client->wait == CONTROL_WAITS_DRAIN)
		control_hold_is_late(client->supervisor, client);
	else
		control_client_refuse(client, "the time that was given is over");
}

static void
control_run_stop(struct supervisor *supervisor, struct control_client *client,
		 const json_t *request)
{
	bool is_now = control_request_truth(request, "now");

	control_log_change(client, "%s", is_now ? "stop at once" : "stop");
	/* a second one is no more than the first, unless it says so */
	if (is_now || !supervisor->is_stopping)
		supervisor_stop(supervisor, is_now);
	control_client_answer_held(client, control_result());
}

/* The word for a level, or NULL; the level of a word, or -ENOENT. The configuration's own. */
static const char *
control_level_name(int level)
{
	const struct setting *row = setting_find(SETTING_TOP, "log", "level");

	for (size_t i = 0; row->choices[i] != NULL; i++) {
		if (row->first_choice + (int64_t)i == level)
			return row->choices[i];
	}
	return NULL;
}

static int
control_level_find(const char *name)
{
	const struct setting *row = setting_find(SETTING_TOP, "log", "level");

	for (size_t i = 0; row->choices[i] != NULL; i++) {
		if (strcmp(row->choices[i], name) == 0)
			return (int)(row->first_choice + (int64_t)i);
	}
	return -ENOENT;
}

static void
control_run_log_level(struct supervisor *supervisor, struct control_client *client,
		      const json_t *request)
{
	const char *name = control_request_text(request, "level");
	int level = name != NULL ? control_level_find(name) : 0;
	json_t *result;

	if (level < 0) {
		control_client_refuse(client,
				      "'%.40s' is no log level; it is one of error, "
				      "warning, notice, info and debug",
				      name);
		return;
	}
	if (name != NULL && supervisor->config == NULL) {
		control_client_refuse(client, "handlerd is starting; the level of the log can be "
					      "changed when it is ready");
		return;
	}
	if (name != NULL) {
		control_log_change(client, "log level %s", name);
		supervisor_set_log_level(supervisor, level);
	}
	result = control_result();
	(void)json_object_set_new(
		result, "level",
		control_json_text(control_level_name(supervisor_log_level(supervisor))));
	control_client_answer(client, result);
}

void
control_refuse_listener(struct supervisor *supervisor, struct control_client *client,
			const char *name)
{
	struct suggest suggest = {.word = name};

	for (size_t i = 0; i < supervisor->listener_count; i++)
		suggest_offer(&suggest, supervisor->listeners[i]->name);
	if (suggest.nearest != NULL)
		control_client_refuse(client, "there is no listener '%.64s'; did you mean '%s'?",
				      name, suggest.nearest);
	else
		control_client_refuse(client, "there is no listener '%.64s'", name);
}

const struct control_command control_commands[] = {
	{"status", CONTROL_READ, {{.name = "listener"}}, control_run_status},
	{"connections", CONTROL_READ, {{.name = "listener"}}, control_run_connections},
	{"explain",
	 CONTROL_READ,
	 {{.name = "listener", .is_required = true},
	  {.name = "address", .is_required = true},
	  {.name = "gid"}},
	 control_run_explain},
	{"bans",
	 CONTROL_READ,
	 {{.name = "clear", .kind = CONTROL_TRUTH, .access = CONTROL_ALL}, {.name = "address"}},
	 control_run_bans},
	{"pause", CONTROL_ALL, {{.name = "listener", .is_required = true}}, control_run_pause},
	{"drain", CONTROL_ALL, {{.name = "listener", .is_required = true}}, control_run_drain},
	{"resume", CONTROL_ALL, {{.name = "listener", .is_required = true}}, control_run_resume},
	{"kill",
	 CONTROL_ALL,
	 {{.name = "id",
	   .kind = CONTROL_NUMBER,
	   .is_required = true,
	   .least = 1,
	   .most = INT64_MAX}},
	 control_run_kill},
	{"wait",
	 CONTROL_READ,
	 {{.name = "for", .is_required = true},
	  {.name = "timeout_ms", .kind = CONTROL_NUMBER, .most = MS_PER_DAY}},
	 control_run_wait},
	{"log-level",
	 CONTROL_READ,
	 {{.name = "level", .access = CONTROL_ALL}},
	 control_run_log_level},
	{"reload",
	 CONTROL_ALL, /* a dry run too: it runs handlers' code */
	 {{.name = "dry_run", .kind = CONTROL_TRUTH}},
	 control_run_reload},
	{"stop", CONTROL_ALL, {{.name = "now", .kind = CONTROL_TRUTH}}, control_run_stop},
	{"upgrade", CONTROL_ALL, {{0}}, control_run_upgrade},
};

const size_t control_command_count = COUNT_OF(control_commands);
