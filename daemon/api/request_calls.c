/*
 * request_calls.c - what a handler may ask of a request, and tell it.
 */
#include <errno.h>
#include <handlerd/request.h>
#include <handlerd/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "api/request.h"
#include "api/server.h"
#include "api/stream.h"
#include "api/wait.h"

#define REQUEST_CHUNK_SIZE 4096

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
		pid_t pid;
		uid_t uid;

		if (own->client.ss_family != AF_INET && own->client.ss_family != AF_INET6 &&
		    hd_client_cred(own, &pid, &uid, NULL) == 0)
			(void)peer_format_unix(pid, uid, own->name, sizeof(own->name));
		else
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
		if (own->kind != REQUEST_STREAM)
			datagram_path_local(&own->path, &own->local, &own->local_length);
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
	if (req->kind == REQUEST_STREAM)
		return peer_credentials(req->fd, pid, uid, gid);
	if (!req->has_credentials)
		return -EOPNOTSUPP;
	if (pid != NULL)
		*pid = req->credentials.pid;
	if (uid != NULL)
		*uid = req->credentials.uid;
	if (gid != NULL)
		*gid = req->credentials.gid;
	return 0;
}

int
hd_is_datagram(const struct hd_request *req)
{
	return req->kind != REQUEST_STREAM;
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
		if (!request_take_memory(req, whole))
			return NULL;
		chunk = malloc(whole);
		if (chunk == NULL) {
			request_give_memory(req, whole);
			return NULL;
		}
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
	bool was_idle;

	/* the handler says that a message has ended here: what is buffered is the next one's */
	if (idle != 0) {
		bool has_partial =
			(req->buffered & REQUEST_HAS_INPUT) != 0 || file_has_read_ahead(req);

		if (has_partial != atomic_load_explicit(&req->has_partial, memory_order_relaxed))
			atomic_store(&req->has_partial, has_partial);
	}
	/* in setup the handler only says how it begins */
	if (req->slot != NULL && req->slot->phase != SCOREBOARD_VERIFY)
		request_show_phase(req, idle != 0 ? SCOREBOARD_IDLE : SCOREBOARD_HANDLE);
	/* a datagram is served to its end, whatever it says */
	if (req->kind == REQUEST_DATAGRAM) {
		was_idle = atomic_load_explicit(&req->is_idle, memory_order_relaxed);
		atomic_store_explicit(&req->is_idle, idle != 0, memory_order_relaxed);
	} else {
		was_idle = atomic_exchange(&req->is_idle, idle != 0);
	}
	return was_idle ? 1 : 0;
}

int
hd_fd(struct hd_request *req)
{
	if (!atomic_load_explicit(&req->is_raw, memory_order_relaxed))
		request_note_raw(req);
	return req->fd;
}

int
hd_set_timeout(struct hd_request *req, int ms)
{
	if (ms < -1)
		return -EINVAL;
	if (req->kind == REQUEST_STREAM)
		return req->server->waiter->set_timeout(req, ms);
	/* the socket is everybody's; what waits here asks for the time itself */
	req->timeout_ms = ms;
	return 0;
}
