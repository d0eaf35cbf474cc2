/*
 * rlimits.c - names and units.
 */
#include "ipc/rlimits.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/parse.h"

static const struct {
	uint32_t resource;
	const char *name;
	bool is_size; /* bytes */
} rlimits_rows[] = {
	{RLIMIT_AS, "as", true},
	{RLIMIT_CORE, "core", true},
	{RLIMIT_CPU, "cpu", false},
	{RLIMIT_DATA, "data", true},
	{RLIMIT_FSIZE, "fsize", true},
	{RLIMIT_MEMLOCK, "memlock", true},
	{RLIMIT_MSGQUEUE, "msgqueue", true},
	{RLIMIT_NOFILE, "nofile", false},
	{RLIMIT_NPROC, "nproc", false},
	{RLIMIT_SIGPENDING, "sigpending", false},
	{RLIMIT_STACK, "stack", true},
};

const char *
rlimits_name(uint32_t resource)
{
	for (size_t i = 0; i < COUNT_OF(rlimits_rows); i++) {
		if (rlimits_rows[i].resource == resource)
			return rlimits_rows[i].name;
	}
	return NULL;
}

const char *
rlimits_format(uint32_t resource, uint64_t value, char *buf, size_t size)
{
	bool is_size = false;

	for (size_t i = 0; i < COUNT_OF(rlimits_rows); i++)
		is_size = is_size ||
			  (rlimits_rows[i].resource == resource && rlimits_rows[i].is_size);
	if (value == UINT64_MAX)
		(void)snprintf(buf, size, "unlimited");
	else if (is_size)
		(void)parse_format_size(value, buf, size);
	else if (resource == RLIMIT_CPU)
		(void)snprintf(buf, size, "%" PRIu64 "s", value);
	else
		(void)snprintf(buf, size, "%" PRIu64, value);
	return buf;
}
