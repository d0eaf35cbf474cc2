/*
 * acceptor.c - accept4, and waiting for it.
 */
#include "concurrency/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "api/wait.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "net/listen.h"

#define ACCEPTOR_PAUSE_MS 100
#define ACCEPTOR_DRAIN UINT64_MAX
#define ACCEPTOR_HOLD (UINT64_MAX - 1)
/* A listener may have a thousand sockets, most of them with nothing. */
#define ACCEPTOR_REACH 4
/* What concerns one connection passes with it; more of that in a row is a cause that lasts. */
#define ACCEPTOR_MOST_PASSING 16

static int
acceptor_add(int epoll_fd, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int
acceptor_open(struct acceptor *acceptor, struct concurrency *mode)
{
	CLEANUP_CLOSE int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int r;

	if (epoll_fd < 0)
		return -errno;
	for (size_t i = 0; i < mode->socket_count && !mode->is_connection; i++) {
		r = acceptor_add(epoll_fd, mode->sockets[i], EPOLLIN | EPOLLEXCLUSIVE, i);
		if (r < 0)
			return r;
	}
	r = acceptor_add(epoll_fd, mode->drain_fd, EPOLLIN, ACCEPTOR_DRAIN);
	if (r >= 0)
		r = acceptor_add(epoll_fd, mode->pause_fd, EPOLLIN, ACCEPTOR_HOLD);
	if (r < 0)
		return r;
	*acceptor = (struct acceptor){
		.mode = mode,
		.epoll_fd = take_fd(&epoll_fd),
		/* an older generation that did not accept it may have been woken for it */
		.is_unsure = !mode->is_open,
	};
	return 0;
}

void
acceptor_close(struct acceptor *acceptor)
{
	(void)close(acceptor->epoll_fd);
	acceptor->epoll_fd = -1;
}

bool
acceptor_wait_open(const struct concurrency *mode)
{
	struct pollfd rows[] = {
		{.fd = mode->drain_fd, .events = POLLIN},
		{.fd = mode->open_fd, .events = POLLIN},
		{.fd = mode->pause_fd, .events = POLLIN}, /* it was open before */
	};

	if (mode->is_open)
		return true;
	while (poll(rows, COUNT_OF(rows), -1) < 0 && errno == EINTR)
		;
	return rows[0].revents == 0;
}

bool
acceptor_hold(const struct concurrency *mode)
{
	struct pollfd rows[] = {
		{.fd = mode->drain_fd, .events = POLLIN},
		{.fd = mode->open_fd, .events = POLLIN},
	};

	/* what it was woken for before, its epoll will tell again */
	return poll(rows, COUNT_OF(rows), -1) < 0 || rows[0].revents == 0;
}

/* Errors that concern one connection, or the moment: the next call may do. */
static bool
acceptor_is_passing(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EINTR:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

bool
acceptor_is_draining(const struct concurrency *mode)
{
	return atomic_load_explicit(&mode->server->is_draining, memory_order_relaxed) ||
	       atomic_load_explicit(&mode->board->child_phase, memory_order_relaxed) != 0;
}

size_t
acceptor_reach(const struct acceptor *acceptor)
{
	const struct concurrency *mode = acceptor->mode;

	/* what it was woken for may be anywhere, and is nobody else's */
	if (acceptor->is_unsure || acceptor_is_draining(mode))
		return mode->socket_count;
	return mode->socket_count < ACCEPTOR_REACH ? mode->socket_count : ACCEPTOR_REACH;
}

/* The connection that this process was started for, once. */
static int
acceptor_take_connection(struct concurrency *mode, struct sockaddr_storage *ret_client,
			 socklen_t *ret_length)
{
	static const int one = 1;
	int fd;

	if (atomic_exchange(&mode->was_connection_taken, true))
		return -EAGAIN;
	*ret_length = sizeof(*ret_client);
	if (getpeername(mode->sockets[0], (struct sockaddr *)ret_client, ret_length) < 0)
		*ret_length = 0;
	fd = fcntl(mode->sockets[0], F_DUPFD_CLOEXEC, 0);
	/* else its flow blocks, which does no harm: there is only this one */
	if (fd >= 0 && mode->server->waiter->parks)
		(void)ioctl(fd, FIONBIO, &one);
	return fd;
}

int
acceptor_take(struct acceptor *acceptor, struct sockaddr_storage *ret_client, socklen_t *ret_length)
{
	struct concurrency *mode = acceptor->mode;
	int error = EAGAIN;

	if (!acceptor->is_refusing && !older_has_room(mode))
		return -EUSERS;
	if (mode->is_connection)
		return acceptor_take_connection(mode, ret_client, ret_length);
	for (size_t i = 0; i < acceptor_reach(acceptor); i++) {
		size_t at = (acceptor->next + i) % mode->socket_count;
		int tries = 0, fd;

		do {
			*ret_length = sizeof(*ret_client);
			fd = accept4(mode->sockets[at], (struct sockaddr *)ret_client, ret_length,
				     SOCK_CLOEXEC |
					     (mode->server->waiter->parks ? SOCK_NONBLOCK : 0));
		} while (fd < 0 && acceptor_is_passing(errno) && ++tries < ACCEPTOR_MOST_PASSING);
		if (fd >= 0) {
			acceptor->next = at;
			return fd;
		}
		if (errno != EAGAIN)
			error = errno;
	}
	/* nothing is left that the epoll would not tell; after a shortage there may be */
	if (error == EAGAIN)
		acceptor->is_unsure = false;
	return -error;
}

int
acceptor_wait(struct acceptor *acceptor, int timeout_ms)
{
	struct epoll_event events[8];
	bool is_draining = false;
	int result = acceptor->is_unsure ? 1 : 0;
	int n;

	if (acceptor->mode->is_connection && !atomic_load(&acceptor->mode->was_connection_taken))
		return 1;
	/* even then draining must be seen: a broken socket leaves it unsure for ever */
	n = epoll_wait(acceptor->epoll_fd, events, COUNT_OF(events),
		       acceptor->is_unsure ? 0 : timeout_ms);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 == ACCEPTOR_DRAIN) {
			is_draining = true;
			continue;
		}
		result = 1;
		if (events[i].data.u64 == ACCEPTOR_HOLD)
			continue;
		acceptor->next = (size_t)events[i].data.u64;
	}
	return is_draining ? -ECANCELED : result;
}

bool
acceptor_is_shortage(int error)
{
	return error != -EAGAIN;
}

bool
acceptor_is_broken(const struct concurrency *mode)
{
	uint64_t suppressed;

	for (size_t i = 0; i < mode->socket_count; i++) {
		if (mode->is_connection || listen_is_alive(mode->sockets[i]))
			continue;
		if (log_limit(&mode->server->limiters->accepts, 1, &suppressed))
			log_event(LOG_EVENT_SOCKET_BROKEN, mode->server->name,
				  "'%s': handler '%s' has shut down or closed the listening "
				  "socket; the worker ends and is replaced",
				  mode->server->name, mode->server->handler.name);
		return true;
	}
	return false;
}

static int64_t
acceptor_tell(const struct concurrency *mode, const char *what, int error)
{
	uint64_t suppressed = 0;

	if (log_limit(&mode->server->limiters->accepts, 1, &suppressed))
		log_event(LOG_EVENT_SHORTAGE, mode->server->name,
			  "'%s' cannot %s: %s; clients wait, trying again every %d ms (%" PRIu64
			  " attempts failed before)",
			  mode->server->name, what, strerror(-error), ACCEPTOR_PAUSE_MS,
			  suppressed);
	return ACCEPTOR_PAUSE_MS * CLOCK_NS_PER_MS;
}

int64_t
acceptor_tell_shortage(const struct concurrency *mode, int error)
{
	return acceptor_tell(mode, mode->is_datagram ? "receive datagrams" : "accept connections",
			     error);
}

int64_t
acceptor_tell_no_wait(const struct concurrency *mode, int error)
{
	return acceptor_tell(mode, "wait for connections", error);
}

void
acceptor_tell_lost(const struct concurrency *mode, int error)
{
	uint64_t suppressed;

	if (log_limit(&mode->server->limiters->accepts, 1, &suppressed))
		log_event(LOG_EVENT_SOCKET_BROKEN, mode->server->name,
			  "'%s' cannot wait for clients any more: %s; handler '%s' may have closed "
			  "a descriptor that is not its own; the worker ends and is replaced",
			  mode->server->name, strerror(-error), mode->server->handler.name);
}

static void
acceptor_wait_shortage(const struct concurrency *mode, int error)
{
	struct pollfd rows[] = {
		{.fd = mode->drain_fd, .events = POLLIN},
		{.fd = mode->pause_fd, .events = POLLIN},
	};

	(void)poll(rows, COUNT_OF(rows),
		   (int)(acceptor_tell_shortage(mode, error) / CLOCK_NS_PER_MS));
}

/* Others that wait for the same have their turns behind this one: so a token wakes one flow, not
 * all of them. Who comes too late for his turn finds the next. A token may be there before, which
 * another flow had and did not need: so nobody waits for longer than a moment without a look. */
static void
acceptor_wait_token(const struct acceptor *acceptor)
{
	struct concurrency *mode = acceptor->mode;
	uint32_t before = atomic_fetch_add(&mode->token_waiters, 1);
	int64_t left_ns = acceptor->until_ns - clock_now_ns() +
			  before * mode->server->admission.rate.interval_ns;
	struct timespec left;
	struct pollfd rows[] = {
		{.fd = mode->drain_fd, .events = POLLIN},
		{.fd = mode->pause_fd, .events = POLLIN},
	};

	if (left_ns > ACCEPTOR_LOOK_NS)
		left_ns = ACCEPTOR_LOOK_NS;
	left = (struct timespec){
		.tv_sec = left_ns / CLOCK_NS_PER_S,
		.tv_nsec = left_ns % CLOCK_NS_PER_S,
	};
	if (left_ns > 0)
		(void)ppoll(rows, COUNT_OF(rows), &left, NULL);
	(void)atomic_fetch_sub(&mode->token_waiters, 1);
}

/* The control flow ends this worker; until it does, nobody accepts. */
static void
acceptor_give_up(struct concurrency *mode)
{
	struct pollfd row = {.fd = mode->drain_fd, .events = POLLIN};

	atomic_store(&mode->is_broken, true);
	fd_raise_event(mode->notice_fd);
	(void)poll(&row, 1, -1);
}

void
acceptor_lose(struct concurrency *mode, int error)
{
	acceptor_tell_lost(mode, error);
	acceptor_give_up(mode);
}

void
acceptor_pause(struct acceptor *acceptor, int error)
{
	struct concurrency *mode = acceptor->mode;

	if (error == -EUSERS)
		older_wait_room(mode);
	else if (error == -EDQUOT)
		acceptor_wait_token(acceptor);
	else if ((error == -EINVAL || error == -EBADF || error == -ENOTSOCK) &&
		 acceptor_is_broken(mode))
		acceptor_give_up(mode);
	else
		acceptor_wait_shortage(mode, error);
}
