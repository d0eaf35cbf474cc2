/*
 * request.c - a flow's connection: opening, closing, and which errors were its own.
 */
#include "api/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/mailbox.h"
#include "api/reply.h"
#include "api/server.h"
#include "api/wait.h"
#include "base/clock.h"
#include "base/fd.h"

/* Memory that a flow keeps from one connection to the next; what is above is freed. */
#define REQUEST_KEEP_CHUNK 16384
#define REQUEST_KEEP_BUFFER 65536

int
request_init(struct hd_request *req, struct hd_server *server, struct scoreboard_slot *slot)
{
	*req = (struct hd_request){
		.server = server,
		.slot = slot,
		.thread = pthread_self(),
		.fd = -1,
		.wake_fd = -1,
		.cancel_fd = -1,
		.timeout_ms = -1,
	};
	if (pthread_mutex_init(&req->lock, NULL) != 0)
		return -ENOMEM;
	server_add_request(server, req);
	return 0;
}

void
request_destroy(struct hd_request *req)
{
	server_remove_request(req->server, req);
	request_free_memory(req);
	request_give_memory(req, req->memory);
	free(req->chunks);
	free(req->input.data);
	free(req->output.data);
	free(req->reply.data);
	if (req->wake_fd >= 0)
		(void)close(req->wake_fd);
	if (req->cancel_fd >= 0)
		(void)close(req->cancel_fd);
	(void)pthread_mutex_destroy(&req->lock);
}

/* Not in line: in other modes not even its constants are touched. */
static void __attribute__((noinline))
request_begin_watch(struct hd_request *req, enum request_kind kind)
{
	req->watch.watched = req->watch.ready = req->watch.wanted = 0;
	/* the first bytes are seldom there before the request */
	req->is_dry = kind == REQUEST_STREAM;
	req->runs_dry = false;
}

/* A locked instruction for a flag that is seldom set can be spared. Returns whether it was. */
static bool
request_take_flag(_Atomic bool *flag)
{
	return atomic_load_explicit(flag, memory_order_acquire) && atomic_exchange(flag, false);
}

/* Forgets what was, and notes who is at the other end. */
static void
request_begin(struct hd_request *req, enum request_kind kind, const struct sockaddr_storage *client,
	      socklen_t client_length)
{
	struct hd_server *server = req->server;

	req->kind = kind;
	req->buffered = req->broken = 0;
	req->timeout_ms = -1;
	req->io_flags = 0;
	if (server->waiter->parks)
		request_begin_watch(req, kind);
	req->has_socket_timeout = req->is_output_bound = false;
	req->is_end_seen = req->is_write_shut = false;
	req->has_name = req->has_local = false;
	req->bytes_in = req->bytes_out = 0;
	req->memory = 0;
	req->data = NULL;
	if (client_length > sizeof(req->client))
		client_length = sizeof(req->client);
	if (client_length < sizeof(sa_family_t)) {
		req->client.ss_family = AF_UNSPEC;
		client_length = sizeof(sa_family_t);
	} else {
		memcpy(&req->client, client, client_length);
	}
	req->client_length = client_length;
	peer_normalise(&req->client, &req->client_length);
	if (request_take_flag(&req->is_cancelled) && req->cancel_fd >= 0)
		fd_clear_event(req->cancel_fd);
	atomic_store_explicit(&req->reason, CLOSE_NONE, memory_order_relaxed);
	atomic_store_explicit(&req->is_raw, false, memory_order_relaxed);
	req->was_reset = false;
	atomic_store_explicit(&req->passed, 0, memory_order_relaxed);
	atomic_store_explicit(&req->is_idle, false, memory_order_relaxed);
	atomic_store_explicit(&req->is_shut_read, false, memory_order_relaxed);
	atomic_store_explicit(&req->has_partial, false, memory_order_relaxed);
	if (request_take_flag(&req->is_woken) && req->wake_fd >= 0)
		fd_clear_event(req->wake_fd);
	atomic_store_explicit(&req->is_silent, true, memory_order_relaxed);
	req->opened_ns = clock_now_ns();
	atomic_store_explicit(&req->id, atomic_fetch_add(&server->board->next_connection_id, 1) + 1,
			      memory_order_release);
}

/* Who is at the other end, in numbers; of a Unix socket the kernel knows more than an address. */
static uint32_t
request_find_peer(const struct hd_request *req, int fd, uint64_t ret_words[2], uint32_t *ret_scope)
{
	struct ucred cred = req->credentials;
	socklen_t length = sizeof(cred);

	if (req->client.ss_family == AF_INET || req->client.ss_family == AF_INET6)
		return peer_to_words(&req->client, ret_words, ret_scope);
	if (req->kind == REQUEST_STREAM
		    ? getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0
		    : !req->has_credentials)
		return 0;
	return peer_to_words_unix(cred.pid, cred.uid, ret_words);
}

/* Shows the connection to whoever looks on: the id comes last, so what goes with it is there. */
static void
request_show(struct hd_request *req, int fd)
{
	struct scoreboard_slot *slot = req->slot;
	uint64_t peer[2] = {0};
	uint32_t scope = 0, kind;

	if (slot == NULL)
		return;
	kind = request_find_peer(req, fd, peer, &scope);
	scoreboard_count(&slot->accepted);
	atomic_store_explicit(&slot->opened_ns, req->opened_ns, memory_order_relaxed);
	atomic_store_explicit(&slot->bytes_in, req->bytes_in, memory_order_relaxed);
	atomic_store_explicit(&slot->bytes_out, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->peer[0], peer[0], memory_order_relaxed);
	atomic_store_explicit(&slot->peer[1], peer[1], memory_order_relaxed);
	atomic_store_explicit(&slot->peer_kind, kind, memory_order_relaxed);
	atomic_store_explicit(&slot->peer_scope, scope, memory_order_relaxed);
	atomic_store_explicit(&slot->phase, SCOREBOARD_VERIFY, memory_order_relaxed);
	atomic_store_explicit(&slot->unsent, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->waits, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->reason, CLOSE_NONE, memory_order_relaxed);
	atomic_store_explicit(&slot->connection_id, req->id, memory_order_release);
	server_note_request(req->server, req, req->id);
}

/* From here on other flows may cancel it. */
static void
request_publish(struct hd_request *req, int fd)
{
	/* whoever cancels all sees it, or is seen here; it takes no lock to be there */
	atomic_store(&req->fd, fd);
	if (atomic_load(&req->server->is_cancelled))
		request_cancel(req);
}

static void
request_publish_peer(struct hd_request *req, int fd, struct mailbox *mailbox)
{
	(void)pthread_mutex_lock(&req->lock);
	req->mailbox = mailbox;
	atomic_store(&req->fd, fd);
	if (atomic_load(&req->server->is_cancelled))
		request_cancel_here(req);
	/* one that began just before draining did */
	if (atomic_load(&req->server->is_draining))
		mailbox_close(mailbox);
	(void)pthread_mutex_unlock(&req->lock);
}

void
request_open(struct hd_request *req, int fd, const struct sockaddr_storage *client,
	     socklen_t client_length)
{
	request_begin(req, REQUEST_STREAM, client, client_length);
	/* of Unix sockets a call also takes less where descriptors were passed */
	req->runs_dry = req->server->waiter->parks &&
			(req->client.ss_family == AF_INET || req->client.ss_family == AF_INET6);
	/* one of hd_connect has no slot */
	req->is_paced = req->server->is_paced && req->slot != NULL;
	req->pace_full_ns[PACE_IN] = req->pace_full_ns[PACE_OUT] = 0;
	request_show(req, fd);
	request_publish(req, fd);
}

/* What datagrams and peers have in common. */
static void
request_begin_datagram(struct hd_request *req, enum request_kind kind,
		       const struct datagram_socket *socket, const struct datagram *datagram)
{
	request_begin(req, kind, &datagram->client, datagram->client_length);
	req->socket = socket;
	req->path = datagram->path;
	req->has_credentials = datagram->has_credentials;
	req->credentials = datagram->credentials;
	req->has_reply = false;
	req->asked = req->answered = 0;
	atomic_store_explicit(&req->is_silent, false, memory_order_relaxed);
}

void
request_open_datagram(struct hd_request *req, const struct datagram_socket *socket,
		      struct datagram *datagram)
{
	struct request_buffer input = req->input;

	request_begin_datagram(req, REQUEST_DATAGRAM, socket, datagram);
	req->input = (struct request_buffer){
		.data = datagram->data,
		.end = datagram->length,
		.room = datagram->room,
	};
	datagram->data = input.data;
	datagram->room = input.room;
	req->bytes_in = datagram->length;
	req->asked = datagram->length + REPLY_HEADER_SIZE;
	if (datagram->length > 0)
		req->buffered |= REQUEST_HAS_INPUT;
	request_show(req, socket->fd);
	request_publish(req, socket->fd);
}

void
request_open_peer(struct hd_request *req, const struct datagram_socket *socket,
		  const struct datagram *first, struct mailbox *mailbox)
{
	request_begin_datagram(req, REQUEST_PEER, socket, first);
	request_show(req, socket->fd);
	request_publish_peer(req, socket->fd, mailbox);
}

void
request_enter(struct hd_request *req, uint32_t source)
{
	req->source = source;
	if (req->slot != NULL)
		atomic_store_explicit(&req->slot->source, source, memory_order_relaxed);
}

void
request_leave(struct hd_request *req)
{
	uint32_t source = req->source;

	/* in this order: should this process die in between, one too many is counted, not given
	 * back twice */
	request_enter(req, ADMISSION_NO_SOURCE);
	admission_leave(&req->server->admission, source);
}

/* What is kept would be the next one's, whose memory is counted from nothing. */
static void
request_shrink(const struct hd_request *req, struct request_buffer *buffer)
{
	size_t kept = req->server->request_memory == 0 ? REQUEST_KEEP_BUFFER : 0;

	buffer->start = buffer->end = 0;
	if (buffer->room > kept) {
		free(buffer->data);
		*buffer = (struct request_buffer){0};
	}
}

void
request_close(struct hd_request *req)
{
	int fd;

	/* seldom, and in one mode only */
	if (req->watch.watched != 0)
		req->server->waiter->forget(req);
	(void)pthread_mutex_lock(&req->lock);
	fd = atomic_exchange(&req->fd, -1);
	req->mailbox = NULL;
	server_forget_request(req->server, req, req->id);
	atomic_store_explicit(&req->id, 0, memory_order_relaxed);
	(void)pthread_mutex_unlock(&req->lock);
	/* that of a datagram is the listener's */
	if (fd >= 0 && req->kind == REQUEST_STREAM)
		(void)close(fd);
	req->buffered = 0;
	/* that of a datagram is exchanged for the next one's */
	if (req->kind == REQUEST_DATAGRAM && req->input.room <= REQUEST_KEEP_BUFFER)
		req->input.start = req->input.end = 0;
	else
		request_shrink(req, &req->input);
	request_shrink(req, &req->reply);
	request_shrink(req, &req->output);
}

void
request_free_memory(struct hd_request *req)
{
	struct request_chunk *chunk = req->chunks;

	/* the first of the usual size is kept for the next connection */
	if (chunk != NULL && chunk->next == NULL && chunk->room <= REQUEST_KEEP_CHUNK &&
	    req->server->request_memory == 0) {
		chunk->used = 0;
		return;
	}
	while (chunk != NULL) {
		struct request_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	req->chunks = NULL;
}

static unsigned
request_error_bit(int error)
{
	switch (error) {
	case -ECONNRESET:
		return REQUEST_RESET;
	case -EPIPE:
		return REQUEST_PIPE;
	case -ETIMEDOUT:
		return REQUEST_TIMED_OUT;
	case -ECANCELED:
		return REQUEST_CANCELED;
	default:
		return 0;
	}
}

int
request_note_error(struct hd_request *req, int error)
{
	unsigned bit = request_error_bit(error);

	req->broken |= bit;
	if ((bit & (REQUEST_RESET | REQUEST_PIPE)) != 0 && !atomic_load(&req->is_cancelled))
		req->was_reset = true;
	/* a handler that ends since a connection of its own was cancelled ends for the same reason
	 */
	for (struct hd_request *parent = req->parent; parent != NULL && error == -ECANCELED;
	     parent = parent->parent)
		parent->broken |= REQUEST_CANCELED;
	return error;
}

bool
request_is_reason(const struct hd_request *req, int error)
{
	unsigned bit = request_error_bit(error);

	/* of a socket that was shut, a handler that has its descriptor gets what it gets */
	return (req->broken & bit) != 0 || (bit != 0 && atomic_load(&req->is_cancelled));
}

struct log_context
request_log_context(const struct hd_request *req)
{
	struct log_context context = server_log_context(req->server);

	context.peer = hd_client_name(req);
	context.connection_id = req->id;
	return context;
}
