/*
 * demand.c - watches sockets for clients, and workers for idleness.
 */
#include "supervisor/demand.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/listener.h"

/* So often within idle_exit it is looked whether a worker has done something. */
#define DEMAND_LOOKS 4

struct demand_watch {
	struct loop_source source;
	struct listener *listener; /* not owned */
};

bool
demand_is_wanted(const struct listener *listener)
{
	/* --once and --inetd serve one client, who is there or soon will be */
	return listener->conf->start == CONF_START_ON_DEMAND && !listener->world->is_once;
}

bool
demand_begins_idle(const struct listener *listener)
{
	const struct listener *replaced = listener->replaces;

	/* one that serves is replaced as ever: ready first, then the old one stops */
	return demand_is_wanted(listener) && (replaced == NULL || replaced->current == NULL ||
					      replaced->current->process.pid == 0);
}

static void
demand_unwatch(struct listener *listener)
{
	struct demand *demand = &listener->demand;

	for (size_t i = 0; i < demand->watch_count; i++)
		loop_remove(listener->world->loop, &demand->watches[i].source);
	free(demand->watches);
	demand->watches = NULL;
	demand->watch_count = 0;
}

static void
demand_start_worker(struct listener *listener, const char *why)
{
	demand_unwatch(listener);
	log_event(LOG_EVENT_ON_DEMAND, listener->name, "'%s': %s; its worker is started",
		  listener->name, why);
	child_handle(listener->current, CHILD_DEMAND);
}

static void
demand_on_client(struct loop_source *source, uint32_t events)
{
	struct demand_watch *watch = CONTAINER_OF(source, struct demand_watch, source);

	(void)events;
	demand_start_worker(watch->listener, "a client has come");
}

static void
demand_watch(struct listener *listener)
{
	struct demand *demand = &listener->demand;
	int r = 0;

	if (demand->watches != NULL)
		return;
	demand->watches = memory_zero(listener->socket_count, sizeof(*demand->watches));
	for (size_t i = 0; i < listener->socket_count && r >= 0; i++) {
		struct demand_watch *watch = &demand->watches[demand->watch_count];

		/* a handler may have shut it down before its worker ended */
		(void)held_revive(listener->sockets[i], listener->old != NULL);
		if (listener->sockets[i]->fd < 0)
			continue;
		*watch = (struct demand_watch){
			.source = {.fd = listener->sockets[i]->fd, .on_event = demand_on_client},
			.listener = listener,
		};
		r = loop_add(listener->world->loop, &watch->source, EPOLLIN);
		demand->watch_count += r >= 0;
	}
	if (r >= 0)
		return;
	log_warning("'%s': its sockets cannot be watched for clients: %s", listener->name,
		    strerror(-r));
	demand_start_worker(listener, "clients may wait");
}

/* What its worker has done so far, as a number. Datagrams that it has dropped count too. */
static uint64_t
demand_measure(const struct child *child, bool *ret_is_busy)
{
	struct scoreboard_totals sum = scoreboard_sum(child->board, child->board_slots);
	uint64_t activity = sum.accepted;

	for (size_t i = 0; i < SCOREBOARD_DROPS; i++)
		activity += sum.dropped[i];
	*ret_is_busy = scoreboard_count_open(child->board, child->board_slots) > 0;
	return activity;
}

static void
demand_arm(struct listener *listener, int64_t now_ns)
{
	struct demand *demand = &listener->demand;
	int64_t idle_ns = listener->conf->idle_exit_ms * CLOCK_NS_PER_MS;
	int64_t next_ns = now_ns + idle_ns / DEMAND_LOOKS;
	int64_t end_ns = demand->since_ns + idle_ns;

	loop_arm(listener->world->loop, &demand->idle, next_ns < end_ns ? next_ns : end_ns);
}

static void
demand_on_idle_timer(struct loop_timer *timer)
{
	struct listener *listener = CONTAINER_OF(timer, struct listener, demand.idle);
	struct demand *demand = &listener->demand;
	int64_t now_ns = clock_now_ns();
	uint64_t activity;
	bool is_busy;

	/* what it depends on has changed, and is looked at soon */
	if (listener->current->state != CHILD_SERVING || listener->current->board == NULL ||
	    listener->conf->idle_exit_ms < 0)
		return;
	activity = demand_measure(listener->current, &is_busy);
	if (is_busy || activity != demand->activity)
		demand->since_ns = now_ns;
	demand->activity = activity;
	if (now_ns - demand->since_ns >= listener->conf->idle_exit_ms * CLOCK_NS_PER_MS) {
		child_retire(listener->current);
		/* if it has something to do after all, it says nothing */
		demand->since_ns = now_ns;
	}
	demand_arm(listener, now_ns);
}

static void
demand_begin_idle_time(struct listener *listener)
{
	struct demand *demand = &listener->demand;
	bool is_busy;

	if (demand->idle.is_armed)
		return;
	demand->idle.on_timer = demand_on_idle_timer;
	demand->activity = demand_measure(listener->current, &is_busy);
	demand->since_ns = clock_now_ns();
	demand_arm(listener, demand->since_ns);
}

void
demand_look(struct listener *listener)
{
	const struct child *child = listener->current;
	bool is_on_demand = child != NULL && child->is_on_demand;

	if (is_on_demand && child->state == CHILD_SERVING && child->board != NULL &&
	    listener->conf->idle_exit_ms >= 0)
		demand_begin_idle_time(listener);
	else
		loop_disarm(listener->world->loop, &listener->demand.idle);
	if (is_on_demand && child->state == CHILD_IDLE && !listener->is_paused)
		demand_watch(listener);
	else
		demand_unwatch(listener);
}

void
demand_stop(struct listener *listener)
{
	demand_unwatch(listener);
	loop_disarm(listener->world->loop, &listener->demand.idle);
}

void
demand_on_idle(struct child *child)
{
	struct listener *listener = child->owner_data;
	uint32_t generation = child->generation;

	if (child != listener->current || !child->is_on_demand)
		return;
	log_event(LOG_EVENT_ON_DEMAND, listener->name,
		  "'%s' was idle; its worker ends, the next client starts another", listener->name);
	/* it has nothing that could need the time */
	child_rest(
		listener_set_aside(listener, clock_deadline_ns(listener->config->drain_timeout_ms)),
		generation);
	demand_look(listener);
}
