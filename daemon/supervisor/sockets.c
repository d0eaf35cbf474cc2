/*
 * sockets.c - the table of held sockets.
 */
#include "supervisor/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/listen.h"

static bool
sockets_has_port(const struct conf_address *address)
{
	struct sockaddr_in in;

	/* the port stands at the same place in both families */
	memcpy(&in, &address->addr, sizeof(in));
	return in.sin_port != 0;
}

static bool
sockets_is_same(const struct held_socket *socket, const struct conf_listener *listener,
		const struct conf_address *address)
{
	if (socket->asked.length != address->length ||
	    socket->asked.is_dual_stack != address->is_dual_stack ||
	    memcmp(&socket->asked.addr, &address->addr, address->length) != 0)
		return false;
	return sockets_has_port(address) || strcmp(socket->owner, listener->name) == 0;
}

void
sockets_begin(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		sockets->items[i]->is_wanted = sockets->items[i]->is_new = false;
}

static void
sockets_free_one(struct held_socket *socket)
{
	if (socket->fd >= 0)
		(void)close(socket->fd);
	free(socket->owner);
	free(socket->next_owner);
	free(socket);
}

static void
sockets_complain(const struct sockets *sockets, const struct conf_listener *listener,
		 size_t address, const char *step, int error, struct report *report)
{
	const struct conf_origin *origin = &listener->address_origin;
	char text[CONF_ADDRESS_TEXT_SIZE];
	const char *advice = "";

	(void)conf_address_format(&listener->addresses[address], text, sizeof(text));
	for (size_t i = 0; i < sockets->count && error == -EADDRINUSE; i++) {
		const struct held_socket *held = sockets->items[i];
		char held_text[CONF_ADDRESS_TEXT_SIZE];

		if (!conf_address_overlaps(&held->bound, &listener->addresses[address]))
			continue;
		report_error(report, origin->file, origin->line,
			     "listener '%s' cannot %s %s: listener '%s' still holds %s; give it up "
			     "in a reload of its own first",
			     listener->name, step, text, held->owner,
			     conf_address_format(&held->bound, held_text, sizeof(held_text)));
		return;
	}
	if (error == -EADDRINUSE)
		advice = "; another program listens there (ss -ltnp shows which)";
	else if (error == -EADDRNOTAVAIL)
		advice = "; this machine does not have that address (yet)";
	else if (error == -EACCES)
		advice = "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
	report_error(report, origin->file, origin->line, "listener '%s' cannot %s %s: %s%s",
		     listener->name, step, text, strerror(-error), advice);
}

static int
sockets_open(const struct conf_address *address, int64_t backlog, const char **ret_step)
{
	struct listen_spec spec = {
		.type = SOCK_STREAM,
		.addr = (const struct sockaddr *)&address->addr,
		.length = address->length,
		.is_dual_stack = address->is_dual_stack,
		.backlog = (int)backlog,
	};

	return listen_open(&spec, ret_step);
}

struct held_socket *
sockets_want(struct sockets *sockets, const struct conf_listener *listener, size_t address,
	     struct report *report)
{
	const struct conf_address *asked = &listener->addresses[address];
	struct held_socket *socket;
	const char *step;
	int fd;

	for (size_t i = 0; i < sockets->count; i++) {
		socket = sockets->items[i];
		if (socket->is_wanted || !sockets_is_same(socket, listener, asked))
			continue;
		socket->is_wanted = true;
		free(socket->next_owner);
		socket->next_owner = memory_text(listener->name);
		socket->next_backlog = listener->backlog;
		return socket;
	}
	fd = sockets_open(asked, listener->backlog, &step);
	if (fd < 0) {
		sockets_complain(sockets, listener, address, step, fd, report);
		return NULL;
	}
	socket = memory_zero(1, sizeof(*socket));
	*socket = (struct held_socket){
		.fd = fd,
		.asked = *asked,
		.bound = *asked,
		.owner = memory_text(listener->name),
		.backlog = listener->backlog,
		.next_owner = memory_text(listener->name),
		.next_backlog = listener->backlog,
		.is_wanted = true,
		.is_new = true,
	};
	(void)listen_get_address(fd, &socket->bound.addr, &socket->bound.length);
	sockets->items = memory_grow(sockets->items, sockets->count, sizeof(struct held_socket *));
	sockets->items[sockets->count++] = socket;
	return socket;
}

/* Keeps the sockets of one kind, closes the others. */
static void
sockets_keep(struct sockets *sockets, bool (*is_kept)(const struct held_socket *socket))
{
	size_t kept = 0;

	for (size_t i = 0; i < sockets->count; i++) {
		if (is_kept(sockets->items[i]))
			sockets->items[kept++] = sockets->items[i];
		else
			sockets_free_one(sockets->items[i]);
	}
	sockets->count = kept;
	/* the array grows at powers of two only: one that has shrunk starts again */
	if (kept == 0) {
		free(sockets->items);
		sockets->items = NULL;
	} else {
		struct held_socket **items = NULL;

		for (size_t i = 0; i < kept; i++) {
			items = memory_grow(items, i, sizeof(struct held_socket *));
			items[i] = sockets->items[i];
		}
		free(sockets->items);
		sockets->items = items;
	}
}

static bool
sockets_keep_wanted(const struct held_socket *socket)
{
	return socket->is_wanted;
}

static bool
sockets_keep_old(const struct held_socket *socket)
{
	return !socket->is_new;
}

void
sockets_commit(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		struct held_socket *socket = sockets->items[i];

		socket->is_new = false;
		if (!socket->is_wanted)
			continue;
		if (socket->backlog != socket->next_backlog &&
		    listen_set_backlog(socket->fd, (int)socket->next_backlog) >= 0)
			socket->backlog = socket->next_backlog;
		free(socket->owner);
		socket->owner = take_pointer(&socket->next_owner);
	}
	sockets_keep(sockets, sockets_keep_wanted);
}

void
sockets_roll_back(struct sockets *sockets)
{
	sockets_keep(sockets, sockets_keep_old);
}

bool
sockets_revive(struct held_socket *socket)
{
	const char *step;
	int fd;

	if (listen_is_alive(socket->fd))
		return false;
	(void)close(socket->fd);
	fd = sockets_open(&socket->bound, socket->backlog, &step);
	if (fd < 0)
		log_error(
			"'%s': its handler shut the listening socket down, and it cannot be opened "
			"again: cannot %s: %s",
			socket->owner, step, strerror(-fd));
	else
		log_warning("'%s': its handler shut the listening socket down; it is opened anew",
			    socket->owner);
	socket->fd = fd;
	return true;
}

static bool
sockets_keep_none(const struct held_socket *socket)
{
	(void)socket;
	return false;
}

void
sockets_close_all(struct sockets *sockets)
{
	sockets_keep(sockets, sockets_keep_none);
}
