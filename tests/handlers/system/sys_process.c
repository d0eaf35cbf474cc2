/*
 * sys_process - does what a process may or may not: files, programs, processor time; one command a
 * line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script.h"

HD_HANDLER(.name = "sys_process", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

extern char **environ;

static void
op_pid(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, getpid());
}

static void
op_create(struct script *script, char *argument)
{
	int fd = open(argument, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	script_say_number(script, fd < 0 ? -errno : 0);
	if (fd >= 0)
		(void)close(fd);
}

/* FROM TO */
static void
op_move(struct script *script, char *argument)
{
	char *from = strsep(&argument, " ");

	script_say_number(script, rename(from, argument) < 0 ? -errno : 0);
}

/* PATH SIZE: how much could be written, and why no more. */
static void
op_fill(struct script *script, char *argument)
{
	char *path = strsep(&argument, " ");
	long size = strtol(argument, NULL, 10), at = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), error = 0;
	char block[512] = "";

	while (fd >= 0 && at < size && error == 0) {
		ssize_t n = write(fd, block, sizeof(block));

		if (n < 0)
			error = errno;
		else
			at += n;
	}
	script_say(script, "%ld %s ", at, strerror(fd < 0 ? errno : error));
	if (fd >= 0)
		(void)close(fd);
}

/* The first line of a file, or why there is none. */
static void
op_read(struct script *script, char *argument)
{
	FILE *file = fopen(argument, "re");
	char line[256] = "";

	if (file == NULL) {
		script_say(script, "%s ", strerror(errno));
		return;
	}
	(void)!fgets(line, sizeof(line), file);
	line[strcspn(line, "\n")] = '\0';
	script_say(script, "%s ", line);
	(void)fclose(file);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is in a directory. */
static void
op_list(struct script *script, char *argument)
{
	DIR *directory = opendir(argument);
	const struct dirent *entry;
	char *names[256];
	size_t count = 0;

	if (directory == NULL) {
		script_say(script, "%s ", strerror(errno));
		return;
	}
	while ((entry = readdir(directory)) != NULL && count < 256) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			names[count++] = strdup(entry->d_name);
	}
	(void)closedir(directory);
	qsort(names, count, sizeof(names[0]), compare_names);
	script_say(script, "%zu", count);
	for (size_t i = 0; i < count; i++) {
		script_say(script, ",%s", names[i]);
		free(names[i]);
	}
	script_say(script, " ");
}

static void
op_spin(struct script *script, char *argument)
{
	volatile unsigned long turns = 0;

	(void)script, (void)argument;
	for (;;)
		turns = turns + 1;
}

static void
say_error(struct script *script, const char *what, long result)
{
	script_say(script, "%s=%s ", what, result == 0 ? "done" : strerrorname_np(errno));
}

/* Everything that would give this process more than it has. */
static void
op_regain(struct script *script, char *argument)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct all[2] = {
		{.effective = ~0U, .permitted = ~0U, .inheritable = ~0U},
		{.effective = ~0U, .permitted = ~0U, .inheritable = ~0U}};
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	gid_t none = 0;

	(void)argument;
	/* past the C library, which would do it to all threads */
	say_error(script, "setuid", syscall(SYS_setuid, 0));
	say_error(script, "setresuid", syscall(SYS_setresuid, 0, 0, 0));
	say_error(script, "setgid", syscall(SYS_setgid, 0));
	say_error(script, "setgroups", syscall(SYS_setgroups, 1, &none));
	say_error(script, "capset", syscall(SYS_capset, &header, all));
	say_error(script, "chroot", chroot("/"));
	say_error(script, "unshare", unshare(CLONE_NEWNS));
	say_error(script, "mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	say_error(script, "ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
	say_error(script, "kill", kill(getppid() > 1 && getpgrp() == getpid() ? getppid() : 1, 0));
	say_error(script, "nice", setpriority(PRIO_PROCESS, 0, -20));
	say_error(script, "rlimit", setrlimit(RLIMIT_NICE, &limit));
}

/* HOW FILE: executes $SHOW with the file, in one of the ways that there are. Its status. */
static void
op_run(struct script *script, char *argument)
{
	char *how = strsep(&argument, " "), *program = getenv("SHOW");
	char *arguments[] = {program, argument, NULL};
	char command[1024];
	int status = -1;
	pid_t pid = 0;

	(void)snprintf(command, sizeof(command), "exec %s %s", program, argument);
	if (strcmp(how, "system") == 0) {
		status = system(command);
	} else if (strcmp(how, "popen") == 0) {
		FILE *stream = popen(command, "re");

		status = stream != NULL ? pclose(stream) : -1;
	} else if (strcmp(how, "spawn") == 0) {
		if (posix_spawn(&pid, program, NULL, NULL, arguments, environ) == 0)
			(void)waitpid(pid, &status, 0);
	} else {
		pid = fork();
		if (pid == 0) {
			(void)execve(program, arguments, environ);
			_exit(99);
		}
		(void)waitpid(pid, &status, 0);
	}
	script_say_number(script, status);
}

int
handle(struct hd_request *req)
{
	static const struct script_op ops[] = {
		{"pid", op_pid},       {"create", op_create}, {"fill", op_fill}, {"move", op_move},
		{"read", op_read},     {"list", op_list},     {"spin", op_spin}, {"run", op_run},
		{"regain", op_regain}, {NULL, NULL},
	};

	return script_run(req, ops);
}
