/*
 * server.c - the listener as handlers see it, and the list of its requests.
 */
#include "api/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/request.h"
#include "base/fd.h"

/* Half a megabyte of memory, where that many connections were served. */
#define SERVER_MOST_GUESSES 65536

static void *
server_map_shared(size_t size)
{
	void *region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return region == MAP_FAILED ? NULL : region;
}

int
server_init(struct hd_server *server, const char *name, uint32_t generation)
{
	*server = (struct hd_server){.name = name, .generation = generation};
	(void)pthread_mutex_init(&server->requests_lock, NULL);
	server->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->cancel_fd < 0)
		return -errno;
	server->limiters = server_map_shared(sizeof(*server->limiters));
	return server->limiters == NULL ? -ENOMEM : 0;
}

void
server_destroy(struct hd_server *server)
{
	option_store_free(&server->options);
	free(server->guesses);
	if (server->cancel_fd >= 0)
		(void)close(server->cancel_fd);
	if (server->limiters != NULL)
		(void)munmap(server->limiters, sizeof(*server->limiters));
	(void)pthread_mutex_destroy(&server->requests_lock);
}

int
server_remember_requests(struct hd_server *server, size_t limit)
{
	size_t count = 64;

	/* ids are given in order: with room to spare, a few that stay are seldom overwritten */
	while (count < 2 * limit && count < SERVER_MOST_GUESSES)
		count *= 2;
	server->guesses = calloc(count, sizeof(*server->guesses));
	server->guess_mask = count - 1;
	return server->guesses == NULL ? -ENOMEM : 0;
}

struct hd_request *
server_find_request(struct hd_server *server, uint64_t id)
{
	struct hd_request *req = NULL;

	if (server->guesses != NULL)
		req = atomic_load_explicit(&server->guesses[id & server->guess_mask],
					   memory_order_relaxed);
	if (req != NULL && atomic_load(&req->id) == id)
		return req;
	for (req = server->requests; req != NULL; req = req->next) {
		if (atomic_load(&req->id) == id)
			break;
	}
	return req;
}

void
server_add_request(struct hd_server *server, struct hd_request *req)
{
	(void)pthread_mutex_lock(&server->requests_lock);
	req->previous = NULL;
	req->next = server->requests;
	if (req->next != NULL)
		req->next->previous = req;
	server->requests = req;
	(void)pthread_mutex_unlock(&server->requests_lock);
}

void
server_remove_request(struct hd_server *server, struct hd_request *req)
{
	(void)pthread_mutex_lock(&server->requests_lock);
	if (req->previous != NULL)
		req->previous->next = req->next;
	else
		server->requests = req->next;
	if (req->next != NULL)
		req->next->previous = req->previous;
	req->next = req->previous = NULL;
	(void)pthread_mutex_unlock(&server->requests_lock);
}

static void
server_for_each_request(struct hd_server *server, void (*visit)(struct hd_request *req))
{
	(void)pthread_mutex_lock(&server->requests_lock);
	for (struct hd_request *req = server->requests; req != NULL; req = req->next)
		visit(req);
	(void)pthread_mutex_unlock(&server->requests_lock);
}

void
server_begin_drain(struct hd_server *server)
{
	/* a request that becomes idle after this sees the flag; one that was idle before is seen */
	atomic_store(&server->is_draining, true);
	server_for_each_request(server, request_cancel_idle);
}

void
server_cancel_requests(struct hd_server *server)
{
	/* a request that is opened after this sees the flag */
	atomic_store(&server->is_cancelled, true);
	fd_raise_event(server->cancel_fd);
	server_for_each_request(server, request_cancel);
}

/* Whether it was connected to for the other one, or for what that has connected to. A parent is not
 * freed before its children. */
static bool
server_descends_from(const struct hd_request *req, const struct hd_request *ancestor)
{
	while (req != NULL && req != ancestor)
		req = req->parent;
	return req != NULL;
}

/* Under the list's lock, which keeps them from being freed: ends what a handler waits for
 * elsewhere.
 */
static void
server_kill_children(struct hd_server *server, const struct hd_request *parent)
{
	for (struct hd_request *req = server->requests; req != NULL; req = req->next) {
		(void)pthread_mutex_lock(&req->lock);
		if (req != parent && server_descends_from(req, parent))
			(void)request_end_here(req, CLOSE_KILLED);
		(void)pthread_mutex_unlock(&req->lock);
	}
}

bool
server_kill_request(struct hd_server *server, uint64_t id)
{
	bool is_found = false;

	(void)pthread_mutex_lock(&server->requests_lock);
	for (struct hd_request *req = server->requests; req != NULL && id != 0 && !is_found;
	     req = req->next) {
		(void)pthread_mutex_lock(&req->lock);
		is_found = atomic_load(&req->id) == id && atomic_load(&req->fd) >= 0;
		if (is_found)
			(void)request_end_here(req, CLOSE_KILLED);
		(void)pthread_mutex_unlock(&req->lock);
		if (is_found)
			server_kill_children(server, req);
	}
	(void)pthread_mutex_unlock(&server->requests_lock);
	return is_found;
}

struct log_context
server_log_context(const struct hd_server *server)
{
	return (struct log_context){
		.listener = server->name,
		.handler = server->handler.name,
		.generation = server->generation,
		.is_prefix = true,
	};
}

const char *
hd_server_name(const struct hd_server *server)
{
	return server->name;
}

void
hd_server_set_data(struct hd_server *server, void *data)
{
	server->data = data;
}

void *
hd_server_data(const struct hd_server *server)
{
	return server->data;
}

void *
hd_server_shared(struct hd_server *server, size_t size)
{
	if (size == 0 || server->is_sharing_over)
		return NULL;
	return server_map_shared(size);
}

static int
server_clamp_level(int level)
{
	if (level < HD_LOG_ERR)
		return HD_LOG_ERR;
	return level > HD_LOG_DEBUG ? HD_LOG_DEBUG : level;
}

void
hd_server_log(struct hd_server *server, int level, const char *format, ...)
{
	struct log_context context = server_log_context(server);
	va_list args;

	va_start(args, format);
	log_vwrite(server_clamp_level(level), &context, format, args);
	va_end(args);
}

void
hd_log(struct hd_request *req, int level, const char *format, ...)
{
	struct log_context context;
	va_list args;

	level = server_clamp_level(level);
	if (!log_is_enabled(level))
		return;
	context = request_log_context(req);
	va_start(args, format);
	log_vwrite(level, &context, format, args);
	va_end(args);
}
