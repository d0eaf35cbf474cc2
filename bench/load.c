/*
 * load - the load generator of the benchmarks.
 *
 * Keeps N TCP connections to an echo server busy for S seconds and prints one line of JSON.
 *
 *   rr    N connections stay open; each sends a request, waits for its whole echo, sends again.
 *   crr   every request is a connection of its own: connect, send, whole echo, close.
 *
 * A request's latency is the time from its first to its last step; for crr that includes
 * socket() and close().  One thread, one epoll: it should need less CPU than any server it
 * measures, so that the server is what limits the rate.  The caller does the pinning (taskset).
 *
 * The client closes first, so each crr connection leaves a TIME_WAIT socket behind.  On loopback
 * the connections therefore start from several source addresses (127.0.1.1 and on), which keeps
 * the kernel from searching long for a free port, and below its limit for such sockets.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCES 4  /* source addresses on loopback */
#define SUB_BITS 7 /* histogram: 128 steps per power of two, so below 1 % of error */
#define SUB (1 << SUB_BITS)
#define DRAIN_NS 2000000000LL /* how long the last requests may take after the time is up */
#define EVENTS 256

struct conn {
	int fd;
	bool waits_out; /* registered for EPOLLOUT: connecting, or the send buffer is full */
	size_t sent, got;
	int64_t start;
};

static struct {
	bool crr;
	int connections;
	double seconds;
	size_t size;
	struct sockaddr_in peer;
} opt = {.connections = 50, .seconds = 3, .size = 64};

static int ep;
static int active; /* connections with a request under way */
static unsigned char *request, *answer;
static uint64_t answered, errors;
static uint64_t histogram[64 * SUB];
static int64_t deadline;
static bool on_loopback;

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static unsigned
bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns < SUB)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;
	return (shift + 1) * SUB + (unsigned)((ns >> shift) - SUB);
}

static double
bucket_us(unsigned bucket)
{
	unsigned shift;

	if (bucket < SUB)
		return bucket / 1e3;
	shift = bucket / SUB - 1;
	return ((double)(bucket % SUB + SUB) + 0.5) * (double)(1ULL << shift) / 1e3;
}

static double
percentile(double share)
{
	uint64_t want = (uint64_t)((double)answered * share), seen = 0;

	for (unsigned i = 0; i < sizeof histogram / sizeof *histogram; i++) {
		seen += histogram[i];
		if (seen > want)
			return bucket_us(i);
	}
	return 0;
}

static void
watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	if (epoll_ctl(ep, op, c->fd, &ev) == -1) {
		perror("load: epoll_ctl");
		exit(1);
	}
	c->waits_out = events & EPOLLOUT;
}

/* Open C's socket and begin to connect it.  False when that failed at once. */
static bool
open_conn(struct conn *c)
{
	static unsigned turn;
	struct sockaddr_in source = {.sin_family = AF_INET};
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		return false;
	if (on_loopback) {
		source.sin_addr.s_addr = htonl(0x7f000101 + turn++ % SOURCES);
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
		if (bind(c->fd, (struct sockaddr *)&source, sizeof source) == -1)
			goto fail;
	}
	if (!opt.crr)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(c->fd, (struct sockaddr *)&opt.peer, sizeof opt.peer) == -1 &&
	    errno != EINPROGRESS)
		goto fail;
	return true;
fail:
	close(c->fd);
	c->fd = -1;
	return false;
}

/* Send what is left of the request; 1 all sent, 0 not yet, -1 failed. */
static int
push(struct conn *c)
{
	ssize_t n;

	while (c->sent < opt.size) {
		n = send(c->fd, request + c->sent, opt.size - c->sent, MSG_NOSIGNAL);
		if (n == -1)
			return errno == EAGAIN || errno == EINPROGRESS ? 0 : -1;
		c->sent += (size_t)n;
	}
	return 1;
}

/* Receive what there is of the answer; 1 complete, 0 not yet, -1 failed, or ended early. */
static int
pull(struct conn *c)
{
	ssize_t n = recv(c->fd, answer, opt.size - c->got, 0);

	if (n == -1)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0 || memcmp(answer, request + c->got, (size_t)n) != 0)
		return -1;
	c->got += (size_t)n;
	return c->got == opt.size;
}

/* Start a request on C, unless the time is up; a crr request opens its connection first. */
static void
begin(struct conn *c)
{
	bool is_new;

	for (;;) {
		c->start = now_ns();
		c->sent = c->got = 0;
		if (c->start >= deadline)
			return;
		is_new = c->fd == -1;
		if (is_new && !open_conn(c)) {
			/* A server that refuses must not become a busy loop of its own. */
			errors++;
			usleep(1000);
			continue;
		}
		int done = push(c);
		if (done == -1) {
			errors++;
			close(c->fd);
			c->fd = -1;
			continue;
		}
		uint32_t want = EPOLLIN | (done ? 0 : EPOLLOUT);
		if (is_new)
			watch(c, EPOLL_CTL_ADD, want);
		else if (!done)
			watch(c, EPOLL_CTL_MOD, want);
		active++;
		return;
	}
}

static void
finish(struct conn *c, bool good)
{
	active--;
	if (opt.crr || !good) {
		close(c->fd);
		c->fd = -1;
	}
	if (good) {
		answered++;
		histogram[bucket_of((uint64_t)(now_ns() - c->start))]++;
	} else {
		errors++;
	}
	begin(c);
}

static void
progress(struct conn *c, uint32_t events)
{
	int done;

	if (c->waits_out && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		done = push(c);
		if (done == -1) {
			finish(c, false);
			return;
		}
		if (done == 1)
			watch(c, EPOLL_CTL_MOD, EPOLLIN);
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		done = pull(c);
		if (done != 0)
			finish(c, done == 1);
	}
}

static void
usage(void)
{
	fputs("usage: load [--mode rr|crr] [--connections N] [--seconds S] [--size BYTES] "
	      "ADDRESS:PORT\n",
	      stderr);
	exit(2);
}

static void
parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{"mode", required_argument, NULL, 'm'},
		{"connections", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"size", required_argument, NULL, 'b'},
		{0},
	};
	char *colon;
	int ch;

	while ((ch = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (ch == 'm' && (strcmp(optarg, "rr") == 0 || strcmp(optarg, "crr") == 0))
			opt.crr = optarg[0] == 'c';
		else if (ch == 'c')
			opt.connections = atoi(optarg);
		else if (ch == 's')
			opt.seconds = atof(optarg);
		else if (ch == 'b')
			opt.size = (size_t)atol(optarg);
		else
			usage();
	}
	if (optind != argc - 1 || opt.connections < 1 || opt.size < 1 || opt.seconds <= 0)
		usage();
	colon = strrchr(argv[optind], ':');
	if (colon == NULL)
		usage();
	*colon = '\0';
	opt.peer.sin_family = AF_INET;
	opt.peer.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, argv[optind], &opt.peer.sin_addr) != 1)
		usage();
	on_loopback = ntohl(opt.peer.sin_addr.s_addr) >> 24 == 127;
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct rlimit files;
	struct conn *conns;
	int64_t begun, last;

	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	ep = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc((size_t)opt.connections, sizeof *conns);
	request = malloc(opt.size);
	answer = malloc(opt.size);
	if (ep == -1 || conns == NULL || request == NULL || answer == NULL) {
		perror("load");
		return 1;
	}
	for (size_t i = 0; i < opt.size; i++)
		request[i] = (unsigned char)('a' + i % 26);

	begun = now_ns();
	deadline = begun + (int64_t)(opt.seconds * 1e9);
	for (int i = 0; i < opt.connections; i++) {
		conns[i].fd = -1;
		begin(&conns[i]);
	}
	while (active > 0 && now_ns() < deadline + DRAIN_NS) {
		int n = epoll_wait(ep, events, EVENTS, 100);
		for (int i = 0; i < n; i++)
			progress(events[i].data.ptr, events[i].events);
	}
	last = now_ns();
	errors += (uint64_t)active;
	double seconds = (double)(last - begun) / 1e9;
	printf("{\"mode\": \"%s\", \"connections\": %d, \"size\": %zu, \"answered\": %" PRIu64
	       ", \"errors\": %" PRIu64 ", \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %.2f, "
	       "\"p99_us\": %.2f, \"p999_us\": %.2f}\n",
	       opt.crr ? "crr" : "rr", opt.connections, opt.size, answered, errors, seconds,
	       (double)answered / seconds, percentile(0.5), percentile(0.99), percentile(0.999));
	return answered == 0;
}
