/*
 * test_bucket.c - token buckets, with a time that the test tells.
 */
#include "policy/bucket.h"

#include <pthread.h>

#include "base/clock.h"
#include "unit.h"

#define START_NS (1000 * CLOCK_NS_PER_S)

static _Atomic int64_t full_ns;

static unsigned
take_all(const struct bucket_rate *rate, int64_t now_ns, int64_t *ret_until_ns)
{
	unsigned count = 0;

	while (bucket_take(&full_ns, rate, now_ns, 0, ret_until_ns))
		count++;
	return count;
}

static const struct {
	uint64_t per_hour, burst;
	unsigned tokens;
	int64_t interval_ns;
} rates[] = {
	{360000, 0, 100, 10 * CLOCK_NS_PER_MS},	      /* 100/s */
	{300, 0, 1, 12 * CLOCK_NS_PER_S},	      /* 5/min: less than one in a second */
	{20, 0, 1, 180 * CLOCK_NS_PER_S},	      /* 20/h */
	{3600, 5, 5, CLOCK_NS_PER_S},		      /* 1/s, five at once */
	{UINT64_C(3600000000), 3, 3, 1000},	      /* a million in a second */
	{1, 1000000, 1000000, 3600 * CLOCK_NS_PER_S}, /* the longest that there is */
	{3 * 3600, 0, 3, 333333333},		      /* not a whole number */
};

START_TEST(bucket_has_its_burst_and_then_its_rate)
{
	struct bucket_rate rate = bucket_rate_of(rates[_i].per_hour, rates[_i].burst);
	int64_t until_ns, now_ns = START_NS;

	ck_assert_int_eq(rate.interval_ns, rates[_i].interval_ns);
	ck_assert_uint_eq(bucket_count(full_ns, &rate, now_ns), rates[_i].tokens);
	ck_assert_uint_eq(take_all(&rate, now_ns, &until_ns), rates[_i].tokens);
	ck_assert_uint_eq(bucket_count(full_ns, &rate, now_ns), 0);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(until_ns, now_ns + rate.interval_ns);
		ck_assert(!bucket_take(&full_ns, &rate, until_ns - 1, 0, &until_ns));
		now_ns = until_ns;
		ck_assert_uint_eq(take_all(&rate, now_ns, &until_ns), 1);
	}
	now_ns += rate.whole_ns;
	ck_assert_uint_eq(take_all(&rate, now_ns, &until_ns), rates[_i].tokens);
}
END_TEST

START_TEST(token_that_is_given_back_is_there_at_once)
{
	struct bucket_rate rate = bucket_rate_of(20, 2);
	int64_t until_ns;

	ck_assert_uint_eq(take_all(&rate, START_NS, &until_ns), 2);
	bucket_give_back(&full_ns, &rate);
	ck_assert_uint_eq(take_all(&rate, START_NS, &until_ns), 1);
}
END_TEST

START_TEST(bucket_begins_with_what_another_has_left)
{
	struct bucket_rate rate = bucket_rate_of(3600, 10);
	int64_t until_ns;

	ck_assert(bucket_take(&full_ns, &rate, START_NS, START_NS + 7 * CLOCK_NS_PER_S, &until_ns));
	ck_assert_uint_eq(bucket_count(full_ns, &rate, START_NS), 2);
	/* whatever stands there, it is an empty bucket at worst */
	full_ns = 0;
	ck_assert(!bucket_take(&full_ns, &rate, START_NS, INT64_MAX, &until_ns));
	ck_assert_int_eq(until_ns, START_NS + CLOCK_NS_PER_S);
	ck_assert(bucket_take(&full_ns, &rate, until_ns, 0, &until_ns));
}
END_TEST

START_TEST(bucket_is_no_emptier_than_this_rate_makes_it)
{
	struct bucket_rate rate = bucket_rate_of(36000, 5);
	int64_t until_ns;

	/* what a rate of one in an hour has left */
	full_ns = START_NS + 3600 * CLOCK_NS_PER_S;
	ck_assert(!bucket_take(&full_ns, &rate, START_NS, 0, &until_ns));
	ck_assert_int_eq(until_ns, START_NS + 100 * CLOCK_NS_PER_MS);
	ck_assert_uint_eq(take_all(&rate, until_ns, &until_ns), 1);
	/* what no rate leaves */
	full_ns = INT64_MAX;
	ck_assert(!bucket_take(&full_ns, &rate, START_NS, 0, &until_ns));
	ck_assert_int_eq(until_ns, START_NS + 100 * CLOCK_NS_PER_MS);
	/* another flow may be ahead by a moment, and nothing is gained by that */
	full_ns = START_NS + rate.whole_ns + CLOCK_NS_PER_MS;
	ck_assert(!bucket_take(&full_ns, &rate, START_NS, 0, &until_ns));
	ck_assert_int_eq(full_ns, START_NS + rate.whole_ns + CLOCK_NS_PER_MS);
}
END_TEST

static struct bucket_rate shared_rate;

static void *
take_in_parallel(void *argument)
{
	unsigned *count = argument;
	int64_t until_ns;

	for (int i = 0; i < 100000; i++)
		*count += bucket_take(&full_ns, &shared_rate, START_NS, 0, &until_ns);
	return NULL;
}

START_TEST(flows_take_exactly_what_there_is)
{
	enum { FLOWS = 4 };
	unsigned counts[FLOWS] = {0}, sum = 0;
	pthread_t threads[FLOWS];

	shared_rate = bucket_rate_of(1, 50000);
	for (int i = 0; i < FLOWS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_in_parallel, &counts[i]),
				 0);
	for (int i = 0; i < FLOWS; i++) {
		(void)pthread_join(threads[i], NULL);
		sum += counts[i];
	}
	ck_assert_uint_eq(sum, 50000);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("bucket");

	tcase_add_loop_test(cases, bucket_has_its_burst_and_then_its_rate, 0, UNIT_COUNT(rates));
	tcase_add_test(cases, token_that_is_given_back_is_there_at_once);
	tcase_add_test(cases, bucket_begins_with_what_another_has_left);
	tcase_add_test(cases, bucket_is_no_emptier_than_this_rate_makes_it);
	tcase_add_test(cases, flows_take_exactly_what_there_is);
	return unit_run("bucket", cases);
}
