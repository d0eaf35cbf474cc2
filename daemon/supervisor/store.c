/*
 * store.c - puts sockets into systemd's store, and finds them again.
 */
#include "supervisor/store.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/listen.h"
#include "supervisor/manager.h"

#define STORE_PATH_SUFFIX "/path"
#define STORE_BARRIER_US UINT64_C(5000000)

/* The length of the listener's name in a name that we have given; 0: it is none of ours. */
static size_t
store_owner_length(const char *name)
{
	const char *slash = strchr(name, '/');
	const char *number = slash != NULL ? slash + 1 : "";
	size_t digits = strspn(number, "0123456789");

	if (digits == 0 ||
	    (number[digits] != '\0' && strcmp(number + digits, STORE_PATH_SUFFIX) != 0))
		return 0;
	return (size_t)(slash - name);
}

void
store_open(struct store *store, struct adopted *adopted)
{
	size_t left = 0;

	store->is_open = getenv("NOTIFY_SOCKET") != NULL;
	for (size_t i = 0; i < adopted->count; i++) {
		struct adopted_socket *item = &adopted->items[i];

		if (store_owner_length(item->name) == 0) {
			adopted->items[left++] = *item;
			continue;
		}
		store->items = memory_grow(store->items, store->count, sizeof(*store->items));
		store->items[store->count++] = *item;
	}
	adopted->count = left;
}

static struct adopted_socket *
store_find(const struct store *store, const char *name)
{
	for (size_t i = 0; i < store->count; i++) {
		if (store->items[i].name != NULL && strcmp(store->items[i].name, name) == 0)
			return &store->items[i];
	}
	return NULL;
}

static int
store_get_option(int fd, int level, int option)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, option, &value, &length) < 0 ? -1 : value;
}

static bool
store_is_bound_alike(int fd, const struct socket_options *options)
{
	char device[sizeof(options->device)] = "";
	socklen_t length = sizeof(device);

	if (store_get_option(fd, SOL_SOCKET, SO_DOMAIN) == AF_UNIX)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &length) < 0)
		return false;
	return (store_get_option(fd, SOL_SOCKET, SO_REUSEPORT) > 0) == options->reuse_port &&
	       strncmp(device, options->device, sizeof(device)) == 0;
}

/* Whether the file of a Unix socket still is the one that was bound. */
static bool
store_leads_path(const struct store *store, const char *name, const char *path)
{
	CLEANUP_FREE char *file_name = memory_format("%s%s", name, STORE_PATH_SUFFIX);
	const struct adopted_socket *file = store_find(store, file_name);
	struct stat bound, now;

	return file != NULL && fstat(file->fd, &bound) == 0 && lstat(path, &now) == 0 &&
	       bound.st_dev == now.st_dev && bound.st_ino == now.st_ino;
}

/* Whether a port 0 was this one: the listener of that name has it. */
static bool
store_has_address(int fd, const char *name, const struct conf_listener *listener,
		  const struct conf_address *asked)
{
	struct conf_address bound = *asked;
	size_t owner = store_owner_length(name);

	if (listen_get_address(fd, &bound.addr, &bound.length) < 0 ||
	    bound.addr.ss_family != asked->addr.ss_family || bound.length != asked->length)
		return false;
	if (asked->kind == CONF_ADDRESS_INET && conf_address_port(asked) == 0) {
		if (strlen(listener->name) != owner || strncmp(listener->name, name, owner) != 0)
			return false;
		conf_address_set_port(&bound, 0);
	}
	if (bound.addr.ss_family == AF_INET6 &&
	    (store_get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0) != asked->is_dual_stack)
		return false;
	return memcmp(&bound.addr, &asked->addr, asked->length) == 0;
}

static void
store_remove(const char *name)
{
	manager_tell_format("FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* It is in the way of another on the same address: systemd must have closed its copy before that
 * can be bound. */
static void
store_discard(struct adopted_socket *item)
{
	store_remove(item->name);
	(void)close(item->fd);
	free(item->name);
	*item = (struct adopted_socket){.fd = -1};
	(void)sd_notify_barrier(0, STORE_BARRIER_US);
}

/* Whether a socket serves that address, however it was bound. */
static bool
store_is_there(const struct adopted_socket *item, const struct conf_listener *listener,
	       const struct conf_address *asked)
{
	return item->name != NULL && adopted_protocol(item->fd) == listener->protocol &&
	       store_has_address(item->fd, item->name, listener, asked);
}

/* A handler may have left anything set on it, and the configuration may say something else than it
 * did. Whether it is now as one that is bound anew would be. */
static bool
store_mend(const struct adopted_socket *item, const struct conf_listener *listener,
	   const struct conf_address *asked, const struct socket_options *options)
{
	struct listen_spec spec = {
		.type = conf_protocol_is_datagram(listener->protocol) ? SOCK_DGRAM : SOCK_STREAM,
		.addr = (const struct sockaddr *)&asked->addr,
		.length = asked->length,
		.is_dual_stack = asked->is_dual_stack,
		.options = options,
	};
	CLEANUP_CLOSE int fd = listen_open_unbound(&spec);
	struct fingerprint expected;
	char names[FINGERPRINT_NAMES_SIZE];

	/* what stands against it is told when it is bound */
	if (fd < 0)
		return true;
	fingerprint_take(fd, &expected);
	fingerprint_forget_listening(&expected);
	if (fingerprint_put_back(item->fd, &expected, names) >= 0)
		return true;
	log_warning("'%s': systemd has kept the socket '%s', whose %s is not what it should be and "
		    "cannot be set; it is bound anew",
		    listener->name, item->name, names);
	return false;
}

/* Whether this one is the socket for that address. */
static bool
store_fits(const struct store *store, const struct adopted_socket *item,
	   const struct conf_listener *listener, const struct conf_address *asked,
	   const struct socket_options *options)
{
	const char *path = ((const struct sockaddr_un *)&asked->addr)->sun_path;

	if (!store_is_there(item, listener, asked) || !listen_is_alive(item->fd) ||
	    !store_is_bound_alike(item->fd, options) || !store_mend(item, listener, asked, options))
		return false;
	if (asked->addr.ss_family != AF_UNIX || conf_address_is_abstract(asked) ||
	    store_leads_path(store, item->name, path))
		return true;
	log_warning("'%s': systemd has kept the socket '%s', but that path no longer leads to it; "
		    "it is bound anew",
		    listener->name, path);
	return false;
}

int
store_claim(struct store *store, const struct conf_listener *listener,
	    const struct conf_address *asked, const struct socket_options *options, char **ret_name,
	    struct conf_address *ret_free)
{
	*ret_free = *asked;
	for (size_t i = 0; i < store->count; i++) {
		struct adopted_socket *item = &store->items[i];
		int fd = item->fd;

		if (!store_fits(store, item, listener, asked, options))
			continue;
		*ret_name = item->name;
		*item = (struct adopted_socket){.fd = -1};
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		if (!conf_protocol_is_datagram(listener->protocol))
			(void)listen_set_backlog(fd, (int)listener->backlog);
		return fd;
	}
	for (size_t i = 0; i < store->count; i++) {
		if (!store_is_there(&store->items[i], listener, asked))
			continue;
		if (asked->kind == CONF_ADDRESS_INET)
			(void)listen_get_address(store->items[i].fd, &ret_free->addr,
						 &ret_free->length);
		store_discard(&store->items[i]);
	}
	return -1;
}

static bool
store_is_taken(struct held_socket *const *items, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i]->store_name != NULL && strcmp(items[i]->store_name, name) == 0)
			return true;
	}
	return false;
}

static void
store_send(const char *name, int fd)
{
	CLEANUP_FREE char *state = memory_format("FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);

	manager_tell(state, fd);
}

void
store_put(const struct store *store, struct held_socket *held, struct held_socket *const *items,
	  size_t count)
{
	const char *path = held_path(held);
	unsigned number = 0;

	if (!store->is_open || held->is_adopted || held->store_name != NULL || held->fd < 0)
		return;
	do {
		free(held->store_name);
		held->store_name = NULL;
		CLEANUP_FREE char *name = memory_format("%s/%u", held->owner, number++);

		if (!store_is_taken(items, count, name))
			held->store_name = take_pointer(&name);
	} while (held->store_name == NULL);
	store_send(held->store_name, held->fd);
	if (path != NULL) {
		CLEANUP_CLOSE int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		CLEANUP_FREE char *name =
			memory_format("%s%s", held->store_name, STORE_PATH_SUFFIX);

		if (fd >= 0)
			store_send(name, fd);
	}
}

void
store_drop(struct held_socket *held)
{
	if (held->store_name == NULL)
		return;
	store_remove(held->store_name);
	if (held_path(held) != NULL) {
		CLEANUP_FREE char *name =
			memory_format("%s%s", held->store_name, STORE_PATH_SUFFIX);

		store_remove(name);
	}
	free(held->store_name);
	held->store_name = NULL;
}

/* The companions of sockets that were taken stay in the store. */
static bool
store_is_companion(const char *name, struct held_socket *const *items, size_t count)
{
	size_t length = strlen(name), suffix = strlen(STORE_PATH_SUFFIX);
	CLEANUP_FREE char *socket_name = NULL;

	if (length <= suffix || strcmp(name + length - suffix, STORE_PATH_SUFFIX) != 0)
		return false;
	socket_name = memory_format("%.*s", (int)(length - suffix), name);
	return store_is_taken(items, count, socket_name);
}

void
store_free(struct store *store)
{
	for (size_t i = 0; i < store->count; i++) {
		if (store->items[i].name != NULL)
			(void)close(store->items[i].fd);
		free(store->items[i].name);
	}
	free(store->items);
	store->items = NULL;
	store->count = 0;
}

void
store_close_rest(struct store *store, struct held_socket *const *items, size_t count)
{
	for (size_t i = 0; i < store->count; i++) {
		const char *name = store->items[i].name;

		if (name != NULL && !store_is_companion(name, items, count))
			store_remove(name);
	}
	store_free(store);
}
