/*
 * test_supervisor_child.c - the table of a worker's life, walked cell by cell, and lived through
 * with processes that are not there.
 */
#include "supervisor/child.h"

#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit.h"

/* The picture in child.h, arrow by arrow. */
static const struct arrow {
	enum child_state from;
	enum child_event event;
	enum child_state to;
	enum child_action action;
} arrows[] = {
	{CHILD_STARTING, CHILD_SAID_READY, CHILD_READY, CHILD_NOTE_READY},
	{CHILD_STARTING, CHILD_DIED, CHILD_FAILED, CHILD_FAIL},
	{CHILD_READY, CHILD_COMMIT, CHILD_SERVING, CHILD_ACCEPT},
	{CHILD_READY, CHILD_DIED, CHILD_FAILED, CHILD_FAIL},
	{CHILD_SERVING, CHILD_DRAIN, CHILD_DRAINING, CHILD_TELL_DRAIN},
	{CHILD_SERVING, CHILD_DIED, CHILD_BACKOFF, CHILD_REPLACE},
	{CHILD_BACKOFF, CHILD_TIMER, CHILD_REPLACING, CHILD_RESTART},
	{CHILD_REPLACING, CHILD_SAID_READY, CHILD_SERVING, CHILD_ACCEPT},
	{CHILD_REPLACING, CHILD_DIED, CHILD_BACKOFF, CHILD_REPLACE},
	{CHILD_DRAINING, CHILD_DIED, CHILD_GONE, CHILD_END},
	{CHILD_BACKOFF, CHILD_REST, CHILD_IDLE, CHILD_WAIT},
	{CHILD_IDLE, CHILD_DEMAND, CHILD_REPLACING, CHILD_RESTART},
	/* beside the picture: what is late or stuck is killed, and told why it failed */
	{CHILD_STARTING, CHILD_TIMER, CHILD_STARTING, CHILD_KILL_LATE},
	{CHILD_REPLACING, CHILD_TIMER, CHILD_REPLACING, CHILD_KILL_LATE},
	{CHILD_DRAINING, CHILD_TIMER, CHILD_DRAINING, CHILD_KILL_STUCK},
	{CHILD_DRAINING, CHILD_DRAIN, CHILD_DRAINING, CHILD_TELL_DRAIN},
	{CHILD_STARTING, CHILD_SAID_FAILED, CHILD_STARTING, CHILD_NOTE_FAILURE},
	{CHILD_REPLACING, CHILD_SAID_FAILED, CHILD_REPLACING, CHILD_NOTE_FAILURE},
	{CHILD_READY, CHILD_SAID_FAILED, CHILD_READY, CHILD_IGNORE},
	{CHILD_SERVING, CHILD_SAID_FAILED, CHILD_SERVING, CHILD_IGNORE},
	{CHILD_DRAINING, CHILD_SAID_FAILED, CHILD_DRAINING, CHILD_IGNORE},
	{CHILD_SERVING, CHILD_FINISHED, CHILD_GONE, CHILD_END},
	{CHILD_SERVING, CHILD_SAID_IDLE, CHILD_SERVING, CHILD_RETIRE},
	{CHILD_IDLE, CHILD_DRAIN, CHILD_GONE, CHILD_DESTROY},
	{CHILD_DRAINING, CHILD_SAID_QUIET, CHILD_DRAINING, CHILD_NOTE_QUIET},
};

START_TEST(table_has_the_arrow_of_the_picture)
{
	const struct arrow *arrow = &arrows[_i];
	const struct child_transition *cell = &child_table[arrow->from][arrow->event];

	ck_assert_msg(cell->next == arrow->to && cell->action == arrow->action,
		      "%s, event %d: to %s, action %d", child_state_name(arrow->from), arrow->event,
		      child_state_name(cell->next), cell->action);
}
END_TEST

START_TEST(every_cell_is_filled_with_what_exists)
{
	for (int state = 0; state < CHILD_STATES; state++) {
		ck_assert_ptr_nonnull(child_state_name((enum child_state)state));
		for (int event = 0; event < CHILD_EVENTS; event++) {
			const struct child_transition *cell = &child_table[state][event];

			ck_assert_int_lt(cell->next, CHILD_STATES);
			ck_assert_int_le(cell->action, CHILD_DESTROY);
			/* an empty cell would lead back to STARTING */
			if (state != CHILD_STARTING)
				ck_assert_int_ne(cell->next, CHILD_STARTING);
			/* what is ignored changes nothing, and what changes does something */
			if (cell->action == CHILD_IGNORE)
				ck_assert_int_eq(cell->next, state);
			if ((int)cell->next != state)
				ck_assert_int_ne(cell->action, CHILD_IGNORE);
		}
	}
}
END_TEST

START_TEST(every_state_and_every_action_can_be_reached)
{
	/* how a child may begin */
	bool states[CHILD_STATES] = {[CHILD_STARTING] = true, [CHILD_IDLE] = true};
	bool actions[CHILD_DESTROY + 1] = {false};
	bool is_changed = true;

	while (is_changed) {
		is_changed = false;
		for (int state = 0; state < CHILD_STATES; state++) {
			for (int event = 0; event < CHILD_EVENTS && states[state]; event++) {
				const struct child_transition *cell = &child_table[state][event];

				is_changed = is_changed || !states[cell->next];
				states[cell->next] = true;
				actions[cell->action] = true;
			}
		}
	}
	for (int state = 0; state < CHILD_STATES; state++)
		ck_assert_msg(states[state], "%s", child_state_name((enum child_state)state));
	for (int action = 0; action <= CHILD_DESTROY; action++)
		ck_assert_msg(actions[action], "action %d", action);
}
END_TEST

START_TEST(gone_is_final_and_stop_leads_there_from_everywhere)
{
	for (int event = 0; event < CHILD_EVENTS; event++) {
		ck_assert_int_eq(child_table[CHILD_GONE][event].next, CHILD_GONE);
		ck_assert_int_eq(child_table[CHILD_GONE][event].action, CHILD_IGNORE);
	}
	for (int state = 0; state < CHILD_STATES; state++)
		ck_assert_int_eq(child_table[state][CHILD_STOP].next, CHILD_GONE);
	/* a failed start is never served, whatever its worker still says */
	for (int event = 0; event < CHILD_EVENTS; event++) {
		enum child_state next = child_table[CHILD_FAILED][event].next;

		ck_assert(next == CHILD_FAILED || next == CHILD_GONE);
	}
	/* a client starts nothing that is there, or rests after a crash, or has ended */
	for (int state = 0; state < CHILD_STATES; state++) {
		if (state != CHILD_IDLE)
			ck_assert_int_eq(child_table[state][CHILD_DEMAND].action, CHILD_IGNORE);
	}
	/* nothing accepts that was told to end */
	for (int event = 0; event < CHILD_EVENTS; event++)
		ck_assert_int_ne(child_table[CHILD_DRAINING][event].next, CHILD_SERVING);
}
END_TEST

/* A listener that starts nothing, and counts. */
static struct loop loop;
static int starts, start_result, changes, ends, idles;
static bool is_paused;

static int
on_start(struct child *child, uint32_t generation)
{
	ck_assert_uint_eq(child->generation, generation);
	starts++;
	return start_result;
}

static void
on_change(struct child *child)
{
	(void)child;
	changes++;
}

static void
on_end(struct child *child, bool was_asked)
{
	(void)child, (void)was_asked;
	ends++;
}

static bool
may_accept(const struct child *which)
{
	(void)which;
	return !is_paused;
}

static void
on_idle(struct child *which)
{
	(void)which;
	idles++;
}

static const struct child_owner owner = {
	.start = on_start,
	.on_change = on_change,
	.on_end = on_end,
	.may_accept = may_accept,
	.on_idle = on_idle,
};
static struct child child;

static void
prepare(void)
{
	ck_assert_int_eq(loop_init(&loop), 0);
	log_set_level(0);
	child = (struct child){
		.owner = &owner,
		.name = "front",
		.handler = "echo",
		.loop = &loop,
		.start_timeout_ms = 10000,
		.handler_fd = -1,
		.program_fd = -1,
	};
	child_start(&child, 7);
}

static void
clean(void)
{
	report_free(&child.failures);
	death_free(&child.death);
	loop_close(&loop);
}

START_TEST(worker_starts_serves_drains_and_is_gone)
{
	ck_assert_int_eq(child.state, CHILD_STARTING);
	ck_assert(child.timer.is_armed);
	/* committing what is not ready does nothing */
	child_handle(&child, CHILD_COMMIT);
	ck_assert_int_eq(child.state, CHILD_STARTING);
	child_handle(&child, CHILD_SAID_READY);
	ck_assert_int_eq(child.state, CHILD_READY);
	ck_assert(!child.timer.is_armed);
	child_handle(&child, CHILD_COMMIT);
	ck_assert_int_eq(child.state, CHILD_SERVING);
	child_drain(&child, clock_now_ns() + CLOCK_NS_PER_S);
	ck_assert_int_eq(child.state, CHILD_DRAINING);
	ck_assert(child.timer.is_armed);
	ck_assert(!child.is_quiet);
	child_handle(&child, CHILD_SAID_QUIET);
	ck_assert(child.is_quiet);
	child_handle(&child, CHILD_DIED);
	ck_assert_int_eq(child.state, CHILD_GONE);
	ck_assert(!child.timer.is_armed);
	ck_assert_int_eq(starts, 1);
	ck_assert_int_eq(changes, 5);
	ck_assert_uint_eq(child.crashes, 0);
}
END_TEST

START_TEST(later_drain_only_brings_the_end_nearer)
{
	int64_t deadline = clock_now_ns() + 10 * CLOCK_NS_PER_S, armed;

	child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_COMMIT);
	child_drain(&child, deadline);
	armed = child.timer.when_ns;
	ck_assert_int_gt(armed, deadline);
	child_drain(&child, deadline + CLOCK_NS_PER_S);
	ck_assert_int_eq(child.deadline_ns, deadline);
	ck_assert_int_eq(child.timer.when_ns, armed);
	child_drain(&child, deadline - CLOCK_NS_PER_S);
	ck_assert_int_eq(child.deadline_ns, deadline - CLOCK_NS_PER_S);
	ck_assert_int_lt(child.timer.when_ns, armed);
}
END_TEST

START_TEST(worker_that_dies_before_the_commit_fails_with_a_sentence)
{
	child.last_status = SIGSEGV;
	death_note(&child, SIGSEGV);
	if (_i == 1)
		child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_DIED);
	ck_assert_int_eq(child.state, CHILD_FAILED);
	ck_assert(!child.timer.is_armed);
	ck_assert_uint_eq(child.failures.errors, 1);
	ck_assert_ptr_nonnull(strstr(child.failures.entries[0].text,
				     "worker of 'front' (handler 'echo') was killed by signal 11 "
				     "(Segmentation fault) before it was ready"));
	ck_assert_int_eq(starts, 1);
}
END_TEST

START_TEST(reason_the_worker_gave_is_the_only_one)
{
	report_error(&child.failures, "a.conf", 3, "no such option");
	child_handle(&child, CHILD_SAID_FAILED);
	child_handle(&child, CHILD_DIED);
	ck_assert_uint_eq(child.failures.errors, 1);
}
END_TEST

START_TEST(worker_that_cannot_be_started_fails_at_once)
{
	clean();
	start_result = -EAGAIN;
	prepare();
	ck_assert_int_eq(child.state, CHILD_FAILED);
	ck_assert_uint_eq(child.failures.errors, 1);
	ck_assert(!child.timer.is_armed);
}
END_TEST

START_TEST(crash_after_the_commit_is_followed_by_another_worker)
{
	child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_COMMIT);
	child.last_status = SIGKILL;
	death_note(&child, SIGKILL);
	child_handle(&child, CHILD_DIED);
	ck_assert_int_eq(child.state, CHILD_BACKOFF);
	ck_assert_uint_eq(child.crashes, 1);
	/* at once */
	ck_assert(child.timer.is_armed);
	ck_assert_int_le(child.timer.when_ns, clock_now_ns());
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_eq(child.state, CHILD_REPLACING);
	ck_assert_int_eq(starts, 2);
	child_handle(&child, CHILD_SAID_READY);
	ck_assert_int_eq(child.state, CHILD_SERVING);
	ck_assert(!child.timer.is_armed);
}
END_TEST

START_TEST(replacement_that_cannot_be_started_is_tried_later)
{
	child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_COMMIT);
	start_result = -ENOENT;
	child_handle(&child, CHILD_DIED);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_eq(child.state, CHILD_BACKOFF);
	/* it never was ready: a second */
	ck_assert_int_gt(child.timer.when_ns, clock_now_ns() + CLOCK_NS_PER_S / 2);
	ck_assert_uint_eq(child.failures.count, 0);
	child_handle(&child, CHILD_STOP);
	ck_assert_int_eq(child.state, CHILD_GONE);
	ck_assert(!child.timer.is_armed);
}
END_TEST

START_TEST(replacement_for_which_there_is_no_room_is_tried_again_soon_and_costs_no_pause)
{
	child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_COMMIT);
	start_result = -EAGAIN;
	child_handle(&child, CHILD_DIED);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(child.state, CHILD_BACKOFF);
		child_handle(&child, CHILD_TIMER);
		ck_assert_int_le(child.timer.when_ns, clock_now_ns() + CLOCK_NS_PER_S / 5);
		ck_assert_int_gt(child.timer.when_ns, clock_now_ns() + CLOCK_NS_PER_S / 20);
	}
	/* the one that has died */
	ck_assert_uint_eq(child.crashes, 1);
	ck_assert_uint_eq(child.failures.count, 0);
	start_result = 0;
	child_handle(&child, CHILD_TIMER);
	ck_assert_int_eq(child.state, CHILD_REPLACING);
	child_handle(&child, CHILD_SAID_READY);
	ck_assert_int_eq(child.state, CHILD_SERVING);
	child_handle(&child, CHILD_STOP);
}
END_TEST

START_TEST(late_worker_is_killed_and_the_reason_kept)
{
	child_handle(&child, CHILD_TIMER);
	ck_assert_int_eq(child.state, CHILD_STARTING);
	ck_assert_ptr_nonnull(
		strstr(child.failures.entries[0].text, "was not ready within start_timeout"));
	child_handle(&child, CHILD_DIED);
	ck_assert_int_eq(child.state, CHILD_FAILED);
	ck_assert_uint_eq(child.failures.errors, 1);
}
END_TEST

START_TEST(start_that_is_given_up_leaves_no_timer)
{
	child_drain(&child, clock_now_ns());
	ck_assert_int_eq(child.state, CHILD_GONE);
	ck_assert(!child.timer.is_armed);
	ck_assert(child.is_quiet);
	/* and nothing wakes the dead */
	for (int event = 0; event < CHILD_EVENTS; event++)
		child_handle(&child, (enum child_event)event);
	ck_assert_int_eq(child.state, CHILD_GONE);
	ck_assert_int_eq(starts, 1);
	ck_assert_int_eq(changes, 1);
}
END_TEST

static void
begin_on_demand(void)
{
	clean();
	prepare();
	starts = changes = 0;
	child = (struct child){
		.owner = &owner,
		.name = "front",
		.handler = "echo",
		.loop = &loop,
		.is_on_demand = true,
		.start_timeout_ms = 10000,
	};
	loop.timers = NULL;
	child_rest(&child, 7);
}

START_TEST(worker_on_demand_starts_for_a_client_and_once)
{
	begin_on_demand();
	ck_assert_int_eq(child.state, CHILD_IDLE);
	ck_assert(!child.timer.is_armed);
	child_handle(&child, CHILD_COMMIT);
	ck_assert_int_eq(starts, 0);
	child_handle(&child, CHILD_DEMAND);
	child_handle(&child, CHILD_DEMAND);
	ck_assert_int_eq(starts, 1);
	ck_assert_int_eq(child.state, CHILD_REPLACING);
	child_handle(&child, CHILD_SAID_READY);
	ck_assert_int_eq(child.state, CHILD_SERVING);
	ck_assert(child.has_accepted);
}
END_TEST

START_TEST(crash_on_demand_rests_until_a_client_comes_and_keeps_its_back_off)
{
	begin_on_demand();
	for (int i = 0; i < BACKOFF_BURST; i++) {
		child_handle(&child, CHILD_DEMAND);
		child_handle(&child, CHILD_SAID_READY);
		child_handle(&child, CHILD_DIED);
		ck_assert_int_eq(child.state, CHILD_BACKOFF);
		/* at once, but not by itself */
		ck_assert_int_eq(loop_turn(&loop), 0);
		ck_assert_int_eq(child.state, CHILD_IDLE);
		ck_assert(!child.timer.is_armed);
		ck_assert_int_eq(starts, i + 1);
	}
	ck_assert_uint_eq(child.crashes, BACKOFF_BURST);
	child_handle(&child, CHILD_DEMAND);
	child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_DIED);
	/* now a client has to wait, and starts nothing meanwhile */
	ck_assert_int_eq(child.state, CHILD_BACKOFF);
	ck_assert_int_gt(child.timer.when_ns, clock_now_ns() + CLOCK_NS_PER_MS * 100);
	child_handle(&child, CHILD_DEMAND);
	ck_assert_int_eq(child.state, CHILD_BACKOFF);
	ck_assert_int_eq(starts, BACKOFF_BURST + 1);
}
END_TEST

START_TEST(worker_on_demand_that_cannot_be_started_is_tried_later)
{
	begin_on_demand();
	start_result = -ENOENT;
	child_handle(&child, CHILD_DEMAND);
	ck_assert_int_eq(child.state, CHILD_BACKOFF);
	ck_assert_int_gt(child.timer.when_ns, clock_now_ns() + CLOCK_NS_PER_S / 2);
}
END_TEST

START_TEST(worker_of_a_paused_listener_is_ready_and_accepts_when_it_is_told)
{
	is_paused = true;
	child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_COMMIT);
	ck_assert_int_eq(child.state, CHILD_SERVING);
	ck_assert(!child.has_accepted);
	child_accept(&child);
	ck_assert(!child.has_accepted);
	is_paused = false;
	child_accept(&child);
	ck_assert(child.has_accepted);
	child_drain(&child, clock_now_ns());
	/* told too late */
	child.has_accepted = false;
	child_accept(&child);
	ck_assert(!child.has_accepted);
}
END_TEST

START_TEST(pause_is_complete_when_the_worker_says_so)
{
	child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_COMMIT);
	child_handle(&child, CHILD_SAID_QUIET);
	ck_assert(!child.is_quiet);
	child_pause(&child);
	ck_assert(!child.is_quiet);
	child_handle(&child, CHILD_SAID_QUIET);
	ck_assert(child.is_quiet);
	child_accept(&child);
	ck_assert(!child.is_quiet);
	/* too late */
	child_handle(&child, CHILD_SAID_QUIET);
	ck_assert(!child.is_quiet);
}
END_TEST

START_TEST(idle_is_heard_of_a_worker_that_was_asked)
{
	child_handle(&child, CHILD_SAID_READY);
	child_handle(&child, CHILD_SAID_IDLE);
	child_handle(&child, CHILD_COMMIT);
	child_handle(&child, CHILD_SAID_IDLE);
	ck_assert_int_eq(idles, 0);
	child_retire(&child);
	ck_assert(child.is_retiring);
	/* resumed meanwhile: it came too late */
	child_accept(&child);
	child_handle(&child, CHILD_SAID_IDLE);
	ck_assert_int_eq(idles, 0);
	child_retire(&child);
	child_handle(&child, CHILD_SAID_IDLE);
	ck_assert_int_eq(idles, 1);
}
END_TEST

START_TEST(worker_that_takes_the_place_of_another_needs_no_commit)
{
	clean();
	prepare();
	loop.timers = NULL;
	child.timer.is_armed = false;
	child_start_again(&child, 7);
	ck_assert_int_eq(child.state, CHILD_REPLACING);
	child_handle(&child, CHILD_SAID_READY);
	ck_assert_int_eq(child.state, CHILD_SERVING);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("child");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_loop_test(cases, table_has_the_arrow_of_the_picture, 0, UNIT_COUNT(arrows));
	tcase_add_test(cases, every_cell_is_filled_with_what_exists);
	tcase_add_test(cases, every_state_and_every_action_can_be_reached);
	tcase_add_test(cases, gone_is_final_and_stop_leads_there_from_everywhere);
	tcase_add_test(cases, worker_starts_serves_drains_and_is_gone);
	tcase_add_test(cases, later_drain_only_brings_the_end_nearer);
	tcase_add_loop_test(cases, worker_that_dies_before_the_commit_fails_with_a_sentence, 0, 2);
	tcase_add_test(cases, reason_the_worker_gave_is_the_only_one);
	tcase_add_test(cases, worker_that_cannot_be_started_fails_at_once);
	tcase_add_test(cases, crash_after_the_commit_is_followed_by_another_worker);
	tcase_add_test(cases, replacement_that_cannot_be_started_is_tried_later);
	tcase_add_test(
		cases,
		replacement_for_which_there_is_no_room_is_tried_again_soon_and_costs_no_pause);
	tcase_add_test(cases, late_worker_is_killed_and_the_reason_kept);
	tcase_add_test(cases, start_that_is_given_up_leaves_no_timer);
	tcase_add_test(cases, worker_on_demand_starts_for_a_client_and_once);
	tcase_add_test(cases, crash_on_demand_rests_until_a_client_comes_and_keeps_its_back_off);
	tcase_add_test(cases, worker_on_demand_that_cannot_be_started_is_tried_later);
	tcase_add_test(cases, worker_of_a_paused_listener_is_ready_and_accepts_when_it_is_told);
	tcase_add_test(cases, pause_is_complete_when_the_worker_says_so);
	tcase_add_test(cases, idle_is_heard_of_a_worker_that_was_asked);
	tcase_add_test(cases, worker_that_takes_the_place_of_another_needs_no_commit);
	return unit_run("supervisor_child", cases);
}
