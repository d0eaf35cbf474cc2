/*
 * commit.c - the commit of a reload: new workers accept, old ones drain, removed listeners leave.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

/* An old worker that is well says within milliseconds that it accepts no more. */
#define COMMIT_SETTLE_MS 5000

/* In the file's order of listeners and addresses; only what is new. */
static void
commit_log_addresses(const struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		const struct listener *listener = supervisor->listeners[i];

		for (size_t j = 0; j < listener->socket_count; j++) {
			const struct held_socket *socket = listener->sockets[j];
			char text[CONF_ADDRESS_TEXT_SIZE];

			/* of several on one address, one is told */
			if (socket->is_new && !socket->is_connection &&
			    (socket->is_adopted || socket->index == 0))
				log_event(LOG_EVENT_LISTENING, listener->name,
					  "'%s' listening on %s %s", listener->name,
					  conf_protocol_name(socket->protocol),
					  conf_address_format(&socket->bound, text, sizeof(text)));
		}
	}
}

/* Listeners that the new configuration no longer has drain, and leave. */
static void
commit_remove(struct supervisor *supervisor, struct listener *listener, int64_t deadline_ns)
{
	log_event(LOG_EVENT_REMOVED, listener->name,
		  "'%s' removed; its connections have until the drain deadline", listener->name);
	listener_drain(listener, deadline_ns);
	/* nobody comes after its workers */
	buckets_close(listener);
	supervisor->leaving = memory_grow(supervisor->leaving, supervisor->leaving_count,
					  sizeof(struct listener *));
	supervisor->leaving[supervisor->leaving_count++] = listener;
}

static bool
commit_is_among(struct listener *const *listeners, size_t count, const struct listener *listener)
{
	for (size_t i = 0; i < count; i++) {
		if (listeners[i] == listener)
			return true;
	}
	return false;
}

/* The entries of the new configuration, for all that serve, changed or not. */
static void
commit_set_entries(struct supervisor *supervisor)
{
	struct config *config = supervisor->reload.config;

	for (size_t i = 0, next = 0; i < config->listener_count; i++) {
		if (config->listeners[i].is_enabled)
			listener_set_config(supervisor->listeners[next++], config,
					    &config->listeners[i]);
	}
}

/* Brings the running listeners from the old configuration to the new one. */
static void
commit_switch(struct supervisor *supervisor, int64_t deadline_ns, size_t *ret_changed,
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
		if (!commit_is_among(before, before_count, supervisor->listeners[i])) {
			child_handle(supervisor->listeners[i]->current, CHILD_COMMIT);
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
			commit_remove(supervisor, replaced, deadline_ns);
			continue;
		}
		listener_take_over(listener, replaced, deadline_ns);
		listener_free(replaced);
	}
	free(before);
	if (reload->kind != RELOAD_BACK)
		commit_set_entries(supervisor);
}

/* One that is stuck has until its drain deadline; those who asked, and the next reload, do not wait
 * for that. */
static void
commit_on_settle(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, reload.settle);

	log_event(LOG_EVENT_NOT_SETTLED, NULL,
		  "an old worker has not said within %d s that it accepts no more; it may be "
		  "stuck, and is ended at the drain deadline",
		  COMMIT_SETTLE_MS / 1000);
	supervisor->reload.is_settled = true;
	commit_look(supervisor);
}

void
commit_reload(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	int64_t deadline_ns = clock_deadline_ns(reload->config->drain_timeout_ms);
	size_t changed = 0, removed = 0;

	reload_log_report(&reload->report);
	if (reload->kind == RELOAD_FILE)
		supervisor_open_log(supervisor, reload->config);
	commit_switch(supervisor, deadline_ns, &changed, &removed);
	if (reload->kind != RELOAD_BACK)
		control_commit(supervisor);
	commit_log_addresses(supervisor);
	sockets_commit(&supervisor->sockets);
	sockets_show_ports(&supervisor->sockets, supervisor->world.ports);
	if (reload->config != supervisor->config)
		config_free(supervisor->config);
	supervisor->config = reload->config;
	supervisor->generation = reload->generation;
	for (size_t i = 0; i < supervisor->listener_count; i++)
		listener_tidy(supervisor->listeners[i], supervisor->config->max_generations,
			      &reload->report);
	if (reload->kind != RELOAD_START)
		log_notice("generation %" PRIu32
			   ": %zu listeners new or changed, %zu unchanged, %zu removed",
			   reload->generation, changed, supervisor->listener_count - changed,
			   removed);
	access_watch_renew(supervisor, false);
	reload->phase = RELOAD_SETTLING;
	reload->settle.on_timer = commit_on_settle;
	loop_arm(&supervisor->loop, &reload->settle, clock_deadline_ns(COMMIT_SETTLE_MS));
	commit_look(supervisor);
}

static bool
commit_is_quiet(const struct supervisor *supervisor)
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

/* Listeners that went back, for the status line; an empty text if there is none. */
static char *
commit_list_rolled_back(const struct supervisor *supervisor)
{
	char *list = memory_text("");

	for (size_t i = 0; i < supervisor->listener_count; i++) {
		const struct listener *listener = supervisor->listeners[i];
		char *longer;

		if (!listener->is_rolled_back)
			continue;
		longer = memory_format("%s%s'%s'", list,
				       list[0] != '\0' ? ", " : "; ROLLED_BACK: ", listener->name);
		free(list);
		list = longer;
	}
	return list;
}

static const struct commit_word {
	enum log_event event;
	const char *verb;
} commit_words[] = {
	[RELOAD_START] = {LOG_EVENT_READY, "ready"},
	[RELOAD_FILE] = {LOG_EVENT_RELOADED, "reloaded"},
	[RELOAD_BACK] = {LOG_EVENT_ROLLED_BACK, "rolled back"},
};

void
commit_look(struct supervisor *supervisor)
{
	const struct reload *reload = &supervisor->reload;
	int64_t took_us = (clock_now_ns() - reload->began_ns) / 1000;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *rolled_back = NULL;

	if (!reload->is_settled && !commit_is_quiet(supervisor))
		return;
	text = memory_format("%s in %" PRId64 ".%03" PRId64 " ms: %zu listener%s",
			     commit_words[reload->kind].verb, took_us / 1000, took_us % 1000,
			     supervisor->listener_count,
			     supervisor->listener_count == 1 ? "" : "s");
	log_event(commit_words[reload->kind].event, NULL, "%s", text);
	rolled_back = commit_list_rolled_back(supervisor);
	notify_ready("%zu listeners, generation %" PRIu32 "%s", supervisor->listener_count,
		     supervisor->generation, rolled_back);
	reload_end(supervisor, true, text);
}
