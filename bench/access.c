/*
 * access.c - how long a decision takes among so many prefixes: of random addresses, whose place in
 * the table was not looked at before. Each look-up waits for the one before, as connections do not
 * come in batches. The best of five turns.
 *
 *	build/release/tests/bench_access [DECISIONS]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/access_writer.h"

#define ADDRESSES 65536
#define TURNS 5

static uint64_t bench_state = 88172645463325252U;

static uint64_t
bench_random(void)
{
	bench_state ^= bench_state << 13;
	bench_state ^= bench_state >> 7;
	bench_state ^= bench_state << 17;
	return bench_state;
}

/* Lengths as routing tables and lists of abuse have them; of IPv6 below 2000::/3. */
static struct access_rule
bench_rule(bool is_ipv6)
{
	struct access_rule rule = {.entry.kind = ACCESS_PREFIX,
				   .is_allow = bench_random() % 2 == 0};
	struct prefix *prefix = &rule.entry.prefix;
	unsigned bits = is_ipv6 ? 128 : 32;

	prefix->is_ipv6 = is_ipv6;
	prefix->length = (unsigned)(is_ipv6 ? 29 + bench_random() % 36 : 16 + bench_random() % 17);
	for (size_t i = 0; i < bits / 8; i++)
		prefix->bytes[i] = (unsigned char)bench_random();
	if (is_ipv6)
		prefix->bytes[0] = (unsigned char)(0x20 | (prefix->bytes[0] & 0x1f));
	for (unsigned i = prefix->length; i < bits; i++)
		prefix->bytes[i / 8] &= (unsigned char)~(1U << (7 - i % 8));
	return rule;
}

/* CPU time: other programs may run. */
static int64_t
bench_cpu_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec;
}

static void
bench_choose(struct access_who *who, bool is_ipv6)
{
	for (size_t i = 0; i < ADDRESSES; i++)
		who[i] = (struct access_who){
			.is_known = true,
			.is_ipv6 = is_ipv6,
			.hi = is_ipv6 ? (bench_random() >> 3 | UINT64_C(1) << 61)
				      : bench_random() << 32,
			.lo = is_ipv6 ? bench_random() : 0,
		};
}

static double
bench_decide(const struct access *access, bool is_ipv6, long decisions)
{
	static struct access_who who[ADDRESSES];
	double best = 0;

	for (int turn = 0; turn < TURNS; turn++) {
		uint64_t allowed = 0;
		int64_t began_ns;
		double ns;

		bench_choose(who, is_ipv6);
		began_ns = bench_cpu_ns();
		for (long i = 0; i < decisions; i++)
			allowed += access_judge(access,
						&who[((uint64_t)i + (allowed & 1)) % ADDRESSES])
					   .is_allowed;
		ns = (double)(bench_cpu_ns() - began_ns) / (double)decisions;
		/* so that it has to be found out */
		if (allowed > (uint64_t)decisions)
			abort();
		if (turn == 0 || ns < best)
			best = ns;
	}
	return best;
}

int
main(int argc, char **argv)
{
	static const size_t counts[] = {0, 1000, 10000, 100000};
	long decisions = argc > 1 ? atol(argv[1]) : 1000000;
	struct access_rule *rules = calloc(100000, sizeof(*rules));

	if (rules == NULL || decisions < 1)
		return 1;
	(void)printf("%10s %8s %14s %12s\n", "prefixes", "family", "ns/decision", "build ms");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
			struct access_writer writer;
			int64_t began_ns, built_ns;
			double ns;

			for (size_t k = 0; k < counts[i]; k++)
				rules[k] = bench_rule(is_ipv6 != 0);
			if (access_writer_open(&writer, counts[i]) < 0)
				return 1;
			began_ns = bench_cpu_ns();
			if (access_writer_publish(&writer, rules, counts[i]) < 0)
				return 1;
			built_ns = bench_cpu_ns() - began_ns;
			ns = bench_decide(&writer.view, is_ipv6 != 0, decisions);
			(void)printf("%10zu %8s %14.1f %12.1f\n", counts[i],
				     is_ipv6 != 0 ? "IPv6" : "IPv4", ns, (double)built_ns / 1e6);
			access_writer_close(&writer);
		}
	}
	free(rules);
	return 0;
}
