/*
 * child.c - the life of a worker: what the actions of its state table do.
 */
#include "supervisor/child.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/* A worker ends itself 1 s after the drain deadline; one that does not is killed a little later. */
#define CHILD_GRACE_NS (CLOCK_NS_PER_S + 200 * CLOCK_NS_PER_MS)
/* A worker that ends itself for a stuck handler is dead by then: SIGABRT, 1 s, exit. */
#define CHILD_STUCK_NS (3 * CLOCK_NS_PER_S)
/* Until it is looked whether there is room for a process again. */
#define CHILD_SHORTAGE_MS 100

static void
child_on_refusal(struct process *process, const struct refusal *refusal)
{
	struct child *child = CONTAINER_OF(process, struct child, process);

	if (child->owner->on_refusal != NULL)
		child->owner->on_refusal(child, refusal);
}

static void
child_on_death(struct process *process, int status)
{
	struct child *child = CONTAINER_OF(process, struct child, process);
	bool was_asked = child->state == CHILD_DRAINING || child->is_once;

	child->last_status = status;
	child->is_timeout =
		child->stuck_ns != 0 && clock_now_ns() - child->stuck_ns < CHILD_STUCK_NS;
	death_note(child, status);
	child->owner->on_end(child, was_asked && WIFEXITED(status));
	child_handle(child, child->is_once ? CHILD_FINISHED : CHILD_DIED);
}

static void
child_on_timer(struct loop_timer *timer)
{
	struct child *child = CONTAINER_OF(timer, struct child, timer);
	bool is_rest = child->is_on_demand && child->state == CHILD_BACKOFF;

	child_handle(child, is_rest ? CHILD_REST : CHILD_TIMER);
}

static void
child_set_callbacks(struct child *child)
{
	child->timer.on_timer = child_on_timer;
	child->process.on_message = child_hear;
	child->process.on_death = child_on_death;
	child->process.on_refusal = child_on_refusal;
}

static int
child_execute(struct child *child)
{
	int r;

	child->was_ready = child->is_quiet = child->is_timeout = false;
	child->stuck_ns = 0;
	child->has_accepted = child->is_retiring = child->is_pausing = false;
	child_set_callbacks(child);
	r = child->owner->start(child, child->generation);
	if (r >= 0)
		loop_arm(child->loop, &child->timer, clock_deadline_ns(child->start_timeout_ms));
	else
		report_error(&child->failures, NULL, 0, "worker of '%s' cannot be started: %s",
			     child->name, strerror(-r));
	return r;
}

static void
child_fail(struct child *child)
{
	CLEANUP_FREE char *sentence = NULL;

	loop_disarm(child->loop, &child->timer);
	if (child->failures.errors > 0)
		return;
	sentence = death_explain_failure(child);
	report_error(&child->failures, NULL, 0, "%s", sentence);
}

/* That there is no room for a process says nothing about the worker: no growing pauses. */
static bool
child_is_shortage(int error)
{
	return error == -EAGAIN || error == -ENOMEM || error == -EMFILE || error == -ENFILE ||
	       error == -ENOBUFS || error == -ENOSPC;
}

static void
child_wait_shortage(struct child *child)
{
	uint64_t suppressed = 0;

	if (log_limit(&child->shortages, 1, &suppressed))
		log_event(LOG_EVENT_SHORTAGE, child->name,
			  "worker of '%s' cannot be started: %s; clients wait, trying again every "
			  "%d ms (%" PRIu64 " attempts failed before)",
			  child->name, strerror(-child->shortage), CHILD_SHORTAGE_MS, suppressed);
	child->shortage = 0;
	report_free(&child->failures);
	loop_arm(child->loop, &child->timer, clock_deadline_ns(CHILD_SHORTAGE_MS));
}

/* What the worker has said before it died is told, and forgotten. */
static void
child_log_failures(struct child *child, int level)
{
	for (size_t i = 0; i < child->failures.count; i++) {
		CLEANUP_FREE char *sentence = report_sentence(&child->failures.entries[i]);

		log_write(level, NULL, "%s", sentence);
	}
	report_free(&child->failures);
}

/* The worker is dead and must be followed by another: now, or after a pause. */
static void
child_replace(struct child *child)
{
	int64_t now_ns = clock_now_ns();
	int64_t lived_ns = child->was_ready ? now_ns - child->ready_ns : 0;
	int64_t delay_ns = backoff_next(&child->backoff, child->was_ready, lived_ns, now_ns);
	const char *what =
		child->is_on_demand ? "the next client starts another" : "it is replaced";
	char when[96];

	child->crashes += !child->is_timeout;
	if (child->is_given_up)
		(void)snprintf(when, sizeof(when), "what was before takes its place");
	else if (delay_ns > 0)
		(void)snprintf(when, sizeof(when), "%s in %" PRId64 " ms%s", what,
			       delay_ns / CLOCK_NS_PER_MS,
			       child->is_on_demand ? " at the earliest" : "");
	else
		(void)snprintf(when, sizeof(when), "%s%s", what,
			       child->is_on_demand ? "" : " at once");
	child_log_failures(child, LOG_LEVEL_ERROR);
	death_log(child, child->is_timeout ? LOG_EVENT_HANDLER_STUCK : LOG_EVENT_WORKER_CRASHED,
		  when);
	loop_arm(child->loop, &child->timer, now_ns + delay_ns);
}

static bool
child_may_accept(const struct child *child)
{
	return child->owner->may_accept == NULL || child->owner->may_accept(child);
}

void
child_accept(struct child *child)
{
	if (child->state != CHILD_SERVING || !child_may_accept(child))
		return;
	child->has_accepted = true;
	child->is_retiring = child->is_pausing = child->is_quiet = false;
	process_send(&child->process, PROTOCOL_ACCEPT, NULL);
}

void
child_pause(struct child *child)
{
	if (child->state != CHILD_SERVING)
		return;
	child->is_pausing = true;
	process_send(&child->process, PROTOCOL_PAUSE, NULL);
}

void
child_retire(struct child *child)
{
	if (child->state != CHILD_SERVING)
		return;
	child->is_retiring = true;
	process_send(&child->process, PROTOCOL_RETIRE, NULL);
}

/* An answer that comes too late must not leave a worker that accepts nothing. */
static void
child_note_idle(struct child *child)
{
	if (child->is_retiring && child->owner->on_idle != NULL)
		child->owner->on_idle(child);
	else
		child_accept(child);
}

static void
child_restart(struct child *child)
{
	int r = child_execute(child);

	if (r >= 0)
		return;
	child->shortage = child_is_shortage(r) ? r : 0;
	child_handle(child, CHILD_DIED);
}

static void
child_kill(struct child *child, const char *why)
{
	death_log_cut(child, "as the worker is killed");
	report_error(&child->failures, NULL, 0, "worker of '%s' (handler '%s') %s; it is killed",
		     child->name, child->handler, why);
	process_kill(&child->process);
}

static void
child_note_ready(struct child *child)
{
	loop_disarm(child->loop, &child->timer);
	child->was_ready = true;
	child->ready_ns = clock_now_ns();
}

static void
child_tell_drain(struct child *child)
{
	struct buf payload = {0};

	buf_add_u64(&payload, (uint64_t)child->deadline_ns);
	process_send(&child->process, PROTOCOL_DRAIN, &payload);
	buf_free(&payload);
	loop_arm(child->loop, &child->timer, child->deadline_ns + CHILD_GRACE_NS);
}

static void
child_end(struct child *child)
{
	loop_disarm(child->loop, &child->timer);
	child->is_quiet = true;
	if (!WIFEXITED(child->last_status) || WEXITSTATUS(child->last_status) != 0)
		death_log(child, LOG_EVENT_WORKER_LOST, "its connections are lost");
	child_log_failures(child, LOG_LEVEL_WARNING);
}

static void
child_act(struct child *child, enum child_action action)
{
	switch (action) {
	case CHILD_IGNORE:
	case CHILD_NOTE_FAILURE:
	case CHILD_WAIT:
		break;
	case CHILD_NOTE_READY:
		child_note_ready(child);
		break;
	case CHILD_NOTE_QUIET:
		/* one that goes on accepting after all has said it too late */
		child->is_quiet = child->state != CHILD_SERVING || child->is_pausing;
		break;
	case CHILD_FAIL:
		child_fail(child);
		break;
	case CHILD_REPLACE:
		if (child->shortage != 0)
			child_wait_shortage(child);
		else
			child_replace(child);
		break;
	case CHILD_RESTART:
		child_restart(child);
		break;
	case CHILD_ACCEPT:
		child_note_ready(child);
		child_accept(child);
		break;
	case CHILD_RETIRE:
		child_note_idle(child);
		break;
	case CHILD_TELL_DRAIN:
		child_tell_drain(child);
		break;
	case CHILD_KILL_LATE:
		child_kill(child, "was not ready within start_timeout");
		break;
	case CHILD_KILL_STUCK:
		child_kill(child, "did not end after the drain deadline");
		break;
	case CHILD_END:
		child_end(child);
		break;
	case CHILD_DESTROY:
		loop_disarm(child->loop, &child->timer);
		if (child->process.pid != 0) {
			death_log_cut(child, "as the worker is ended at once");
			process_destroy(&child->process);
			child->owner->on_end(child, true);
		}
		child->is_quiet = true;
		break;
	}
}

void
child_handle(struct child *child, enum child_event event)
{
	const struct child_transition *transition = &child_table[child->state][event];
	enum child_state before = child->state;

	CHECK(child->state < CHILD_STATES && event < CHILD_EVENTS);
	child->state = transition->next;
	child_act(child, transition->action);
	if (child->state != before || transition->action != CHILD_IGNORE)
		child->owner->on_change(child);
}

void
child_start(struct child *child, uint32_t generation)
{
	child->state = CHILD_STARTING;
	child->generation = generation;
	if (child_execute(child) < 0)
		child->state = CHILD_FAILED;
}

bool
child_state_has_process(enum child_state state)
{
	return state != CHILD_BACKOFF && state != CHILD_IDLE && state != CHILD_FAILED &&
	       state != CHILD_GONE;
}

void
child_attach(struct child *child)
{
	bool is_armed = child->timer.is_armed;
	int r = 0;

	child->timer.is_armed = false;
	child_set_callbacks(child);
	if (is_armed)
		loop_arm(child->loop, &child->timer, child->timer.when_ns);
	if (child->process.pid != 0)
		r = process_attach(&child->process, child->loop);
	if (r >= 0)
		return;
	/* without descriptors left, what cannot be watched is replaced */
	log_error("worker of '%s' cannot be watched any more: %s", child->name, strerror(-r));
	process_destroy(&child->process);
	child->last_status = SIGKILL;
	death_note(child, SIGKILL);
	child->owner->on_end(child, false);
	child_handle(child, CHILD_DIED);
}

void
child_rest(struct child *child, uint32_t generation)
{
	child->state = CHILD_IDLE;
	child->generation = generation;
	child->timer.on_timer = child_on_timer;
}

void
child_start_again(struct child *child, uint32_t generation)
{
	child_rest(child, generation);
	child_handle(child, CHILD_DEMAND);
}

void
child_drain(struct child *child, int64_t deadline_ns)
{
	if (child->state == CHILD_DRAINING && deadline_ns >= child->deadline_ns)
		return;
	child->deadline_ns = deadline_ns;
	child_handle(child, CHILD_DRAIN);
}

void
child_hold(struct child *child)
{
	if (child != NULL && child->state == CHILD_BACKOFF)
		loop_disarm(child->loop, &child->timer);
}

void
child_release(struct child *child)
{
	if (child == NULL)
		return;
	child->is_given_up = false;
	if (child->state == CHILD_BACKOFF && !child->timer.is_armed)
		loop_arm(child->loop, &child->timer, clock_now_ns());
}
