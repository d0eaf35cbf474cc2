/*
 * manager.c - a queue before sd_notify(3), which blocks while the manager's socket is full.
 *
 * A socket of our own, connected to the same address, shows whether there is room.
 */
#include "supervisor/manager.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"

/* More than all sockets that are stored at a start; a manager that takes none of so many is gone.
 */
#define MANAGER_MOST_WAITING 16384

struct manager_message {
	struct manager_message *next;
	char *state;
	int fd; /* -1: none; owned */
};

static struct {
	struct loop *loop;
	struct loop_source room; /* fd -1: there is no manager, or none that we can look at */
	struct manager_message *first, **end;
	unsigned count;
} manager = {.room.fd = -1, .end = &manager.first};

static void
manager_send(const char *state, int fd)
{
	if (fd < 0)
		(void)sd_notify(0, state);
	else
		(void)sd_pid_notify_with_fds(0, 0, state, &fd, 1);
}

static bool
manager_has_room(void)
{
	struct pollfd row = {.fd = manager.room.fd, .events = POLLOUT};

	return manager.room.fd < 0 || poll(&row, 1, 0) != 0;
}

static void
manager_drop_first(void)
{
	struct manager_message *message = manager.first;

	manager.first = message->next;
	if (manager.first == NULL)
		manager.end = &manager.first;
	manager.count--;
	if (message->fd >= 0)
		(void)close(message->fd);
	free(message->state);
	free(message);
}

static void
manager_on_room(struct loop_source *source, uint32_t events)
{
	(void)events;
	while (manager.first != NULL && manager_has_room()) {
		manager_send(manager.first->state, manager.first->fd);
		manager_drop_first();
	}
	if (manager.first == NULL)
		loop_remove(manager.loop, source);
}

void
manager_open(struct loop *loop)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t length = path != NULL ? strlen(path) : 0;
	CLEANUP_CLOSE int fd = -1;

	if (length == 0 || (path[0] != '/' && path[0] != '@') || length >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, length);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
					  (path[0] == '/' ? 1 : 0))) < 0)
		return;
	manager.loop = loop;
	manager.room = (struct loop_source){.fd = take_fd(&fd), .on_event = manager_on_room};
}

void
manager_close(void)
{
	while (manager.first != NULL)
		manager_drop_first();
	if (manager.room.fd < 0)
		return;
	loop_remove(manager.loop, &manager.room);
	(void)close(manager.room.fd);
	manager.room.fd = -1;
}

void
manager_tell(const char *state, int fd)
{
	struct manager_message *message;

	if (manager.first == NULL && manager_has_room()) {
		manager_send(state, fd);
		return;
	}
	if (manager.count >= MANAGER_MOST_WAITING)
		return;
	message = memory_zero(1, sizeof(*message));
	message->state = memory_text(state);
	message->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	*manager.end = message;
	manager.end = &message->next;
	manager.count++;
	if (!manager.room.is_added)
		(void)loop_add(manager.loop, &manager.room, EPOLLOUT);
}

void
manager_tell_format(const char *format, ...)
{
	CLEANUP_FREE char *state = NULL;
	va_list args;

	va_start(args, format);
	state = memory_vformat(format, args);
	va_end(args);
	manager_tell(state, -1);
}

void
manager_remind(const char *state)
{
	if (manager.first == NULL)
		manager_tell(state, -1);
}
