/*
 * cpus.c - parsed to the last character, and read from the kernel.
 */
#include "base/cpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"

#define CPUS_ONLINE "/sys/devices/system/cpu/online"
#define CPUS_WORD 64

/* Numbers of one range, or of a processor alone: the longest text there is for it is short. */
#define CPUS_TEXT_SIZE 16

bool
cpus_has(const struct cpus *cpus, unsigned number)
{
	return number < CPUS_MOST &&
	       (cpus->words[number / CPUS_WORD] >> (number % CPUS_WORD) & 1) != 0;
}

void
cpus_add(struct cpus *cpus, unsigned number)
{
	if (number < CPUS_MOST)
		cpus->words[number / CPUS_WORD] |= UINT64_C(1) << (number % CPUS_WORD);
}

size_t
cpus_count(const struct cpus *cpus)
{
	size_t count = 0;

	for (size_t i = 0; i < COUNT_OF(cpus->words); i++)
		count += (size_t)__builtin_popcountll(cpus->words[i]);
	return count;
}

bool
cpus_equal(const struct cpus *a, const struct cpus *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

struct cpus
cpus_common(const struct cpus *a, const struct cpus *b)
{
	struct cpus result;

	for (size_t i = 0; i < COUNT_OF(result.words); i++)
		result.words[i] = a->words[i] & b->words[i];
	return result;
}

struct cpus
cpus_without(const struct cpus *a, const struct cpus *b)
{
	struct cpus result;

	for (size_t i = 0; i < COUNT_OF(result.words); i++)
		result.words[i] = a->words[i] & ~b->words[i];
	return result;
}

/* A number at *text, which is moved behind it. */
static int
cpus_parse_number(const char **text, unsigned *ret)
{
	const char *p = *text;
	unsigned number = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		number = number * 10 + (unsigned)(*p - '0');
		if (number >= CPUS_MOST)
			return -ERANGE;
	}
	*text = p;
	*ret = number;
	return 0;
}

int
cpus_parse(const char *text, struct cpus *cpus)
{
	struct cpus found = *cpus;

	for (;;) {
		unsigned first = 0, last;
		int r = cpus_parse_number(&text, &first);

		last = first;
		if (r >= 0 && *text == '-') {
			text++;
			r = cpus_parse_number(&text, &last);
		}
		if (r < 0)
			return r;
		if (last < first || (*text != ',' && *text != '\0'))
			return -EINVAL;
		for (unsigned number = first; number <= last; number++)
			cpus_add(&found, number);
		if (*text == '\0')
			break;
		text++;
	}
	*cpus = found;
	return 0;
}

char *
cpus_format(const struct cpus *cpus)
{
	char *text = memory_text("");

	for (unsigned first = 0; first < CPUS_MOST; first++) {
		char range[CPUS_TEXT_SIZE], *longer;
		unsigned last = first;

		if (!cpus_has(cpus, first))
			continue;
		while (cpus_has(cpus, last + 1))
			last++;
		if (last > first)
			(void)snprintf(range, sizeof(range), "%u-%u", first, last);
		else
			(void)snprintf(range, sizeof(range), "%u", first);
		longer = memory_format("%s%s%s", text, *text != '\0' ? "," : "", range);
		free(text);
		text = longer;
		first = last;
	}
	return text;
}

int
cpus_read_online(struct cpus *ret)
{
	CLEANUP_CLOSE int fd = open(CPUS_ONLINE, O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t n;

	*ret = (struct cpus){0};
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return cpus_parse(text, ret);
}

/* Not the C library's functions, whose sets are of a fixed size or allocated. */
int
cpus_get_affinity(struct cpus *ret)
{
	*ret = (struct cpus){0};
	return syscall(SYS_sched_getaffinity, 0, sizeof(*ret), ret) < 0 ? -errno : 0;
}

int
cpus_set_affinity(const struct cpus *cpus)
{
	return syscall(SYS_sched_setaffinity, 0, sizeof(*cpus), cpus) < 0 ? -errno : 0;
}
