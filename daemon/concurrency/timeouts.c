/*
 * timeouts.c - the judgement, the clock and the sentences that all modes share.
 */
#include "concurrency/timeouts.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "concurrency/concurrency.h"
#include "net/peer.h"

/* Between two looks at least: many that end one after the other are ended together. */
#define TIMEOUTS_PAUSE_NS (10 * CLOCK_NS_PER_MS)
/* Between two that must see whether bytes pass: so late a timeout may be noticed, twice where a
 * flow first has to tell what its client has taken. */
#define TIMEOUTS_MOST_PERIOD_NS (400 * CLOCK_NS_PER_MS)
#define TIMEOUTS_LOOKS 8
#define TIMEOUTS_LOGGED 10

static int64_t
timeouts_lesser(int64_t a_ns, int64_t b_ns)
{
	return b_ns > 0 && b_ns < a_ns ? b_ns : a_ns;
}

int64_t
timeouts_period_ns(const struct timeout_limits *limits)
{
	int64_t least_ns = TIMEOUTS_MOST_PERIOD_NS * TIMEOUTS_LOOKS;

	least_ns = timeouts_lesser(least_ns, limits->first_byte_ns);
	least_ns = timeouts_lesser(least_ns, limits->idle_ns);
	least_ns = timeouts_lesser(least_ns, limits->send_ns);
	if (limits->min_rate > 0)
		least_ns = timeouts_lesser(least_ns, limits->grace_ns);
	least_ns /= TIMEOUTS_LOOKS;
	return least_ns > TIMEOUTS_PAUSE_NS ? least_ns : TIMEOUTS_PAUSE_NS;
}

bool
timeouts_ask_for_bytes(const struct timeout_limits *limits)
{
	return limits->idle_ns > 0 || limits->send_ns > 0 || limits->min_rate > 0;
}

/* Notes what has passed since the last look. Time counts if the flow waited at both of its ends:
 * then a client is never judged too early. */
static void
timeouts_follow(const struct timeout_limits *limits, struct timeouts_row *row,
		const struct scoreboard_connection *shown, int64_t now_ns)
{
	uint64_t in = shown->bytes_in, out = shown->bytes_out - shown->unsent;
	unsigned waits = row->waited & shown->waits;
	int64_t step_ns = now_ns - row->looked_ns;
	bool has_taken = out != row->bytes_out;
	bool has_moved = has_taken || in != row->bytes_in;

	if (has_moved)
		row->quiet_ns = 0;
	else if (row->waited != 0 && shown->waits != 0)
		row->quiet_ns += step_ns;
	if (has_taken || (shown->waits & SCOREBOARD_WAITS_OUTPUT) == 0)
		row->stuck_ns = 0;
	else if ((waits & SCOREBOARD_WAITS_OUTPUT) != 0)
		row->stuck_ns += step_ns;
	if (row->waited != 0 && shown->waits != 0)
		row->rate_ns += step_ns;
	row->waited = shown->waits;
	row->bytes_in = in;
	row->bytes_out = out;
	row->looked_ns = now_ns;
	/* between two messages a client may be silent: its time of grace begins with what it
	 * sends next */
	if (shown->phase == SCOREBOARD_IDLE &&
	    (in + out == row->rate_bytes || row->quiet_ns >= limits->grace_ns)) {
		row->rate_bytes = in + out;
		row->rate_ns = 0;
	}
}

static void
timeouts_begin(struct timeouts_row *row, const struct scoreboard_connection *shown, int64_t now_ns)
{
	*row = (struct timeouts_row){
		.id = shown->id,
		.opened_ns = shown->opened_ns,
		.looked_ns = now_ns,
		.bytes_in = shown->bytes_in,
		.bytes_out = shown->bytes_out - shown->unsent,
		.waited = shown->waits,
	};
}

void
timeouts_spare(struct timeouts_row *row, int64_t until_ns)
{
	row->quiet_ns = row->stuck_ns = row->rate_ns = 0;
	row->rate_bytes = row->bytes_in + row->bytes_out;
	row->spared_ns = until_ns;
}

/* Whether too few bytes have passed in the time of grace. If enough have, the next one begins. */
static bool
timeouts_is_slow(const struct timeout_limits *limits, struct timeouts_row *row,
		 const struct scoreboard_connection *shown)
{
	uint64_t bytes = row->bytes_in + row->bytes_out;
	double needed;

	if (limits->min_rate == 0 || row->rate_ns < limits->grace_ns)
		return false;
	/* of one that is silent between messages, judge when the next one comes */
	if (shown->phase == SCOREBOARD_IDLE && row->quiet_ns > 0)
		return false;
	needed = (double)limits->min_rate * ((double)row->rate_ns / (double)CLOCK_NS_PER_S);
	if ((double)(int64_t)(bytes - row->rate_bytes) < needed)
		return true;
	row->rate_bytes = bytes;
	row->rate_ns = 0;
	return false;
}

/* Why the connection is to be ended by its client's doing, CLOSE_NONE: it is not. */
static enum close_reason
timeouts_judge_client(const struct timeout_limits *limits, struct timeouts_row *row,
		      const struct scoreboard_connection *shown, int64_t now_ns, int64_t *next_ns)
{
	bool waits_for_first = shown->bytes_in == 0 && limits->first_byte_ns > 0;
	int64_t first_ns = row->opened_ns + limits->first_byte_ns;

	if (row->spared_ns > now_ns) {
		*next_ns = timeouts_lesser(*next_ns, row->spared_ns);
		return CLOSE_NONE;
	}
	if (waits_for_first && first_ns > now_ns)
		*next_ns = timeouts_lesser(*next_ns, first_ns);
	else if (waits_for_first && (shown->waits & SCOREBOARD_WAITS_INPUT) != 0)
		return CLOSE_FIRST_BYTE;
	/* it is the handler that does not want it yet */
	else if (waits_for_first)
		*next_ns = timeouts_lesser(*next_ns, now_ns + timeouts_period_ns(limits));
	if (shown->waits != 0 && limits->send_ns > 0 && row->stuck_ns >= limits->send_ns)
		return CLOSE_SEND;
	if (shown->waits != 0 && limits->idle_ns > 0 && row->quiet_ns >= limits->idle_ns)
		return CLOSE_IDLE;
	if (shown->waits != 0 && timeouts_is_slow(limits, row, shown))
		return CLOSE_MIN_RATE;
	if (limits->idle_ns > 0 && shown->waits != 0)
		*next_ns = timeouts_lesser(*next_ns, now_ns + limits->idle_ns - row->quiet_ns);
	if (limits->send_ns > 0 && (shown->waits & SCOREBOARD_WAITS_OUTPUT) != 0)
		*next_ns = timeouts_lesser(*next_ns, now_ns + limits->send_ns - row->stuck_ns);
	return CLOSE_NONE;
}

/* The way of a handler that does not return. */
static enum timeouts_step
timeouts_judge_handler(const struct timeout_limits *limits, const struct timeouts_row *row,
		       int64_t now_ns, int64_t *next_ns)
{
	enum timeouts_step step = TIMEOUTS_END;
	int64_t due_ns = row->opened_ns + limits->handler_ns;

	if (limits->handler_ns == 0)
		return TIMEOUTS_NOTHING;
	if (row->aborted_ns != 0) {
		step = TIMEOUTS_KILL;
		due_ns = row->aborted_ns + TIMEOUTS_GRACE_NS;
	} else if (row->ended_ns != 0) {
		step = TIMEOUTS_ABORT;
		due_ns = row->ended_ns + TIMEOUTS_GRACE_NS;
	}
	if (due_ns <= now_ns)
		return step;
	*next_ns = timeouts_lesser(*next_ns, due_ns);
	return TIMEOUTS_NOTHING;
}

enum timeouts_step
timeouts_judge(const struct timeout_limits *limits, struct timeouts_row *row,
	       const struct scoreboard_connection *shown, int64_t now_ns, int64_t *next_ns,
	       enum close_reason *ret_reason)
{
	enum timeouts_step step;

	if (row->id != shown->id)
		timeouts_begin(row, shown, now_ns);
	else
		timeouts_follow(limits, row, shown, now_ns);
	*ret_reason = CLOSE_HANDLER_TIMEOUT;
	step = timeouts_judge_handler(limits, row, now_ns, next_ns);
	/* it ends already; only its handler is still to be watched */
	if (step != TIMEOUTS_NOTHING || shown->reason != CLOSE_NONE)
		return step;
	*ret_reason = CLOSE_TOTAL;
	if (limits->total_ns > 0 && row->opened_ns + limits->total_ns <= now_ns)
		return TIMEOUTS_END;
	if (limits->total_ns > 0)
		*next_ns = timeouts_lesser(*next_ns, row->opened_ns + limits->total_ns);
	*ret_reason = timeouts_judge_client(limits, row, shown, now_ns, next_ns);
	return *ret_reason != CLOSE_NONE ? TIMEOUTS_END : TIMEOUTS_NOTHING;
}

/* When to look again at the latest: what begins after this look is not due before. */
static int64_t
timeouts_next_ns(const struct timeouts *timeouts, int64_t now_ns)
{
	const struct timeout_limits *limits = &timeouts->mode->timeouts;
	int64_t left_ns = INT64_MAX / 2;

	left_ns = timeouts_lesser(left_ns, limits->handler_ns);
	left_ns = timeouts_lesser(left_ns, limits->total_ns);
	left_ns = timeouts_lesser(left_ns, limits->first_byte_ns);
	left_ns = timeouts_lesser(left_ns, timeouts->period_ns);
	return now_ns + left_ns;
}

static void
timeouts_on_timer(struct loop_timer *timer)
{
	struct timeouts *timeouts = CONTAINER_OF(timer, struct timeouts, timer);
	int64_t now_ns = clock_now_ns();
	int64_t next_ns = timeouts_next_ns(timeouts, now_ns);

	timeouts->look(timeouts, now_ns, &next_ns);
	if (next_ns < now_ns + TIMEOUTS_PAUSE_NS)
		next_ns = now_ns + TIMEOUTS_PAUSE_NS;
	loop_arm(timeouts->mode->loop, timer, next_ns);
}

bool
timeouts_are_set(const struct timeout_limits *limits)
{
	return limits->first_byte_ns > 0 || limits->total_ns > 0 || limits->handler_ns > 0 ||
	       timeouts_ask_for_bytes(limits);
}

void
timeouts_start(struct timeouts *timeouts, struct concurrency *mode,
	       void (*look)(struct timeouts *timeouts, int64_t now_ns, int64_t *next_ns))
{
	const struct timeout_limits *limits = &mode->timeouts;

	timeouts->mode = mode;
	timeouts->look = look;
	timeouts->timer.on_timer = timeouts_on_timer;
	timeouts->period_ns = timeouts_ask_for_bytes(limits) ? timeouts_period_ns(limits) : 0;
	if (timeouts_are_set(limits))
		loop_arm(mode->loop, &timeouts->timer, timeouts_next_ns(timeouts, clock_now_ns()));
}

struct log_context
timeouts_context(const struct concurrency *mode, const struct scoreboard_connection *shown,
		 char *peer)
{
	struct log_context context = server_log_context(mode->server);

	context.connection_id = shown->id;
	context.peer = scoreboard_format_peer(shown, peer, PEER_NAME_SIZE);
	return context;
}

void
timeouts_tell(struct concurrency *mode, const struct scoreboard_connection *shown, int64_t now_ns)
{
	int64_t taken_ns = now_ns - shown->opened_ns, limit_ns = mode->timeouts.handler_ns;
	struct log_context context;
	char peer[PEER_NAME_SIZE];
	uint64_t suppressed = 0;

	(void)atomic_fetch_add_explicit(&mode->board->timed_out, 1, memory_order_relaxed);
	if (!log_limit(&mode->server->limiters->timeouts, TIMEOUTS_LOGGED, &suppressed))
		return;
	context = timeouts_context(mode, shown, peer);
	context.event = LOG_EVENT_HANDLER_TIMEOUT;
	log_write(LOG_LEVEL_WARNING, &context,
		  "handler '%s' has been at it for %" PRId64 ".%03" PRId64
		  " s, longer than timeouts.handler (%" PRId64 ".%03" PRId64 " s): it is cancelled",
		  mode->server->handler.name, taken_ns / CLOCK_NS_PER_S,
		  taken_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS, limit_ns / CLOCK_NS_PER_S,
		  limit_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS);
	if (suppressed > 0)
		log_write(LOG_LEVEL_WARNING, &context,
			  "%" PRIu64 " more that were cancelled so were not logged", suppressed);
}
