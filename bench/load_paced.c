/*
 * load_paced.c - so many connections per second, whatever the server does meanwhile: each sends a
 * message, reads it back and closes. One line for each tells when it began, how long it took and
 * what became of it; whoever started this divides them by what happened at the time.
 *
 * The next one begins on time even if all before it still wait: a client that was kept waiting is
 * seen, and not only the one that happened to be next.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define EVENTS 64
/* One that takes longer is given up. */
#define MOST_NS 5000000000LL

enum outcome { PENDING, ANSWERED, REFUSED, RESET, EMPTY, LATE, FAILED };

static const char *const outcome_names[] = {"pending", "answered", "refused", "reset",
					    "empty",   "late",	   "failed"};

struct visit {
	int64_t began_ns, took_ns;
	int fd;
	size_t have;
	bool is_sent;
	enum outcome outcome;
};

static int ep;
static const unsigned char *message;
static unsigned char *scratch;
static size_t message_size;
static uint64_t pending;

static void
visit_end(struct visit *visit, enum outcome outcome)
{
	if (visit->fd >= 0)
		(void)close(visit->fd);
	visit->fd = -1;
	visit->outcome = outcome;
	visit->took_ns = now_ns() - visit->began_ns;
	pending--;
}

static enum outcome
visit_outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return REFUSED;
	case ECONNRESET:
	case EPIPE:
		return RESET;
	default:
		return FAILED;
	}
}

static void
visit_begin(struct visit *visit, const struct address *peer)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = visit};

	pending++;
	visit->began_ns = now_ns();
	visit->fd = socket(peer->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (visit->fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, visit->fd, &event) < 0) {
		visit_end(visit, FAILED);
		return;
	}
	if (connect(visit->fd, (const struct sockaddr *)&peer->name, peer->length) < 0 &&
	    errno != EINPROGRESS)
		visit_end(visit, visit_outcome_of(errno));
}

/* The message goes out whole: it is shorter than any socket's buffer. */
static void
visit_send(struct visit *visit)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = visit};
	ssize_t n = send(visit->fd, message, message_size, MSG_NOSIGNAL);

	if (n != (ssize_t)message_size) {
		visit_end(visit, visit_outcome_of(n < 0 ? errno : EIO));
		return;
	}
	visit->is_sent = true;
	if (epoll_ctl(ep, EPOLL_CTL_MOD, visit->fd, &event) < 0)
		visit_end(visit, FAILED);
}

static void
visit_receive(struct visit *visit)
{
	ssize_t n = recv(visit->fd, scratch, message_size - visit->have, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		visit_end(visit, visit_outcome_of(errno));
	} else if (n == 0) {
		visit_end(visit, EMPTY);
	} else {
		visit->have += (size_t)n;
		if (visit->have == message_size)
			visit_end(visit, ANSWERED);
	}
}

static void
visit_progress(struct visit *visit)
{
	int error = 0;
	socklen_t length = sizeof(error);

	/* of the same batch, but over already */
	if (visit->fd < 0)
		return;
	if (visit->is_sent) {
		visit_receive(visit);
		return;
	}
	if (getsockopt(visit->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		error = errno;
	if (error != 0)
		visit_end(visit, visit_outcome_of(error));
	else
		visit_send(visit);
}

/* Those that began first end first, mostly: `oldest` is the first that may still be pending. */
static void
visits_give_up(struct visit *visits, uint64_t *oldest, uint64_t begun)
{
	while (*oldest < begun) {
		struct visit *visit = &visits[*oldest];

		if (visit->outcome == PENDING && now_ns() - visit->began_ns < MOST_NS)
			return;
		if (visit->outcome == PENDING)
			visit_end(visit, LATE);
		(*oldest)++;
	}
}

static void
visits_run(struct visit *visits, uint64_t count, int64_t interval_ns, const struct address *peer)
{
	struct epoll_event events[EVENTS];
	uint64_t begun = 0, oldest = 0;
	int64_t next_ns = now_ns();

	while (begun < count || pending > 0) {
		int64_t left_ns = begun < count ? next_ns - now_ns() : 100000000;
		struct timespec wait = {.tv_nsec = left_ns > 0 ? left_ns : 0};
		int n = epoll_pwait2(ep, events, EVENTS, &wait, NULL);

		for (int i = 0; i < n; i++)
			visit_progress(events[i].data.ptr);
		while (begun < count && now_ns() >= next_ns) {
			visit_begin(&visits[begun++], peer);
			next_ns += interval_ns;
		}
		visits_give_up(visits, &oldest, begun);
	}
}

int
paced_run(const struct address *peer, double rate, double seconds, size_t size)
{
	uint64_t count = (uint64_t)(rate * seconds);
	struct visit *visits = calloc(count + 1, sizeof(*visits));
	unsigned char *text = malloc(size);
	struct rlimit files;

	(void)signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	ep = epoll_create1(EPOLL_CLOEXEC);
	scratch = malloc(size);
	if (ep < 0 || visits == NULL || text == NULL || scratch == NULL) {
		perror("load");
		return 1;
	}
	memset(text, 'x', size);
	message = text;
	message_size = size;
	visits_run(visits, count, (int64_t)(1e9 / rate), peer);
	for (uint64_t i = 0; i < count; i++)
		printf("%" PRId64 " %" PRId64 " %s\n", visits[i].began_ns, visits[i].took_ns,
		       outcome_names[visits[i].outcome]);
	return 0;
}
