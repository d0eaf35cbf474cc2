/*
 * identity_limits.c - what a worker may take of the machine: limits, priority, processors, and its
 * place when memory runs out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cpus.h"
#include "ipc/rlimits.h"
#include "worker/identity.h"

/* Descriptors a worker needs beside its connections. */
#define IDENTITY_FILES_SPARE 64

#define IDENTITY_OOM_SCORE "/proc/self/oom_score_adj"

int
identity_set_oom_score(const struct worker_settings *settings, struct identity_failure *failure)
{
	CLEANUP_CLOSE int fd = -1;
	char text[16], back[16];
	ssize_t n;

	if (!settings->has_oom_score)
		return 0;
	(void)snprintf(text, sizeof(text), "%d\n", settings->oom_score);
	identity_name_step(failure, "set oom_score_adj to %d", settings->oom_score);
	fd = open(IDENTITY_OOM_SCORE, O_RDWR | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	n = pread(fd, back, sizeof(back) - 1, 0);
	if (n < 0)
		return -errno;
	back[n] = '\0';
	return strcmp(back, text) == 0 ? 0 : -EPERM;
}

static int
identity_set_limit(uint32_t resource, rlim_t soft, rlim_t hard)
{
	struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard}, back;

	if (setrlimit((__rlimit_resource_t)resource, &limit) < 0 ||
	    getrlimit((__rlimit_resource_t)resource, &back) < 0)
		return -errno;
	return back.rlim_cur == soft && back.rlim_max == hard ? 0 : -EPERM;
}

int
identity_set_limits(const struct worker_settings *settings, struct identity_failure *failure)
{
	for (uint32_t i = 0; i < settings->rlimit_count; i++) {
		uint32_t resource = settings->rlimits[i].resource;
		rlim_t value = settings->rlimits[i].value;
		const char *name = rlimits_name(resource);
		char text[RLIMITS_TEXT_SIZE];
		int r = -EPERM;

		if (name == NULL)
			return -EINVAL;
		identity_name_step(failure, "set rlimits.%s to %s", name,
				   rlimits_format(resource, value, text, sizeof(text)));
		/* one second more before SIGKILL, so that SIGXCPU tells what it died of */
		if (resource == RLIMIT_CPU && value != RLIM_INFINITY)
			r = identity_set_limit(resource, value, value + 1);
		if (r < 0)
			r = identity_set_limit(resource, value, value);
		if (r < 0)
			return r;
	}
	return 0;
}

int
identity_set_nice(const struct worker_settings *settings, struct identity_failure *failure)
{
	int back;

	if (!settings->has_nice)
		return 0;
	identity_name_step(failure, "set nice to %d", settings->nice);
	if (setpriority(PRIO_PROCESS, 0, settings->nice) < 0)
		/* an ordinary user's lack of the right has an error of its own */
		return errno == EACCES ? -EPERM : -errno;
	errno = 0;
	back = getpriority(PRIO_PROCESS, 0);
	if (errno != 0)
		return -errno;
	return back == settings->nice ? 0 : -EPERM;
}

int
identity_set_cpus(const struct worker_settings *settings, struct identity_failure *failure)
{
	struct cpus wanted = {0}, have, more;
	int r;

	if (settings->cpus == NULL)
		return 0;
	identity_name_step(failure, "set cpu_affinity to %s", settings->cpus);
	r = cpus_parse(settings->cpus, &wanted);
	if (r >= 0)
		r = cpus_set_affinity(&wanted);
	if (r >= 0)
		r = cpus_get_affinity(&have);
	if (r < 0)
		return r;
	/* the kernel takes those that there are, which may be fewer */
	more = cpus_without(&have, &wanted);
	return cpus_count(&more) == 0 && cpus_count(&have) > 0 ? 0 : -EPERM;
}

uint32_t
identity_raise_files(uint32_t connections, uint32_t more)
{
	struct rlimit limit;
	/* beside the connection a wait needs an eventfd, and an hd_poll one more */
	rlim_t wanted = (rlim_t)connections * 3 + more + IDENTITY_FILES_SPARE;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return connections;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= (rlim_t)connections + IDENTITY_FILES_SPARE)
		return connections;
	return limit.rlim_cur > IDENTITY_FILES_SPARE
		       ? (uint32_t)(limit.rlim_cur - IDENTITY_FILES_SPARE)
		       : 1;
}
