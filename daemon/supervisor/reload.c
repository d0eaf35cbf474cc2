/*
 * reload.c - what is asked for, what is under way, and what came of it; see reload.h.
 */
#include "supervisor/reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "conf/source.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

struct listener *
reload_find_running(const struct supervisor *supervisor, const char *name)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (strcmp(supervisor->listeners[i]->name, name) == 0)
			return supervisor->listeners[i];
	}
	return NULL;
}

bool
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

	loop_disarm(&supervisor->loop, &reload->settle);
	probes_free(&reload->probes);
	for (size_t i = 0; i < reload->next_count; i++) {
		if (!reload_is_running(supervisor, reload->next[i]))
			listener_free(reload->next[i]);
	}
	free(reload->next);
	if (reload->config != supervisor->config)
		config_free(reload->config);
	plan_free(&reload->plan);
	report_free(&reload->report);
	*reload = (struct reload){0};
}

void
reload_log_report(struct report *report)
{
	source_find_lines(report);
	for (size_t i = 0; i < report->count; i++) {
		const struct report_entry *entry = &report->entries[i];
		CLEANUP_FREE char *sentence = report_sentence(entry);
		const char *source = entry->source != NULL ? entry->source : "";

		source += strspn(source, " \t");
		log_write(entry->is_warning ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, NULL,
			  source[0] != '\0' ? "%s | %.160s" : "%s%s", sentence, source);
	}
}

static void
reload_remember(struct supervisor *supervisor, bool is_ok, const char *text)
{
	struct reload_record *record = &supervisor->last_reload;

	if (supervisor->reload.kind == RELOAD_DRY || supervisor->reload.kind == RELOAD_START)
		return;
	reload_record_free(record);
	*record = (struct reload_record){
		.is_known = true,
		.is_ok = is_ok,
		.at = time(NULL),
		.generation = supervisor->generation,
		.text = memory_text(text),
	};
}

void
reload_record_free(struct reload_record *record)
{
	free(record->text);
	record->text = NULL;
}

void
reload_end(struct supervisor *supervisor, bool is_ok, const char *text)
{
	struct reload *reload = &supervisor->reload;
	struct reload_outcome outcome = {
		.kind = reload->kind,
		.ticket = reload->ticket,
		.is_ok = is_ok,
		.generation = reload->generation,
		.took_us = (clock_now_ns() - reload->began_ns) / 1000,
		.plan = &reload->plan,
		.report = &reload->report,
		.text = text,
	};

	reload_remember(supervisor, is_ok, text);
	if (supervisor->on_reload != NULL)
		supervisor->on_reload(supervisor, &outcome);
	reload_clear(supervisor);
	/* the next one, if any, begins from the loop */
	supervisor->world.on_change(&supervisor->world);
}

/* "FILE:LINE: text" of the first error, in a new string; an empty one if there is none. */
static char *
reload_first_error(const struct report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		if (!report->entries[i].is_warning)
			return report_sentence(&report->entries[i]);
	}
	return memory_text("");
}

/* Nothing is changed; why is told. At a start the program ends with this status. */
void
reload_fail(struct supervisor *supervisor, int exit_status)
{
	struct reload *reload = &supervisor->reload;
	size_t errors = reload->report.errors;
	const char *plural = errors == 1 ? "" : "s";
	CLEANUP_FREE char *first = reload_first_error(&reload->report);
	CLEANUP_FREE char *text = NULL;

	/* before it is told: who hears of it may want those addresses at once */
	sockets_roll_back(&supervisor->sockets);
	sockets_show_ports(&supervisor->sockets, supervisor->world.ports);
	if (reload->kind == RELOAD_START && supervisor->world.journal_fd >= 0)
		supervisor_log_by_stream(LOG_LEVEL_INFO);
	reload_log_report(&reload->report);
	switch (reload->kind) {
	case RELOAD_START:
		log_event(LOG_EVENT_NOT_STARTED, NULL, "not started: %zu error%s", errors, plural);
		supervisor->exit_status = exit_status;
		loop_stop(&supervisor->loop);
		break;
	case RELOAD_FILE:
		text = memory_format("reload failed, nothing was changed: %zu error%s", errors,
				     plural);
		log_event(LOG_EVENT_RELOAD_FAILED, NULL, "%s", text);
		notify_ready("Reload failed, the previous configuration serves: %s", first);
		break;
	case RELOAD_DRY:
		text = memory_format("the configuration is refused: %zu error%s", errors, plural);
		log_notice("dry run: %s", text);
		break;
	case RELOAD_BACK:
		text = memory_format("it cannot go back, what crashes goes on: %s", first);
		log_event(LOG_EVENT_NOT_ROLLED_BACK, NULL, "%s", text);
		for (size_t i = 0; i < supervisor->listener_count; i++)
			child_release(supervisor->listeners[i]->current);
		break;
	}
	reload_end(supervisor, false, text != NULL ? text : "");
}

static void
reload_begin(struct supervisor *supervisor, enum reload_kind kind, uint64_t ticket)
{
	struct reload *reload = &supervisor->reload;

	recycle_give_way(supervisor);
	reload->kind = kind;
	reload->ticket = ticket;
	reload->began_ns = clock_now_ns();
	reload->generation = supervisor->generation + 1;
}

void
reload_start(struct supervisor *supervisor)
{
	reload_begin(supervisor, RELOAD_START, 0);
	prepare_from_file(supervisor);
}

static void
reload_run(struct supervisor *supervisor, enum reload_kind kind, uint64_t ticket)
{
	reload_begin(supervisor, kind, ticket);
	if (kind == RELOAD_FILE) {
		log_event(LOG_EVENT_RELOADING, NULL, "reloading %s", supervisor->cmdline->file);
		notify_reloading();
	}
	prepare_from_file(supervisor);
}

uint64_t
reload_ask(struct supervisor *supervisor, enum reload_kind kind, const char **ret_reason)
{
	struct reload_queue *queue = &supervisor->reload_queue;
	uint64_t *waiting = kind == RELOAD_DRY ? &queue->dry_ticket : &queue->file_ticket;

	if (supervisor->is_stopping) {
		*ret_reason = "the daemon is stopping";
		return 0;
	}
	if (cmdline_has_no_file(supervisor->cmdline)) {
		*ret_reason = "there is no configuration file";
		return 0;
	}
	if (*waiting == 0)
		*waiting = ++queue->last_ticket;
	supervisor->world.on_change(&supervisor->world);
	return *waiting;
}

bool
reload_is_idle(const struct supervisor *supervisor)
{
	const struct reload_queue *queue = &supervisor->reload_queue;

	return supervisor->config != NULL && supervisor->reload.phase == RELOAD_IDLE &&
	       queue->file_ticket == 0 && queue->dry_ticket == 0;
}

/* Nothing is under way: begins what waits. */
static void
reload_look_idle(struct supervisor *supervisor)
{
	struct reload_queue *queue = &supervisor->reload_queue;
	uint64_t ticket;

	if (supervisor->is_stopping || supervisor->config == NULL)
		return;
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (supervisor->listeners[i]->wants_back) {
			reload_begin(supervisor, RELOAD_BACK, 0);
			prepare_back(supervisor, supervisor->listeners[i]);
			return;
		}
	}
	if (queue->file_ticket != 0) {
		ticket = queue->file_ticket;
		queue->file_ticket = 0;
		reload_run(supervisor, RELOAD_FILE, ticket);
	} else if (queue->dry_ticket != 0) {
		ticket = queue->dry_ticket;
		queue->dry_ticket = 0;
		reload_run(supervisor, RELOAD_DRY, ticket);
	}
}

void
reload_look(struct supervisor *supervisor)
{
	switch (supervisor->reload.phase) {
	case RELOAD_IDLE:
		reload_look_idle(supervisor);
		break;
	case RELOAD_PROBING:
		prepare_look_probing(supervisor);
		break;
	case RELOAD_STARTING:
		prepare_look_starting(supervisor);
		break;
	case RELOAD_SETTLING:
		commit_look(supervisor);
		break;
	}
}

/* Those who wait for it wait in vain. */
static void
reload_refuse(struct supervisor *supervisor, enum reload_kind kind, uint64_t ticket)
{
	static const struct plan no_plan;
	static const struct report no_report;
	struct reload_outcome outcome = {
		.kind = kind,
		.ticket = ticket,
		.plan = &no_plan,
		.report = &no_report,
		.text = "the daemon is stopping",
	};

	if (ticket != 0 && supervisor->on_reload != NULL)
		supervisor->on_reload(supervisor, &outcome);
}

void
reload_abandon(struct supervisor *supervisor)
{
	struct reload_queue *queue = &supervisor->reload_queue;

	reload_refuse(supervisor, RELOAD_FILE, queue->file_ticket);
	reload_refuse(supervisor, RELOAD_DRY, queue->dry_ticket);
	queue->file_ticket = queue->dry_ticket = 0;
	if (supervisor->reload.phase == RELOAD_IDLE)
		return;
	reload_refuse(supervisor, supervisor->reload.kind, supervisor->reload.ticket);
	if (supervisor->reload.phase != RELOAD_SETTLING) {
		sockets_roll_back(&supervisor->sockets);
		sockets_show_ports(&supervisor->sockets, supervisor->world.ports);
	}
	reload_clear(supervisor);
}
