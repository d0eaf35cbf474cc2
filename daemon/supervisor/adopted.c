/*
 * adopted.c - takes descriptors from systemd and tells what they are.
 */
#include "supervisor/adopted.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/listen.h"
#include "net/peer.h"

static void
adopted_append(struct adopted *adopted, int fd, const char *name)
{
	adopted->items = memory_grow(adopted->items, adopted->count, sizeof(*adopted->items));
	adopted->items[adopted->count++] = (struct adopted_socket){
		.fd = fd,
		.name = memory_text(name),
	};
}

void
adopted_add(struct adopted *adopted, int fd, const char *name)
{
	adopted_append(adopted, fd, name);
	adopted->is_connection = true;
}

void
adopted_take(struct adopted *adopted)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);

	if (count < 0)
		log_warning("LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES do not fit together or to "
			    "the descriptors that are open, and none is taken: %s",
			    strerror(-count));
	for (int i = 0; i < count; i++) {
		adopted_append(adopted, SD_LISTEN_FDS_START + i,
			       names != NULL ? names[i] : "unknown");
	}
	for (char **name = names; name != NULL && *name != NULL; name++)
		free(*name);
	free(names);
}

size_t
adopted_count(const struct adopted *adopted, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < adopted->count; i++)
		count += strcmp(adopted->items[i].name, name) == 0;
	return count;
}

static int
adopted_option(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -1 : value;
}

int64_t
adopted_protocol(int fd)
{
	int domain = adopted_option(fd, SO_DOMAIN), type = adopted_option(fd, SO_TYPE);
	bool is_inet = domain == AF_INET || domain == AF_INET6;
	int protocol = adopted_option(fd, SO_PROTOCOL);

	if (is_inet && type == SOCK_STREAM && protocol == IPPROTO_TCP)
		return CONF_TCP;
	if (is_inet && type == SOCK_DGRAM && protocol == IPPROTO_UDP)
		return CONF_UDP;
	if (domain == AF_UNIX && type == SOCK_STREAM)
		return CONF_UNIX;
	if (domain == AF_UNIX && type == SOCK_DGRAM)
		return CONF_UNIXGRAM;
	return -1;
}

static bool
adopted_is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

int64_t
adopted_connection_protocol(int fd)
{
	int64_t protocol = adopted_protocol(fd);

	if ((protocol != CONF_TCP && protocol != CONF_UNIX) || !adopted_is_connected(fd))
		return -1;
	return protocol;
}

/* Why the descriptor cannot serve this protocol; NULL: it can. */
static char *
adopted_find_fault(int fd, int64_t protocol)
{
	int64_t found = adopted_protocol(fd);

	if (adopted_option(fd, SO_TYPE) < 0)
		return memory_text("is no socket");
	if (found < 0)
		return memory_text("is of a kind that no protocol here has");
	if (adopted_is_connected(fd))
		return memory_text("is a connection (Accept=yes in the .socket unit); that is for "
				   "handlerd --inetd");
	if (found != protocol)
		return memory_format("is %s, but the listener is %s", conf_protocol_name(found),
				     conf_protocol_name(protocol));
	if (!listen_is_alive(fd))
		return memory_text("does not listen");
	return NULL;
}

static void
adopted_remove(struct adopted *adopted, size_t index)
{
	free(adopted->items[index].name);
	adopted->count--;
	memmove(&adopted->items[index], &adopted->items[index + 1],
		(adopted->count - index) * sizeof(*adopted->items));
}

int
adopted_claim(struct adopted *adopted, const struct conf_listener *listener, const char *name,
	      struct report *report)
{
	size_t i = 0;
	CLEANUP_FREE char *fault = NULL;
	int fd;

	while (i < adopted->count && strcmp(adopted->items[i].name, name) != 0)
		i++;
	if (i == adopted->count)
		return -1;
	fd = adopted->items[i].fd;
	adopted_remove(adopted, i);
	if (adopted->is_connection)
		return fd;
	fault = adopted_find_fault(fd, listener->protocol);
	if (fault == NULL) {
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		return fd;
	}
	report_error(report, listener->address_origin.file, listener->address_origin.line,
		     "listener '%s': the descriptor '%s' from systemd %s", listener->name, name,
		     fault);
	(void)close(fd);
	return -1;
}

void
adopted_free(struct adopted *adopted)
{
	for (size_t i = 0; i < adopted->count; i++) {
		(void)close(adopted->items[i].fd);
		free(adopted->items[i].name);
	}
	free(adopted->items);
	*adopted = (struct adopted){0};
}

void
adopted_close_rest(struct adopted *adopted)
{
	for (size_t i = 0; i < adopted->count; i++) {
		struct sockaddr_storage addr = {0};
		socklen_t length = 0;
		char text[PEER_NAME_SIZE];

		(void)listen_get_address(adopted->items[i].fd, &addr, &length);
		log_event(LOG_EVENT_SOCKET_UNCLAIMED, NULL,
			  "systemd has passed a descriptor named '%s' (%s) that no listener "
			  "takes (address = \"systemd:%s\"); it is closed",
			  adopted->items[i].name,
			  peer_format((struct sockaddr *)&addr, length, text, sizeof(text)),
			  adopted->items[i].name);
	}
	adopted_free(adopted);
}
