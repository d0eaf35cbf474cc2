/*
 * summary.c - counts, and percentiles of latencies.
 */
#include "handlerctl/summary.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "handlerctl/outcome.h"

/* The percentiles that are printed: both kinds of output walk these rows. */
static const struct summary_column {
	const char *name;
	unsigned percent;
} summary_columns[] = {{"min", 0}, {"p50", 50}, {"p99", 99}, {"max", 100}};

void
summary_add(struct summary *summary, const struct outcome *outcome)
{
	CHECK(summary->answered < SUMMARY_MOST);
	if (outcome->end == OUTCOME_SILENT) {
		summary->lost++;
		return;
	}
	if (outcome->end != OUTCOME_ANSWERED) {
		summary->failed++;
		return;
	}
	summary->latencies_ns =
		memory_grow(summary->latencies_ns, summary->answered, sizeof(int64_t));
	summary->latencies_ns[summary->answered++] = outcome->latency_ns;
}

static int
summary_compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

void
summary_finish(struct summary *summary, int64_t lasted_ns)
{
	summary->lasted_ns = (uint64_t)lasted_ns;
	if (summary->answered > 0)
		qsort(summary->latencies_ns, summary->answered, sizeof(int64_t), summary_compare);
}

uint64_t
summary_sent(const struct summary *summary)
{
	return summary->answered + summary->failed + summary->lost;
}

int64_t
summary_percentile_ns(const struct summary *summary, unsigned percent)
{
	size_t rank = (summary->answered * percent + 99) / 100;

	CHECK(summary->answered > 0 && percent <= 100);
	return summary->latencies_ns[rank == 0 ? 0 : rank - 1];
}

static double
summary_rate(const struct summary *summary)
{
	if (summary->lasted_ns == 0)
		return 0;
	return (double)summary->answered * (double)CLOCK_NS_PER_S / (double)summary->lasted_ns;
}

static double
summary_ms(const struct summary *summary, unsigned percent)
{
	return (double)summary_percentile_ns(summary, percent) / (double)CLOCK_NS_PER_MS;
}

void
summary_print(const struct summary *summary, FILE *out)
{
	(void)fprintf(out, "%8s %8s %8s %8s %10s", "sent", "answered", "failed", "lost",
		      "per second");
	for (size_t i = 0; i < COUNT_OF(summary_columns); i++)
		(void)fprintf(out, " %12s", summary_columns[i].name);
	(void)fprintf(out, "\n%8" PRIu64 " %8zu %8" PRIu64 " %8" PRIu64 " %10.1f",
		      summary_sent(summary), summary->answered, summary->failed, summary->lost,
		      summary_rate(summary));
	for (size_t i = 0; i < COUNT_OF(summary_columns); i++) {
		if (summary->answered > 0)
			(void)fprintf(out, " %9.3f ms",
				      summary_ms(summary, summary_columns[i].percent));
		else
			(void)fprintf(out, " %12s", "-");
	}
	(void)fprintf(out, "\n");
}

void
summary_print_json(const struct summary *summary, FILE *out)
{
	(void)fprintf(out,
		      "{\"sent\": %" PRIu64 ", \"answered\": %zu, \"failed\": %" PRIu64
		      ", \"lost\": %" PRIu64 ", \"duration_ms\": %.3f, \"rate_per_s\": %.3f",
		      summary_sent(summary), summary->answered, summary->failed, summary->lost,
		      (double)summary->lasted_ns / (double)CLOCK_NS_PER_MS, summary_rate(summary));
	for (size_t i = 0; i < COUNT_OF(summary_columns); i++) {
		(void)fprintf(out, ", \"latency_%s_ms\": ", summary_columns[i].name);
		if (summary->answered > 0)
			(void)fprintf(out, "%.6f", summary_ms(summary, summary_columns[i].percent));
		else
			(void)fprintf(out, "null");
	}
	(void)fprintf(out, "}\n");
}

void
summary_free(struct summary *summary)
{
	free(summary->latencies_ns);
	*summary = (struct summary){.answered = 0};
}
