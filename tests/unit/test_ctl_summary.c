/*
 * test_ctl_summary.c - counts and percentiles of many exchanges.
 */
#include "handlerctl/summary.h"

#include "base/clock.h"
#include "handlerctl/outcome.h"
#include "unit.h"

static void
add_answers(struct summary *summary, int64_t from_ms, int64_t to_ms)
{
	/* the largest first, so that they have to be put in order */
	for (int64_t ms = to_ms; ms >= from_ms; ms--) {
		struct outcome outcome = {.end = OUTCOME_ANSWERED,
					  .latency_ns = ms * CLOCK_NS_PER_MS};

		summary_add(summary, &outcome);
	}
}

static void
add_failure(struct summary *summary, enum outcome_end end)
{
	struct outcome outcome = {.end = end};

	summary_add(summary, &outcome);
}

static int64_t
percentile_ms(const struct summary *summary, unsigned percent)
{
	return summary_percentile_ns(summary, percent) / CLOCK_NS_PER_MS;
}

START_TEST(percentiles_are_latencies_that_occurred)
{
	struct summary summary = {.answered = 0};

	add_answers(&summary, 1, 200);
	summary_finish(&summary, CLOCK_NS_PER_S);
	ck_assert_int_eq(percentile_ms(&summary, 0), 1);
	ck_assert_int_eq(percentile_ms(&summary, 50), 100);
	ck_assert_int_eq(percentile_ms(&summary, 99), 198);
	ck_assert_int_eq(percentile_ms(&summary, 100), 200);
	summary_free(&summary);
}
END_TEST

START_TEST(percentiles_of_few_are_the_nearest_above)
{
	struct summary summary = {.answered = 0};

	add_answers(&summary, 7, 7);
	summary_finish(&summary, CLOCK_NS_PER_S);
	for (unsigned percent = 0; percent <= 100; percent++)
		ck_assert_int_eq(percentile_ms(&summary, percent), 7);
	add_answers(&summary, 8, 9);
	summary_finish(&summary, CLOCK_NS_PER_S);
	ck_assert_int_eq(percentile_ms(&summary, 33), 7);
	ck_assert_int_eq(percentile_ms(&summary, 34), 8);
	ck_assert_int_eq(percentile_ms(&summary, 66), 8);
	ck_assert_int_eq(percentile_ms(&summary, 67), 9);
	summary_free(&summary);
}
END_TEST

START_TEST(every_exchange_is_counted_once)
{
	struct summary summary = {.answered = 0};

	add_answers(&summary, 1, 5);
	add_failure(&summary, OUTCOME_SILENT);
	add_failure(&summary, OUTCOME_SILENT);
	add_failure(&summary, OUTCOME_RESET);
	add_failure(&summary, OUTCOME_NO_LISTENER);
	add_failure(&summary, OUTCOME_UNCONNECTED);
	summary_finish(&summary, CLOCK_NS_PER_S);
	ck_assert_uint_eq(summary_sent(&summary), 10);
	ck_assert_uint_eq(summary.answered, 5);
	ck_assert_uint_eq(summary.lost, 2);
	ck_assert_uint_eq(summary.failed, 3);
	summary_free(&summary);
	ck_assert_uint_eq(summary_sent(&summary), 0);
}
END_TEST

static char *
print(const struct summary *summary, void (*print_to)(const struct summary *, FILE *))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	print_to(summary, out);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

START_TEST(columns_end_where_their_names_end)
{
	struct summary summary = {.answered = 0};
	char *text;

	add_answers(&summary, 1, 3);
	add_failure(&summary, OUTCOME_SILENT);
	summary_finish(&summary, 2 * CLOCK_NS_PER_S);
	text = print(&summary, summary_print);
	ck_assert_str_eq(text,
			 "    sent answered   failed     lost per second          min          p50"
			 "          p99          max\n"
			 "       4        3        0        1        1.5     1.000 ms     2.000 ms"
			 "     3.000 ms     3.000 ms\n");
	free(text);
	summary_free(&summary);
}
END_TEST

START_TEST(without_answers_there_are_no_latencies)
{
	struct summary summary = {.answered = 0};
	char *text;

	add_failure(&summary, OUTCOME_RESET);
	summary_finish(&summary, 0);
	text = print(&summary, summary_print);
	ck_assert_str_eq(text,
			 "    sent answered   failed     lost per second          min          p50"
			 "          p99          max\n"
			 "       1        0        1        0        0.0            -            -"
			 "            -            -\n");
	free(text);
	text = print(&summary, summary_print_json);
	ck_assert_str_eq(text, "{\"sent\": 1, \"answered\": 0, \"failed\": 1, \"lost\": 0, "
			       "\"duration_ms\": 0.000, \"rate_per_s\": 0.000, "
			       "\"latency_min_ms\": null, \"latency_p50_ms\": null, "
			       "\"latency_p99_ms\": null, \"latency_max_ms\": null}\n");
	free(text);
	summary_free(&summary);
}
END_TEST

START_TEST(json_has_the_same_numbers)
{
	struct summary summary = {.answered = 0};
	char *text;

	add_answers(&summary, 1, 3);
	summary_finish(&summary, CLOCK_NS_PER_S / 2);
	text = print(&summary, summary_print_json);
	ck_assert_str_eq(text, "{\"sent\": 3, \"answered\": 3, \"failed\": 0, \"lost\": 0, "
			       "\"duration_ms\": 500.000, \"rate_per_s\": 6.000, "
			       "\"latency_min_ms\": 1.000000, \"latency_p50_ms\": 2.000000, "
			       "\"latency_p99_ms\": 3.000000, \"latency_max_ms\": 3.000000}\n");
	free(text);
	summary_free(&summary);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("summary");

	tcase_add_test(cases, percentiles_are_latencies_that_occurred);
	tcase_add_test(cases, percentiles_of_few_are_the_nearest_above);
	tcase_add_test(cases, every_exchange_is_counted_once);
	tcase_add_test(cases, columns_end_where_their_names_end);
	tcase_add_test(cases, without_answers_there_are_no_latencies);
	tcase_add_test(cases, json_has_the_same_numbers);
	return unit_run("ctl_summary", cases);
}
