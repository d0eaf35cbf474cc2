/*
 * request.c - a flow's connection: opening, closing, cancelling, and what a handler may ask of it.
 */
#include "api/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/server.h"
#include "api/stream.h"
#include "api/wait.h"
#include "base/clock.h"
#include "base/fd.h"

/* Memory that a flow keeps from one connection to the next; what is above is freed. */
#define REQUEST_KEEP_CHUNK 16384
#define REQUEST_KEEP_BUFFER 65536
#define REQUEST_CHUNK_SIZE 4096

int
request_init(struct hd_request *req, struct hd_server *server, struct scoreboard_slot *slot)
{
	*req = (struct hd_request){
		.server = server,
		.slot = slot,
		.fd = -1,
		.wake_fd = -1,
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
	free(req->chunks);
	free(req->input.data);
	free(req->output.data);
	if (req->wake_fd >= 0)
		(void)close(req->wake_fd);
	(void)pthread_mutex_destroy(&req->lock);
}

void
request_open(struct hd_request *req, int fd, const struct sockaddr_storage *client,
	     socklen_t client_length)
{
	struct hd_server *server = req->server;

	req->buffered = req->broken = 0;
	req->timeout_ms = -1;
	req->io_flags = 0;
	req->has_socket_timeout = req->is_end_seen = req->is_write_shut = false;
	req->has_name = req->has_local = false;
	req->bytes_in = req->bytes_out = 0;
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
	atomic_store_explicit(&req->is_cancelled, false, memory_order_relaxed);
	atomic_store_explicit(&req->is_idle, false, memory_order_relaxed);
	atomic_store_explicit(&req->is_shut_read, false, memory_order_relaxed);
	atomic_store_explicit(&req->has_partial, false, memory_order_relaxed);
	if (atomic_exchange(&req->is_woken, false) && req->wake_fd >= 0)
		fd_clear_event(req->wake_fd);
	atomic_store_explicit(&req->is_silent, true, memory_order_relaxed);
	req->opened_ns = clock_now_ns();
	atomic_store_explicit(&req->id, atomic_fetch_add(&server->board->next_connection_id, 1) + 1,
			      memory_order_relaxed);
	if (req->slot != NULL) {
		scoreboard_count(&req->slot->accepted);
		atomic_store_explicit(&req->slot->connection_id, req->id, memory_order_relaxed);
	}
	/* last: from here on other flows may cancel it */
	(void)pthread_mutex_lock(&req->lock);
	atomic_store(&req->fd, fd);
	if (atomic_load(&server->is_cancelled))
		request_cancel_here(req);
	(void)pthread_mutex_unlock(&req->lock);
}

static void
request_shrink(struct request_buffer *buffer)
{
	buffer->start = buffer->end = 0;
	if (buffer->room > REQUEST_KEEP_BUFFER) {
		free(buffer->data);
		*buffer = (struct request_buffer){0};
	}
}

void
request_close(struct hd_request *req)
{
	int fd;

	(void)pthread_mutex_lock(&req->lock);
	fd = atomic_exchange(&req->fd, -1);
	atomic_store_explicit(&req->id, 0, memory_order_relaxed);
	(void)pthread_mutex_unlock(&req->lock);
	if (fd >= 0)
		(void)close(fd);
	req->buffered = 0;
	request_shrink(&req->input);
	request_shrink(&req->output);
}

void
request_free_memory(struct hd_request *req)
{
	struct request_chunk *chunk = req->chunks;

	/* the first of the usual size is kept for the next connection */
	if (chunk != NULL && chunk->next == NULL && chunk->room <= REQUEST_KEEP_CHUNK) {
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

bool
request_is_fresh(const struct hd_request *req)
{
	return atomic_load(&req->is_silent) && clock_now_ns() - req->opened_ns < REQUEST_FRESH_NS;
}

void
request_cancel_here(struct hd_request *req)
{
	int fd = atomic_load(&req->fd);

	if (fd < 0)
		return;
	atomic_store(&req->is_cancelled, true);
	(void)shutdown(fd, SHUT_RDWR);
}

void
request_cancel(struct hd_request *req)
{
	(void)pthread_mutex_lock(&req->lock);
	request_cancel_here(req);
	(void)pthread_mutex_unlock(&req->lock);
}

void
request_cancel_idle_here(struct hd_request *req)
{
	int fd = atomic_load(&req->fd);
	int readable = 0;

	if (fd < 0 || !atomic_load(&req->is_idle) || atomic_load(&req->has_partial))
		return;
	if (request_is_fresh(req))
		return;
	/* what has arrived is a message that the handler is about to read */
	if (ioctl(fd, FIONREAD, &readable) == 0 && readable > 0)
		return;
	atomic_store(&req->is_shut_read, true);
	(void)shutdown(fd, SHUT_RD);
}

void
request_cancel_idle(struct hd_request *req)
{
	(void)pthread_mutex_lock(&req->lock);
	request_cancel_idle_here(req);
	(void)pthread_mutex_unlock(&req->lock);
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
	req->broken |= request_error_bit(error);
	return error;
}

bool
request_is_reason(const struct hd_request *req, int error)
{
	return (req->broken & request_error_bit(error)) != 0;
}

struct log_context
request_log_context(const struct hd_request *req)
{
	struct log_context context = server_log_context(req->server);

	context.peer = hd_client_name(req);
	context.connection_id = req->id;
	return context;
}

uint64_t
hd_request_id(const struct hd_request *req)
{
	return req->id;
}

struct hd_server *
hd_request_server(const struct hd_request *req)
{
	return req->server;
}

const struct sockaddr *
hd_client_address(const struct hd_request *req, socklen_t *len)
{
	if (len != NULL)
		*len = req->client_length;
	return (const struct sockaddr *)&req->client;
}

const char *
hd_client_name(const struct hd_request *req)
{
	/* the text is made on the first call: the request is the owner's alone */
	struct hd_request *own = (struct hd_request *)req;

	if (!own->has_name) {
		(void)peer_format((const struct sockaddr *)&own->client, own->client_length,
				  own->name, sizeof(own->name));
		own->has_name = true;
	}
	return own->name;
}

const struct sockaddr *
hd_local_address(const struct hd_request *req, socklen_t *len)
{
	struct hd_request *own = (struct hd_request *)req;

	if (!own->has_local) {
		own->local_length = sizeof(own->local);
		if (getsockname(own->fd, (struct sockaddr *)&own->local, &own->local_length) < 0) {
			own->local.ss_family = AF_UNSPEC;
			own->local_length = sizeof(sa_family_t);
		}
		peer_normalise(&own->local, &own->local_length);
		own->has_local = true;
	}
	if (len != NULL)
		*len = own->local_length;
	return (const struct sockaddr *)&own->local;
}

int
hd_client_cred(const struct hd_request *req, pid_t *pid, uid_t *uid, gid_t *gid)
{
	return peer_credentials(req->fd, pid, uid, gid);
}

int
hd_is_datagram(const struct hd_request *req)
{
	(void)req;
	return 0;
}

void
hd_set_data(struct hd_request *req, void *data)
{
	req->data = data;
}

void *
hd_data(const struct hd_request *req)
{
	return req->data;
}

void *
hd_alloc(struct hd_request *req, size_t size)
{
	struct request_chunk *chunk = req->chunks;
	size_t rounded;
	void *memory;

	if (__builtin_add_overflow(size, _Alignof(max_align_t) - 1, &rounded))
		return NULL;
	rounded &= ~(_Alignof(max_align_t) - 1);
	if (chunk == NULL || rounded > chunk->room - chunk->used) {
		size_t room = rounded > REQUEST_CHUNK_SIZE ? rounded : REQUEST_CHUNK_SIZE;
		size_t whole;

		if (__builtin_add_overflow(room, sizeof(*chunk), &whole))
			return NULL;
		chunk = malloc(whole);
		if (chunk == NULL)
			return NULL;
		chunk->used = 0;
		chunk->room = room;
		chunk->next = req->chunks;
		req->chunks = chunk;
	}
	memory = chunk->data + chunk->used;
	chunk->used += rounded;
	return memset(memory, 0, rounded);
}

int
hd_draining(const struct hd_request *req)
{
	return atomic_load_explicit(&req->server->is_draining, memory_order_relaxed) ? 1 : 0;
}

int
hd_set_idle(struct hd_request *req, int idle)
{
	/* the handler says that a message has ended here: what is buffered is the next one's */
	if (idle != 0)
		atomic_store(&req->has_partial,
			     (req->buffered & REQUEST_HAS_INPUT) != 0 || file_has_read_ahead(req));
	return atomic_exchange(&req->is_idle, idle != 0) ? 1 : 0;
}

int
hd_fd(struct hd_request *req)
{
	return req->fd;
}

int
hd_set_timeout(struct hd_request *req, int ms)
{
	if (ms < -1)
		return -EINVAL;
	return req->server->waiter->set_timeout(req, ms);
}
