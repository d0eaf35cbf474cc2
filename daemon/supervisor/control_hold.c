/*
 * control_hold.c - the commands `pause`, `drain` and `resume`. Who pauses is answered when nobody
 * accepts any more, who drains when the connections have ended.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/control_commands.h"
#include "supervisor/hold.h"
#include "supervisor/supervisor.h"

/* A worker that is well says within milliseconds that it accepts no more. */
#define CONTROL_PAUSE_MS 5000
/* Between two lines of progress. */
#define CONTROL_DRAIN_MS 1000

/* The listener that the request names; NULL, and the client is told. */
static struct listener *
control_hold_find(struct supervisor *supervisor, struct control_client *client,
		  const json_t *request)
{
	const char *name = control_request_text(request, "listener");
	struct listener *listener = control_find_listener(supervisor, name);

	if (supervisor->is_stopping) {
		control_client_refuse(client, "handlerd is stopping");
		return NULL;
	}
	if (listener == NULL)
		control_refuse_listener(supervisor, client, name);
	return listener;
}

static void
control_hold_answer(struct control_client *client, const struct listener *listener)
{
	control_client_answer(client,
			      json_pack("{s:b,s:s,s:s}", "ok", 1, "listener", listener->name,
					"state", control_listener_state(listener)));
}

/* Waits for what was begun with the listener, which may be there already. */
static void
control_hold_wait(struct supervisor *supervisor, struct control_client *client,
		  const struct listener *listener, enum control_wait wait, int64_t ms)
{
	client->listener = strdup(listener->name);
	if (client->listener == NULL) {
		control_client_refuse(client, "handlerd is short of memory");
		return;
	}
	control_client_wait(client, wait, ms);
	control_look_held(supervisor, client);
}

void
control_run_pause(struct supervisor *supervisor, struct control_client *client,
		  const json_t *request)
{
	struct listener *listener = control_hold_find(supervisor, client, request);

	if (listener == NULL)
		return;
	control_log_change(client, "a pause of '%s'", listener->name);
	hold_pause(listener);
	control_hold_wait(supervisor, client, listener, CONTROL_WAITS_PAUSE, CONTROL_PAUSE_MS);
}

void
control_run_resume(struct supervisor *supervisor, struct control_client *client,
		   const json_t *request)
{
	struct listener *listener = control_hold_find(supervisor, client, request);

	if (listener == NULL)
		return;
	control_log_change(client, "the resumption of '%s'", listener->name);
	hold_resume(listener);
	control_hold_answer(client, listener);
}

static uint64_t
control_count_old(const struct listener *listener)
{
	uint64_t count = 0;

	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (child->board != NULL)
			count += scoreboard_count_open(child->board, child->board_slots);
	}
	return count;
}

static void
control_tell_draining(struct control_client *client, const struct listener *listener)
{
	uint64_t left = control_count_old(listener);
	int64_t left_ns = 0;

	if (left == 0 || left == client->told)
		return;
	client->told = left;
	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (child->deadline_ns > left_ns)
			left_ns = child->deadline_ns;
	}
	left_ns -= clock_now_ns();
	if (left_ns < CLOCK_NS_PER_S * 3600 * 24)
		control_client_progress(client,
					"'%s' drains: %" PRIu64 " connection%s left, for %" PRId64
					" s at most",
					listener->name, left, left == 1 ? "" : "s",
					left_ns > 0 ? left_ns / CLOCK_NS_PER_S + 1 : 0);
	else
		control_client_progress(client, "'%s' drains: %" PRIu64 " connection%s left",
					listener->name, left, left == 1 ? "" : "s");
}

void
control_run_drain(struct supervisor *supervisor, struct control_client *client,
		  const json_t *request)
{
	struct listener *listener = control_hold_find(supervisor, client, request);

	if (listener == NULL)
		return;
	control_log_change(client, "the draining of '%s'", listener->name);
	hold_drain(listener, clock_deadline_ns(supervisor->config->drain_timeout_ms));
	control_tell_draining(client, listener);
	control_hold_wait(supervisor, client, listener, CONTROL_WAITS_DRAIN, CONTROL_DRAIN_MS);
}

void
control_look_held(struct supervisor *supervisor, struct control_client *client)
{
	const struct listener *listener = control_find_listener(supervisor, client->listener);

	if (supervisor->is_stopping)
		control_client_refuse(client, "handlerd is stopping");
	else if (listener == NULL)
		control_client_refuse(client, "a reload has removed '%s'", client->listener);
	else if (client->wait == CONTROL_WAITS_DRAIN ? hold_is_drained(listener)
						     : hold_is_complete(listener))
		control_hold_answer(client, listener);
	else if (client->wait == CONTROL_WAITS_PAUSE && !listener->is_paused)
		control_client_refuse(client, "'%s' was resumed meanwhile", client->listener);
}

void
control_hold_is_late(struct supervisor *supervisor, struct control_client *client)
{
	const struct listener *listener = control_find_listener(supervisor, client->listener);

	control_look_held(supervisor, client);
	if (client->wait == CONTROL_WAITS_PAUSE) {
		control_client_refuse(
			client,
			"'%s' is paused, but its worker has not said within %d s that "
			"it accepts no more; it may be stuck",
			client->listener, CONTROL_PAUSE_MS / 1000);
	} else if (client->wait == CONTROL_WAITS_DRAIN) {
		control_tell_draining(client, listener);
		control_client_wait(client, CONTROL_WAITS_DRAIN, CONTROL_DRAIN_MS);
	}
}
