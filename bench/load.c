/*
 * load - the load generator of the benchmarks.
 *
 * Keeps N clients of an echo server busy for S seconds and prints one line of JSON. The address is
 * HOST:PORT for TCP, udp:HOST:PORT, or unix:/path for a stream there.
 *
 *   rr     N sockets stay open; each sends a request, waits for its whole echo, sends again.
 *   crr    every request is a connection of its own: connect, send, whole echo, close.
 *   flood  N datagrams as fast as they can be sent, whatever comes back (load_flood.c).
 *
 * A request's latency is the time from its first to its last step; for crr that includes
 * socket() and close().  One thread, one epoll: it should need less CPU than any server it
 * measures, so that the server is what limits the rate.  The caller does the pinning (taskset).
 *
 * The client closes first, so each TCP connection of crr leaves a TIME_WAIT socket behind.  On
 * loopback the connections therefore start from several source addresses (127.0.1.1 and on), which
 * keeps the kernel from searching long for a free port, and below its limit for such sockets.
 *
 * A datagram without an answer after 200 ms is lost: it is counted, and a new one is sent.  Each
 * begins with its number, so that an answer that comes later still is not taken for another's.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define SOURCES 4	      /* source addresses on loopback */
#define DRAIN_NS 2000000000LL /* how long the last requests may take after the time is up */
#define LOST_NS 200000000LL   /* so long is a datagram waited for */
#define LOOK_MS 20	      /* and so often is looked for lost ones */
#define EVENTS 256

struct conn {
	int fd;
	bool waits_out;	 /* registered for EPOLLOUT: connecting, or the send buffer is full */
	bool is_active;	 /* a request is under way */
	uint64_t number; /* of the last datagram */
	size_t sent, got;
	int64_t start;
};

static struct options opt;
static int ep;
static int active; /* connections with a request under way */
static unsigned char *request, *answer;
static uint64_t errors, lost;
static int64_t deadline;
static bool is_udp;

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

/* On loopback TCP connections take turns with source addresses. False when that failed. */
static bool
bind_source(int fd)
{
	static unsigned turn;
	struct sockaddr_in source = {.sin_family = AF_INET};
	int on = 1;

	source.sin_addr.s_addr = htonl(0x7f000101 + turn++ % SOURCES);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	return bind(fd, (struct sockaddr *)&source, sizeof source) == 0;
}

/* Open C's socket and begin to connect it.  False when that failed at once. */
static bool
open_conn(struct conn *c)
{
	const struct sockaddr *peer = (const struct sockaddr *)&opt.peer.name;
	bool is_tcp = opt.peer.family == AF_INET && !is_udp;
	int on = 1;

	c->fd = socket(opt.peer.family, opt.peer.type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		return false;
	if (is_tcp && opt.peer.on_loopback && !bind_source(c->fd))
		goto fail;
	if (is_tcp && opt.mode == MODE_RR)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(c->fd, peer, opt.peer.length) == -1 && errno != EINPROGRESS)
		goto fail;
	return true;
fail:
	close(c->fd);
	c->fd = -1;
	return false;
}

/* Send one datagram. What is refused or finds no room is lost like any other. */
static void
push_datagram(struct conn *c)
{
	c->number++;
	memcpy(request, &c->number, sizeof c->number);
	(void)!send(c->fd, request, opt.size, MSG_NOSIGNAL);
}

/* Receive datagrams up to the one that was asked for; 1 it came, 0 not yet. */
static int
pull_datagram(struct conn *c)
{
	uint64_t number;
	ssize_t n;

	/* a refusal of the last datagram shows as an error here: it is lost, in its time */
	while ((n = recv(c->fd, answer, opt.size, MSG_TRUNC)) >= 0) {
		memcpy(&number, answer, sizeof number);
		if ((size_t)n != opt.size || number > c->number ||
		    memcmp(answer + sizeof number, request + sizeof number,
			   opt.size - sizeof number) != 0)
			errors++;
		else if (number == c->number && c->is_active)
			return 1;
	}
	return 0;
}

/* Send what is left of the request; 1 all sent, 0 not yet, -1 failed. */
static int
push(struct conn *c)
{
	ssize_t n;

	if (is_udp) {
		push_datagram(c);
		return 1;
	}
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
	ssize_t n;

	if (is_udp)
		return pull_datagram(c);
	n = recv(c->fd, answer, opt.size - c->got, 0);
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
		c->is_active = true;
		return;
	}
}

static void
finish(struct conn *c, bool good)
{
	active--;
	c->is_active = false;
	if (opt.mode == MODE_CRR || !good) {
		close(c->fd);
		c->fd = -1;
	}
	if (good)
		latency_add(now_ns() - c->start);
	else
		errors++;
	begin(c);
}

/* Send anew what has had no answer for too long. */
static void
look_for_lost(struct conn *conns)
{
	int64_t now = now_ns();

	for (int i = 0; i < opt.connections; i++) {
		if (!conns[i].is_active || now - conns[i].start < LOST_NS)
			continue;
		lost++;
		active--;
		conns[i].is_active = false;
		begin(&conns[i]);
	}
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

/* Make what the run needs. False when there is not enough memory. */
static bool
prepare(struct conn **ret_conns)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	ep = epoll_create1(EPOLL_CLOEXEC);
	*ret_conns = calloc((size_t)opt.connections, sizeof **ret_conns);
	request = malloc(opt.size);
	answer = malloc(opt.size);
	if (ep == -1 || *ret_conns == NULL || request == NULL || answer == NULL)
		return false;
	for (size_t i = 0; i < opt.size; i++)
		request[i] = (unsigned char)('a' + i % 26);
	return true;
}

/* Keep all clients busy until the time is up. */
static void
run(struct conn *conns)
{
	struct epoll_event events[EVENTS];
	int64_t looked = now_ns();

	for (int i = 0; i < opt.connections; i++) {
		conns[i].fd = -1;
		begin(&conns[i]);
	}
	while (active > 0 && now_ns() < deadline + DRAIN_NS) {
		int n = epoll_wait(ep, events, EVENTS, is_udp ? LOOK_MS : 100);

		for (int i = 0; i < n; i++)
			progress(events[i].data.ptr, events[i].events);
		if (is_udp && now_ns() - looked >= LOOK_MS * 1000000LL) {
			look_for_lost(conns);
			looked = now_ns();
		}
	}
	errors += (uint64_t)active;
}

int
main(int argc, char **argv)
{
	struct conn *conns;
	int64_t begun;
	double seconds;

	options_parse(argc, argv, &opt);
	is_udp = opt.peer.type == SOCK_DGRAM;
	if (opt.mode == MODE_FLOOD)
		return flood_run(&opt.peer, opt.datagrams, opt.size);
	if (opt.mode == MODE_PACED)
		return paced_run(&opt.peer, opt.rate, opt.seconds, opt.size);
	if (!prepare(&conns)) {
		perror("load");
		return 1;
	}
	begun = now_ns();
	deadline = begun + (int64_t)(opt.seconds * 1e9);
	run(conns);
	seconds = (double)(now_ns() - begun) / 1e9;
	printf("{\"mode\": \"%s\", \"connections\": %d, \"size\": %zu, \"answered\": %" PRIu64
	       ", \"errors\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
	       "\"p999_us\": %.2f}\n",
	       opt.mode == MODE_CRR ? "crr" : "rr", opt.connections, opt.size, latency_count(),
	       errors, lost, seconds, (double)latency_count() / seconds, latency_percentile_us(0.5),
	       latency_percentile_us(0.99), latency_percentile_us(0.999));
	return latency_count() == 0;
}
