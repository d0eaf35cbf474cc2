/*
 * reply.c - replies and hd_sendto, and the rules that keep this daemon from being used against
 * others: whoever sends a datagram may have lied about where it came from.
 */
#include "api/reply.h"

#include <errno.h>
#include <handlerd/socket.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "api/mailbox.h"
#include "api/request.h"
#include "api/server.h"
#include "api/wait.h"

/* A port below needs a privilege: what answers there is a service, and may answer the answer. */
#define REPLY_LOW_PORT 1024

static bool
reply_is_ip(const struct hd_request *req)
{
	return req->client.ss_family == AF_INET || req->client.ss_family == AF_INET6;
}

static uint16_t
reply_port(const struct hd_request *req)
{
	struct sockaddr_in in;

	/* it stands at the same place in both families */
	memcpy(&in, &req->client, sizeof(in));
	return ntohs(in.sin_port);
}

/* Bytes that have left for the client: a peer may have had sessions before. */
static uint64_t *
reply_answered(struct hd_request *req)
{
	return req->mailbox != NULL ? &req->mailbox->answered : &req->answered;
}

/* Whether so many bytes more would be too many for what was asked. */
static bool
reply_is_amplified(struct hd_request *req, size_t size)
{
	uint64_t factor = req->server->amplification;
	uint64_t asked = req->mailbox != NULL ? atomic_load(&req->mailbox->asked) : req->asked;

	return factor != 0 &&
	       (*reply_answered(req) + size + REPLY_HEADER_SIZE) * 1000 > asked * factor &&
	       !peer_is_near((const struct sockaddr *)&req->client, req->client_length);
}

/* Whether a Unix client's address leads elsewhere than to the client: a relative path was meant for
 * another directory than ours, and one of this daemon's own sockets would answer the answer. */
static bool
reply_is_unix_trap(const struct hd_request *req)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&req->client;
	size_t length = req->client_length;

	if (un->sun_family != AF_UNIX || length <= offsetof(struct sockaddr_un, sun_path))
		return false;
	if (un->sun_path[0] != '/' && un->sun_path[0] != '\0')
		return true;
	return req->server->ports != NULL &&
	       ports_has_name(req->server->ports,
			      ports_hash_name((const struct sockaddr *)un, req->client_length));
}

/* Whether an answer of this size may leave for the client; if not, it is counted. */
static bool
reply_may_leave(struct hd_request *req, size_t size)
{
	const struct hd_server *server = req->server;
	enum scoreboard_drop reason;

	if (!reply_is_ip(req)) {
		if (!reply_is_unix_trap(req))
			return true;
		reason = SCOREBOARD_OWN_PORT;
	} else if (!server->answers_low_ports && reply_port(req) < REPLY_LOW_PORT)
		reason = SCOREBOARD_LOW_PORT;
	else if (server->ports != NULL && ports_has(server->ports, reply_port(req)) &&
		 peer_is_local((const struct sockaddr *)&req->client, req->client_length))
		reason = SCOREBOARD_OWN_PORT;
	else if (reply_is_amplified(req, size))
		reason = SCOREBOARD_AMPLIFIED;
	else
		return true;
	scoreboard_drop(server->board, reason, 1);
	return false;
}

static size_t
reply_measure(const struct iovec *iov, int count)
{
	size_t size = 0;

	for (int i = 0; i < count; i++) {
		if (__builtin_add_overflow(size, iov[i].iov_len, &size))
			return SIZE_MAX;
	}
	return size;
}

/* Sends to the client without waiting. */
static ssize_t
reply_transmit(struct hd_request *req, const struct iovec *iov, int count, size_t size)
{
	ssize_t n = -EDESTADDRREQ;

	/* a Unix client that has not bound its socket cannot be answered */
	if (req->client_length > 0 && req->client.ss_family != AF_UNSPEC)
		n = datagram_send(req->socket, iov, count, (const struct sockaddr *)&req->client,
				  req->client_length, &req->path);
	if (n < 0) {
		scoreboard_drop(req->server->board, SCOREBOARD_UNSENT, 1);
		return n;
	}
	*reply_answered(req) += size + REPLY_HEADER_SIZE;
	request_count_out(req, size);
	return n;
}

ssize_t
reply_add(struct hd_request *req, const struct iovec *iov, int count)
{
	struct request_buffer *reply = &req->reply;
	size_t size = reply_measure(iov, count);

	if (req->is_write_shut)
		return request_note_error(req, -EPIPE);
	if (!req->has_reply)
		reply->start = reply->end = 0;
	if (size > DATAGRAM_MOST - reply->end)
		return -EMSGSIZE;
	if (size > reply->room - reply->end) {
		size_t room = reply->end + size < 2048 ? 2048 : DATAGRAM_MOST;
		unsigned char *data;

		if (!request_take_memory(req, room - reply->room))
			return -ENOMEM;
		data = realloc(reply->data, room);
		if (data == NULL) {
			request_give_memory(req, room - reply->room);
			return -ENOMEM;
		}
		reply->data = data;
		reply->room = room;
	}
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len > 0)
			memcpy(reply->data + reply->end, iov[i].iov_base, iov[i].iov_len);
		reply->end += iov[i].iov_len;
	}
	req->has_reply = true;
	return (ssize_t)size;
}

/* In one datagram, in however many pieces it comes. */
static ssize_t
reply_transmit_all(struct hd_request *req, const struct iovec *iov, int count, size_t size)
{
	struct iovec whole;
	ssize_t n;

	if (count <= IOV_MAX)
		return reply_transmit(req, iov, count, size);
	n = reply_add(req, iov, count);
	whole = (struct iovec){.iov_base = req->reply.data, .iov_len = req->reply.end};
	req->has_reply = false;
	return n < 0 ? n : reply_transmit(req, &whole, 1, size);
}

ssize_t
reply_send(struct hd_request *req, const struct iovec *iov, int count)
{
	size_t size = reply_measure(iov, count);

	if (atomic_load_explicit(&req->is_cancelled, memory_order_relaxed))
		return request_note_error(req, -ECANCELED);
	if (req->is_write_shut)
		return request_note_error(req, -EPIPE);
	if (size > DATAGRAM_MOST)
		return -EMSGSIZE;
	if (reply_may_leave(req, size))
		(void)reply_transmit_all(req, iov, count, size);
	wait_spend(req);
	return (ssize_t)size;
}

void
reply_finish(struct hd_request *req)
{
	struct iovec iov = {.iov_base = req->reply.data, .iov_len = req->reply.end};

	if (!req->has_reply)
		return;
	req->has_reply = false;
	if (reply_may_leave(req, iov.iov_len))
		(void)reply_transmit(req, &iov, 1, iov.iov_len);
}

static bool
reply_is_client(const struct hd_request *req, const struct sockaddr *addr, socklen_t length)
{
	struct sockaddr_storage other = {0};
	socklen_t other_length = length;
	struct sockaddr_in6 a, b;
	struct sockaddr_in a4, b4;

	if (length > sizeof(other))
		return false;
	memcpy(&other, addr, length);
	peer_normalise(&other, &other_length);
	if (other.ss_family != req->client.ss_family)
		return false;
	/* of an IPv6 address flow and scope may differ */
	if (other.ss_family == AF_INET6) {
		memcpy(&a, &other, sizeof(a));
		memcpy(&b, &req->client, sizeof(b));
		return a.sin6_port == b.sin6_port &&
		       memcmp(&a.sin6_addr, &b.sin6_addr, sizeof(a.sin6_addr)) == 0;
	}
	/* the kernel takes a length that is too great, such as that of a sockaddr_storage */
	if (other.ss_family == AF_INET) {
		memcpy(&a4, &other, sizeof(a4));
		memcpy(&b4, &req->client, sizeof(b4));
		return a4.sin_port == b4.sin_port && a4.sin_addr.s_addr == b4.sin_addr.s_addr;
	}
	return other_length == req->client_length &&
	       memcmp(&other, &req->client, other_length) == 0;
}

ssize_t
hd_sendto(struct hd_request *req, const void *buf, size_t size, const struct sockaddr *addr,
	  socklen_t len)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = size};
	bool is_client;

	if (req->kind == REQUEST_STREAM)
		return -EOPNOTSUPP;
	if (addr == NULL || len < sizeof(sa_family_t))
		return -EDESTADDRREQ;
	/* which the kernel would take for IPv4 */
	if (addr->sa_family == AF_UNSPEC)
		return -EAFNOSUPPORT;
	if (size > DATAGRAM_MOST)
		return -EMSGSIZE;
	is_client = reply_is_client(req, addr, len);
	if (is_client && !reply_may_leave(req, size))
		return -EPERM;
	for (;;) {
		ssize_t n;
		int r;

		if (atomic_load_explicit(&req->is_cancelled, memory_order_relaxed))
			return request_note_error(req, -ECANCELED);
		n = datagram_send(req->socket, &iov, 1, addr, len, &req->path);
		if (n >= 0) {
			request_count_out(req, (uint64_t)n);
			if (is_client)
				*reply_answered(req) += size + REPLY_HEADER_SIZE;
			wait_spend(req);
			return n;
		}
		/* a full Unix receiver cannot be waited for: the socket itself is ready */
		if (n != -EAGAIN || req->socket->family == AF_UNIX)
			return n;
		r = wait_for_fd(req, req->fd, POLLOUT, req->timeout_ms);
		if (r < 0)
			return request_note_error(req, r);
	}
}
