/*
 * test_supervisor_demand.c - when a worker on demand is started and asked to end, with sockets that
 * are real and workers that are not there.
 */
#include "supervisor/demand.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/hold.h"
#include "supervisor/listener.h"
#include "unit.h"

#define SOCKETS 3

static struct loop loop;
static const struct places places;
static struct listener_world world;
static struct config config;
static struct conf_listener conf;
static struct listener listener;
static struct held_socket helds[SOCKETS];
static struct held_socket *sockets[SOCKETS];
static struct child *first; /* with an owner of ours, which starts nothing */
static struct scoreboard *board;
static int starts, start_result, changes;
static struct loop_timer stop_turning;
static bool is_turn_over;

static int
on_start(struct child *child, uint32_t generation)
{
	ck_assert_ptr_eq(child, listener.current);
	ck_assert_uint_eq(generation, 5);
	starts++;
	return start_result;
}

static void
on_child_change(struct child *child)
{
	(void)child;
	changes++;
}

static void
on_end(struct child *child, bool was_asked)
{
	(void)child, (void)was_asked;
}

static bool
may_accept(const struct child *child)
{
	(void)child;
	return !listener.is_paused;
}

static const struct child_owner owner = {
	.start = on_start,
	.on_change = on_child_change,
	.on_end = on_end,
	.may_accept = may_accept,
	.on_idle = demand_on_idle,
};

static void
on_change(struct listener_world *which)
{
	ck_assert_ptr_eq(which, &world);
	changes++;
}

static void
on_stop_turning(struct loop_timer *timer)
{
	(void)timer;
	is_turn_over = true;
}

/* Lets things happen for so long. */
static void
turn(int64_t ms)
{
	is_turn_over = false;
	stop_turning.on_timer = on_stop_turning;
	loop_arm(&loop, &stop_turning, clock_now_ns() + ms * CLOCK_NS_PER_MS);
	while (!is_turn_over)
		ck_assert_int_eq(loop_turn(&loop), 0);
}

static void
open_socket(struct held_socket *held, int type)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	held->fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	held->protocol = type == SOCK_STREAM ? CONF_TCP : CONF_UDP;
	ck_assert_int_eq(bind(held->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(held->fd, 10), 0);
	held->settings.backlog = 10;
	held->bound.length = sizeof(in);
	ck_assert_int_eq(
		getsockname(held->fd, (struct sockaddr *)&held->bound.addr, &held->bound.length),
		0);
	fingerprint_take(held->fd, &held->fingerprint);
}

/* A client of one of the sockets; its descriptor. */
static int
come(const struct held_socket *held)
{
	struct sockaddr_in in;
	socklen_t length = sizeof(in);
	bool is_stream = held->protocol == CONF_TCP;
	int fd = socket(AF_INET, (is_stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(getsockname(held->fd, (struct sockaddr *)&in, &length), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	if (!is_stream)
		ck_assert_int_eq(send(fd, "x", 1, 0), 1);
	return fd;
}

static void
prepare(void)
{
	log_set_level(0);
	ck_assert_int_eq(loop_init(&loop), 0);
	world = (struct listener_world){.loop = &loop, .places = &places, .on_change = on_change};
	config = (struct config){.start_timeout_ms = 10000, .drain_timeout_ms = 30000};
	conf = (struct conf_listener){.start = CONF_START_ON_DEMAND, .idle_exit_ms = 80};
	for (int i = 0; i < SOCKETS; i++) {
		open_socket(&helds[i], i < 2 ? SOCK_STREAM : SOCK_DGRAM);
		sockets[i] = &helds[i];
	}
	listener = (struct listener){
		.world = &world,
		.config = &config,
		.conf = &conf,
		.name = "front",
		.handler = "echo",
		.sockets = sockets,
		.socket_count = SOCKETS,
	};
	board = calloc(1, scoreboard_size(2));
	first = calloc(1, sizeof(*first));
	*first = (struct child){
		.owner = &owner,
		.owner_data = &listener,
		.name = "front",
		.handler = "echo",
		.loop = &loop,
		.is_on_demand = true,
		.start_timeout_ms = 10000,
		.board = board,
		.board_slots = 2,
	};
	atomic_store(&board->used_slots, 2);
	listener.current = first;
	child_rest(first, 5);
}

/* Its worker serves. */
static void
begin_serving(void)
{
	child_handle(first, CHILD_DEMAND);
	child_handle(first, CHILD_SAID_READY);
	ck_assert_int_eq(first->state, CHILD_SERVING);
	demand_look(&listener);
}

START_TEST(first_client_of_any_socket_starts_the_worker_once)
{
	demand_look(&listener);
	turn(20);
	ck_assert_int_eq(starts, 0);
	(void)come(&helds[_i]);
	(void)come(&helds[0]);
	turn(20);
	ck_assert_int_eq(starts, 1);
	ck_assert_int_eq(first->state, CHILD_REPLACING);
	/* nobody watches any more, whatever waits: it would turn in a circle */
	demand_look(&listener);
	ck_assert_ptr_null(listener.demand.watches);
}
END_TEST

START_TEST(client_who_waited_before_is_seen)
{
	(void)come(&helds[1]);
	demand_look(&listener);
	turn(20);
	ck_assert_int_eq(starts, 1);
}
END_TEST

START_TEST(nothing_is_started_while_paused)
{
	demand_look(&listener);
	hold_pause(&listener);
	ck_assert_int_gt(changes, 0);
	(void)come(&helds[0]);
	turn(20);
	hold_drain(&listener, clock_now_ns());
	turn(20);
	ck_assert_int_eq(starts, 0);
	ck_assert_int_eq(first->state, CHILD_IDLE);
	ck_assert(hold_is_complete(&listener));
	hold_resume(&listener);
	turn(20);
	ck_assert_int_eq(starts, 1);
}
END_TEST

START_TEST(client_of_a_worker_that_crashes_waits_out_the_back_off)
{
	int i = 0;

	(void)come(&helds[0]);
	while (first->backoff.crash_delay_ns == 0) {
		demand_look(&listener);
		turn(5);
		ck_assert_int_eq(starts, ++i);
		child_handle(first, CHILD_SAID_READY);
		child_handle(first, CHILD_DIED);
		/* of an immediate one */
		if (first->backoff.crash_delay_ns == 0)
			turn(5);
	}
	ck_assert_int_eq(i, BACKOFF_BURST + 1);
	demand_look(&listener);
	ck_assert_ptr_null(listener.demand.watches);
	turn(50);
	ck_assert_int_eq(first->state, CHILD_BACKOFF);
	ck_assert_int_eq(starts, i);
	/* 200 ms, and it is looked for clients again */
	turn(250);
	ck_assert_int_eq(first->state, CHILD_IDLE);
	demand_look(&listener);
	turn(5);
	ck_assert_int_eq(starts, i + 1);
}
END_TEST

START_TEST(worker_that_has_nothing_to_do_is_asked_to_end)
{
	begin_serving();
	turn(40);
	ck_assert(!first->is_retiring);
	turn(120);
	ck_assert(first->is_retiring);
}
END_TEST

START_TEST(worker_that_serves_or_drops_datagrams_is_not_asked)
{
	begin_serving();
	atomic_store(&board->slots[1].accepted, 1);
	turn(200);
	ck_assert(!first->is_retiring);
	/* now it is over, but it goes on with something that is counted */
	atomic_store(&board->slots[1].finished, 1);
	for (int i = 0; i < 10; i++) {
		if (i % 2 == 0)
			scoreboard_drop(board, SCOREBOARD_TOO_LONG, 1);
		else
			atomic_store(&board->slots[0].accepted,
				     atomic_fetch_add(&board->slots[0].finished, 1) + 1);
		turn(30);
	}
	ck_assert(!first->is_retiring);
	turn(160);
	ck_assert(first->is_retiring);
}
END_TEST

START_TEST(none_never_asks_and_a_change_is_heard)
{
	conf.idle_exit_ms = -1;
	begin_serving();
	turn(100);
	ck_assert(!first->is_retiring);
	ck_assert(!listener.demand.idle.is_armed);
	conf.idle_exit_ms = 50;
	demand_look(&listener);
	turn(100);
	ck_assert(first->is_retiring);
}
END_TEST

START_TEST(idle_worker_drains_and_the_next_client_starts_another)
{
	begin_serving();
	first->crashes = 3;
	first->backoff.crash_delay_ns = 7;
	child_retire(first);
	child_handle(first, CHILD_SAID_IDLE);
	ck_assert_int_eq(first->state, CHILD_DRAINING);
	ck_assert_ptr_eq(listener.old, first);
	ck_assert_ptr_ne(listener.current, first);
	ck_assert_int_eq(listener.current->state, CHILD_IDLE);
	ck_assert_uint_eq(listener.current->generation, 5);
	/* it goes on where the other was */
	ck_assert_uint_eq(listener.current->crashes, 3);
	ck_assert_int_eq(listener.current->backoff.crash_delay_ns, 7);
	ck_assert_ptr_nonnull(listener.demand.watches);
	ck_assert(!listener.demand.idle.is_armed);
	demand_stop(&listener);
	ck_assert_ptr_null(listener.demand.watches);
}
END_TEST

START_TEST(worker_is_started_at_once_where_it_must_be)
{
	struct child running = {.process.pid = 1};
	struct listener replaced = {.current = &running};

	ck_assert(demand_begins_idle(&listener));
	listener.replaces = &replaced;
	ck_assert(!demand_begins_idle(&listener));
	running.process.pid = 0;
	ck_assert(demand_begins_idle(&listener));
	world.is_once = true;
	ck_assert(!demand_begins_idle(&listener));
	world.is_once = false;
	conf.start = CONF_START_NOW;
	ck_assert(!demand_begins_idle(&listener));
}
END_TEST

START_TEST(other_listeners_are_left_alone)
{
	first->is_on_demand = false;
	demand_look(&listener);
	ck_assert_ptr_null(listener.demand.watches);
	begin_serving();
	ck_assert(!listener.demand.idle.is_armed);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("demand");

	tcase_add_checked_fixture(cases, prepare, NULL);
	tcase_add_loop_test(cases, first_client_of_any_socket_starts_the_worker_once, 0, SOCKETS);
	tcase_add_test(cases, client_who_waited_before_is_seen);
	tcase_add_test(cases, nothing_is_started_while_paused);
	tcase_add_test(cases, client_of_a_worker_that_crashes_waits_out_the_back_off);
	tcase_add_test(cases, worker_that_has_nothing_to_do_is_asked_to_end);
	tcase_add_test(cases, worker_that_serves_or_drops_datagrams_is_not_asked);
	tcase_add_test(cases, none_never_asks_and_a_change_is_heard);
	tcase_add_test(cases, idle_worker_drains_and_the_next_client_starts_another);
	tcase_add_test(cases, worker_is_started_at_once_where_it_must_be);
	tcase_add_test(cases, other_listeners_are_left_alone);
	return unit_run("supervisor_demand", cases);
}
