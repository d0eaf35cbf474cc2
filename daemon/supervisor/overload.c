/*
 * overload.c - measures, decides, and tells the workers through their scoreboards: the supervisor
 * writes one word there, which admission reads. What a worker makes of it is its own affair; no
 * more than its own clients are lost by it.
 */
#include "supervisor/overload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "supervisor/supervisor.h"
#include "supervisor/usage.h"

#define OVERLOAD_SAMPLE_NS CLOCK_NS_PER_S
#define OVERLOAD_CLOSE_NS (200 * CLOCK_NS_PER_MS)
/* A look takes at most this part of the time. */
#define OVERLOAD_SHARE 50
/* Who has grown by less would help nobody by refusing: so many bytes, such a part of one processor,
 * and such a part of what all have grown by. */
#define OVERLOAD_LEAST_MEMORY (UINT64_C(1) << 20)
#define OVERLOAD_LEAST_PROCESSOR 20
#define OVERLOAD_LEAST_PART 16

/* What it must be below for things to be well again. */
static int64_t
overload_memory_margin(int64_t limit)
{
	return limit - limit / 20;
}

/* Whether memory is below the limit by the margin; one that is not known is. */
static bool
overload_is_memory_well(int64_t limit, int64_t memory)
{
	return limit == 0 || memory < overload_memory_margin(limit);
}

static bool
overload_is_load_well(int64_t limit, int64_t load)
{
	return limit == 0 || load < limit - limit / 10;
}

static bool
overload_lacks_memory(const struct overload_row *row, const struct machine_state *state)
{
	return row->memory_limit > 0 && state->memory >= row->memory_limit;
}

static bool
overload_lacks_processors(const struct overload_row *row, const struct machine_state *state)
{
	return row->load_limit > 0 && state->load >= row->load_limit;
}

/* Whether the first is to refuse before the second. Memory is what kills; where both lack, it goes
 * first. */
static bool
overload_is_worse(const struct overload_row *a, const struct overload_row *b)
{
	if (a->for_memory != b->for_memory)
		return a->for_memory;
	if (a->for_memory && a->memory_grown != b->memory_grown)
		return a->memory_grown > b->memory_grown;
	return a->ticks_grown > b->ticks_grown;
}

static void
overload_begin_trend(struct overload_trend *trend, int64_t value, int64_t now_ns)
{
	*trend = (struct overload_trend){.since_ns = now_ns, .value = value};
}

/* Whether another one may join those that refuse: it has not got better for a while. */
static bool
overload_may_join(struct overload_trend *trend, int64_t value, int64_t after_ms, int64_t now_ns)
{
	if (trend->since_ns == 0) {
		overload_begin_trend(trend, value, now_ns);
		return false;
	}
	if (now_ns - trend->since_ns < after_ms * CLOCK_NS_PER_MS)
		return false;
	if (value >= trend->value)
		return true;
	overload_begin_trend(trend, value, now_ns);
	return false;
}

/* What all have grown by, of which one must have had its part. */
struct overload_growth {
	uint64_t memory, ticks;
	uint64_t ticks_least;
};

static struct overload_growth
overload_add_growth(const struct overload_row *rows, size_t count, int64_t over_ns)
{
	struct overload_growth sum = {0};

	for (size_t i = 0; i < count; i++) {
		sum.memory += rows[i].memory_grown;
		sum.ticks += rows[i].ticks_grown;
	}
	sum.ticks_least = (uint64_t)(over_ns / CLOCK_NS_PER_MS) * (uint64_t)sysconf(_SC_CLK_TCK) /
			  1000 / OVERLOAD_LEAST_PROCESSOR;
	return sum;
}

static bool
overload_has_grown_memory(const struct overload_row *row, const struct overload_growth *sum)
{
	return row->memory_grown >= OVERLOAD_LEAST_MEMORY &&
	       row->memory_grown >= sum->memory / OVERLOAD_LEAST_PART;
}

static bool
overload_has_used_processors(const struct overload_row *row, const struct overload_growth *sum)
{
	return row->ticks_grown > sum->ticks_least &&
	       row->ticks_grown >= sum->ticks / OVERLOAD_LEAST_PART;
}

/* Which of them go on refusing, and which of two reasons somebody has to. */
static void
overload_decide_ends(struct overload_row *rows, size_t count, const struct machine_state *state,
		     bool *ret_for_memory, bool *ret_for_load)
{
	*ret_for_memory = *ret_for_load = false;
	for (size_t i = 0; i < count; i++) {
		struct overload_row *row = &rows[i];

		row->begins = false;
		row->ends = row->is_shedding &&
			    overload_is_memory_well(row->memory_limit, state->memory) &&
			    overload_is_load_well(row->load_limit, state->load);
		if (!row->is_shedding || row->ends)
			continue;
		*ret_for_memory |= row->memory_limit > 0;
		*ret_for_load |= row->load_limit > 0;
	}
}

void
overload_decide(struct overload_row *rows, size_t count, const struct machine_state *state,
		struct overload_trends *trends, int64_t now_ns)
{
	struct overload_growth sum =
		overload_add_growth(rows, count, now_ns - trends->load.since_ns);
	bool is_for_memory, is_for_load, may_memory, may_load;
	struct overload_row *worst = NULL;

	overload_decide_ends(rows, count, state, &is_for_memory, &is_for_load);
	if (!is_for_memory)
		trends->memory.since_ns = 0;
	if (!is_for_load)
		trends->load.since_ns = 0;
	may_memory = !is_for_memory ||
		     overload_may_join(&trends->memory, state->memory, OVERLOAD_MEMORY_MS, now_ns);
	may_load = !is_for_load ||
		   overload_may_join(&trends->load, state->load, OVERLOAD_LOAD_MS, now_ns);
	for (size_t i = 0; i < count; i++) {
		struct overload_row *row = &rows[i];
		bool is_load = may_load && overload_lacks_processors(row, state) &&
			       (!is_for_load || overload_has_used_processors(row, &sum));

		row->for_memory = may_memory && overload_lacks_memory(row, state) &&
				  (!is_for_memory || overload_has_grown_memory(row, &sum));
		if (row->is_shedding || !row->may_shed || (!row->for_memory && !is_load))
			continue;
		if (worst == NULL || overload_is_worse(row, worst))
			worst = row;
	}
	if (worst == NULL)
		return;
	worst->begins = true;
	overload_begin_trend(&trends->memory, state->memory, now_ns);
	overload_begin_trend(&trends->load, state->load, now_ns);
}

static void
overload_measure_child(const struct child *child, uint64_t *memory, uint64_t *ticks)
{
	struct usage usage;

	if (child == NULL || child->process.pid == 0 || usage_read(child->process.pid, &usage) < 0)
		return;
	*memory += usage.memory;
	*ticks += usage.ticks;
}

static void
overload_measure(struct listener *listener, const struct machine_state *state)
{
	struct overload *overload = &listener->overload;
	uint64_t memory = 0, ticks = 0;

	overload_measure_child(listener->current, &memory, &ticks);
	for (const struct child *child = listener->old; child != NULL; child = child->next)
		overload_measure_child(child, &memory, &ticks);
	/* with a worker goes what it has used */
	if (ticks < overload->ticks)
		overload->ticks_then = ticks;
	overload->ticks = ticks;
	overload->memory = memory;
	if (overload_is_memory_well(listener->conf->limits.overload_memory * 10, state->memory) ||
	    overload->memory_well == 0 || memory < overload->memory_well)
		overload->memory_well = memory;
}

static bool
overload_is_wanted(const struct listener *listener)
{
	const struct conf_limits *limits = &listener->conf->limits;

	return listener->overload.is_shedding || limits->overload_memory > 0 ||
	       limits->overload_load_thousandths > 0;
}

static void
overload_tell_worker(const struct listener *listener)
{
	const struct child *child = listener->current;

	if (child != NULL && child->board != NULL)
		atomic_store(&child->board->is_shedding, listener->overload.is_shedding);
}

static struct overload_row
overload_make_row(const struct listener *listener)
{
	const struct overload *overload = &listener->overload;
	const struct child *child = listener->current;

	return (struct overload_row){
		.memory_limit = listener->conf->limits.overload_memory * 10,
		.load_limit = listener->conf->limits.overload_load_thousandths,
		.may_shed = child != NULL && child->state == CHILD_SERVING && !listener->is_paused,
		.is_shedding = overload->is_shedding,
		.memory_grown = overload->memory - overload->memory_well,
		.ticks_grown = overload->ticks - overload->ticks_then,
	};
}

/* "memory 83% (limit 80%), load 3.10 (limit 8.00)": what the listener goes by. */
static char *
overload_describe(const struct listener *listener, const struct machine_state *state)
{
	const struct conf_limits *limits = &listener->conf->limits;
	struct buf text = {0};
	char *result;

	if (limits->overload_memory > 0 && state->memory >= 0)
		buf_add_format(&text, "memory %" PRId64 ".%" PRId64 "%% (limit %" PRId64 "%%)",
			       state->memory / 10, state->memory % 10, limits->overload_memory);
	if (limits->overload_load_thousandths > 0 && state->load >= 0)
		buf_add_format(&text, "%sload %.2f (limit %.2f)", text.length > 0 ? ", " : "",
			       (double)state->load / 1000,
			       (double)limits->overload_load_thousandths / 1000);
	if (text.length == 0)
		buf_add_format(&text, "limits.overload is gone");
	result = memory_format("%.*s", (int)text.length, (const char *)text.data);
	buf_free(&text);
	return result;
}

static void
overload_begin(struct listener *listener, const struct machine_state *state, int64_t now_ns)
{
	struct overload *overload = &listener->overload;
	CLEANUP_FREE char *why = overload_describe(listener, state);
	char has[32], grown[32];

	overload->is_shedding = true;
	overload->since_ns = now_ns;
	overload->refused = listener_count(listener).ended[CLOSE_OVERLOAD];
	overload_tell_worker(listener);
	log_event(LOG_EVENT_SHEDDING, listener->name,
		  "'%s' refuses new work: %s; its workers take %s, %s more than when memory was "
		  "well",
		  listener->name, why,
		  parse_format_size(overload->memory & ~UINT64_C(1023), has, sizeof(has)),
		  parse_format_size((overload->memory - overload->memory_well) & ~UINT64_C(1023),
				    grown, sizeof(grown)));
}

static void
overload_end(struct listener *listener, const struct machine_state *state, int64_t now_ns)
{
	struct overload *overload = &listener->overload;
	CLEANUP_FREE char *why = overload_describe(listener, state);
	uint64_t refused = listener_count(listener).ended[CLOSE_OVERLOAD];
	char took[32];

	overload->is_shedding = false;
	overload_tell_worker(listener);
	log_event(LOG_EVENT_SHEDDING_OVER, listener->name,
		  "'%s' takes new work again after %s: %s; %" PRIu64 " were refused",
		  listener->name,
		  parse_format_duration((now_ns - overload->since_ns) / CLOCK_NS_PER_MS, took,
					sizeof(took)),
		  why, refused > overload->refused ? refused - overload->refused : 0);
}

/* Once, for as long as it is so. */
static void
overload_tell_unknown(struct supervisor *supervisor, const struct listener *listener)
{
	struct overload_watch *watch = &supervisor->overloads;

	if (watch->state.memory < 0 && listener->conf->limits.overload_memory > 0 &&
	    !watch->is_memory_told) {
		log_event(LOG_EVENT_LOAD_UNKNOWN, listener->name,
			  "'%s': limits.overload.memory does nothing: neither /proc/meminfo nor a "
			  "control group tells how much memory is in use (in a systemd unit, "
			  "ProcSubset=pid hides it)",
			  listener->name);
		watch->is_memory_told = true;
	}
	if (watch->state.load < 0 && listener->conf->limits.overload_load_thousandths > 0 &&
	    !watch->is_load_told) {
		log_event(LOG_EVENT_LOAD_UNKNOWN, listener->name,
			  "'%s': limits.overload.load does nothing: there is no /proc/loadavg (in "
			  "a systemd unit, ProcSubset=pid hides it)",
			  listener->name);
		watch->is_load_told = true;
	}
}

/* Whether it is worth a look soon. */
static bool
overload_is_close(const struct listener *listener, const struct machine_state *state)
{
	return listener->overload.is_shedding ||
	       !overload_is_memory_well(listener->conf->limits.overload_memory * 10,
					state->memory + state->memory / 10);
}

/* Where nobody refuses, from one look to the next. */
static void
overload_note_ticks(struct supervisor *supervisor, int64_t now_ns)
{
	int64_t since_ns = supervisor->overloads.trends.load.since_ns;

	for (size_t i = 0; i < supervisor->listener_count; i++) {
		struct overload *overload = &supervisor->listeners[i]->overload;

		if (since_ns == 0 || since_ns == now_ns)
			overload->ticks_then = overload->ticks;
	}
}

/* Looks at all listeners that have the key. Returns after how long to look again. */
static int64_t
overload_sample(struct supervisor *supervisor, int64_t now_ns)
{
	struct overload_watch *watch = &supervisor->overloads;
	struct overload_row *rows = memory_zero(supervisor->listener_count, sizeof(*rows));
	int64_t next_ns = OVERLOAD_SAMPLE_NS;

	watch->state = machine_read("");
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = supervisor->listeners[i];

		if (!overload_is_wanted(listener))
			continue;
		overload_tell_unknown(supervisor, listener);
		overload_measure(listener, &watch->state);
		rows[i] = overload_make_row(listener);
		if (overload_is_close(listener, &watch->state))
			next_ns = OVERLOAD_CLOSE_NS;
	}
	overload_decide(rows, supervisor->listener_count, &watch->state, &watch->trends, now_ns);
	overload_note_ticks(supervisor, now_ns);
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (rows[i].ends)
			overload_end(supervisor->listeners[i], &watch->state, now_ns);
		if (!rows[i].begins)
			continue;
		overload_begin(supervisor->listeners[i], &watch->state, now_ns);
		next_ns = OVERLOAD_CLOSE_NS;
	}
	free(rows);
	return next_ns;
}

static void
overload_on_timer(struct loop_timer *timer)
{
	struct overload_watch *watch = CONTAINER_OF(timer, struct overload_watch, timer);
	struct supervisor *supervisor = CONTAINER_OF(watch, struct supervisor, overloads);
	int64_t now_ns = clock_now_ns();
	int64_t next_ns = overload_sample(supervisor, now_ns);
	int64_t took_ns = OVERLOAD_SHARE * (clock_now_ns() - now_ns);
	bool is_wanted = false;

	for (size_t i = 0; i < supervisor->listener_count; i++)
		is_wanted |= overload_is_wanted(supervisor->listeners[i]);
	if (is_wanted)
		loop_arm(&supervisor->loop, timer,
			 now_ns + (took_ns > next_ns ? took_ns : next_ns));
}

void
overload_look(struct supervisor *supervisor)
{
	struct overload_watch *watch = &supervisor->overloads;
	bool is_wanted = false;

	for (size_t i = 0; i < supervisor->listener_count && !supervisor->is_stopping; i++) {
		is_wanted |= overload_is_wanted(supervisor->listeners[i]);
		/* its worker may be another one by now */
		if (supervisor->listeners[i]->overload.is_shedding)
			overload_tell_worker(supervisor->listeners[i]);
	}
	if (!is_wanted) {
		overload_stop(supervisor);
		return;
	}
	watch->timer.on_timer = overload_on_timer;
	if (!watch->timer.is_armed)
		loop_arm(&supervisor->loop, &watch->timer, clock_now_ns());
}

void
overload_stop(struct supervisor *supervisor)
{
	loop_disarm(&supervisor->loop, &supervisor->overloads.timer);
}

void
overload_take_over(struct listener *listener, const struct listener *replaced)
{
	listener->overload = replaced->overload;
	overload_tell_worker(listener);
}
