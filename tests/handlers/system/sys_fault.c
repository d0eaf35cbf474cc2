/*
 * sys_fault - does what no handler should do, when and where it is told to: by the client in a
 * line, or by the options `at` and `what` in one of the callbacks.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct hd_option options[] = {
	HD_OPTION_STRING("at", "", "the callback: server_start, child_start, setup, finish ..."),
	HD_OPTION_STRING("what", "", "what happens there"),
	HD_OPTION_END,
};

static int on_server_start(struct hd_server *server);
static void on_server_stop(struct hd_server *server);
static int on_child_start(struct hd_server *server);
static int on_verify(struct hd_request *req);
static void on_service(struct hd_server *server) __attribute__((unused));

/* Built a second time without it: a worker with nothing to do at times hangs in other places. */
#ifdef FAULT_WITHOUT_SERVICE
#define FAULT_SERVICE NULL
#else
#define FAULT_SERVICE on_service
#endif

HD_HANDLER(.name = "sys_fault", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS,
	   .options = options, .server_start = on_server_start, .server_stop = on_server_stop,
	   .child_start = on_child_start, .verify = on_verify, .service_actions = FAULT_SERVICE);

static void *
run_for_ever(void *argument)
{
	for (;;)
		(void)pause();
	return argument;
}

static void
shut_listening_sockets(void)
{
	for (int fd = 3; fd < 256; fd++) {
		int is_listening = 0;
		socklen_t length = sizeof(is_listening);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) == 0 &&
		    is_listening)
			(void)shutdown(fd, SHUT_RDWR);
	}
}

/* What a hostile handler could say to the supervisor: through the channel and the scoreboard. */
static void
write_garbage(void)
{
	unsigned char packet[512];
	struct stat st;
	unsigned char *board;
	unsigned seed = 1;

	for (int i = 0; i < 2000; i++) {
		size_t size = (size_t)(rand_r(&seed) % (int)sizeof(packet));

		for (size_t j = 0; j < size; j++)
			packet[j] = (unsigned char)rand_r(&seed);
		/* half of them with a header that is right: version 1, a known type, generation 1
		 */
		if (i % 2 == 0) {
			static const unsigned char types[] = {1, 2, 3, 4, 5, 6, 64, 65};

			memset(packet, 0, 8);
			packet[0] = 1;
			packet[2] = types[(size_t)i / 2 % sizeof(types)];
			packet[4] = 1;
		}
		(void)send(3, packet, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (fstat(5, &st) < 0)
		return;
	board = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, 5, 0);
	if (board != MAP_FAILED)
		memset(board, 0xff, (size_t)st.st_size);
	/* sealed: neither longer nor shorter */
	if (ftruncate(5, 0) == 0)
		abort();
}

/* Says so on standard error without a word too many, for a test that waits for it. */
static void
announce(const char *what)
{
	char line[64];
	size_t length = strlen(what) < 40 ? strlen(what) : 40;

	memcpy(line, "fault: ", 7);
	memcpy(line + 7, what, length);
	line[7 + length] = '\n';
	(void)!write(STDERR_FILENO, line, length + 8);
}

/* Returns what the callback returns, if it comes back. */
static int
misbehave(const char *what)
{
	/* no null pointer, which a sanitizer would see before the processor does */
	static volatile uintptr_t nowhere = 16;
	static volatile int never;
	pid_t id_of_fork = 1;
	pthread_t id;

	if (strcmp(what, "segv") == 0)
		*(volatile int *)nowhere = 1;
	else if (strcmp(what, "abort") == 0)
		abort();
	else if (strcmp(what, "fpe") == 0)
		(void)raise(SIGFPE);
	else if (strcmp(what, "kill") == 0)
		(void)raise(SIGKILL);
	else if (strcmp(what, "exit") == 0)
		exit(3);
	else if (strcmp(what, "_exit") == 0)
		_exit(4);
	else if (strcmp(what, "pthread_exit") == 0)
		pthread_exit(NULL);
	else if (strcmp(what, "fail") == 0)
		return -EIO;
	else if (strcmp(what, "thread") == 0)
		return -pthread_create(&id, NULL, run_for_ever, NULL);
	else if (strcmp(what, "spin") == 0)
		while (never == 0)
			;
	else if (strcmp(what, "block") == 0)
		(void)run_for_ever(NULL);
	else if (strcmp(what, "block_if_asked") == 0 && access(getenv("BLOCK_IF"), F_OK) == 0)
		(void)run_for_ever(NULL);
	else if (strcmp(what, "fork_bomb") == 0) {
		for (int i = 0; i < 200 && id_of_fork != 0; i++)
			id_of_fork = fork();
		if (id_of_fork == 0)
			(void)run_for_ever(NULL);
	} else if (strcmp(what, "close_fds") == 0)
		(void)syscall(SYS_close_range, 3U, ~0U, 0U);
	else if (strcmp(what, "close_own") == 0)
		return 1;
	else if (strcmp(what, "garbage") == 0)
		write_garbage();
	else if (strcmp(what, "shut_listening") == 0)
		shut_listening_sockets();
	else if (strcmp(what, "shut_and_abort") == 0) {
		shut_listening_sockets();
		abort();
	}
	return 0;
}

/* Leaves more than the client takes, so that closing the connection waits for it. */
static int
linger_at_close(struct hd_request *req)
{
	static const struct linger linger = {.l_onoff = 1, .l_linger = 60};
	static const char filler[65536];
	int fd = hd_fd(req);

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		return -errno;
	while (send(fd, filler, sizeof(filler), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	return 0;
}

static int
misbehave_at(const struct hd_server *server, const char *at)
{
	if (strcmp(hd_option_string(server, "at"), at) != 0)
		return 0;
	announce(at);
	return misbehave(hd_option_string(server, "what"));
}

static int
on_server_start(struct hd_server *server)
{
	return misbehave_at(server, "server_start");
}

static void
on_server_stop(struct hd_server *server)
{
	(void)misbehave_at(server, "server_stop");
}

static int
on_child_start(struct hd_server *server)
{
	return misbehave_at(server, "child_start");
}

static int
on_verify(struct hd_request *req)
{
	return misbehave_at(hd_request_server(req), "verify");
}

static void
on_service(struct hd_server *server)
{
	(void)misbehave_at(server, "service_actions");
}

int
setup(struct hd_request *req)
{
	return misbehave_at(hd_request_server(req), "setup");
}

void
finish(struct hd_request *req)
{
	(void)misbehave_at(hd_request_server(req), "finish");
}

int
handle(struct hd_request *req)
{
	char line[64];
	ssize_t n;
	int r = misbehave_at(hd_request_server(req), "handle");

	hd_set_idle(req, 1);
	while (r == 0 && (n = hd_readline(req, line, sizeof(line))) != 0) {
		if (n < 0)
			return (int)n;
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "ping") == 0) {
			r = hd_printf(req, "pong\n");
		} else if (strcmp(line, "pid") == 0) {
			r = hd_printf(req, "%d\n", (int)getpid());
		} else if (strcmp(line, "linger") == 0) {
			return linger_at_close(req);
		} else {
			announce(line);
			r = misbehave(line);
			if (r == 1)
				return close(hd_fd(req));
			if (r == 0)
				r = hd_printf(req, "done %s\n", line);
		}
	}
	return r;
}
