/*
 * test_supervisor_recycle.c - when a worker is due, and when it is looked at again.
 */
#include "supervisor/recycle.h"

#include "base/clock.h"
#include "supervisor/usage.h"
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MS CLOCK_NS_PER_MS
#define MIB (UINT64_C(1) << 20)

static struct recycle_meter meter;

static void
clean(void)
{
	meter = (struct recycle_meter){0};
}

static bool
is_due(uint64_t limit, uint64_t value, int64_t now_ns, int64_t lead_ns)
{
	bool due;

	(void)recycle_meter_note(&meter, limit, value, now_ns, lead_ns, &due);
	return due;
}

static int64_t
next_look(uint64_t limit, uint64_t value, int64_t now_ns)
{
	bool due;

	return recycle_meter_note(&meter, limit, value, now_ns, 0, &due);
}

START_TEST(limit_that_is_reached_makes_it_due_and_not_one_below)
{
	ck_assert(!is_due(1000, 0, 1 * MS, 0));
	ck_assert(!is_due(1000, 999, 2 * MS, 0));
	ck_assert(is_due(1000, 1000, 3 * MS, 0));
	clean();
	/* however early */
	ck_assert(is_due(1000, UINT64_MAX, 1 * MS, 0));
}
END_TEST

START_TEST(near_the_limit_it_is_due_when_the_time_to_start_another_is_left)
{
	ck_assert(!is_due(100 * MIB, 70 * MIB, 1000 * MS, 100 * MS));
	/* 10 MiB in 100 ms: 20 MiB are left, 200 ms */
	ck_assert(!is_due(100 * MIB, 80 * MIB, 1100 * MS, 100 * MS));
	ck_assert(!is_due(100 * MIB, 85 * MIB, 1200 * MS, 100 * MS));
	/* 5 MiB in 20 ms: 10 MiB are left, 40 ms */
	ck_assert(is_due(100 * MIB, 90 * MIB, 1220 * MS, 100 * MS));
}
END_TEST

START_TEST(growth_far_from_the_limit_is_a_start_and_no_leak)
{
	ck_assert(!is_due(100 * MIB, 5 * MIB, 1000 * MS, 500 * MS));
	ck_assert(!is_due(100 * MIB, 74 * MIB, 1020 * MS, 500 * MS));
}
END_TEST

START_TEST(next_look_comes_in_half_the_time_that_is_left)
{
	ck_assert_int_eq(next_look(1000, 0, 1000 * MS), 20 * MS);
	/* 100 in 100 ms: 900 ms are left */
	ck_assert_int_eq(next_look(1000, 100, 1100 * MS), 450 * MS);
	/* 800 in 100 ms: 12.5 ms are left */
	ck_assert_int_eq(next_look(1000, 900, 1200 * MS), 20 * MS);
	/* 1 in 100 ms */
	ck_assert_int_eq(next_look(1000, 901, 1300 * MS), 1000 * MS);
	/* it gets less, or time stands still */
	ck_assert_int_eq(next_look(1000, 100, 1400 * MS), 1000 * MS);
	ck_assert_int_eq(next_look(1000, 200, 1400 * MS), 20 * MS);
	/* what a hostile worker can write */
	ck_assert_int_eq(next_look(UINT64_MAX, UINT64_MAX - 1, 1500 * MS), 20 * MS);
}
END_TEST

START_TEST(ages_differ_by_up_to_a_tenth_and_are_the_same_for_the_same_worker)
{
	int64_t least = INT64_MAX, most = 0;

	for (int i = 0; i < 1000; i++) {
		int64_t ready_ns = 5000 * CLOCK_NS_PER_S + i * 1234567;
		int64_t age_ns = recycle_age_ns(1000 * MS, ready_ns);

		ck_assert_int_eq(age_ns, recycle_age_ns(1000 * MS, ready_ns));
		least = age_ns < least ? age_ns : least;
		most = age_ns > most ? age_ns : most;
	}
	ck_assert_int_ge(least, 900 * MS);
	ck_assert_int_le(least, 905 * MS);
	ck_assert_int_le(most, 1000 * MS);
	ck_assert_int_ge(most, 995 * MS);
}
END_TEST

static void
fill(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		_exit(1);
}

/* A process of a group of its own with a child, each with some memory of their own; the child says
 * when it is ready. */
static pid_t
fork_family(size_t parents, size_t childs)
{
	int ready[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)setpgid(0, 0);
		fill(parents);
		if (fork() == 0) {
			fill(childs);
			(void)!write(ready[1], "x", 1);
		}
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

START_TEST(memory_of_a_family_counts_what_is_shared_once)
{
	struct usage alone, together;
	pid_t pid = fork_family(40 * MIB, 4096);

	ck_assert_int_eq(usage_read(pid, &alone), 0);
	(void)kill(-pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	pid = fork_family(40 * MIB, 20 * MIB);
	ck_assert_int_eq(usage_read(pid, &together), 0);
	(void)kill(-pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	ck_assert_uint_ge(alone.memory, 40 * MIB);
	ck_assert_uint_le(alone.memory, 60 * MIB);
	ck_assert_uint_ge(together.memory - alone.memory, 19 * MIB);
	ck_assert_uint_le(together.memory - alone.memory, 25 * MIB);
	ck_assert_int_eq(usage_read(pid, &alone), -ENOENT);
}
END_TEST

START_TEST(processor_time_that_was_used_is_counted_dead_children_included)
{
	struct usage before, after;
	pid_t pid;

	ck_assert_int_eq(usage_read(getpid(), &before), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		while (clock() < CLOCKS_PER_SEC / 5)
			;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(usage_read(getpid(), &after), 0);
	ck_assert_uint_ge(after.ticks - before.ticks, (uint64_t)sysconf(_SC_CLK_TCK) / 10);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("recycle");

	tcase_add_checked_fixture(cases, NULL, clean);
	tcase_add_test(cases, limit_that_is_reached_makes_it_due_and_not_one_below);
	tcase_add_test(cases, near_the_limit_it_is_due_when_the_time_to_start_another_is_left);
	tcase_add_test(cases, growth_far_from_the_limit_is_a_start_and_no_leak);
	tcase_add_test(cases, next_look_comes_in_half_the_time_that_is_left);
	tcase_add_test(cases, ages_differ_by_up_to_a_tenth_and_are_the_same_for_the_same_worker);
	tcase_add_test(cases, memory_of_a_family_counts_what_is_shared_once);
	tcase_add_test(cases, processor_time_that_was_used_is_counted_dead_children_included);
	return unit_run("recycle", cases);
}
