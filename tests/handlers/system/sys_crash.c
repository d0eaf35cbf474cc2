/*
 * sys_crash - crashes where and as it is told to: in setup by its option, else by its client's
 * line.
 */
#include <handlerd/handler.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct hd_option options[] = {
	HD_OPTION_STRING("at", "", "server_start, child_start, setup or constructor"),
	HD_OPTION_STRING("how", "segv", "as a client would say"),
	HD_OPTION_END,
};

static int on_server_start(struct hd_server *server);
static int on_child_start(struct hd_server *server);

HD_HANDLER(.name = "sys_crash", .version = "4.5\033.6", .flags = HD_STREAM | HD_THREADS | HD_FIBERS,
	   .options = options, .server_start = on_server_start, .child_start = on_child_start);

static volatile uintptr_t nowhere = 16;
static volatile int zero, result;
static volatile char grown;

static void __attribute__((noinline)) crash_here(void)
{
	*(volatile int *)nowhere = 1;
}

static int __attribute__((noinline)) crash_deep(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	grown = room[0];
	if (depth < 0)
		return 0;
	return crash_deep(depth + 1) + room[0];
}

static void __attribute__((noinline)) crash_twice(void)
{
	char *volatile memory = malloc(100);
	char *volatile same = memory;

	free(memory);
	free(same);
}

static void __attribute__((noinline)) crash_nowhere(void)
{
	void (*volatile call)(void) = NULL;

	call();
	result++;
}

static void __attribute__((noinline)) crash_behind_file(void)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	volatile char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	result = map[0];
}

static void *
crash_in_thread(void *argument)
{
	crash_here();
	return argument;
}

static void
crash_own_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, crash_in_thread, NULL) == 0)
		(void)pthread_join(thread, NULL);
}

/* What a handler forks is no worker: it dies alone, and nobody reports it. */
static void
crash_forked(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		crash_here();
	}
	(void)waitpid(pid, NULL, 0);
}

static void
on_own_signal(int number)
{
	(void)number;
	_exit(9);
}

static struct sigaction previous;

/* As libraries do that look at a fault first. */
static void
on_chained_signal(int number, siginfo_t *info, void *context)
{
	previous.sa_sigaction(number, info, context);
}

static void __attribute__((noinline)) crash_chained(void)
{
	struct sigaction action = {.sa_sigaction = on_chained_signal, .sa_flags = SA_SIGINFO};

	(void)sigaction(SIGSEGV, &action, &previous);
	*(volatile int *)nowhere = 1;
}

static void
crash_on(const char *how)
{
	if (strcmp(how, "segv") == 0)
		crash_here();
	else if (strcmp(how, "overflow") == 0)
		result = crash_deep(1);
	else if (strcmp(how, "abort") == 0)
		abort();
	else if (strcmp(how, "free") == 0)
		crash_twice();
	else if (strcmp(how, "divide") == 0)
		result = 7 / zero;
	else if (strcmp(how, "nowhere") == 0)
		crash_nowhere();
	else if (strcmp(how, "bus") == 0)
		crash_behind_file();
	else if (strcmp(how, "trap") == 0)
		__builtin_trap();
	else if (strcmp(how, "sent") == 0)
		(void)pthread_kill(pthread_self(), SIGBUS);
	else if (strcmp(how, "chained") == 0)
		crash_chained();
	else if (strcmp(how, "thread") == 0)
		crash_own_thread();
	else if (strcmp(how, "forked") == 0)
		crash_forked();
	else if (strcmp(how, "own") == 0) {
		(void)signal(SIGSEGV, on_own_signal);
		crash_here();
	}
}

static void
crash_at(const struct hd_server *server, const char *at)
{
	if (strcmp(hd_option_string(server, "at"), at) == 0)
		crash_on(hd_option_string(server, "how"));
}

static void __attribute__((constructor)) on_load(void)
{
	if (getenv("CRASH_ON_LOAD") != NULL)
		crash_here();
}

static int
on_server_start(struct hd_server *server)
{
	crash_at(server, "server_start");
	return 0;
}

static int
on_child_start(struct hd_server *server)
{
	crash_at(server, "child_start");
	return 0;
}

int
setup(struct hd_request *req)
{
	crash_at(hd_request_server(req), "setup");
	return 0;
}

int
handle(struct hd_request *req)
{
	char line[64];
	ssize_t n;

	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		line[strcspn(line, "\n")] = '\0';
		crash_on(line);
		if (hd_printf(req, "done %s\n", line) < 0 || hd_flush(req) < 0)
			return -1;
	}
	return (int)n;
}
