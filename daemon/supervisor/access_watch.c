/*
 * access_watch.c - the directories of the files are watched, not the files: a new version mostly
 * comes by rename. Where a link is on the way, the directory that it leads to is watched, too. What
 * no event tells (another machine has written it, the directory itself was replaced) is seen by
 * looking now and then.
 */
#include "supervisor/access_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/supervisor.h"

/* Several files, or a file and its link, change together. */
#define ACCESS_WATCH_SETTLE_NS (20 * CLOCK_NS_PER_MS)
#define ACCESS_WATCH_SETTLE_MOST_NS (200 * CLOCK_NS_PER_MS)
#define ACCESS_WATCH_POLL_MS 20000
/* Another time zone, and a clock that was set, are met by then. */
#define ACCESS_WATCH_MINUTE_MS 30000

/* No IN_MODIFY: what is still being written is not looked at. */
#define ACCESS_WATCH_EVENTS                                                                        \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB |        \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static void
access_watch_look(struct supervisor *supervisor, bool is_forced)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = supervisor->listeners[i];

		if (listener->access != NULL)
			access_lists_look(listener->access, listener->name, is_forced);
	}
}

static void
access_watch_on_settled(struct loop_timer *timer)
{
	/* a link may lead to another directory now */
	access_watch_renew(CONTAINER_OF(timer, struct supervisor, access_watch.settle), false);
}

static void
access_watch_on_change(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor =
		CONTAINER_OF(source, struct supervisor, access_watch.changes);
	struct access_watch *watch = &supervisor->access_watch;
	int64_t now_ns = clock_now_ns(), when_ns = now_ns + ACCESS_WATCH_SETTLE_NS;
	char buf[4096];

	(void)events;
	/* which file it was does not matter: links may have any name */
	while (read(source->fd, buf, sizeof(buf)) > 0)
		;
	if (!watch->settle.is_armed)
		watch->settle_most_ns = now_ns + ACCESS_WATCH_SETTLE_MOST_NS;
	if (when_ns > watch->settle_most_ns)
		when_ns = watch->settle_most_ns;
	loop_arm(&supervisor->loop, &watch->settle, when_ns);
}

static void
access_watch_add_directory(int fd, const char *file)
{
	CLEANUP_FREE char *path = memory_text(file);
	char *slash = strrchr(path, '/');

	if (slash == NULL)
		return;
	slash[slash == path ? 1 : 0] = '\0';
	(void)inotify_add_watch(fd, path, ACCESS_WATCH_EVENTS);
}

static void
access_watch_close_changes(struct supervisor *supervisor)
{
	struct loop_source *changes = &supervisor->access_watch.changes;

	if (changes->fd < 0)
		return;
	loop_remove(&supervisor->loop, changes);
	(void)close(changes->fd);
	changes->fd = -1;
}

/* Watches the directories of all files; nothing where there are none. Returns whether there are. */
static bool
access_watch_open_changes(struct supervisor *supervisor)
{
	struct loop_source *changes = &supervisor->access_watch.changes;
	bool is_wanted = false;

	access_watch_close_changes(supervisor);
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		const struct access_lists *access = supervisor->listeners[i]->access;
		CLEANUP_FREE char *real = NULL;

		if (access == NULL || access->path == NULL)
			continue;
		is_wanted = true;
		if (changes->fd < 0)
			changes->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (changes->fd < 0)
			break;
		access_watch_add_directory(changes->fd, access->path);
		real = realpath(access->path, NULL);
		if (real != NULL)
			access_watch_add_directory(changes->fd, real);
	}
	changes->on_event = access_watch_on_change;
	if (changes->fd >= 0 && loop_add(&supervisor->loop, changes, EPOLLIN) < 0)
		access_watch_close_changes(supervisor);
	return is_wanted;
}

static void
access_watch_on_poll(struct loop_timer *timer)
{
	access_watch_renew(CONTAINER_OF(timer, struct supervisor, access_watch.poll), false);
}

static void
access_watch_on_minute(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, access_watch.minute);

	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (supervisor->listeners[i]->access != NULL)
			access_lists_publish_times(supervisor->listeners[i]->access);
	}
	loop_arm(&supervisor->loop, timer, clock_deadline_ns(ACCESS_WATCH_MINUTE_MS));
}

static bool
access_watch_has_times(const struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		const struct access_lists *access = supervisor->listeners[i]->access;

		if (access != NULL && access->span_count > 0)
			return true;
	}
	return false;
}

void
access_watch_init(struct access_watch *watch)
{
	*watch = (struct access_watch){
		.changes.fd = -1,
		.settle.on_timer = access_watch_on_settled,
		.poll.on_timer = access_watch_on_poll,
		.minute.on_timer = access_watch_on_minute,
	};
}

void
access_watch_close(struct supervisor *supervisor)
{
	access_watch_close_changes(supervisor);
	loop_disarm(&supervisor->loop, &supervisor->access_watch.settle);
	loop_disarm(&supervisor->loop, &supervisor->access_watch.poll);
	loop_disarm(&supervisor->loop, &supervisor->access_watch.minute);
}

void
access_watch_renew(struct supervisor *supervisor, bool is_forced)
{
	struct access_watch *watch = &supervisor->access_watch;

	loop_disarm(&supervisor->loop, &watch->poll);
	if (access_watch_open_changes(supervisor))
		loop_arm(&supervisor->loop, &watch->poll, clock_deadline_ns(ACCESS_WATCH_POLL_MS));
	/* what has changed before it was watched */
	access_watch_look(supervisor, is_forced);
	loop_disarm(&supervisor->loop, &watch->minute);
	if (access_watch_has_times(supervisor))
		loop_arm(&supervisor->loop, &watch->minute, clock_now_ns());
}
