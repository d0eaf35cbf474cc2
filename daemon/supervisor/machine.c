/*
 * machine.c - reads /proc/meminfo, /proc/loadavg, and the files of control groups, version 2 or 1.
 */
#include "supervisor/machine.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define MACHINE_FILE_SIZE 8192
#define MACHINE_THOUSANDTHS 1000

/* How a version of control groups calls its files. */
struct machine_files {
	const char *limit, *usage, *inactive;
};

static const struct machine_files machine_version_2 = {
	.limit = "memory.max",
	.usage = "memory.current",
	.inactive = "inactive_file ",
};
static const struct machine_files machine_version_1 = {
	.limit = "memory.limit_in_bytes",
	.usage = "memory.usage_in_bytes",
	.inactive = "total_inactive_file ",
};

/* The beginning of a file as a text. */
static bool
machine_read_file(const char *directory, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	return true;
}

static bool
machine_read_number(const char *text, uint64_t *ret)
{
	return parse_take_number(&text, ret) == 0;
}

/* The number behind a word at the beginning of a line. */
static bool
machine_find_number(const char *text, const char *word, uint64_t *ret)
{
	size_t length = strlen(word);

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, word, length) == 0)
			return machine_read_number(line + length, ret);
		if (*line == '\0')
			break;
	}
	return false;
}

static int64_t
machine_part(uint64_t used, uint64_t all)
{
	return used >= all ? MACHINE_THOUSANDTHS
			   : (int64_t)((double)used * MACHINE_THOUSANDTHS / (double)all);
}

static int64_t
machine_read_all_memory(const char *root)
{
	char text[MACHINE_FILE_SIZE];
	uint64_t total, available;

	if (!machine_read_file(root, "proc/meminfo", text, sizeof(text)) ||
	    !machine_find_number(text, "MemTotal:", &total) ||
	    !machine_find_number(text, "MemAvailable:", &available) || total == 0)
		return -1;
	return machine_part(total > available ? total - available : 0, total);
}

/* Of one control group; -1: it has no limit. */
static int64_t
machine_read_group(const char *directory, const struct machine_files *files)
{
	char text[MACHINE_FILE_SIZE];
	uint64_t limit, usage, inactive = 0;

	if (!machine_read_file(directory, files->limit, text, sizeof(text)) ||
	    !machine_read_number(text, &limit) || limit == 0)
		return -1;
	if (!machine_read_file(directory, files->usage, text, sizeof(text)) ||
	    !machine_read_number(text, &usage))
		return -1;
	/* what was read from files and not asked for again makes room at once */
	if (machine_read_file(directory, "memory.stat", text, sizeof(text)))
		(void)machine_find_number(text, files->inactive, &inactive);
	return machine_part(usage > inactive ? usage - inactive : 0, limit);
}

/* Of a control group and all that it is in. */
static int64_t
machine_read_groups(const char *base, const char *group, const struct machine_files *files)
{
	char directory[PATH_MAX];
	size_t base_length = strlen(base);
	int64_t most = -1;

	if (snprintf(directory, sizeof(directory), "%s%s", base, group) >= (int)sizeof(directory))
		return -1;
	for (;;) {
		int64_t part = machine_read_group(directory, files);
		char *slash = strrchr(directory, '/');

		most = part > most ? part : most;
		if (slash == NULL || slash < directory + base_length)
			return most;
		*slash = '\0';
	}
}

static bool
machine_has_memory(const char *controllers)
{
	size_t length = strlen("memory");

	for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, "memory", length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	}
	return false;
}

/* One line of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH, without controllers of version 2. */
static int64_t
machine_read_line(const char *root, char *line)
{
	char base[PATH_MAX];
	char *controllers = strchr(line, ':');
	char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
	const char *place = "sys/fs/cgroup";

	if (group == NULL)
		return -1;
	*group++ = '\0';
	controllers++;
	if (*controllers == '\0') {
		(void)snprintf(base, sizeof(base), "%s/%s/unified", root, place);
		if (access(base, F_OK) < 0)
			(void)snprintf(base, sizeof(base), "%s/%s", root, place);
		return machine_read_groups(base, group, &machine_version_2);
	}
	if (!machine_has_memory(controllers))
		return -1;
	(void)snprintf(base, sizeof(base), "%s/%s/memory", root, place);
	return machine_read_groups(base, group, &machine_version_1);
}

static int64_t
machine_read_memory(const char *root)
{
	char text[MACHINE_FILE_SIZE];
	int64_t most = machine_read_all_memory(root);
	char *rest = text, *line;

	if (!machine_read_file(root, "proc/self/cgroup", text, sizeof(text)))
		return most;
	while ((line = strsep(&rest, "\n")) != NULL) {
		int64_t part = machine_read_line(root, line);

		most = part > most ? part : most;
	}
	return most;
}

static int64_t
machine_read_load(const char *root)
{
	uint64_t whole, hundredths;
	const char *at;
	char text[128];

	/* without the locale's idea of a decimal point */
	if (!machine_read_file(root, "proc/loadavg", text, sizeof(text)))
		return -1;
	at = text;
	if (parse_take_number(&at, &whole) < 0 || *at++ != '.' ||
	    parse_take_number(&at, &hundredths) < 0 || whole > UINT32_MAX || hundredths > 99)
		return -1;
	return (int64_t)(whole * MACHINE_THOUSANDTHS + hundredths * 10);
}

struct machine_state
machine_read(const char *root)
{
	return (struct machine_state){
		.memory = machine_read_memory(root),
		.load = machine_read_load(root),
	};
}
