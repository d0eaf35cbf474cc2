/*
 * status.c - the state of everything, for the log.
 */
#include <inttypes.h>

#include "base/log.h"
#include "supervisor/hold.h"
#include "supervisor/supervisor.h"

static void
status_log_child(const struct listener *listener, const struct child *child)
{
	log_event(LOG_EVENT_STATUS, listener->name,
		  "status: '%s' worker generation %" PRIu32 " pid %d %s%s", listener->name,
		  child->generation, (int)child->process.pid, child_state_name(child->state),
		  child->is_quiet ? " (accepts no more)" : "");
}

/* What did not reach a handler, and answers that did not leave. */
static void
status_log_datagrams(const struct listener *listener, const struct scoreboard_totals *totals)
{
	struct buf text = {0};
	uint64_t by_kernel = 0;

	for (size_t i = 0; i < listener->socket_count; i++)
		by_kernel += held_count_drops(listener->sockets[i]);
	buf_add_format(&text, "dropped by the kernel %" PRIu64, by_kernel);
	for (int i = 0; i < SCOREBOARD_DROPS; i++) {
		if (totals->dropped[i] > 0)
			buf_add_format(&text, ", %s %" PRIu64,
				       scoreboard_drop_name((enum scoreboard_drop)i),
				       totals->dropped[i]);
	}
	log_event(LOG_EVENT_STATUS, listener->name, "status: '%s' datagrams: %.*s", listener->name,
		  (int)text.length, (const char *)text.data);
	buf_free(&text);
}

/* Why connections, sessions and datagrams have come to their end. */
static void
status_log_ended(const struct listener *listener, const struct scoreboard_totals *totals)
{
	struct buf text = {0};

	for (int i = 0; i < CLOSE_REASONS; i++) {
		if (totals->ended[i] > 0)
			buf_add_format(&text, "%s%s %" PRIu64, text.length > 0 ? ", " : "",
				       close_reason_text((enum close_reason)i), totals->ended[i]);
	}
	if (text.length > 0)
		log_event(LOG_EVENT_STATUS, listener->name, "status: '%s' reasons of ending: %.*s",
			  listener->name, (int)text.length, (const char *)text.data);
	buf_free(&text);
}

static void
status_log_listener(const struct listener *listener)
{
	struct scoreboard_totals totals = listener_count(listener);
	uint64_t ended = totals.finished + totals.refused + totals.crashed;

	log_event(LOG_EVENT_STATUS, listener->name,
		  "status: '%s' handler '%s' (%s): accepted %" PRIu64 " finished %" PRIu64
		  " refused %" PRIu64 " failed %" PRIu64 " crashed %" PRIu64 " open %" PRIu64
		  " timed out %" PRIu64,
		  listener->name, listener->handler, listener->pin.path, totals.accepted,
		  totals.finished, totals.refused, totals.failed, totals.crashed,
		  totals.accepted > ended ? totals.accepted - ended : 0, totals.timed_out);
	status_log_ended(listener, &totals);
	if (listener->is_paused)
		log_event(LOG_EVENT_STATUS, listener->name, "status: '%s' is %s", listener->name,
			  hold_is_complete(listener) ? "paused" : "about to pause");
	if (listener->overload.is_shedding)
		log_event(LOG_EVENT_STATUS, listener->name,
			  "status: '%s' refuses new work: overload", listener->name);
	if (conf_protocol_is_datagram(listener->protocol))
		status_log_datagrams(listener, &totals);
	if (listener->current != NULL)
		status_log_child(listener, listener->current);
	for (const struct child *child = listener->old; child != NULL; child = child->next)
		status_log_child(listener, child);
}

void
status_log(const struct supervisor *supervisor)
{
	log_event(LOG_EVENT_STATUS, NULL,
		  "status: generation %" PRIu32 ", %zu listeners, %zu leaving, %zu sockets",
		  supervisor->generation, supervisor->listener_count, supervisor->leaving_count,
		  supervisor->sockets.count);
	for (size_t i = 0; i < supervisor->listener_count; i++)
		status_log_listener(supervisor->listeners[i]);
	for (size_t i = 0; i < supervisor->leaving_count; i++)
		status_log_listener(supervisor->leaving[i]);
	log_event(LOG_EVENT_STATUS, NULL, "status: end");
}
