/*
 * cpus.h - sets of processors, as the kernel writes them: "0-3,6".
 */
#ifndef BASE_CPUS_H
#define BASE_CPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that Linux can be built for; sched_setaffinity takes sets of any size. */
#define CPUS_MOST 8192

struct cpus {
	uint64_t words[CPUS_MOST / 64];
};

/* Adds numbers and ranges, with commas between them, to a set. -EINVAL for what is none, a range
 * that ends before it begins included; -ERANGE for a number that no processor can have. After a
 * failure the set is as it was. */
int cpus_parse(const char *text, struct cpus *cpus);

/* As cpus_parse reads it; for the caller to free. Of an empty set, "". */
char *cpus_format(const struct cpus *cpus);

bool cpus_has(const struct cpus *cpus, unsigned number);
void cpus_add(struct cpus *cpus, unsigned number);
size_t cpus_count(const struct cpus *cpus);
bool cpus_equal(const struct cpus *a, const struct cpus *b);
struct cpus cpus_common(const struct cpus *a, const struct cpus *b);
/* Those of a that are not in b. */
struct cpus cpus_without(const struct cpus *a, const struct cpus *b);

/* The processors that the machine has and uses. 0 or a negative errno. */
int cpus_read_online(struct cpus *ret);

/* Those that this thread runs on. */
int cpus_get_affinity(struct cpus *ret);
/* Those of the set that the kernel has for this thread are taken; -EINVAL: it has none. */
int cpus_set_affinity(const struct cpus *cpus);

#endif
