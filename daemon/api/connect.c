/*
 * connect.c - hd_connect: a handler's own connections as requests, so that the same calls serve
 * them and the drain deadline ends them.
 */
#include "api/connect.h"

#include <errno.h>
#include <handlerd/socket.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/request.h"
#include "api/server.h"
#include "api/stream.h"
#include "api/wait.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"

/* Between two attempts at a Unix socket whose backlog is full. */
#define CONNECT_MOST_PAUSE_MS 16

/* What is being connected to, and until when. */
struct connect_target {
	struct sockaddr_storage addr;
	socklen_t length;
};

static int
connect_wait(struct hd_request *req, int fd, int64_t deadline_ns)
{
	int error = 0;
	socklen_t length = sizeof(error);
	int r = hd_wait(req, fd, POLLOUT, deadline_ns == 0 ? -1 : clock_ms_until(deadline_ns));

	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return -error;
}

/* A Unix socket whose backlog is full tells nobody when it has room again: it is tried again. 0,
 * -EINPROGRESS or another negative errno. */
static int
connect_begin(struct hd_request *req, int fd, const struct connect_target *target,
	      int64_t deadline_ns)
{
	unsigned pause_ms = 1;

	for (;;) {
		int r = connect(fd, (const struct sockaddr *)&target->addr, target->length);

		if (r == 0 || errno != EAGAIN || target->addr.ss_family != AF_UNIX)
			return r == 0 ? 0 : -errno;
		if (deadline_ns != 0 && clock_ms_until(deadline_ns) == 0)
			return -ETIMEDOUT;
		r = hd_sleep(req, pause_ms);
		if (r < 0)
			return r;
		pause_ms = pause_ms < CONNECT_MOST_PAUSE_MS ? 2 * pause_ms : pause_ms;
	}
}

/* Connects within the deadline (0: none). Returns the socket, which waits as the mode wants it. */
static int
connect_open(struct hd_request *req, const struct connect_target *target, int64_t deadline_ns)
{
	CLEANUP_CLOSE int fd =
		socket(target->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	static const int one = 1, zero = 0;
	int r;

	if (fd < 0)
		return -errno;
	r = connect_begin(req, fd, target, deadline_ns);
	if (r == -EINPROGRESS)
		r = connect_wait(req, fd, deadline_ns);
	if (r < 0)
		return r;
	if (target->addr.ss_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!req->server->waiter->parks && ioctl(fd, FIONBIO, &zero) < 0)
		return -errno;
	return take_fd(&fd);
}

static int
connect_unix(struct hd_request *req, const char *path, int64_t deadline_ns,
	     struct connect_target *target)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t length = strlen(path);

	if (length == 0 || length >= sizeof(un.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -EINVAL;
	memcpy(un.sun_path, path, length);
	target->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	if (path[0] == '@') {
		un.sun_path[0] = '\0';
		target->length--;
	}
	memcpy(&target->addr, &un, sizeof(un));
	return connect_open(req, target, deadline_ns);
}

/* "host:port" or "[v6]:port" into two strings; text is changed. */
static int
connect_split(char *text, char **ret_host, char **ret_port)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL || colon[1] == '\0')
		return -EINVAL;
	*colon = '\0';
	*ret_port = colon + 1;
	*ret_host = text;
	if (text[0] == '[') {
		if (colon == text || colon[-1] != ']')
			return -EINVAL;
		colon[-1] = '\0';
		*ret_host = text + 1;
	} else if (strchr(text, ':') != NULL) {
		return -EINVAL;
	}
	return **ret_host == '\0' ? -EINVAL : 0;
}

/* A name look-up blocks: it runs where it holds up nobody else. */
struct connect_lookup {
	const char *host, *port;
	struct addrinfo *found;
	int result;
	int error; /* of EAI_SYSTEM */
};

static void
connect_look_up(void *argument)
{
	static const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV,
	};
	struct connect_lookup *lookup = argument;

	lookup->result = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
	/* of this thread, which need not be the flow's */
	lookup->error = errno;
}

static int
connect_lookup_error(const struct connect_lookup *lookup)
{
	switch (lookup->result) {
	case 0:
		return 0;
	case EAI_SERVICE:
		return -EINVAL;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return lookup->error != 0 ? -lookup->error : -EAGAIN;
	default:
		return -EADDRNOTAVAIL;
	}
}

static int
connect_tcp(struct hd_request *req, const char *text, int64_t deadline_ns,
	    struct connect_target *target)
{
	CLEANUP_FREE char *copy = strdup(text);
	struct connect_lookup lookup = {0};
	char *host, *port;
	int64_t number;
	int r;

	if (copy == NULL)
		return -ENOMEM;
	r = connect_split(copy, &host, &port);
	if (r >= 0 && (parse_int64(port, &number) < 0 || number < 1 || number > 65535))
		r = -EINVAL;
	if (r < 0)
		return r;
	lookup.host = host;
	lookup.port = port;
	r = hd_offload(req, connect_look_up, &lookup);
	if (r >= 0)
		r = connect_lookup_error(&lookup);
	if (r < 0)
		return r;
	r = -EADDRNOTAVAIL;
	for (const struct addrinfo *at = lookup.found; at != NULL; at = at->ai_next) {
		memcpy(&target->addr, at->ai_addr, at->ai_addrlen);
		target->length = at->ai_addrlen;
		r = connect_open(req, target, deadline_ns);
		if (r >= 0 || r == -ECANCELED || r == -ETIMEDOUT)
			break;
	}
	freeaddrinfo(lookup.found);
	return r;
}

/* The new connection as a request, which owns fd from now on. */
static struct hd_request *
connect_wrap(struct hd_request *parent, int fd, const struct connect_target *target)
{
	struct hd_request *req = calloc(1, sizeof(*req));

	if (req == NULL || request_init(req, parent->server, NULL) < 0) {
		free(req);
		(void)close(fd);
		return NULL;
	}
	/* the same flow waits for it */
	req->watch.flow = parent->watch.flow;
	request_open(req, fd, &target->addr, target->length);
	(void)pthread_mutex_lock(&req->lock);
	req->parent = parent;
	(void)pthread_mutex_unlock(&req->lock);
	req->next_child = parent->children;
	parent->children = req;
	/* the deadline may have passed, or the parent been killed, while it connected */
	if (atomic_load(&parent->is_cancelled))
		request_cancel(req);
	return req;
}

struct hd_request *
hd_connect(struct hd_request *req, const char *address, int timeout_ms, int *error)
{
	int64_t deadline_ns = timeout_ms < 0 ? 0 : clock_now_ns() + timeout_ms * CLOCK_NS_PER_MS;
	struct connect_target target = {0};
	struct hd_request *connected = NULL;
	int fd = stream_flush(req);

	if (fd == 0) {
		if (strncmp(address, "tcp:", 4) == 0)
			fd = connect_tcp(req, address + 4, deadline_ns, &target);
		else if (strncmp(address, "unix:", 5) == 0)
			fd = connect_unix(req, address + 5, deadline_ns, &target);
		else
			fd = -EINVAL;
	}
	if (fd >= 0) {
		connected = connect_wrap(req, fd, &target);
		if (connected == NULL)
			fd = -ENOMEM;
	}
	if (connected == NULL && error != NULL)
		*error = fd;
	return connected;
}

static int
connect_end(struct hd_request *connected)
{
	int r = stream_flush(connected);

	file_close_streams(connected);
	connect_close_all(connected);
	request_close(connected);
	request_destroy(connected);
	free(connected);
	return r;
}

int
hd_close(struct hd_request *connected)
{
	struct hd_request *parent = connected->parent;

	if (parent == NULL)
		return -EINVAL;
	for (struct hd_request **slot = &parent->children; *slot != NULL;
	     slot = &(*slot)->next_child) {
		if (*slot == connected) {
			*slot = connected->next_child;
			break;
		}
	}
	return connect_end(connected);
}

void
connect_close_all(struct hd_request *req)
{
	while (req->children != NULL) {
		struct hd_request *connected = req->children;

		req->children = connected->next_child;
		(void)connect_end(connected);
	}
}
