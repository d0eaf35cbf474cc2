/*
 * overdue.c - the clock and the sentences that all modes share.
 */
#include "concurrency/overdue.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "concurrency/concurrency.h"
#include "net/peer.h"

/* Between two looks at least: many that end one after the other are ended together. */
#define OVERDUE_PAUSE_NS (10 * CLOCK_NS_PER_MS)
#define OVERDUE_LOGGED 10

enum overdue_step
overdue_judge(const struct overdue_row *row, int64_t timeout_ns, int64_t now_ns, int64_t *next_ns)
{
	enum overdue_step step = OVERDUE_CANCEL;
	int64_t due_ns = row->opened_ns + timeout_ns;

	if (row->aborted_ns != 0) {
		step = OVERDUE_KILL;
		due_ns = row->aborted_ns + OVERDUE_GRACE_NS;
	} else if (row->cancelled_ns != 0) {
		step = OVERDUE_ABORT;
		due_ns = row->cancelled_ns + OVERDUE_GRACE_NS;
	}
	if (due_ns <= now_ns)
		return step;
	if (due_ns < *next_ns)
		*next_ns = due_ns;
	return OVERDUE_NOTHING;
}

static void
overdue_on_timer(struct loop_timer *timer)
{
	struct overdue *overdue = CONTAINER_OF(timer, struct overdue, timer);
	int64_t now_ns = clock_now_ns();
	/* what begins after this look is not due before */
	int64_t next_ns = now_ns + overdue->mode->handler_timeout_ns;

	overdue->look(overdue, now_ns, &next_ns);
	if (next_ns < now_ns + OVERDUE_PAUSE_NS)
		next_ns = now_ns + OVERDUE_PAUSE_NS;
	loop_arm(overdue->mode->loop, timer, next_ns);
}

void
overdue_start(struct overdue *overdue, struct concurrency *mode,
	      void (*look)(struct overdue *overdue, int64_t now_ns, int64_t *next_ns))
{
	overdue->mode = mode;
	overdue->look = look;
	overdue->timer.on_timer = overdue_on_timer;
	if (mode->handler_timeout_ns > 0)
		loop_arm(mode->loop, &overdue->timer, clock_now_ns() + mode->handler_timeout_ns);
}

struct log_context
overdue_context(const struct concurrency *mode, const struct scoreboard_connection *shown,
		char *peer)
{
	struct log_context context = server_log_context(mode->server);

	context.connection_id = shown->id;
	context.peer = scoreboard_format_peer(shown, peer, PEER_NAME_SIZE);
	return context;
}

void
overdue_tell(struct concurrency *mode, const struct scoreboard_connection *shown, int64_t now_ns)
{
	int64_t taken_ns = now_ns - shown->opened_ns;
	struct log_context context;
	char peer[PEER_NAME_SIZE];
	uint64_t suppressed = 0;

	(void)atomic_fetch_add_explicit(&mode->board->timed_out, 1, memory_order_relaxed);
	if (!log_limit(&mode->server->limiters->timeouts, OVERDUE_LOGGED, &suppressed))
		return;
	context = overdue_context(mode, shown, peer);
	context.event = LOG_EVENT_HANDLER_TIMEOUT;
	log_write(LOG_LEVEL_WARNING, &context,
		  "handler '%s' has been at it for %" PRId64 ".%03" PRId64
		  " s, longer than timeouts.handler (%" PRId64 ".%03" PRId64 " s): it is cancelled",
		  mode->server->handler.name, taken_ns / CLOCK_NS_PER_S,
		  taken_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS,
		  mode->handler_timeout_ns / CLOCK_NS_PER_S,
		  mode->handler_timeout_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS);
	if (suppressed > 0)
		log_write(LOG_LEVEL_WARNING, &context,
			  "%" PRIu64 " more that were cancelled so were not logged", suppressed);
}
