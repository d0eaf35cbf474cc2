/*
 * listener.c - a listener: made, handed over to the one that replaces it, drained, counted.
 */
#include "supervisor/listener.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/rights.h"

static void
listener_copy_identity(struct identity *to, const struct identity *from)
{
	*to = *from;
	to->groups = memory_zero(from->group_count, sizeof(*to->groups));
	if (from->group_count > 0)
		memcpy(to->groups, from->groups, from->group_count * sizeof(*to->groups));
	to->user = memory_text(from->user);
	to->home = memory_text(from->home);
}

void
listener_open_sensor(struct listener *listener)
{
	const struct conf_access *access = &listener->conf->access;

	sensor_open(&listener->sensor, access->sensor_ms, access->sensor_except.items,
		    access->sensor_except.count);
}

struct listener *
listener_make(struct listener_world *world, struct config *config, const struct conf_listener *conf)
{
	struct listener *listener = memory_zero(1, sizeof(*listener));

	listener->world = world;
	listener->config = config;
	listener->conf = conf;
	listener->name = memory_text(conf->name);
	listener->handler = memory_text(conf->handler);
	listener->protocol = conf->protocol;
	listener->concurrency = conf->concurrency;
	listener->start = conf->start;
	listener->limit = conf_listener_limit(conf);
	listener->has_sessions = conf->protocol == CONF_UDP && conf->udp.session_timeout_ms >= 0;
	listener->pin = PIN_NONE;
	listener->fallback = FALLBACK_NONE;
	listener_open_sensor(listener);
	buckets_open(listener);
	listener->vacancy_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return listener;
}

struct listener *
listener_new(struct listener_world *world, struct config *config, const struct conf_listener *conf,
	     const struct identity *identity, struct report *report)
{
	struct listener *listener = listener_make(world, config, conf);

	if (!pin_open(&listener->pin, conf->handler, &config->handler_path, &conf->handler_origin,
		      report) ||
	    !rights_check(conf, report) ||
	    !names_look_up_socket(conf, &listener->socket_owner.uid, &listener->socket_owner.gid,
				  report)) {
		listener_free(listener);
		return NULL;
	}
	if (access_lists_are_wanted(conf)) {
		listener->access = access_lists_new(conf, report);
		if (listener->access == NULL) {
			listener_free(listener);
			return NULL;
		}
	}
	listener_copy_identity(&listener->identity, identity);
	listener_make_image(listener);
	return listener;
}

void
listener_set_replaces(struct listener *listener, struct listener *running)
{
	listener->replaces = running;
	(void)dup3(running->vacancy_fd, listener->vacancy_fd, O_CLOEXEC);
}

void
listener_free_child(struct child *child)
{
	if (child == NULL)
		return;
	child_handle(child, CHILD_STOP);
	report_free(&child->failures);
	free(child->version);
	death_free(&child->death);
	listener_close_files(child);
	free(child);
}

void
listener_free(struct listener *listener)
{
	if (listener == NULL)
		return;
	demand_stop(listener);
	recycle_stop(listener);
	sensor_close(&listener->sensor);
	listener_free_child(listener->current);
	while (listener->old != NULL) {
		struct child *child = listener->old;

		listener->old = child->next;
		listener_free_child(child);
	}
	/* the ends of its workers may have added to it */
	buckets_close(listener);
	refusal_log_end(&listener->refusals);
	if (listener->vacancy_fd >= 0)
		(void)close(listener->vacancy_fd);
	pin_close(&listener->pin);
	identity_free(&listener->identity);
	access_lists_free(listener->access);
	buf_free(&listener->image);
	buf_free(&listener->address_image);
	fallback_clear(&listener->fallback);
	config_free(listener->own_config);
	free(listener->sockets);
	free(listener->name);
	free(listener->handler);
	free(listener);
}

void
listener_set_config(struct listener *listener, struct config *config,
		    const struct conf_listener *conf)
{
	listener->config = config;
	listener->conf = conf;
	listener->start = conf->start;
	/* what the file says now is what serves */
	config_free(listener->own_config);
	listener->own_config = NULL;
	listener->is_rolled_back = false;
	/* for the workers that replace this one after a crash */
	if (listener->current != NULL)
		listener->current->start_timeout_ms = config->start_timeout_ms;
}

static void
listener_push_old(struct listener *listener, struct child *child)
{
	child->owner_data = listener;
	child->name = listener->name;
	child->handler = listener->handler;
	child->next = listener->old;
	listener->old = child;
}

/* A new worker of the same settings does not end what clients have done to them. */
static void
listener_succeed(struct child *child, const struct child *before)
{
	child->backoff = before->backoff;
	child->crashes = before->crashes;
}

struct child *
listener_set_aside(struct listener *listener, int64_t deadline_ns)
{
	struct child *before = listener->current;
	struct child *child = listener_new_child(listener);

	listener_succeed(child, before);
	listener_push_old(listener, before);
	child_drain(before, deadline_ns);
	return child;
}

void
listener_replace_worker(struct listener *listener, struct child *next, int64_t deadline_ns)
{
	struct child *before = listener->current;

	listener_succeed(next, before);
	listener->current = next;
	/* first the new one accepts, then the old one stops */
	child_handle(next, CHILD_COMMIT);
	listener_push_old(listener, before);
	child_drain(before, deadline_ns);
}

void
listener_take_over(struct listener *listener, struct listener *replaced, int64_t deadline_ns)
{
	uint32_t generation = replaced->current != NULL ? replaced->current->generation : 0;
	struct child *reversed = NULL;

	listener->replaces = NULL;
	listener->is_paused = replaced->is_paused;
	while (replaced->old != NULL) {
		struct child *child = replaced->old;

		replaced->old = child->next;
		child->next = reversed;
		reversed = child;
	}
	while (reversed != NULL) {
		struct child *child = reversed;

		reversed = child->next;
		listener_push_old(listener, child);
	}
	if (replaced->current != NULL) {
		listener_push_old(listener, replaced->current);
		replaced->current = NULL;
		child_drain(listener->old, deadline_ns);
	}
	scoreboard_add(&listener->totals, &replaced->totals);
	overload_take_over(listener, replaced);
	buckets_take_over(listener, replaced);
	listener->refusals.total += replaced->refusals.total;
	fallback_keep(listener, replaced, generation);
}

void
listener_drain(struct listener *listener, int64_t deadline_ns)
{
	demand_stop(listener);
	recycle_stop(listener);
	listener->socket_count = 0;
	if (listener->current != NULL)
		child_drain(listener->current, deadline_ns);
	for (struct child *child = listener->old; child != NULL; child = child->next)
		child_drain(child, deadline_ns);
}

/* One generation too many. */
static void
listener_cut(const struct listener *listener, const struct child *child, int64_t most,
	     struct report *report)
{
	CLEANUP_FREE char *text =
		memory_format("'%s': worker of generation %" PRIu32
			      " is ended before its drain deadline: more than max_generations "
			      "(%" PRId64 ") old ones are left",
			      listener->name, child->generation, most);

	log_event(LOG_EVENT_GENERATION_CUT, listener->name, "%s", text);
	if (report != NULL)
		report_warning(report, NULL, 0, "%s", text);
}

void
listener_tidy(struct listener *listener, int64_t most, struct report *report)
{
	struct child **slot = &listener->old;
	bool had_old = listener->old != NULL;
	int64_t count = 0;

	while (*slot != NULL) {
		struct child *child = *slot;

		if (child->state == CHILD_GONE) {
			*slot = child->next;
			listener_free_child(child);
			continue;
		}
		if (++count > most) {
			listener_cut(listener, child, most, report);
			child_handle(child, CHILD_STOP);
		}
		slot = &child->next;
	}
	if (had_old && listener->old == NULL && listener->current != NULL)
		process_send(&listener->current->process, PROTOCOL_ALONE, NULL);
}

void
listener_kill_connection(struct listener *listener, uint64_t id)
{
	struct buf payload = {0};

	buf_add_u64(&payload, id);
	if (listener->current != NULL)
		process_send(&listener->current->process, PROTOCOL_KILL, &payload);
	for (struct child *child = listener->old; child != NULL; child = child->next)
		process_send(&child->process, PROTOCOL_KILL, &payload);
	buf_free(&payload);
}

bool
listener_is_quiet(const struct listener *listener)
{
	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (!child->is_quiet && child->state != CHILD_GONE)
			return false;
	}
	return true;
}

bool
listener_is_gone(const struct listener *listener)
{
	if (listener->current != NULL && listener->current->state != CHILD_GONE)
		return false;
	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (child->state != CHILD_GONE)
			return false;
	}
	return true;
}

static void
listener_add_live(struct scoreboard_totals *totals, const struct child *child)
{
	struct scoreboard_totals sum;

	if (child == NULL || child->board == NULL)
		return;
	sum = scoreboard_sum(child->board, child->board_slots);
	scoreboard_add(totals, &sum);
}

struct scoreboard_totals
listener_count(const struct listener *listener)
{
	struct scoreboard_totals totals = listener->totals;

	listener_add_live(&totals, listener->current);
	for (const struct child *child = listener->old; child != NULL; child = child->next)
		listener_add_live(&totals, child);
	return totals;
}

uint64_t
listener_count_open(const struct listener *listener)
{
	uint64_t count = 0;

	if (listener->current != NULL && listener->current->board != NULL)
		count = scoreboard_count_open(listener->current->board,
					      listener->current->board_slots);
	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (child->board != NULL)
			count += scoreboard_count_open(child->board, child->board_slots);
	}
	return count;
}
