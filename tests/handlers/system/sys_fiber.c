/*
 * sys_fiber - what a handler may do, and what it should not, on a fiber.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "script.h"

static int ends[2];
static _Atomic int serviced;

static int
on_start(struct hd_server *server)
{
	(void)server;
	return pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
}

static void
on_service(struct hd_server *server)
{
	(void)server;
	atomic_fetch_add(&serviced, 1);
}

/* Thread-safe or not, as FLAGS says. */
HD_HANDLER(.name = "sys_fiber", .version = "1", .flags = HD_STREAM | HD_DGRAM | HD_FIBERS | FLAGS,
	   .server_start = on_start, .service_actions = on_service);

static void
pass(int ms)
{
	struct timespec moment = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&moment, &moment) < 0)
		;
}

static void
run_pass(void *argument)
{
	pass(*(int *)argument);
}

static void
op_spin(struct script *script, char *argument)
{
	struct timespec begun, now;
	long ms = atol(argument);

	clock_gettime(CLOCK_MONOTONIC, &begun);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 < ms);
	script_say(script, "spun ");
}

static void
op_block(struct script *script, char *argument)
{
	pass(atoi(argument));
	script_say(script, "blocked ");
}

static void
op_offload(struct script *script, char *argument)
{
	int ms = atoi(argument);

	script_say_number(script, hd_offload(script->req, run_pass, &ms));
}

static void
op_sleep(struct script *script, char *argument)
{
	script_say_number(script, hd_sleep(script->req, (unsigned)atoi(argument)));
}

static void
op_tid(struct script *script, char *argument)
{
	(void)argument;
	script_say(script, "%ld ", (long)syscall(SYS_gettid));
}

static void
op_id(struct script *script, char *argument)
{
	(void)argument;
	script_say(script, "%" PRIu64 " ", hd_request_id(script->req));
}

static void
op_serviced(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, atomic_load(&serviced));
}

/* Uses the stack kibibyte by kibibyte. */
static int __attribute__((noinline)) go_deep(int kib)
{
	volatile char frame[1024 - 64];

	frame[0] = frame[sizeof(frame) - 1] = (char)kib;
	return kib <= 0 ? frame[0] : go_deep(kib - 1) + frame[sizeof(frame) - 1];
}

static void
op_deep(struct script *script, char *argument)
{
	(void)go_deep(atoi(argument));
	script_say(script, "deep ");
}

/* All in one step, far below what is in use. */
static void __attribute__((noinline)) jump(size_t size)
{
	volatile char *frame = alloca(size);

	frame[0] = 1;
}

static void
op_jump(struct script *script, char *argument)
{
	jump((size_t)atoi(argument) * 1024);
	script_say(script, "jumped ");
}

/* Waits for a descriptor that others wait for, too. */
static void
op_wait_shared(struct script *script, char *argument)
{
	script_say_number(script, hd_wait(script->req, ends[0], POLLIN, atoi(argument)));
}

static void
op_raise_shared(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, write(ends[1], "x", 1));
}

/* The same descriptor in two rows, a file that is always ready, none, and the client. */
static void
op_poll_rows(struct script *script, char *argument)
{
	int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	struct pollfd rows[] = {
		{ends[0], POLLIN, 0},
		{ends[0], POLLIN, 0},
		{-1, POLLIN, 0},
		{HD_CLIENT, POLLIN, 0},
		{strchr(argument, 'f') != NULL ? file : -1, POLLIN, 0},
		{strchr(argument, 'b') != NULL ? 987654 : -1, POLLIN, 0},
	};
	int n = hd_poll(script->req, rows, sizeof(rows) / sizeof(rows[0]), atoi(argument));

	script_say(script, "%d", n);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		script_say(script, ",%x", (unsigned)rows[i].revents);
	script_say(script, " ");
	(void)close(file);
}

/* Reads in small pieces for as long as there is something, and never waits if there always is. */
static void
op_swallow(struct script *script, char *argument)
{
	char buf[16];
	int64_t total = 0;
	ssize_t n;

	(void)argument;
	while ((n = hd_recv(script->req, buf, sizeof(buf))) > 0)
		total += n;
	script->error = (int)n;
	hd_log(script->req, HD_LOG_NOTICE, "swallowed %" PRId64, total);
}

static void
op_connect(struct script *script, char *argument)
{
	char *timeout = strchr(argument, ' ');
	int error = 0;

	*timeout++ = '\0';
	script->connected = hd_connect(script->req, argument, atoi(timeout), &error);
	script_say_number(script, script->connected != NULL ? 0 : error);
}

/* Carries bytes between the client and the connection until both have ended. */
static void
op_relay(struct script *script, char *argument)
{
	struct hd_request *side[2] = {script->req, script->connected};
	struct pollfd rows[2] = {{HD_CLIENT, POLLIN, 0}, {hd_fd(script->connected), POLLIN, 0}};
	char buf[4096];
	int open = 2;

	(void)argument;
	while (open > 0 && hd_poll(script->req, rows, 2, -1) > 0) {
		for (int i = 0; i < 2; i++) {
			ssize_t n = rows[i].revents != 0 ? hd_recv(side[i], buf, sizeof(buf)) : -1;

			if (rows[i].revents == 0)
				continue;
			if (n <= 0) {
				(void)hd_shutdown_write(side[1 - i]);
				rows[i].fd = -1;
				open--;
			} else if (hd_sendall(side[1 - i], buf, (size_t)n) < 0) {
				return;
			}
		}
	}
}

static void
op_end(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, hd_close(script->connected));
	script->connected = NULL;
}

static void
op_wake(struct script *script, char *argument)
{
	script_say_number(script,
			  hd_wake(hd_request_server(script->req), strtoull(argument, NULL, 10)));
}

static void
op_poll(struct script *script, char *argument)
{
	struct pollfd row = {HD_CLIENT, POLLIN, 0};

	script_say_number(script, hd_poll(script->req, &row, 1, atoi(argument)));
}

static void
op_timeout(struct script *script, char *argument)
{
	script_say_number(script, hd_set_timeout(script->req, atoi(argument)));
}

static void
op_recv(struct script *script, char *argument)
{
	char buf[1024];

	script_say_bytes(script, hd_recv(script->req, buf, (size_t)atoi(argument)), buf);
}

/* Sends so many bytes. */
static void
op_supply(struct script *script, char *argument)
{
	size_t size = (size_t)atol(argument);
	char *data = calloc(1, size);

	script_say_number(script, hd_sendall(script->req, data, size));
	free(data);
}

static void
op_pollout(struct script *script, char *argument)
{
	struct pollfd row = {HD_CLIENT, POLLOUT, 0};

	script_say_number(script, hd_poll(script->req, &row, 1, atoi(argument)));
}

/* Events that are none of a connection's: it waits on the descriptor itself. */
static void
op_wait_own(struct script *script, char *argument)
{
	script_say_number(script,
			  hd_wait(script->req, hd_fd(script->req), POLLPRI, atoi(argument)));
}

static void
op_wait_band(struct script *script, char *argument)
{
	script_say_number(script, hd_wait(script->req, ends[0], POLLRDNORM, atoi(argument)));
}

static int exposed_fd;

static void
op_expose(struct script *script, char *argument)
{
	(void)argument;
	exposed_fd = hd_fd(script->req);
	script_say(script, "exposed ");
}

static void
op_wait_exposed(struct script *script, char *argument)
{
	script_say_number(script, hd_wait(script->req, exposed_fd, POLLIN, atoi(argument)));
}

/* A descriptor that somebody else closes while it is waited for. */
static int event_fd = -1;

static void
op_wait_event(struct script *script, char *argument)
{
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	script_say_number(script, hd_wait(script->req, event_fd, POLLIN, atoi(argument)));
}

static void
op_close_event(struct script *script, char *argument)
{
	(void)argument;
	script_say_number(script, close(event_fd));
}

/* A thread of the handler's own wakes whoever is there, for so many milliseconds. */
static struct hd_server *storm_server;
static int storm_ms;

static void *
run_storm(void *argument)
{
	struct timespec begun, now;

	(void)argument;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	do {
		for (uint64_t id = 1; id < 500; id++)
			(void)hd_wake(storm_server, id);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 <
		 storm_ms);
	return NULL;
}

static void
op_storm(struct script *script, char *argument)
{
	pthread_t thread;

	storm_server = hd_request_server(script->req);
	storm_ms = atoi(argument);
	script_say_number(script, pthread_create(&thread, NULL, run_storm, NULL));
	(void)pthread_detach(thread);
}

/* Sends what a command writes. */
static void
op_sendpipe(struct script *script, char *argument)
{
	FILE *pipe_of = popen(argument, "re");

	script_say_number(script, hd_sendfile(script->req, fileno(pipe_of), -1, HD_TO_END));
	(void)pclose(pipe_of);
}

/* Lets others run so many times. */
static void
op_yield(struct script *script, char *argument)
{
	for (int i = atoi(argument); i > 0; i--)
		(void)hd_sleep(script->req, 0);
	script_say(script, "yielded ");
}

int
handle(struct hd_request *req)
{
	static const struct script_op ops[] = {
		{"spin", op_spin},
		{"block", op_block},
		{"offload", op_offload},
		{"sleep", op_sleep},
		{"tid", op_tid},
		{"id", op_id},
		{"serviced", op_serviced},
		{"deep", op_deep},
		{"jump", op_jump},
		{"wait_shared", op_wait_shared},
		{"raise_shared", op_raise_shared},
		{"poll_rows", op_poll_rows},
		{"swallow", op_swallow},
		{"connect", op_connect},
		{"relay", op_relay},
		{"end", op_end},
		{"wake", op_wake},
		{"poll", op_poll},
		{"timeout", op_timeout},
		{"recv", op_recv},
		{"yield", op_yield},
		{"supply", op_supply},
		{"pollout", op_pollout},
		{"wait_own", op_wait_own},
		{"wait_band", op_wait_band},
		{"expose", op_expose},
		{"wait_exposed", op_wait_exposed},
		{"sendpipe", op_sendpipe},
		{"wait_event", op_wait_event},
		{"close_event", op_close_event},
		{"storm", op_storm},
		{NULL, NULL},
	};

	hd_set_idle(req, 1);
	return script_run(req, ops);
}
