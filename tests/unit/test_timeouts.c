/*
 * test_timeouts.c - which step is due for a connection, why, and when to look again.
 */
#include "concurrency/timeouts.h"

#include "concurrency/concurrency.h"
#include "unit.h"

#define S CLOCK_NS_PER_S
#define MS CLOCK_NS_PER_MS
#define TIMEOUT (5 * S)
#define LATER (1000 * S)
#define IN SCOREBOARD_WAITS_INPUT
#define OUT SCOREBOARD_WAITS_OUTPUT

static struct timeouts_row row;
static struct scoreboard_connection shown;
static int64_t next_ns;
static enum close_reason reason;

static void
begin(void)
{
	row = (struct timeouts_row){0};
	shown = (struct scoreboard_connection){
		.id = 7,
		.opened_ns = 100 * S,
		.phase = SCOREBOARD_HANDLE,
		.waits = IN,
	};
}

static enum timeouts_step
judge(const struct timeout_limits *limits, int64_t now_ns)
{
	next_ns = LATER;
	return timeouts_judge(limits, &row, &shown, now_ns, &next_ns, &reason);
}

/* Looks every 100 ms, as long as the connection goes on, from one moment to the other; `step` may
 * change what is shown. When it was ended, or `to`. */
static int64_t
look(const struct timeout_limits *limits, int64_t from_ns, int64_t to_ns,
     void (*step)(int64_t now_ns))
{
	for (int64_t now_ns = from_ns; now_ns < to_ns; now_ns += 100 * MS) {
		if (step != NULL)
			step(now_ns);
		if (judge(limits, now_ns) == TIMEOUTS_END)
			return now_ns;
	}
	return to_ns;
}

static void
check_handler(int64_t now_ns, enum timeouts_step step, int64_t expected_next_ns)
{
	static const struct timeout_limits limits = {.handler_ns = TIMEOUT};

	ck_assert_int_eq(judge(&limits, now_ns), step);
	ck_assert_int_eq(next_ns, expected_next_ns);
	if (step == TIMEOUTS_END)
		ck_assert_int_eq(reason, CLOSE_HANDLER_TIMEOUT);
}

START_TEST(each_step_for_a_handler_comes_in_its_time_and_not_before)
{
	begin();
	check_handler(100 * S, TIMEOUTS_NOTHING, 105 * S);
	check_handler(105 * S - 1, TIMEOUTS_NOTHING, 105 * S);
	check_handler(105 * S, TIMEOUTS_END, LATER);
	/* its time counts from when it was cancelled, however late that was */
	row.ended_ns = 110 * S;
	shown.reason = CLOSE_HANDLER_TIMEOUT;
	check_handler(111 * S - 1, TIMEOUTS_NOTHING, 111 * S);
	check_handler(111 * S, TIMEOUTS_ABORT, LATER);
	row.aborted_ns = 120 * S;
	check_handler(121 * S - 1, TIMEOUTS_NOTHING, 121 * S);
	check_handler(121 * S, TIMEOUTS_KILL, LATER);
}
END_TEST

START_TEST(one_that_ends_already_is_judged_for_its_handler_alone)
{
	static const struct timeout_limits limits = {
		.first_byte_ns = S,
		.idle_ns = S,
		.total_ns = S,
		.handler_ns = 10 * S,
	};

	begin();
	shown.reason = CLOSE_KILLED;
	ck_assert_int_eq(look(&limits, 100 * S, 120 * S, NULL), 110 * S);
	ck_assert_int_eq(reason, CLOSE_HANDLER_TIMEOUT);
}
END_TEST

START_TEST(next_look_is_never_put_off)
{
	static const struct timeout_limits limits = {.handler_ns = TIMEOUT, .total_ns = TIMEOUT};

	begin();
	next_ns = 102 * S;
	ck_assert_int_eq(timeouts_judge(&limits, &row, &shown, 101 * S, &next_ns, &reason),
			 TIMEOUTS_NOTHING);
	ck_assert_int_eq(next_ns, 102 * S);
}
END_TEST

START_TEST(total_counts_from_the_beginning_whatever_happens)
{
	static const struct timeout_limits limits = {.total_ns = TIMEOUT};

	begin();
	shown.waits = 0;
	shown.bytes_in = 1;
	ck_assert_int_eq(judge(&limits, 105 * S - 1), TIMEOUTS_NOTHING);
	ck_assert_int_eq(next_ns, 105 * S);
	ck_assert_int_eq(judge(&limits, 105 * S), TIMEOUTS_END);
	ck_assert_int_eq(reason, CLOSE_TOTAL);
}
END_TEST

START_TEST(first_byte_is_due_only_while_the_handler_waits_for_it)
{
	static const struct timeout_limits limits = {.first_byte_ns = TIMEOUT};

	begin();
	shown.waits = 0;
	ck_assert_int_eq(judge(&limits, 101 * S), TIMEOUTS_NOTHING);
	ck_assert_int_eq(next_ns, 105 * S);
	ck_assert_int_eq(judge(&limits, 106 * S), TIMEOUTS_NOTHING);
	/* and is looked at again soon */
	ck_assert_int_gt(next_ns, 106 * S);
	ck_assert_int_le(next_ns, 106 * S + 400 * MS);
	shown.waits = IN;
	ck_assert_int_eq(judge(&limits, 107 * S), TIMEOUTS_END);
	ck_assert_int_eq(reason, CLOSE_FIRST_BYTE);
	shown.bytes_in = 1;
	ck_assert_int_eq(judge(&limits, 108 * S), TIMEOUTS_NOTHING);
	ck_assert_int_eq(next_ns, LATER);
}
END_TEST

static void
send_at_104(int64_t now_ns)
{
	if (now_ns == 104 * S)
		shown.bytes_in++;
}

static void
compute_until_110(int64_t now_ns)
{
	shown.waits = now_ns < 110 * S ? 0 : IN;
}

static void
take_until_108(int64_t now_ns)
{
	shown.waits = OUT;
	shown.bytes_out = 1000;
	shown.unsent = now_ns < 108 * S ? (uint32_t)((108 * S - now_ns) / MS) : 0;
}

START_TEST(idle_counts_time_without_a_byte_in_which_the_handler_waits)
{
	static const struct timeout_limits limits = {.idle_ns = TIMEOUT};

	begin();
	ck_assert_int_eq(look(&limits, 100 * S, LATER, NULL), 105 * S);
	ck_assert_int_eq(reason, CLOSE_IDLE);
	begin();
	ck_assert_int_eq(look(&limits, 100 * S, LATER, send_at_104), 109 * S);
	/* what the handler does itself is not its client's fault */
	begin();
	ck_assert_int_eq(look(&limits, 100 * S, LATER, compute_until_110), 115 * S);
	/* a client that takes what was sent is not idle */
	begin();
	ck_assert_int_eq(look(&limits, 100 * S, LATER, take_until_108), 113 * S);
}
END_TEST

START_TEST(send_counts_time_in_which_the_client_takes_nothing)
{
	static const struct timeout_limits limits = {.send_ns = TIMEOUT};

	begin();
	ck_assert_int_eq(look(&limits, 100 * S, 200 * S, NULL), 200 * S);
	begin();
	ck_assert_int_eq(look(&limits, 100 * S, LATER, take_until_108), 113 * S);
	ck_assert_int_eq(reason, CLOSE_SEND);
	/* however much it sends itself */
	begin();
	shown.waits = IN | OUT;
	ck_assert_int_eq(look(&limits, 100 * S, LATER, send_at_104), 105 * S);
}
END_TEST

/* 1 byte in 2 s. */
static void
trickle(int64_t now_ns)
{
	if ((now_ns - 100 * S) % (2 * S) == S)
		shown.bytes_in++;
}

static void
send_200_per_second(int64_t now_ns)
{
	(void)now_ns;
	shown.bytes_in += 20;
}

/* Much in one second, and nothing in nine. */
static void
talk_now_and_then(int64_t now_ns)
{
	if ((now_ns - 100 * S) % (10 * S) < S)
		shown.bytes_in += 200;
}

static void
talk_after_a_silence(int64_t now_ns)
{
	if (now_ns >= 104 * S + 900 * MS)
		shown.bytes_in += 20;
}

static const struct timeout_limits slow = {.min_rate = 100, .grace_ns = TIMEOUT};

START_TEST(min_rate_is_asked_over_each_time_of_grace)
{
	begin();
	ck_assert_int_eq(look(&slow, 100 * S, LATER, NULL), 105 * S);
	ck_assert_int_eq(reason, CLOSE_MIN_RATE);
	begin();
	ck_assert_int_eq(look(&slow, 100 * S, LATER, trickle), 105 * S);
	begin();
	ck_assert_int_eq(look(&slow, 100 * S, 200 * S, send_200_per_second), 200 * S);
	/* one that stops has had its time of grace before */
	ck_assert_int_le(look(&slow, 200 * S, LATER, NULL), 210 * S);
	/* while it computes, the handler is not waited for */
	begin();
	ck_assert_int_eq(look(&slow, 100 * S, LATER, compute_until_110), 115 * S);
}
END_TEST

START_TEST(between_messages_a_client_may_be_silent_but_not_trickle)
{
	begin();
	shown.phase = SCOREBOARD_IDLE;
	ck_assert_int_eq(look(&slow, 100 * S, 200 * S, NULL), 200 * S);
	begin();
	shown.phase = SCOREBOARD_IDLE;
	ck_assert_int_le(look(&slow, 100 * S, LATER, trickle), 110 * S);
	ck_assert_int_eq(reason, CLOSE_MIN_RATE);
	begin();
	shown.phase = SCOREBOARD_IDLE;
	ck_assert_int_eq(look(&slow, 100 * S, 200 * S, talk_now_and_then), 200 * S);
	/* its time begins with what it sends */
	begin();
	shown.phase = SCOREBOARD_IDLE;
	ck_assert_int_eq(look(&slow, 100 * S, 200 * S, talk_after_a_silence), 200 * S);
}
END_TEST

START_TEST(one_that_is_spared_has_all_its_time_again)
{
	static const struct timeout_limits limits = {.idle_ns = TIMEOUT};

	begin();
	ck_assert_int_eq(look(&limits, 100 * S, LATER, NULL), 105 * S);
	timeouts_spare(&row, 105 * S + 50 * MS);
	ck_assert_int_eq(look(&limits, 105 * S + 100 * MS, LATER, NULL), 110 * S);
}
END_TEST

START_TEST(next_connection_of_a_slot_begins_anew)
{
	static const struct timeout_limits limits = {.idle_ns = TIMEOUT};

	begin();
	(void)look(&limits, 100 * S, 104 * S, NULL);
	shown.id = 8;
	ck_assert_int_eq(look(&limits, 104 * S, LATER, NULL), 109 * S);
}
END_TEST

static int looks;
static struct loop loop;

static void
count_look(struct timeouts *timeouts, int64_t now_ns, int64_t *ret_next_ns)
{
	ck_assert_int_eq(*ret_next_ns, now_ns + timeouts->mode->timeouts.handler_ns);
	*ret_next_ns = now_ns;
	if (++looks == 3)
		loop_stop(&loop);
}

START_TEST(looks_keep_a_distance_of_10_ms)
{
	struct concurrency mode = {.loop = &loop, .timeouts.handler_ns = 100 * MS};
	int64_t began_ns = clock_now_ns();
	struct timeouts timeouts = {0};

	ck_assert_int_eq(loop_init(&loop), 0);
	timeouts_start(&timeouts, &mode, count_look);
	ck_assert_int_eq(loop_run(&loop), 0);
	ck_assert_int_ge(clock_now_ns() - began_ns, 120 * MS);
	loop_close(&loop);
}
END_TEST

START_TEST(without_a_limit_nothing_is_armed)
{
	struct concurrency mode = {.loop = &loop, .timeouts.grace_ns = TIMEOUT};
	struct timeouts timeouts = {0};

	ck_assert_int_eq(loop_init(&loop), 0);
	timeouts_start(&timeouts, &mode, count_look);
	ck_assert_ptr_null(loop.timers);
	loop_close(&loop);
}
END_TEST

START_TEST(looks_are_often_enough_for_the_shortest_and_never_rarer_than_400_ms)
{
	ck_assert_int_eq(timeouts_period_ns(&(struct timeout_limits){.idle_ns = 800 * MS}),
			 100 * MS);
	ck_assert_int_eq(timeouts_period_ns(&(struct timeout_limits){.idle_ns = 60 * S}), 400 * MS);
	ck_assert_int_eq(timeouts_period_ns(
				 &(struct timeout_limits){.grace_ns = 100 * MS, .idle_ns = 60 * S}),
			 400 * MS);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("timeouts");

	tcase_add_test(cases, each_step_for_a_handler_comes_in_its_time_and_not_before);
	tcase_add_test(cases, one_that_ends_already_is_judged_for_its_handler_alone);
	tcase_add_test(cases, next_look_is_never_put_off);
	tcase_add_test(cases, total_counts_from_the_beginning_whatever_happens);
	tcase_add_test(cases, first_byte_is_due_only_while_the_handler_waits_for_it);
	tcase_add_test(cases, idle_counts_time_without_a_byte_in_which_the_handler_waits);
	tcase_add_test(cases, send_counts_time_in_which_the_client_takes_nothing);
	tcase_add_test(cases, min_rate_is_asked_over_each_time_of_grace);
	tcase_add_test(cases, between_messages_a_client_may_be_silent_but_not_trickle);
	tcase_add_test(cases, one_that_is_spared_has_all_its_time_again);
	tcase_add_test(cases, next_connection_of_a_slot_begins_anew);
	tcase_add_test(cases, looks_keep_a_distance_of_10_ms);
	tcase_add_test(cases, without_a_limit_nothing_is_armed);
	tcase_add_test(cases, looks_are_often_enough_for_the_shortest_and_never_rarer_than_400_ms);
	return unit_run("timeouts", cases);
}
