/*
 * exchange.c - makes the socket, connects it, and exchanges datagrams; streams are in stream.c.
 */
#include "handlerctl/exchange.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "handlerctl/stream.h"
#include "handlerctl/target.h"

/* More than the kernel lets a Unix datagram be by default. */
#define EXCHANGE_ANSWER_MOST 262144

struct outcome
exchange_write(const struct exchange *exchange, const char *data, size_t length)
{
	while (exchange->output >= 0 && length > 0) {
		ssize_t n = write(exchange->output, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (struct outcome){.end = OUTCOME_OUTPUT, .error = errno};
		data += n;
		length -= (size_t)n;
	}
	return (struct outcome){.end = OUTCOME_ANSWERED};
}

bool
exchange_is_connected_to_itself(int fd)
{
	struct sockaddr_storage own = {.ss_family = AF_UNSPEC}, peer = {.ss_family = AF_UNSPEC};
	socklen_t own_length = sizeof(own), peer_length = sizeof(peer);

	if (getsockname(fd, (struct sockaddr *)&own, &own_length) < 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_length) < 0)
		return false;
	return own.ss_family != AF_UNIX && own_length == peer_length &&
	       memcmp(&own, &peer, own_length) == 0;
}

/*
 * The connected socket, or a negative errno; -EAGAIN: not in time. It is connected with a timeout
 * of its own, not with poll, because a Unix socket whose backlog is full cannot be waited for.
 */
static int
exchange_connect(const struct exchange *exchange, const struct target_address *address)
{
	const struct target_protocol *protocol = exchange->target->protocol;
	const struct sockaddr *addr = (const struct sockaddr *)&address->addr;
	const struct sockaddr_un nameless = {.sun_family = AF_UNIX};
	CLEANUP_CLOSE int fd = socket(addr->sa_family, protocol->type | SOCK_CLOEXEC, 0);
	struct timeval timeout = {.tv_sec = 0};

	if (fd < 0)
		return -errno;
	if (exchange->timeout_ms >= 0) {
		timeout.tv_sec = exchange->timeout_ms / 1000;
		timeout.tv_usec = exchange->timeout_ms % 1000 * 1000;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	/* the family alone lets the kernel choose an abstract name, which an answer can go to */
	if (protocol->is_unix && protocol->type == SOCK_DGRAM &&
	    bind(fd, (const struct sockaddr *)&nameless, sizeof(sa_family_t)) < 0)
		return -errno;
	while (connect(fd, addr, address->length) < 0) {
		if (errno == EINPROGRESS || errno == EALREADY)
			return -EAGAIN;
		if (errno != EINTR)
			return -errno;
	}
	if (exchange_is_connected_to_itself(fd))
		return -ECONNREFUSED;
	return take_fd(&fd);
}

/* Waits for the socket: 1, or 0 when time is over. */
static int
exchange_wait(int fd, short events, int64_t deadline_ns)
{
	struct pollfd one = {.fd = fd, .events = events};
	int r;

	do {
		r = poll(&one, 1, clock_ms_until(deadline_ns));
	} while ((r < 0 && errno == EINTR) || (r == 0 && clock_now_ns() < deadline_ns));
	return r != 0;
}

static struct outcome
exchange_failed_datagram(int error)
{
	struct outcome outcome = outcome_of_error(error);

	outcome.is_unsent = outcome.end == OUTCOME_NO_LISTENER;
	return outcome;
}

static struct outcome
exchange_datagram(const struct exchange *exchange, int fd, int64_t started_ns)
{
	static char answer[EXCHANGE_ANSWER_MOST];
	int64_t deadline_ns = clock_deadline_ns(exchange->timeout_ms);
	struct outcome outcome;
	ssize_t n;

	while (send(fd, exchange->data, exchange->length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return exchange_failed_datagram(errno);
		if (!exchange_wait(fd, POLLOUT, deadline_ns))
			return (struct outcome){.end = OUTCOME_UNREAD};
	}
	do {
		if (!exchange_wait(fd, POLLIN, deadline_ns))
			return (struct outcome){.end = OUTCOME_SILENT};
		n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return exchange_failed_datagram(errno);
	if ((size_t)n > sizeof(answer))
		return (struct outcome){.end = OUTCOME_FAILED, .error = EMSGSIZE};
	outcome = exchange_write(exchange, answer, (size_t)n);
	outcome.latency_ns = clock_now_ns() - started_ns;
	return outcome;
}

static struct outcome
exchange_with(const struct exchange *exchange, const struct target_address *address)
{
	int64_t started_ns = clock_now_ns();
	CLEANUP_CLOSE int fd = exchange_connect(exchange, address);
	struct outcome outcome;

	if (fd == -EAGAIN)
		return (struct outcome){.end = OUTCOME_UNCONNECTED, .is_unsent = true};
	if (fd < 0) {
		outcome = outcome_of_error(-fd);
		outcome.is_unsent = true;
		return outcome;
	}
	return target_is_stream(exchange->target) ? stream_run(exchange, fd, started_ns)
						  : exchange_datagram(exchange, fd, started_ns);
}

struct outcome
exchange_run(const struct exchange *exchange)
{
	struct outcome best = {.end = OUTCOME_FAILED, .error = EADDRNOTAVAIL};

	for (size_t i = 0; i < exchange->target->count; i++) {
		struct outcome outcome = exchange_with(exchange, &exchange->target->addresses[i]);

		if (!outcome.is_unsent)
			return outcome;
		/* that nothing listens tells more than that one family cannot be reached */
		if (i == 0 || best.end != OUTCOME_NO_LISTENER)
			best = outcome;
	}
	return best;
}
