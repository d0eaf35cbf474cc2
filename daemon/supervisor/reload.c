/*
 * reload.c - start and reload, one transaction: prepare everything, then commit or keep what was.
 *
 *	IDLE --read, check, pin--> PROBING --open sockets, start workers--> STARTING
 *	                                                                      | all READY
 *	IDLE <--every old worker QUIET-- SETTLING <--ACCEPT new, DRAIN old----+
 *
 * Any failure before the commit leads back to IDLE with nothing changed. A start is a reload of
 * nothing: it loads no handler on trial, since nothing serves that could be disturbed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

static struct listener *
reload_find_running(const struct supervisor *supervisor, const char *name)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (strcmp(supervisor->listeners[i]->name, name) == 0)
			return supervisor->listeners[i];
	}
	return NULL;
}

static bool
reload_is_running(const struct supervisor *supervisor, const struct listener *listener)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (supervisor->listeners[i] == listener)
			return true;
	}
	return false;
}

/* Frees what the preparation holds; what runs is untouched. */
static void
reload_clear(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;

	for (size_t i = 0; i < reload->probe_count; i++)
		probe_free(&reload->probes[i]);
	free(reload->probes);
	for (size_t i = 0; i < reload->next_count; i++) {
		if (!reload_is_running(supervisor, reload->next[i]))
			listener_free(reload->next[i]);
	}
	free(reload->next);
	if (reload->config != supervisor->config)
		config_free(reload->config);
	report_free(&reload->report);
	*reload = (struct reload){.is_again = reload->is_again};
}

static void
reload_log_report(struct report *report)
{
	report_find_sources(report);
	for (size_t i = 0; i < report->count; i++) {
		const struct report_entry *entry = &report->entries[i];
		CLEANUP_FREE char *sentence = report_sentence(entry);
		const char *source = entry->source != NULL ? entry->source : "";

		source += strspn(source, " \t");
		log_write(entry->is_warning ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, NULL,
			  source[0] != '\0' ? "%s | %.160s" : "%s%s", sentence, source);
	}
}

static const char *
reload_first_error(const struct report *report, char **ret_owned)
{
	for (size_t i = 0; i < report->count; i++) {
		if (!report->entries[i].is_warning) {
			*ret_owned = report_sentence(&report->entries[i]);
			return *ret_owned;
		}
	}
	return "";
}

/* Nothing is changed; why is told. At a start the program ends with this status. */
static void
reload_fail(struct supervisor *supervisor, int exit_status)
{
	struct reload *reload = &supervisor->reload;
	bool is_start = reload->is_start;
	CLEANUP_FREE char *first = NULL;

	/* before it is told: who hears of it may want those addresses at once */
	sockets_roll_back(&supervisor->sockets);
	sockets_show_ports(&supervisor->sockets, supervisor->world.ports);
	reload_log_report(&reload->report);
	if (is_start) {
		log_error("not started: %zu error%s", reload->report.errors,
			  reload->report.errors == 1 ? "" : "s");
		supervisor->exit_status = exit_status;
		loop_stop(&supervisor->loop);
	} else {
		log_error("reload failed, nothing was changed: %zu error%s", reload->report.errors,
			  reload->report.errors == 1 ? "" : "s");
		notify_ready("Reload failed, the previous configuration serves: %s",
			     reload_first_error(&reload->report, &first));
	}
	reload_clear(supervisor);
	if (reload->is_again && !supervisor->is_stopping) {
		reload->is_again = false;
		reload_begin(supervisor);
	}
}

/* One listener for each enabled entry: the running one if nothing about it changes. */
static void
reload_plan(struct supervisor *supervisor, const struct identity *identity)
{
	struct reload *reload = &supervisor->reload;

	for (size_t i = 0; i < reload->config->listener_count; i++) {
		const struct conf_listener *conf = &reload->config->listeners[i];
		struct listener *running = reload_find_running(supervisor, conf->name);
		struct listener *listener;

		if (!conf->is_enabled)
			continue;
		listener = listener_new(&supervisor->world, reload->config, conf, identity,
					&reload->report);
		if (listener == NULL)
			continue;
		if (running != NULL && listener_equal(running, listener)) {
			listener_free(listener);
			listener = running;
		} else if (running != NULL) {
			listener_set_replaces(listener, running);
		}
		reload->next =
			memory_grow(reload->next, reload->next_count, sizeof(struct listener *));
		reload->next[reload->next_count++] = listener;
	}
}

static void
reload_start_workers(struct supervisor *supervisor)
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

			if (strcmp(conf->name, listener->name) == 0)
				missing += !listener_keep_sockets(
					listener, conf, &supervisor->sockets, &reload->report);
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
reload_on_probe_over(struct probe *probe)
{
	probe->listener->world->on_change(probe->listener->world);
}

static void
reload_start_probes(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;

	reload->phase = RELOAD_PROBING;
	reload->probes = memory_zero(reload->next_count, sizeof(*reload->probes));
	for (size_t i = 0; i < reload->next_count && !reload->is_start; i++) {
		if (reload_is_running(supervisor, reload->next[i]))
			continue;
		probe_start(&reload->probes[reload->probe_count++], reload->next[i], WORKER_PROBE,
			    reload_on_probe_over);
	}
	reload_look(supervisor);
}

void
reload_begin(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	struct identity identity = {0};

	if (reload->phase != RELOAD_IDLE) {
		reload->is_again = true;
		return;
	}
	reload->is_start = supervisor->config == NULL;
	reload->began_ns = clock_now_ns();
	reload->generation = supervisor->generation + 1;
	if (!reload->is_start) {
		log_notice("reloading %s", supervisor->cmdline->file);
		notify_reloading();
	}
	reload->config = supervisor_read_config(supervisor, &reload->report);
	if (reload->report.errors > 0) {
		supervisor_find_missing_handlers(reload->config, &reload->report);
		reload_fail(supervisor, EXIT_CONFIGURATION);
		return;
	}
	if (reload->is_start)
		supervisor_open_log(supervisor, reload->config);
	(void)names_look_up(reload->config, &identity, &reload->report);
	if (reload->report.errors == 0)
		reload_plan(supervisor, &identity);
	identity_free(&identity);
	if (reload->report.errors > 0) {
		reload_fail(supervisor, EXIT_CONFIGURATION);
		return;
	}
	reload_start_probes(supervisor);
}

/* All probes are over: either all handlers fit, or none of them is taken. */
static void
reload_end_probes(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;

	for (size_t i = 0; i < reload->probe_count; i++) {
		const struct report *found = &reload->probes[i].report;

		for (size_t j = 0; j < found->count; j++)
			report_add(&reload->report, found->entries[j].is_warning,
				   found->entries[j].file, found->entries[j].line, NULL,
				   found->entries[j].text);
		probe_free(&reload->probes[i]);
	}
	reload->probe_count = 0;
	if (reload->report.errors > 0)
		reload_fail(supervisor, EXIT_CONFIGURATION);
	else
		reload_start_workers(supervisor);
}

/* Gathers why workers failed. 78 if a handler or an option was refused, else 1. */
static int
reload_gather_failures(struct supervisor *supervisor)
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

/* In the file's order of listeners and addresses; only what is new. */
static void
reload_log_addresses(const struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		const struct listener *listener = supervisor->listeners[i];

		for (size_t j = 0; j < listener->socket_count; j++) {
			const struct held_socket *socket = listener->sockets[j];
			char text[CONF_ADDRESS_TEXT_SIZE];

			/* of several on one address, one is told */
			if (socket->is_new && !socket->is_connection &&
			    (socket->is_adopted || socket->index == 0))
				log_notice("'%s' listening on %s %s", listener->name,
					   conf_protocol_name(socket->protocol),
					   conf_address_format(&socket->bound, text, sizeof(text)));
		}
	}
}

/* Listeners that the new configuration no longer has drain, and leave. */
static void
reload_remove(struct supervisor *supervisor, struct listener *listener, int64_t deadline_ns)
{
	log_notice("'%s' removed; its connections have until the drain deadline", listener->name);
	listener_drain(listener, deadline_ns);
	supervisor->leaving = memory_grow(supervisor->leaving, supervisor->leaving_count,
					  sizeof(struct listener *));
	supervisor->leaving[supervisor->leaving_count++] = listener;
}

/* Brings the running listeners from the old configuration to the new one. */
static void
reload_switch(struct supervisor *supervisor, int64_t deadline_ns, size_t *ret_changed,
	      size_t *ret_removed)
{
	struct reload *reload = &supervisor->reload;
	struct listener **before = supervisor->listeners;
	size_t before_count = supervisor->listener_count;

	supervisor->listeners = reload->next;
	supervisor->listener_count = reload->next_count;
	reload->next = NULL;
	reload->next_count = 0;
	/* first the new ones accept, then the old ones stop */
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = supervisor->listeners[i];

		if (listener->config == reload->config) {
			child_handle(listener->current, CHILD_COMMIT);
			(*ret_changed)++;
		}
	}
	for (size_t i = 0; i < before_count; i++) {
		struct listener *replaced = before[i];
		struct listener *listener = reload_find_running(supervisor, replaced->name);

		if (listener == replaced)
			continue;
		if (listener == NULL) {
			(*ret_removed)++;
			reload_remove(supervisor, replaced, deadline_ns);
			continue;
		}
		listener_take_over(listener, replaced, deadline_ns);
		listener_free(replaced);
	}
	free(before);
	for (size_t i = 0, next = 0; i < reload->config->listener_count; i++) {
		if (!reload->config->listeners[i].is_enabled)
			continue;
		listener_set_config(supervisor->listeners[next++], reload->config,
				    &reload->config->listeners[i]);
	}
}

static void
reload_commit(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	int64_t deadline_ns = clock_deadline_ns(reload->config->drain_timeout_ms);
	size_t changed = 0, removed = 0;

	reload_log_report(&reload->report);
	if (!reload->is_start)
		supervisor_open_log(supervisor, reload->config);
	reload_switch(supervisor, deadline_ns, &changed, &removed);
	reload_log_addresses(supervisor);
	sockets_commit(&supervisor->sockets);
	sockets_show_ports(&supervisor->sockets, supervisor->world.ports);
	config_free(supervisor->config);
	supervisor->config = reload->config;
	supervisor->generation = reload->generation;
	for (size_t i = 0; i < supervisor->listener_count; i++)
		listener_tidy(supervisor->listeners[i], supervisor->config->max_generations);
	if (!reload->is_start)
		log_notice("generation %" PRIu32
			   ": %zu listeners new or changed, %zu unchanged, %zu removed",
			   reload->generation, changed, supervisor->listener_count - changed,
			   removed);
	reload->phase = RELOAD_SETTLING;
	reload_look(supervisor);
}

static void
reload_settle(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	int64_t took_us = (clock_now_ns() - reload->began_ns) / 1000;
	bool is_start = reload->is_start;

	reload_clear(supervisor);
	log_notice("%s in %" PRId64 ".%03" PRId64 " ms: %zu listener%s",
		   is_start ? "ready" : "reloaded", took_us / 1000, took_us % 1000,
		   supervisor->listener_count, supervisor->listener_count == 1 ? "" : "s");
	notify_ready("%zu listeners, generation %" PRIu32, supervisor->listener_count,
		     supervisor->generation);
	if (reload->is_again) {
		reload->is_again = false;
		reload_begin(supervisor);
	}
}

static bool
reload_is_quiet(const struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (!listener_is_quiet(supervisor->listeners[i]))
			return false;
	}
	for (size_t i = 0; i < supervisor->leaving_count; i++) {
		const struct child *child = supervisor->leaving[i]->current;

		if (child != NULL && !child->is_quiet && child->state != CHILD_GONE)
			return false;
	}
	return true;
}

/* What the new workers are doing: all ready, or one failed and all have spoken. */
static void
reload_look_starting(struct supervisor *supervisor)
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
		reload_fail(supervisor, reload_gather_failures(supervisor));
	else
		reload_commit(supervisor);
}

void
reload_look(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	size_t left = 0;

	switch (reload->phase) {
	case RELOAD_IDLE:
		break;
	case RELOAD_PROBING:
		for (size_t i = 0; i < reload->probe_count; i++)
			left += !reload->probes[i].is_over;
		if (left == 0)
			reload_end_probes(supervisor);
		break;
	case RELOAD_STARTING:
		reload_look_starting(supervisor);
		break;
	case RELOAD_SETTLING:
		if (reload_is_quiet(supervisor))
			reload_settle(supervisor);
		break;
	}
}

void
reload_abandon(struct supervisor *supervisor)
{
	if (supervisor->reload.phase == RELOAD_IDLE)
		return;
	if (supervisor->reload.phase != RELOAD_SETTLING) {
		sockets_roll_back(&supervisor->sockets);
		sockets_show_ports(&supervisor->sockets, supervisor->world.ports);
	}
	reload_clear(supervisor);
	supervisor->reload.is_again = false;
}
