/*
 * hold.c - pausing, draining and resuming a listener.
 */
#include "supervisor/hold.h"

#include "base/log.h"
#include "supervisor/listener.h"

static void
hold_set(struct listener *listener, bool is_paused)
{
	listener->is_paused = is_paused;
	demand_look(listener);
	listener->world->on_change(listener->world);
}

void
hold_pause(struct listener *listener)
{
	if (listener->is_paused)
		return;
	log_event(LOG_EVENT_PAUSED, listener->name,
		  "'%s' is paused: it accepts nothing, clients wait", listener->name);
	hold_set(listener, true);
	child_pause(listener->current);
}

/* A worker that has never accepted has nothing that could end; it stays for the resumption. */
static bool
hold_has_accepted(const struct child *child)
{
	return child->state == CHILD_SERVING && child->has_accepted;
}

void
hold_drain(struct listener *listener, int64_t deadline_ns)
{
	struct child *before = listener->current;

	if (!listener->is_paused || hold_has_accepted(before))
		log_event(LOG_EVENT_PAUSED, listener->name,
			  "'%s' is drained: it accepts nothing, its connections have until the "
			  "drain deadline",
			  listener->name);
	listener->is_paused = true;
	if (hold_has_accepted(before)) {
		uint32_t generation = before->generation;
		struct child *child;

		/* what waits is for the other one, even if a flow was just woken for it */
		child_pause(before);
		child = listener_set_aside(listener, deadline_ns);
		if (child->is_on_demand)
			child_rest(child, generation);
		else
			child_start_again(child, generation);
	}
	for (struct child *child = listener->old; child != NULL; child = child->next)
		child_drain(child, deadline_ns);
	hold_set(listener, true);
}

void
hold_resume(struct listener *listener)
{
	if (!listener->is_paused)
		return;
	log_event(LOG_EVENT_PAUSED, listener->name, "'%s' is resumed", listener->name);
	hold_set(listener, false);
	child_accept(listener->current);
}

bool
hold_is_complete(const struct listener *listener)
{
	return listener->is_paused && listener_is_quiet(listener) &&
	       (!hold_has_accepted(listener->current) || listener->current->is_quiet);
}

bool
hold_is_drained(const struct listener *listener)
{
	return listener->old == NULL;
}
