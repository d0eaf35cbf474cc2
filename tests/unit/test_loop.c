/*
 * test_loop.c - sources and timers; a callback may remove and free any of them.
 */
#include "base/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "unit.h"

static struct loop loop;
static char trace[256];

static void
note(char what)
{
	size_t length = strlen(trace);

	ck_assert_uint_lt(length, sizeof(trace) - 1);
	trace[length] = what;
	trace[length + 1] = '\0';
}

static void
setup(void)
{
	ck_assert_int_eq(loop_init(&loop), 0);
	trace[0] = '\0';
}

static void
teardown(void)
{
	loop_close(&loop);
	loop_close(&loop);
}

/* A source on an eventfd that is ready. */
struct bell {
	struct loop_source source;
	char name;
	struct bell *victim; /* removed and freed by this one; may be itself */
	bool is_taken;
};

static void
on_bell(struct loop_source *source, uint32_t events)
{
	struct bell *bell = CONTAINER_OF(source, struct bell, source);
	struct bell *victim = bell->victim;

	ck_assert_uint_ne(events & EPOLLIN, 0);
	note(bell->name);
	if (bell->is_taken)
		fd_clear_event(source->fd);
	if (victim == NULL)
		return;
	bell->victim = NULL;
	loop_remove(&loop, &victim->source);
	(void)close(victim->source.fd);
	free(victim);
}

static struct bell *
new_bell(char name)
{
	struct bell *bell = calloc(1, sizeof(*bell));

	ck_assert_ptr_nonnull(bell);
	bell->name = name;
	bell->source.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	bell->source.on_event = on_bell;
	ck_assert_int_eq(loop_add(&loop, &bell->source, EPOLLIN), 0);
	return bell;
}

static void
free_bell(struct bell *bell)
{
	loop_remove(&loop, &bell->source);
	(void)close(bell->source.fd);
	free(bell);
}

START_TEST(ready_source_is_called_until_it_is_taken)
{
	struct bell *bell = new_bell('a');

	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_str_eq(trace, "aa");
	bell->is_taken = true;
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_str_eq(trace, "aaa");
	free_bell(bell);
}
END_TEST

START_TEST(source_may_free_itself_in_its_callback)
{
	struct bell *bell = new_bell('a');
	struct bell *other = new_bell('b');

	bell->victim = bell;
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_uint_eq(strlen(trace), 2);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_uint_eq(strlen(trace), 3);
	ck_assert_int_eq(trace[2], 'b');
	free_bell(other);
}
END_TEST

START_TEST(source_freed_by_another_in_the_same_batch_is_not_called)
{
	struct bell *a = new_bell('a');
	struct bell *b = new_bell('b');

	/* whichever comes first ends the other */
	a->victim = b;
	b->victim = a;
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_uint_eq(strlen(trace), 1);
	if (trace[0] == 'a')
		free_bell(a);
	else
		free_bell(b);
}
END_TEST

START_TEST(removing_twice_or_never_added_does_nothing)
{
	struct bell *bell = new_bell('a');
	struct loop_source never = {.fd = -1};

	loop_remove(&loop, &never);
	loop_remove(&loop, &bell->source);
	loop_remove(&loop, &bell->source);
	ck_assert(!bell->source.is_added);
	free_bell(bell);
}
END_TEST

START_TEST(source_that_cannot_be_watched_is_an_error)
{
	struct loop_source closed = {.fd = -1};
	struct loop_source file = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	struct bell *bell = new_bell('a');

	ck_assert_int_eq(loop_add(&loop, &closed, EPOLLIN), -EBADF);
	ck_assert(!closed.is_added);
	ck_assert_int_eq(loop_add(&loop, &file, EPOLLIN), -EPERM);
	ck_assert_int_eq(loop_add(&loop, &bell->source, EPOLLIN), -EEXIST);
	(void)close(file.fd);
	free_bell(bell);
}
END_TEST

struct alarm {
	struct loop_timer timer;
	char name;
	struct alarm *victim;
	struct alarm *arms;
};

static void
on_alarm(struct loop_timer *timer)
{
	struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);

	ck_assert(!timer->is_armed);
	note(alarm->name);
	if (alarm->victim != NULL)
		loop_disarm(&loop, &alarm->victim->timer);
	if (alarm->arms != NULL)
		loop_arm(&loop, &alarm->arms->timer, clock_now_ns() + CLOCK_NS_PER_MS);
	alarm->arms = NULL;
}

START_TEST(timers_run_soonest_first_and_equals_in_the_order_of_arming)
{
	struct alarm alarms[5];
	int64_t now = clock_now_ns();

	for (int i = 0; i < 5; i++)
		alarms[i] = (struct alarm){.timer.on_timer = on_alarm, .name = (char)('a' + i)};
	loop_arm(&loop, &alarms[2].timer, now - 10);
	loop_arm(&loop, &alarms[0].timer, now - 30);
	loop_arm(&loop, &alarms[3].timer, now - 10);
	loop_arm(&loop, &alarms[1].timer, now - 20);
	loop_arm(&loop, &alarms[4].timer, now + 3600 * CLOCK_NS_PER_S);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_str_eq(trace, "abcd");
	ck_assert(alarms[4].timer.is_armed);
	ck_assert_ptr_eq(loop.timers, &alarms[4].timer);
	loop_disarm(&loop, &alarms[4].timer);
	loop_disarm(&loop, &alarms[4].timer);
	ck_assert_ptr_null(loop.timers);
}
END_TEST

START_TEST(timer_armed_again_has_one_time_only)
{
	struct alarm a = {.timer.on_timer = on_alarm, .name = 'a'};
	int64_t now = clock_now_ns();

	loop_arm(&loop, &a.timer, now + 3600 * CLOCK_NS_PER_S);
	loop_arm(&loop, &a.timer, now - 1);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert_ptr_null(loop.timers);
}
END_TEST

START_TEST(timer_may_disarm_another_that_is_due)
{
	struct alarm a = {.timer.on_timer = on_alarm, .name = 'a'};
	struct alarm b = {.timer.on_timer = on_alarm, .name = 'b'};
	int64_t now = clock_now_ns();

	a.victim = &b;
	loop_arm(&loop, &a.timer, now - 2);
	loop_arm(&loop, &b.timer, now - 1);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_str_eq(trace, "a");
	ck_assert(!b.timer.is_armed);
}
END_TEST

START_TEST(timer_may_arm_itself_and_comes_when_it_is_due)
{
	struct alarm a = {.timer.on_timer = on_alarm, .name = 'a'};
	int64_t began = clock_now_ns();

	a.arms = &a;
	loop_arm(&loop, &a.timer, began);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_str_eq(trace, "a");
	/* the wait of the next turn is the timer's */
	while (trace[1] == '\0')
		ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_str_eq(trace, "aa");
	ck_assert_int_ge(clock_now_ns() - began, CLOCK_NS_PER_MS);
}
END_TEST

static void
on_stop(struct loop_timer *timer)
{
	(void)timer;
	note('s');
	loop_stop(&loop);
}

START_TEST(run_turns_until_it_is_stopped)
{
	struct alarm a = {.timer.on_timer = on_alarm, .name = 'a'};
	struct loop_timer stop = {.on_timer = on_stop};
	int64_t now = clock_now_ns();

	loop_arm(&loop, &stop, now + 2 * CLOCK_NS_PER_MS);
	loop_arm(&loop, &a.timer, now);
	ck_assert_int_eq(loop_run(&loop), 0);
	ck_assert_str_eq(trace, "as");
}
END_TEST

START_TEST(more_sources_than_a_batch_all_get_their_turn)
{
	struct bell *bells[100];

	for (int i = 0; i < 100; i++) {
		bells[i] = new_bell('x');
		bells[i]->is_taken = true;
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_uint_eq(strlen(trace), 100);
	for (int i = 0; i < 100; i++)
		free_bell(bells[i]);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("loop");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, ready_source_is_called_until_it_is_taken);
	tcase_add_test(cases, source_may_free_itself_in_its_callback);
	tcase_add_test(cases, source_freed_by_another_in_the_same_batch_is_not_called);
	tcase_add_test(cases, removing_twice_or_never_added_does_nothing);
	tcase_add_test(cases, source_that_cannot_be_watched_is_an_error);
	tcase_add_test(cases, timers_run_soonest_first_and_equals_in_the_order_of_arming);
	tcase_add_test(cases, timer_armed_again_has_one_time_only);
	tcase_add_test(cases, timer_may_disarm_another_that_is_due);
	tcase_add_test(cases, timer_may_arm_itself_and_comes_when_it_is_due);
	tcase_add_test(cases, run_turns_until_it_is_stopped);
	tcase_add_test(cases, more_sources_than_a_batch_all_get_their_turn);
	return unit_run("loop", cases);
}
