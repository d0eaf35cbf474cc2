/*
 * usage.c - reads /proc/PID/statm and /proc/PID/stat: a few system calls, and no lock on the pages
 * that the process is using, as smaps_rollup would need.
 */
#include "supervisor/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

struct usage_pages {
	uint64_t resident; /* all that is in memory */
	uint64_t own;	   /* of it, what is of no file: heap, stacks, data that was written to */
};

/* The beginning of a file of /proc/PID as a text. */
static int
usage_read_file(int proc_fd, const char *pid, const char *name, char *buf, size_t size)
{
	char path[64];
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", pid, name);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n <= 0)
		return n < 0 ? -errno : -ENOENT;
	buf[n] = '\0';
	return 0;
}

static int
usage_read_pages(int proc_fd, const char *pid, struct usage_pages *ret)
{
	uint64_t all, shared;
	char text[128];
	const char *at = text;
	int r = usage_read_file(proc_fd, pid, "statm", text, sizeof(text));

	if (r < 0)
		return r;
	if (parse_take_number(&at, &all) < 0 || parse_take_number(&at, &ret->resident) < 0 ||
	    parse_take_number(&at, &shared) < 0)
		return -EBADMSG;
	ret->own = ret->resident > shared ? ret->resident - shared : 0;
	return 0;
}

/* What /proc/PID/stat tells. */
struct usage_facts {
	pid_t group;
	uint64_t ticks;	       /* its own */
	uint64_t childs_ticks; /* of dead children */
};

/* Behind so many words. */
static const char *
usage_skip_words(const char *at, int count)
{
	for (int i = 0; i < count; i++) {
		at += strspn(at, " ");
		at += strcspn(at, " ");
	}
	return at;
}

/* The names of the words are those of proc(5). */
static int
usage_read_facts(int proc_fd, const char *pid, struct usage_facts *ret)
{
	uint64_t pgrp, utime, stime, cutime, cstime;
	char text[512];
	const char *at;
	int r = usage_read_file(proc_fd, pid, "stat", text, sizeof(text));

	if (r < 0)
		return r;
	/* the name may have any character in it */
	at = strrchr(text, ')');
	if (at == NULL)
		return -EBADMSG;
	at = usage_skip_words(at + 1, 2);
	r = parse_take_number(&at, &pgrp);
	at = usage_skip_words(at, 8);
	if (r < 0 || pgrp > INT32_MAX || parse_take_number(&at, &utime) < 0 ||
	    parse_take_number(&at, &stime) < 0 || parse_take_number(&at, &cutime) < 0 ||
	    parse_take_number(&at, &cstime) < 0)
		return -EBADMSG;
	ret->group = (pid_t)pgrp;
	ret->ticks = utime + stime;
	ret->childs_ticks = cutime + cstime;
	return 0;
}

/* A worker leads a group, which its children are in unless they have left it. */
static void
usage_add_one(int proc_fd, const char *pid, pid_t leader, const struct usage_pages *leaders,
	      uint64_t *pages, uint64_t *ticks)
{
	struct usage_facts facts;
	struct usage_pages child;

	if (usage_read_facts(proc_fd, pid, &facts) < 0 || facts.group != leader ||
	    usage_read_pages(proc_fd, pid, &child) < 0)
		return;
	/* what it has from its parent is its own in the kernel's eyes, too */
	if (child.own > leaders->own)
		*pages += child.own - leaders->own;
	*ticks += facts.ticks;
}

static int
usage_add_family(int proc_fd, pid_t leader, const struct usage_pages *leaders, uint64_t *pages,
		 uint64_t *ticks)
{
	int list_fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = list_fd >= 0 ? fdopendir(list_fd) : NULL;
	const struct dirent *entry;

	if (list == NULL) {
		int r = -errno;

		if (list_fd >= 0)
			(void)close(list_fd);
		return r;
	}
	while ((entry = readdir(list)) != NULL) {
		int64_t pid;

		/* all but a few are of no group that matters: to be told so costs little */
		if (parse_int64(entry->d_name, &pid) == 0 && pid != leader &&
		    getpgid((pid_t)pid) == leader)
			usage_add_one(proc_fd, entry->d_name, leader, leaders, pages, ticks);
	}
	(void)closedir(list);
	return 0;
}

int
usage_read(pid_t pid, struct usage *ret)
{
	CLEANUP_CLOSE int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct usage_pages pages;
	struct usage_facts facts;
	uint64_t sum, ticks;
	char name[24];
	int r;

	if (proc_fd < 0)
		return -errno;
	(void)snprintf(name, sizeof(name), "%d", (int)pid);
	r = usage_read_pages(proc_fd, name, &pages);
	if (r >= 0)
		r = usage_read_facts(proc_fd, name, &facts);
	if (r < 0)
		return r;
	sum = pages.resident;
	ticks = facts.ticks + facts.childs_ticks;
	r = usage_add_family(proc_fd, pid, &pages, &sum, &ticks);
	ret->memory = sum * (uint64_t)sysconf(_SC_PAGESIZE);
	ret->ticks = ticks;
	return r;
}
