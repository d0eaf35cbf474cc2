/*
 * sys_stuck - takes too long in the way the client asks for: it waits by the calls that can be
 * cancelled, or does what nobody can end from outside.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

HD_HANDLER(.name = "sys_stuck", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

/* Outside of all that knows of requests. */
static void
block(void)
{
	int ends[2];
	char byte;

	if (pipe(ends) == 0)
		(void)!read(ends[0], &byte, 1);
}

static void
spin(void)
{
	static volatile int never;

	while (never == 0)
		;
}

static int
wait_for_pipe(struct hd_request *req)
{
	int ends[2], r;

	if (pipe(ends) < 0)
		return -errno;
	r = hd_wait(req, ends[0], POLLIN, -1);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return r;
}

static int
wait_for_connected(struct hd_request *req, const char *address)
{
	struct hd_request *other;
	char byte;
	int r = -1;

	other = hd_connect(req, address, -1, &r);
	return other != NULL ? (int)hd_recv(other, &byte, 1) : r;
}

#define MUCH (64L << 20)

static int
send_file(struct hd_request *req)
{
	int fd = memfd_create("much", MFD_CLOEXEC);
	int64_t n = ftruncate(fd, MUCH) < 0 ? -errno : hd_sendfile(req, fd, 0, MUCH);

	(void)close(fd);
	return n < 0 ? (int)n : 0;
}

static int
print(struct hd_request *req)
{
	FILE *out = hd_makefile(req, "w");
	int r = 0;

	while (r >= 0)
		r = fputs("much of the same, again and again\n", out) < 0 ? -errno : 0;
	return r;
}

/* As long as it may: asks when there is room, and fills it past the calls that count. */
static int
poll_for_output(struct hd_request *req)
{
	static const char block_of_bytes[65536];
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLOUT};
	int r;

	while ((r = hd_poll(req, &row, 1, -1)) > 0) {
		if (send(hd_fd(req), block_of_bytes, sizeof(block_of_bytes),
			 MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno != EAGAIN)
			return -EPIPE;
	}
	return r;
}

/* Answers past the calls that count, as one that splices does. */
static int
echo_uncounted(struct hd_request *req)
{
	int fd = hd_fd(req);
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	char buf[256];
	ssize_t n;
	int r;

	while ((r = hd_poll(req, &row, 1, -1)) > 0) {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n <= 0)
			return 0;
		(void)send(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return r;
}

/* For another number of the client's descriptor. */
static int
wait_for_duplicate(struct hd_request *req)
{
	int fd = dup(hd_fd(req)), r;

	if (fd < 0)
		return -errno;
	r = hd_wait(req, fd, POLLIN, -1);
	(void)close(fd);
	return r;
}

/* Knows nothing of the calls that can be cancelled. */
static int
wait_for_bytes(struct hd_request *req)
{
	struct pollfd row = {.fd = hd_fd(req), .events = POLLIN};
	char byte;
	int r;

	do {
		r = poll(&row, 1, -1);
	} while (r < 0 && errno == EINTR);
	return recv(row.fd, &byte, 1, 0) <= 0 ? -EPIPE : 0;
}

/* "HOW" or "connect ADDRESS"; what the wait returned. */
static int
wait_as_told(struct hd_request *req, const char *how)
{
	static const struct timespec late = {.tv_nsec = 300000000};
	static const char block_of_bytes[65536];
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	sigset_t all;
	char byte, line[64];
	int r = 0;

	if (strcmp(how, "sleep") == 0)
		return hd_sleep(req, 60000);
	if (strcmp(how, "poll") == 0)
		return hd_poll(req, &row, 1, -1);
	if (strcmp(how, "recv") == 0)
		return (int)hd_recv(req, &byte, 1);
	if (strcmp(how, "fgets") == 0)
		return fgets(line, sizeof(line), hd_makefile(req, "r")) != NULL ? 1 : -errno;
	if (strcmp(how, "hasty") == 0) {
		(void)hd_set_timeout(req, 50);
		return (int)hd_recv(req, &byte, 1);
	}
	/* has its end told, and takes a second and a half over it */
	if (strcmp(how, "stubborn") == 0) {
		r = (int)hd_recv(req, &byte, 1);
		for (int i = 0; i < 5; i++)
			(void)nanosleep(&late, NULL);
		return r;
	}
	if (strcmp(how, "client") == 0)
		return hd_wait(req, hd_fd(req), POLLIN, -1);
	if (strcmp(how, "raw") == 0)
		return wait_for_bytes(req);
	if (strcmp(how, "duplicate") == 0)
		return wait_for_duplicate(req);
	if (strcmp(how, "uncounted") == 0)
		return echo_uncounted(req);
	if (strcmp(how, "sendfile") == 0)
		return send_file(req);
	if (strcmp(how, "print") == 0)
		return print(req);
	if (strcmp(how, "pollout") == 0)
		return poll_for_output(req);
	if (strcmp(how, "wait") == 0)
		return wait_for_pipe(req);
	if (strncmp(how, "connect ", 8) == 0)
		return wait_for_connected(req, how + 8);
	if (strcmp(how, "late") == 0) {
		r = hd_sleep(req, 60000);
		(void)nanosleep(&late, NULL);
		return r;
	}
	if (strcmp(how, "send") == 0) {
		while (r == 0)
			r = hd_sendall(req, block_of_bytes, sizeof(block_of_bytes));
		return r;
	}
	if (strcmp(how, "ignore") == 0)
		for (;;)
			(void)hd_sleep(req, 10);
	if (strcmp(how, "spin") == 0)
		spin();
	if (strcmp(how, "block") == 0)
		block();
	if (strcmp(how, "deaf") == 0) {
		(void)sigfillset(&all);
		(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
		block();
	}
	return 0;
}

int
handle(struct hd_request *req)
{
	char line[256];
	ssize_t n;
	int r;

	/* from the first byte on */
	if (getenv("UNCOUNTED") != NULL)
		return echo_uncounted(req);
	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "ping") == 0) {
			r = hd_printf(req, "pong\n");
		} else if (strcmp(line, "pid") == 0) {
			r = hd_printf(req, "%d\n", (int)getpid());
		} else {
			if (!hd_is_datagram(req) &&
			    (hd_printf(req, "waiting\n") < 0 || hd_flush(req) < 0))
				return -1;
			r = wait_as_told(req, line);
			hd_log(req, HD_LOG_INFO, "%s ended with %d", line, r);
		}
		if (r < 0)
			return r;
	}
	return (int)n;
}

void
finish(struct hd_request *req)
{
	hd_log(req, HD_LOG_INFO, "finish called");
}
