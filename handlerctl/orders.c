/*
 * orders.c - one function for each command: what is asked for, and what is said when it is done.
 */
#include "handlerctl/orders.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "handlerctl/ask.h"
#include "handlerctl/ctl.h"
#include "handlerctl/field.h"
#include "handlerctl/human.h"

static void
orders_set(struct ask *ask, const char *key, json_t *value)
{
	(void)json_object_set_new(ask->request, key, value);
}

/* What did not come as progress, in the daemon's words. */
static void
orders_print_plan(const struct ask *ask, const json_t *answer)
{
	const json_t *row;
	size_t i;

	if (ask->has_progress)
		return;
	json_array_foreach(json_object_get(answer, "plan"), i, row)
	{
		CLEANUP_FREE char *name = field_text(row, "listener");
		CLEANUP_FREE char *change = field_text(row, "change");
		int64_t connections = field_integer(row, "connections");

		(void)printf("'%s' %s", name == NULL ? "-" : name, change == NULL ? "-" : change);
		if (connections > 0)
			(void)printf(" (drains %" PRId64 " connection%s)", connections,
				     connections == 1 ? "" : "s");
		(void)printf("\n");
	}
}

static void
orders_print_took(const json_t *answer)
{
	char time[HUMAN_SIZE];

	if (field_is_there(answer, "took_ms"))
		(void)printf(" in %s", human_duration(field_number(answer, "took_ms") / 1000, time,
						      sizeof(time)));
	(void)printf("\n");
}

static void
orders_print_reload(const struct ask *ask, const json_t *answer)
{
	orders_print_plan(ask, answer);
	if (ask->line.is_dry_run) {
		(void)printf("nothing was done\n");
		return;
	}
	(void)printf("reloaded: generation %" PRId64, field_integer(answer, "generation"));
	orders_print_took(answer);
}

int
orders_reload(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin(&ask, verb, argc, argv, &status))
		return status;
	if (ask.line.is_dry_run)
		orders_set(&ask, "dry_run", json_true());
	else
		ask.consequence = "nothing was changed";
	ask.print = orders_print_reload;
	ask.patience_ms = -1;
	return ask_run(&ask);
}

static void
orders_print_stop(const struct ask *ask, const json_t *answer)
{
	(void)ask, (void)answer;
	(void)printf("stopped\n");
}

int
orders_stop(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin(&ask, verb, argc, argv, &status))
		return status;
	if (ask.line.is_now)
		orders_set(&ask, "now", json_true());
	ask.print = orders_print_stop;
	ask.patience_ms = -1;
	ask.is_end_awaited = true;
	return ask_run(&ask);
}

static void
orders_print_upgrade(const struct ask *ask, const json_t *answer)
{
	CLEANUP_FREE char *version = field_text(answer, "version");

	(void)ask;
	(void)printf("upgraded to %s", version == NULL ? "-" : version);
	orders_print_took(answer);
}

int
orders_upgrade(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin(&ask, verb, argc, argv, &status))
		return status;
	ask.print = orders_print_upgrade;
	ask.patience_ms = -1;
	return ask_run(&ask);
}

static void
orders_print_hold(const struct ask *ask, const json_t *answer)
{
	CLEANUP_FREE char *name = field_text(answer, "listener");
	CLEANUP_FREE char *state = field_text(answer, "state");

	(void)ask;
	(void)printf("%s: %s\n", name == NULL ? "-" : name, state == NULL ? "-" : state);
}

int
orders_hold(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin_listener(&ask, verb, argc, argv, &status))
		return status;
	ask.print = orders_print_hold;
	/* old connections may take drain_timeout */
	if (strcmp(verb->name, "drain") == 0)
		ask.patience_ms = -1;
	return ask_run(&ask);
}

static void
orders_print_kill(const struct ask *ask, const json_t *answer)
{
	CLEANUP_FREE char *name = field_text(answer, "listener");

	(void)ask;
	(void)printf("killed connection %" PRId64 " of '%s'\n", field_integer(answer, "id"),
		     name == NULL ? "-" : name);
}

int
orders_kill(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int64_t id;
	int status;

	if (!ask_begin(&ask, verb, argc, argv, &status))
		return status;
	if (parse_int64(ask.line.argument, &id) < 0 || id < 1)
		return ask_cancel(&ask, ctl_complain_usage(verb->name,
							   "'%s' is no id, such as 'handlerctl "
							   "connections' shows them",
							   ask.line.argument));
	orders_set(&ask, "id", json_integer(id));
	ask.print = orders_print_kill;
	return ask_run(&ask);
}

static void
orders_print_level(const struct ask *ask, const json_t *answer)
{
	CLEANUP_FREE char *level = field_text(answer, "level");

	(void)ask;
	(void)printf("%s\n", level == NULL ? "-" : level);
}

/* CTL_DONE, or CTL_USAGE after a complaint. */
static int
orders_check_level(const char *word)
{
	static const char *const levels[] = {"error", "warning", "notice", "info", "debug"};
	struct suggest suggest = {.word = word};

	for (size_t i = 0; i < COUNT_OF(levels); i++) {
		if (strcmp(word, levels[i]) == 0)
			return CTL_DONE;
		suggest_offer(&suggest, levels[i]);
	}
	if (suggest.nearest != NULL)
		return ctl_complain_usage("log-level", "there is no level '%s'; did you mean '%s'?",
					  word, suggest.nearest);
	return ctl_complain_usage(
		"log-level", "there is no level '%s': error, warning, notice, info or debug", word);
}

int
orders_log_level(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin(&ask, verb, argc, argv, &status))
		return status;
	if (ask.line.argument != NULL) {
		status = orders_check_level(ask.line.argument);
		if (status != CTL_DONE)
			return ask_cancel(&ask, status);
		orders_set(&ask, "level", json_string(ask.line.argument));
	}
	ask.print = orders_print_level;
	return ask_run(&ask);
}

static void
orders_print_wait(const struct ask *ask, const json_t *answer)
{
	(void)answer;
	(void)printf("%s\n", ask->line.argument);
}

int
orders_wait(const struct verb *verb, int argc, char **argv)
{
	struct ask ask;
	int status;

	if (!ask_begin(&ask, verb, argc, argv, &status))
		return status;
	if (strcmp(ask.line.argument, "ready") != 0)
		return ask_cancel(&ask, ctl_complain_usage(verb->name,
							   "there is no waiting for '%s'; did you "
							   "mean 'ready'?",
							   ask.line.argument));
	orders_set(&ask, "for", json_string("ready"));
	ask.print = orders_print_wait;
	ask.is_timed = true;
	return ask_run(&ask);
}
