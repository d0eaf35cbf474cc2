/*
 * recycle.c - measures workers, and has those replaced that have served long enough.
 */
#include "supervisor/recycle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "supervisor/supervisor.h"
#include "supervisor/usage.h"

#define RECYCLE_SOON_NS (20 * CLOCK_NS_PER_MS)
#define RECYCLE_LATE_NS CLOCK_NS_PER_S
/* A look at the processes of a worker takes at most this part of the time. */
#define RECYCLE_SHARE 50
/* Of what is left up to the limit, so much a second may be gone before the next look: a worker at
 * rest with 100 MiB left is looked at every 100 ms. */
#define RECYCLE_FASTEST_PER_NS (1024.0 * 1024 * 1024 / CLOCK_NS_PER_S)
/* Beside the time that a worker takes to get ready. */
#define RECYCLE_LEAD_NS (50 * CLOCK_NS_PER_MS)
/* One after the other no faster than this, however small the limits. */
#define RECYCLE_PACE_NS (100 * CLOCK_NS_PER_MS)
#define RECYCLE_DELAY_FIRST_NS CLOCK_NS_PER_S
#define RECYCLE_DELAY_MOST_NS (60 * CLOCK_NS_PER_S)
/* What a worker has in memory so early, it needs to start. */
#define RECYCLE_START_NS CLOCK_NS_PER_S

int64_t
recycle_meter_note(struct recycle_meter *meter, uint64_t limit, uint64_t value, int64_t now_ns,
		   int64_t lead_ns, bool *ret_is_due)
{
	struct recycle_meter before = *meter;
	double left_ns;

	*meter = (struct recycle_meter){.value = value, .at_ns = now_ns};
	*ret_is_due = value >= limit;
	if (*ret_is_due)
		return RECYCLE_SOON_NS;
	if (before.at_ns == 0 || now_ns <= before.at_ns)
		return RECYCLE_SOON_NS;
	if (value <= before.value)
		return RECYCLE_LATE_NS;
	/* in doubles: no product of the three overflows */
	left_ns = (double)(limit - value) / (double)(value - before.value) *
		  (double)(now_ns - before.at_ns);
	/* further off, a start that takes much is not yet a leak */
	*ret_is_due = value >= limit - limit / 4 && left_ns < (double)lead_ns;
	if (left_ns < 2.0 * (double)RECYCLE_SOON_NS)
		return RECYCLE_SOON_NS;
	return left_ns > 2.0 * (double)RECYCLE_LATE_NS ? RECYCLE_LATE_NS : (int64_t)(left_ns / 2);
}

int64_t
recycle_age_ns(int64_t limit_ns, int64_t ready_ns)
{
	/* the nanoseconds of a moment are as good as dice */
	uint64_t dice = (uint64_t)ready_ns * UINT64_C(0x9e3779b97f4a7c15) >> 54;

	return limit_ns - limit_ns / 10 * (int64_t)dice / 1024;
}

static bool
recycle_is_wanted(const struct listener *listener)
{
	const struct conf_recycle *conf = &listener->conf->recycle;

	return (conf->connections > 0 || conf->memory > 0 || conf->age_ms >= 0) &&
	       !listener->world->is_once;
}

/* Only what serves is replaced: whatever else it is doing ends in another worker anyhow. */
static bool
recycle_is_possible(const struct listener *listener)
{
	const struct child *child = listener->current;

	return child != NULL && child->state == CHILD_SERVING && child->board != NULL &&
	       !listener->is_paused && !listener->wants_back && !child->is_retiring &&
	       recycle_is_wanted(listener);
}

/* Connections, datagrams and sessions that handlers have served. */
static uint64_t
recycle_count_served(const struct child *child)
{
	struct scoreboard_totals sum = scoreboard_sum(child->board, child->board_slots);
	uint64_t turned_away = 0;

	for (int i = CLOSE_FIRST_TURNED_AWAY; i < CLOSE_REASONS; i++)
		turned_away += sum.ended[i];
	return sum.accepted > turned_away ? sum.accepted - turned_away : 0;
}

static int64_t
recycle_look_at_connections(struct listener *listener, int64_t now_ns)
{
	struct recycle *recycle = &listener->recycle;
	uint64_t limit = (uint64_t)listener->conf->recycle.connections;
	uint64_t served = recycle_count_served(listener->current);
	int64_t next_ns = recycle_meter_note(&recycle->connections, limit, served, now_ns, 0,
					     &recycle->is_due);

	if (recycle->is_due)
		(void)snprintf(recycle->reason, sizeof(recycle->reason),
			       "it has served %" PRIu64 " of %" PRIu64, served, limit);
	return next_ns;
}

static void
recycle_tell_hidden(struct listener *listener, int error)
{
	if (!listener->recycle.is_memory_hidden)
		log_event(LOG_EVENT_NOT_RECYCLED, listener->name,
			  "'%s': how much memory its worker (pid %d) takes cannot be seen: /proc: "
			  "%s; recycle.memory does nothing",
			  listener->name, (int)listener->current->process.pid, strerror(-error));
	listener->recycle.is_memory_hidden = true;
}

static void
recycle_tell_useless(struct listener *listener, uint64_t bytes)
{
	char has[32], limit[32];

	if (!listener->recycle.is_memory_useless)
		log_event(LOG_EVENT_NOT_RECYCLED, listener->name,
			  "'%s': its worker takes %s when it starts already, and recycle.memory is "
			  "%s: another one would be no smaller, so that does nothing",
			  listener->name, parse_format_size(bytes, has, sizeof(has)),
			  parse_format_size((uint64_t)listener->conf->recycle.memory, limit,
					    sizeof(limit)));
	listener->recycle.is_memory_useless = true;
}

static int64_t
recycle_look_at_memory(struct listener *listener, int64_t now_ns)
{
	struct recycle *recycle = &listener->recycle;
	const struct child *child = listener->current;
	uint64_t limit = (uint64_t)listener->conf->recycle.memory, bytes;
	struct usage usage;
	/* the next start may take longer than the last one, and the old worker ends what it has */
	int64_t lead_ns = 3 * recycle->took_ns + RECYCLE_LEAD_NS;
	int64_t next_ns, room_ns, took_ns;
	bool is_due;
	char has[32], most[32];
	int r = usage_read(child->process.pid, &usage);

	if (r < 0) {
		recycle_tell_hidden(listener, r);
		return RECYCLE_LATE_NS;
	}
	bytes = usage.memory;
	if (recycle->memory_at_start == 0 && now_ns - child->ready_ns < RECYCLE_START_NS)
		recycle->memory_at_start = bytes;
	next_ns = recycle_meter_note(&recycle->memory, limit, bytes, now_ns, lead_ns, &is_due);
	if (recycle->memory_at_start >= limit) {
		recycle_tell_useless(listener, recycle->memory_at_start);
		return RECYCLE_LATE_NS;
	}
	if (is_due) {
		recycle->is_due = true;
		(void)snprintf(recycle->reason, sizeof(recycle->reason), "it takes %s of %s",
			       parse_format_size(bytes & ~UINT64_C(1023), has, sizeof(has)),
			       parse_format_size(limit, most, sizeof(most)));
	}
	/* it may begin to grow at any moment */
	room_ns = bytes < limit ? (int64_t)((double)(limit - bytes) / RECYCLE_FASTEST_PER_NS) : 0;
	if (room_ns < next_ns)
		next_ns = room_ns > RECYCLE_SOON_NS ? room_ns : RECYCLE_SOON_NS;
	took_ns = RECYCLE_SHARE * (clock_now_ns() - now_ns);
	return took_ns > next_ns ? took_ns : next_ns;
}

static int64_t
recycle_look_at_age(struct listener *listener, int64_t now_ns)
{
	struct recycle *recycle = &listener->recycle;
	int64_t age_ns = now_ns - listener->current->ready_ns;
	int64_t limit_ns = recycle_age_ns(listener->conf->recycle.age_ms * CLOCK_NS_PER_MS,
					  listener->current->ready_ns);
	char text[32];

	if (age_ns < limit_ns)
		return limit_ns - age_ns;
	recycle->is_due = true;
	(void)snprintf(recycle->reason, sizeof(recycle->reason), "it has served for %s",
		       parse_format_duration(age_ns / CLOCK_NS_PER_MS, text, sizeof(text)));
	return RECYCLE_LATE_NS;
}

/* Looks at all that may make it due; returns when it is to be looked at again. */
static int64_t
recycle_measure(struct listener *listener, int64_t now_ns)
{
	const struct conf_recycle *conf = &listener->conf->recycle;
	struct recycle *recycle = &listener->recycle;
	int64_t wait_ns = INT64_MAX / 4, next_ns;

	if (!recycle->is_due && conf->connections > 0) {
		next_ns = recycle_look_at_connections(listener, now_ns);
		wait_ns = next_ns < wait_ns ? next_ns : wait_ns;
	}
	if (!recycle->is_due && conf->memory > 0) {
		next_ns = recycle_look_at_memory(listener, now_ns);
		wait_ns = next_ns < wait_ns ? next_ns : wait_ns;
	}
	if (!recycle->is_due && conf->age_ms >= 0) {
		next_ns = recycle_look_at_age(listener, now_ns);
		wait_ns = next_ns < wait_ns ? next_ns : wait_ns;
	}
	return now_ns + wait_ns;
}

static void
recycle_on_timer(struct loop_timer *timer)
{
	struct listener *listener = CONTAINER_OF(timer, struct listener, recycle.timer);
	struct recycle *recycle = &listener->recycle;
	int64_t now_ns = clock_now_ns(), next_ns;

	/* another worker, or none: looked at soon */
	if (!recycle_is_possible(listener) || listener->current->process.pid != recycle->pid)
		return;
	next_ns = recycle_measure(listener, now_ns);
	if (recycle->is_due)
		listener->world->on_change(listener->world);
	else
		loop_arm(listener->world->loop, timer, next_ns);
}

static void
recycle_give_up(struct listener *listener)
{
	listener_free_child(listener->recycle.next);
	listener->recycle.next = NULL;
}

/* A worker that nothing is known of yet. */
static void
recycle_begin_measuring(struct listener *listener)
{
	struct recycle *recycle = &listener->recycle;

	recycle->pid = listener->current->process.pid;
	recycle->connections = recycle->memory = (struct recycle_meter){0};
	recycle->memory_at_start = 0;
	recycle->is_due = recycle->is_memory_hidden = recycle->is_memory_useless = false;
	recycle->conf = listener->conf;
	recycle->timer.on_timer = recycle_on_timer;
	loop_arm(listener->world->loop, &recycle->timer, clock_now_ns());
}

/* A reload has changed what the supervisor goes by, and left the worker as it is. */
static void
recycle_begin_anew(struct listener *listener)
{
	struct recycle *recycle = &listener->recycle;

	recycle->conf = listener->conf;
	recycle->is_due = recycle->is_memory_useless = false;
	loop_arm(listener->world->loop, &recycle->timer, clock_now_ns());
}

static size_t
recycle_count_old(const struct listener *listener)
{
	size_t count = 0;

	for (const struct child *child = listener->old; child != NULL; child = child->next)
		count += child->state != CHILD_GONE;
	return count;
}

static bool
recycle_may_begin(const struct supervisor *supervisor, const struct listener *listener)
{
	return reload_is_idle(supervisor) && !supervisor->upgrade.is_wanted &&
	       clock_now_ns() >= listener->recycle.not_before_ns &&
	       (int64_t)recycle_count_old(listener) < supervisor->config->max_generations;
}

static void
recycle_begin(struct listener *listener)
{
	struct recycle *recycle = &listener->recycle;

	recycle->began_ns = clock_now_ns();
	recycle->next = listener_make_child(listener);
	child_start(recycle->next, listener->current->generation);
	listener->world->on_change(listener->world);
}

static void
recycle_fail(struct listener *listener)
{
	struct recycle *recycle = &listener->recycle;
	const struct report *failures = &recycle->next->failures;
	CLEANUP_FREE char *why = failures->count > 0 ? report_sentence(&failures->entries[0])
						     : memory_text("its worker has ended");
	char when[32];

	recycle->delay_ns = recycle->delay_ns == 0 ? RECYCLE_DELAY_FIRST_NS : 2 * recycle->delay_ns;
	if (recycle->delay_ns > RECYCLE_DELAY_MOST_NS)
		recycle->delay_ns = RECYCLE_DELAY_MOST_NS;
	recycle->not_before_ns = clock_now_ns() + recycle->delay_ns;
	log_event(LOG_EVENT_NOT_RECYCLED, listener->name,
		  "'%s' is not recycled, its worker (pid %d) goes on: %s; tried again in %s",
		  listener->name, (int)listener->current->process.pid, why,
		  parse_format_duration(recycle->delay_ns / CLOCK_NS_PER_MS, when, sizeof(when)));
	recycle_give_up(listener);
}

static void
recycle_commit(struct listener *listener)
{
	struct recycle *recycle = &listener->recycle;
	struct child *next = recycle->next;
	int64_t now_ns = clock_now_ns();

	log_event(LOG_EVENT_RECYCLED, listener->name,
		  "'%s' recycled: its worker (pid %d) drains, as %s; pid %d takes its place",
		  listener->name, (int)listener->current->process.pid, recycle->reason,
		  (int)next->process.pid);
	recycle->next = NULL;
	recycle->count++;
	recycle->delay_ns = 0;
	recycle->took_ns = now_ns - recycle->began_ns;
	recycle->not_before_ns = recycle->began_ns + RECYCLE_PACE_NS;
	listener_replace_worker(listener, next,
				clock_deadline_ns(listener->config->drain_timeout_ms));
	recycle_begin_measuring(listener);
}

static void
recycle_look_at(struct supervisor *supervisor, struct listener *listener)
{
	struct recycle *recycle = &listener->recycle;

	if (!recycle_is_possible(listener)) {
		recycle_stop(listener);
		return;
	}
	if (listener->current->process.pid != recycle->pid) {
		recycle_give_up(listener);
		recycle_begin_measuring(listener);
	} else if (listener->conf != recycle->conf) {
		recycle_begin_anew(listener);
	}
	if (recycle->next != NULL && recycle->next->state == CHILD_READY)
		recycle_commit(listener);
	else if (recycle->next != NULL && recycle->next->state == CHILD_FAILED)
		recycle_fail(listener);
	if (recycle->next == NULL && recycle->is_due && recycle_may_begin(supervisor, listener))
		recycle_begin(listener);
	/* what keeps it from beginning ends with a change, which is looked at, or with time */
	if (recycle->next == NULL && !recycle->timer.is_armed) {
		int64_t now_ns = clock_now_ns();

		loop_arm(listener->world->loop, &recycle->timer,
			 recycle->not_before_ns > now_ns ? recycle->not_before_ns
							 : now_ns + RECYCLE_LATE_NS);
	}
}

void
recycle_look(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->listener_count; i++)
		recycle_look_at(supervisor, supervisor->listeners[i]);
}

void
recycle_give_way(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->listener_count; i++)
		recycle_give_up(supervisor->listeners[i]);
}

void
recycle_stop(struct listener *listener)
{
	loop_disarm(listener->world->loop, &listener->recycle.timer);
	recycle_give_up(listener);
	listener->recycle.pid = 0;
}
