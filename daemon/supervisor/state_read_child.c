/*
 * state_read_child.c - the workers of a listener from JSON.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "policy/sources.h"
#include "supervisor/state_field.h"

static bool
read_failures(struct state_reader *reader, const json_t *array, struct report *report)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *object = json_array_get(array, i);
		struct report_entry entry = {0};
		CLEANUP_FREE char *file = state_get_text(json_object_get(object, "file"));
		CLEANUP_FREE char *text = state_get_text(json_object_get(object, "text"));

		if (!state_get(reader, &state_report_entry_table, object, &entry))
			return false;
		if (text != NULL)
			report_add(report, entry.is_warning, file, entry.line, NULL, text);
	}
	return true;
}

/* A state that only another version knows becomes the nearest one. */
static enum child_state
read_child_state(const json_t *value, const struct child *child, bool is_old)
{
	const char *name = json_string_value(value);

	for (int state = 0; name != NULL && state < CHILD_STATES; state++) {
		if (strcmp(child_state_name((enum child_state)state), name) == 0)
			return (enum child_state)state;
	}
	if (child->process.pid == 0)
		return is_old ? CHILD_GONE : CHILD_BACKOFF;
	if (is_old)
		return CHILD_DRAINING;
	return child->was_ready ? CHILD_SERVING : CHILD_REPLACING;
}

static bool
read_check_child(struct state_reader *reader, const struct child *child, const json_t *object)
{
	const json_t *size = json_object_get(object, "board_size");

	if ((child->process.pid != 0) != child_state_has_process(child->state) ||
	    (child->process.pid != 0) != (child->process.channel.fd >= 0))
		return state_refuse(reader, "a worker of '%s' is %s and has%s process and channel",
				    child->name, child_state_name(child->state),
				    child->process.pid != 0 ? "" : " no");
	if (child->process.pid != 0 && (child->process.protocol < PROTOCOL_OLDEST ||
					child->process.protocol > PROTOCOL_VERSION))
		return state_refuse(
			reader,
			"the worker of '%s' speaks protocol %u, and this version speaks "
			"%d to %d",
			child->name, child->process.protocol, PROTOCOL_OLDEST, PROTOCOL_VERSION);
	if (child->board_fd >= 0 &&
	    (child->board_slots == 0 ||
	     json_integer_value(size) !=
		     (json_int_t)sources_board_size(child->board_slots, child->board_sets)))
		return state_refuse(reader, "the scoreboard of '%s' has another layout",
				    child->name);
	return true;
}

static struct child *
read_child(struct state_reader *reader, struct listener *listener, const json_t *object,
	   bool is_old)
{
	struct child *child = memory_zero(1, sizeof(*child));
	const json_t *backoff = json_object_get(object, "backoff");
	bool is_good;

	listener_own(listener, child);
	child->start_timeout_ms = listener->config != NULL ? listener->config->start_timeout_ms : 0;
	child->board_fd = child->process.channel.fd = child->process.death.fd = -1;
	child->process.protocol = PROTOCOL_VERSION;
	child->process.refusals = (struct refusals)REFUSALS_NONE;
	/* a version that knows nothing of it has workers that do not tell */
	child->process.is_confined = true;
	child->state = CHILD_GONE;
	is_good = state_get(reader, &state_child_table, object, child) &&
		  (backoff == NULL ||
		   state_get(reader, &state_backoff_table, backoff, &child->backoff)) &&
		  state_get_numbers(reader, json_object_get(backoff, "crashes_ns"),
				    (uint64_t *)child->backoff.crashes_ns, BACKOFF_BURST) &&
		  read_failures(reader, json_object_get(object, "failures"), &child->failures);
	child->process.generation = child->generation;
	child->process.last_pid = child->process.pid;
	child->state = read_child_state(json_object_get(object, "state"), child, is_old);
	/* what waits for nothing would wait for ever */
	if (child->state == CHILD_BACKOFF)
		child->timer.is_armed = true;
	if (is_good)
		(void)read_check_child(reader, child, object);
	return child;
}

bool
state_get_workers(struct state_reader *reader, const json_t *object, struct listener *listener)
{
	const json_t *current = json_object_get(object, "current");
	const json_t *old = json_object_get(object, "old");
	struct child **slot = &listener->old;

	if (current != NULL)
		listener->current = read_child(reader, listener, current, false);
	for (size_t i = 0; i < json_array_size(old) && reader->reason == NULL; i++) {
		*slot = read_child(reader, listener, json_array_get(old, i), true);
		slot = &(*slot)->next;
	}
	return reader->reason == NULL;
}
