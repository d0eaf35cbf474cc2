/*
 * prepare.c - a reload up to the commit: reads, plans, loads changed handlers on trial, opens
 * sockets, starts workers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/supervisor.h"

/* What a reload may need, for the largest file: the library that reads it ends the process where it
 * gets no memory. */
#define PREPARE_MEMORY ((size_t)32 << 20)

static void
prepare_add_next(struct reload *reload, struct listener *listener)
{
	reload->next = memory_grow(reload->next, reload->next_count, sizeof(struct listener *));
	reload->next[reload->next_count++] = listener;
}

/* One listener for each enabled entry: the running one if nothing about it changes. */
static void
prepare_plan_entries(struct supervisor *supervisor, const struct identities *identities)
{
	struct reload *reload = &supervisor->reload;

	for (size_t i = 0; i < reload->config->listener_count; i++) {
		const struct conf_listener *conf = &reload->config->listeners[i];
		struct listener *running = reload_find_running(supervisor, conf->name);
		struct listener *listener;

		if (!conf->is_enabled)
			continue;
		listener = listener_new(&supervisor->world, reload->config, conf,
					identities_find(identities, reload->config, conf),
					&reload->report);
		if (listener == NULL)
			continue;
		if (running != NULL &&
		    !access_lists_may_follow(listener->access, running->access, &reload->report)) {
			listener_free(listener);
			continue;
		}
		if (running != NULL && listener_compare(running, listener) == 0) {
			listener_free(listener);
			listener = running;
		} else if (running != NULL) {
			listener_set_replaces(listener, running);
		}
		plan_add(&reload->plan, running, listener, conf);
		prepare_add_next(reload, listener);
	}
}

static bool
prepare_is_next(const struct reload *reload, const char *name)
{
	for (size_t i = 0; i < reload->next_count; i++) {
		if (strcmp(reload->next[i]->name, name) == 0)
			return true;
	}
	return false;
}

static void
prepare_make_plan(struct supervisor *supervisor, const struct identities *identities)
{
	struct reload *reload = &supervisor->reload;

	prepare_plan_entries(supervisor, identities);
	if (reload->report.errors > 0)
		return;
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (!prepare_is_next(reload, supervisor->listeners[i]->name))
			plan_add(&reload->plan, supervisor->listeners[i], NULL, NULL);
	}
	for (size_t i = 0; i < reload->plan.count && reload->kind != RELOAD_START; i++) {
		CLEANUP_FREE char *sentence = plan_sentence(&reload->plan.rows[i]);

		if (reload->kind == RELOAD_DRY)
			log_info("dry run: %s", sentence);
		else if (reload->plan.rows[i].changes != 0)
			log_event(LOG_EVENT_PLAN, reload->plan.rows[i].listener, "plan: %s",
				  sentence);
		else
			log_debug("plan: %s", sentence);
	}
	if (supervisor->on_plan != NULL)
		supervisor->on_plan(supervisor, reload->ticket, &reload->plan);
}

static void
prepare_start_workers(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	size_t missing = 0;

	sockets_begin(&supervisor->sockets);
	for (size_t i = 0; i < reload->next_count; i++) {
		struct listener *listener = reload->next[i];

		if (!reload_is_running(supervisor, listener)) {
			missing += !listener_want_sockets(listener, &supervisor->sockets,
							  &reload->report);
			continue;
		}
		for (size_t j = 0; j < reload->config->listener_count; j++) {
			const struct conf_listener *conf = &reload->config->listeners[j];

			/* one that went back is not what the file says */
			if (reload->kind == RELOAD_BACK)
				conf = listener->conf;
			else if (strcmp(conf->name, listener->name) != 0)
				continue;
			missing += !listener_keep_sockets(listener, conf, &supervisor->sockets,
							  &reload->report);
			break;
		}
	}
	if (missing > 0) {
		reload_fail(supervisor, EXIT_FAILURE);
		return;
	}
	sockets_show_ports(&supervisor->sockets, supervisor->world.ports);
	reload->phase = RELOAD_STARTING;
	for (size_t i = 0; i < reload->next_count; i++) {
		if (!reload_is_running(supervisor, reload->next[i]))
			listener_start(reload->next[i], reload->generation);
	}
	reload_look(supervisor);
}

static void
prepare_on_probe_over(struct probe *probe)
{
	probe->listener->world->on_change(probe->listener->world);
}

/* At a start nothing serves that could be disturbed: the workers themselves show what fits. Where
 * none is started yet, somebody must. */
static void
prepare_start_probes(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	bool is_needed = reload->kind == RELOAD_FILE || reload->kind == RELOAD_DRY;

	reload->phase = RELOAD_PROBING;
	for (size_t i = 0; i < reload->next_count; i++) {
		if (!reload_is_running(supervisor, reload->next[i]) &&
		    (is_needed || demand_begins_idle(reload->next[i])))
			probes_add(&reload->probes, reload->next[i]);
	}
	probes_start(&reload->probes, prepare_on_probe_over);
	reload_look(supervisor);
}

/* Reads the configuration and makes the plan. */
void
prepare_from_file(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	struct identities identities = {0};

	if (reload->kind != RELOAD_START && !memory_has_room(PREPARE_MEMORY)) {
		report_error(&reload->report, NULL, 0,
			     "there is not enough memory for a reload; what serves goes on");
		reload_fail(supervisor, EXIT_FAILURE);
		return;
	}
	reload->config = supervisor_read_config(supervisor, &reload->report);
	if (reload->report.errors > 0) {
		supervisor_find_missing_handlers(reload->config, &reload->report);
		reload_fail(supervisor, EXIT_CONFIGURATION);
		return;
	}
	if (reload->kind == RELOAD_START)
		supervisor_open_log(supervisor, reload->config);
	(void)identities_look_up(reload->config, &identities, &reload->report);
	if (reload->report.errors == 0)
		(void)control_prepare(supervisor, reload->config, &identities, &reload->report);
	if (reload->report.errors == 0)
		prepare_make_plan(supervisor, &identities);
	identities_free(&identities);
	if (reload->report.errors > 0) {
		reload_fail(supervisor, EXIT_CONFIGURATION);
		return;
	}
	if (reload->kind != RELOAD_DRY && !control_open(supervisor, &reload->report)) {
		reload_fail(supervisor, EXIT_FAILURE);
		return;
	}
	prepare_start_probes(supervisor);
}

/* One listener is replaced by what it was. */
void
prepare_back(struct supervisor *supervisor, struct listener *crashing)
{
	struct reload *reload = &supervisor->reload;
	struct listener *listener;

	reload->config = supervisor->config;
	/* what crashes is not started again meanwhile */
	child_hold(crashing->current);
	listener = fallback_make_listener(crashing, &reload->report);
	if (listener == NULL) {
		reload_fail(supervisor, EXIT_FAILURE);
		return;
	}
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		struct listener *running = supervisor->listeners[i];

		prepare_add_next(reload, running == crashing ? listener : running);
	}
	plan_add(&reload->plan, crashing, listener, listener->conf);
	prepare_start_workers(supervisor);
}

/* All probes are over: either all handlers fit, or none of them is taken. */
void
prepare_look_probing(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	bool is_refusal;

	if (!probes_are_over(&reload->probes))
		return;
	is_refusal = probes_gather(&reload->probes, &reload->report);
	probes_free(&reload->probes);
	if (reload->report.errors > 0)
		reload_fail(supervisor, is_refusal ? EXIT_CONFIGURATION : EXIT_FAILURE);
	else if (reload->kind == RELOAD_DRY)
		reload_end(supervisor, true, "the configuration is good; nothing was done");
	else
		prepare_start_workers(supervisor);
}

/* Gathers why workers failed. 78 if a handler or an option was refused, else 1. */
static int
prepare_gather_failures(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	int exit_status = EXIT_FAILURE;

	for (size_t i = 0; i < reload->next_count; i++) {
		const struct child *child = reload->next[i]->current;

		if (reload_is_running(supervisor, reload->next[i]) || child == NULL)
			continue;
		for (size_t j = 0; j < child->failures.count; j++) {
			const struct report_entry *entry = &child->failures.entries[j];

			report_add(&reload->report, entry->is_warning, entry->file, entry->line,
				   NULL, entry->text);
		}
		if (child->is_refusal)
			exit_status = EXIT_CONFIGURATION;
	}
	return exit_status;
}

/* What the new workers are doing: all ready, or one failed and all have spoken. */
void
prepare_look_starting(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	size_t starting = 0, failed = 0;

	for (size_t i = 0; i < reload->next_count; i++) {
		const struct child *child = reload->next[i]->current;

		if (reload_is_running(supervisor, reload->next[i]))
			continue;
		starting += child->state == CHILD_STARTING;
		failed += child->state == CHILD_FAILED;
	}
	/* every failure is told in one run, so all must have come to an end */
	if (starting > 0)
		return;
	if (failed > 0)
		reload_fail(supervisor, prepare_gather_failures(supervisor));
	else
		commit_reload(supervisor);
}
