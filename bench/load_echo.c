/*
 * load_echo.c - clients of an echo server, each of which waits for its whole answer.
 *
 * All clients that have nothing under way stand in one row. As long as there are fewer requests
 * under way than there may be, the first of the row begins one; who has its answer goes to the end.
 * With as many requests as clients each simply goes on; with fewer, the requests wander over all of
 * them.
 *
 * A datagram without an answer after 200 ms is lost: it is counted, and a new one is sent. Each
 * begins with its number, so that an answer that comes later still is not taken for another's.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define DRAIN_NS 2000000000LL	 /* how long the last requests may take after the time is up */
#define PREPARE_NS 60000000000LL /* and the first ones, of all clients together */
#define PREPARE_ACTIVE 128	 /* so many clients connect at the same time */
#define LOST_NS 200000000LL	 /* so long is a datagram waited for */
#define LOOK_MS 20		 /* and so often is looked for lost ones */
#define EVENTS 256

struct conn {
	int fd;
	bool waits_out;	 /* registered for EPOLLOUT: connecting, or the send buffer is full */
	bool is_active;	 /* a request is under way */
	uint64_t number; /* of the last datagram */
	size_t sent, got;
	int64_t start;
};

/* Those with nothing under way; never more than there are. */
static struct {
	struct conn **at;
	size_t first, count;
} row;

static const struct options *opt;
static int ep;
static struct conn *conns;
static int active;	  /* clients with a request under way */
static uint64_t to_begin; /* requests that may still be begun */
static unsigned char *request, *answer;
static size_t request_size;
static uint64_t errors, lost;
static int64_t deadline;
static bool is_udp, is_measured;

static void
row_push(struct conn *c)
{
	row.at[(row.first + row.count++) % (size_t)opt->connections] = c;
}

static struct conn *
row_pop(void)
{
	struct conn *c = row.at[row.first];

	row.first = (row.first + 1) % (size_t)opt->connections;
	row.count--;
	return c;
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

/* Send one datagram. What is refused or finds no room is lost like any other. */
static void
push_datagram(struct conn *c)
{
	c->number++;
	memcpy(request, &c->number, sizeof c->number);
	(void)!send(c->fd, request, request_size, MSG_NOSIGNAL);
}

/* Receive datagrams up to the one that was asked for; 1 it came, 0 not yet. */
static int
pull_datagram(struct conn *c)
{
	uint64_t number;
	ssize_t n;

	/* a refusal of the last datagram shows as an error here: it is lost, in its time */
	while ((n = recv(c->fd, answer, request_size, MSG_TRUNC)) >= 0) {
		memcpy(&number, answer, sizeof number);
		if ((size_t)n != request_size || number > c->number ||
		    memcmp(answer + sizeof number, request + sizeof number,
			   request_size - sizeof number) != 0)
			errors++;
		else if (number == c->number && c->is_active)
			return 1;
	}
	return 0;
}

static bool
is_refused(void)
{
	return opt->mode == MODE_REFUSED;
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
	while (c->sent < request_size) {
		n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
		if (n == -1 && is_refused() && (errno == EPIPE || errno == ECONNRESET))
			return 1;
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
	n = recv(c->fd, answer, request_size - c->got, 0);
	if (is_refused() && (n == 0 || (n == -1 && (errno == ECONNRESET || errno == EPIPE))))
		return 1;
	if (is_refused() && n > 0)
		return -1;
	if (n == -1)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0 || memcmp(answer, request + c->got, (size_t)n) != 0)
		return -1;
	c->got += (size_t)n;
	return c->got == request_size;
}

/* Start a request on C, unless the time is up; one without a connection opens it first. */
static void
begin(struct conn *c)
{
	bool is_new;

	for (;;) {
		c->start = now_ns();
		c->sent = c->got = 0;
		if (c->start >= deadline) {
			row_push(c);
			return;
		}
		is_new = c->fd == -1;
		if (is_new && (c->fd = socket_connect(&opt->peer, 0)) == -1) {
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
begin_next(void)
{
	if (to_begin == 0 || row.count == 0)
		return;
	to_begin--;
	begin(row_pop());
}

static void
finish(struct conn *c, bool good)
{
	active--;
	c->is_active = false;
	if (opt->mode == MODE_CRR || is_refused() || !good) {
		close(c->fd);
		c->fd = -1;
	}
	if (!good)
		errors++;
	else if (is_measured)
		latency_add(now_ns() - c->start);
	row_push(c);
	begin_next();
}

/* Send anew what has had no answer for too long. */
static void
look_for_lost(void)
{
	int64_t now = now_ns();

	for (int i = 0; i < opt->connections; i++) {
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
		/* while it waited for nothing: cut off, or sent what it did not ask for */
		if (!c->is_active && !is_udp) {
			errors++;
			close(c->fd);
			c->fd = -1;
			return;
		}
		done = pull(c);
		if (done != 0)
			finish(c, done == 1);
	}
}

/* COUNT requests, MOST of them at the same time, begun before the deadline. */
static void
take_turn(uint64_t count, int most)
{
	struct epoll_event events[EVENTS];
	int64_t looked = now_ns();
	int wait_ms = opt->slow > 0 ? SLOW_TICK_MS : is_udp ? LOOK_MS : 100;

	to_begin = count;
	for (int i = 0; i < most; i++)
		begin_next();
	while (active > 0 && now_ns() < deadline + DRAIN_NS) {
		int n = epoll_wait(ep, events, EVENTS, wait_ms);

		for (int i = 0; i < n; i++)
			progress(events[i].data.ptr, events[i].events);
		if (wait_ms == 100 || now_ns() - looked < wait_ms * 1000000LL)
			continue;
		if (opt->slow > 0)
			slow_tick();
		else
			look_for_lost();
		looked = now_ns();
	}
}

/* What is sent: lines, because some servers (mod_echo) answer nothing else. */
static void
fill_request(void)
{
	for (size_t i = 0; i < request_size; i++)
		request[i] = (unsigned char)('a' + i % opt->size % 26);
	for (size_t i = opt->size; i <= request_size; i += opt->size)
		request[i - 1] = '\n';
}

int
echo_prepare(const struct options *options)
{
	opt = options;
	is_udp = opt->peer.type == SOCK_DGRAM;
	request_size = opt->size * (size_t)opt->pipeline;
	ep = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc((size_t)opt->connections, sizeof *conns);
	row.at = calloc((size_t)opt->connections, sizeof *row.at);
	request = malloc(request_size);
	answer = malloc(request_size);
	if (ep == -1 || conns == NULL || row.at == NULL || request == NULL || answer == NULL)
		return -1;
	fill_request();
	for (int i = 0; i < opt->connections; i++) {
		conns[i].fd = -1;
		row_push(&conns[i]);
	}
	if (opt->mode == MODE_CRR || is_refused() || is_udp)
		return 0;
	deadline = now_ns() + PREPARE_NS;
	take_turn((uint64_t)opt->connections, PREPARE_ACTIVE);
	if (errors == 0 && active == 0)
		return 0;
	fprintf(stderr, "load: of the first %d requests %llu failed and %d had no answer\n",
		opt->connections, (unsigned long long)errors, active);
	errno = EPIPE;
	return -1;
}

void
echo_run(struct echo_result *ret)
{
	int64_t begun = now_ns();

	is_measured = true;
	deadline = begun + (int64_t)(opt->seconds * 1e9);
	take_turn(UINT64_MAX, opt->active);
	*ret = (struct echo_result){
		.answered = latency_count() * (uint64_t)opt->pipeline,
		.errors = errors + (uint64_t)active,
		.lost = lost,
		.seconds = (double)(now_ns() - begun) / 1e9,
	};
}
