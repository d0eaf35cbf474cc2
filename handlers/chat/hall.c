/*
 * hall.c - the rooms of one worker, and who is in them.
 */
#include "hall.h"

#include <errno.h>
#include <handlerd/handler.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest line that member_tell writes. */
#define HALL_TOLD_SIZE 1536

LIST_HEAD(room_members, member);

struct room {
	LIST_ENTRY(room) link;
	struct room_members members;
	size_t count;
	char name[HALL_NAME_SIZE];
};

/* Requests that are to be woken when the lock is no longer held. */
struct wakes {
	uint64_t *ids;
	size_t count, room;
};

static void
wakes_add(struct wakes *wakes, struct hall *hall, uint64_t id)
{
	if (wakes->count == wakes->room) {
		size_t room = wakes->room == 0 ? 64 : wakes->room * 2;
		uint64_t *ids = realloc(wakes->ids, room * sizeof(*ids));

		if (ids == NULL) {
			(void)hd_wake(hall->server, id);
			return;
		}
		wakes->ids = ids;
		wakes->room = room;
	}
	wakes->ids[wakes->count++] = id;
}

/* Without the lock: hd_wake does not wait, but it is a system call for each. */
static void
wakes_send(struct wakes *wakes, struct hall *hall)
{
	/* who has gone meanwhile needs nothing: -ESRCH */
	for (size_t i = 0; i < wakes->count; i++)
		(void)hd_wake(hall->server, wakes->ids[i]);
	free(wakes->ids);
}

static void
hall_lock(struct hall *hall)
{
	(void)pthread_mutex_lock(&hall->lock);
}

static void
hall_unlock(struct hall *hall)
{
	(void)pthread_mutex_unlock(&hall->lock);
}

int
hall_init(struct hall *hall, struct hd_server *server, const struct hall_limits *limits)
{
	*hall = (struct hall){.server = server, .limits = *limits};
	return -pthread_mutex_init(&hall->lock, NULL);
}

void
hall_destroy(struct hall *hall)
{
	(void)pthread_mutex_destroy(&hall->lock);
}

static int
hall_compare_names(const void *a, const void *b)
{
	const struct member *one = a, *other = b;

	return strcmp(one->name, other->name);
}

/* Under the lock, as all that follow up to the public functions. */
static struct room *
hall_find_room(struct hall *hall, const char *name)
{
	struct room *room;

	for (room = LIST_FIRST(&hall->rooms); room != NULL; room = LIST_NEXT(room, link)) {
		if (strcmp(room->name, name) == 0)
			break;
	}
	return room;
}

static int
hall_open_room(struct hall *hall, const char *name, struct room **ret_room)
{
	struct room *room = hall_find_room(hall, name);

	if (room != NULL && room->count >= hall->limits.members)
		return -EUSERS;
	if (room == NULL) {
		if (hall->room_count >= hall->limits.rooms)
			return -ENFILE;
		room = calloc(1, sizeof(*room));
		if (room == NULL)
			return -ENOMEM;
		(void)snprintf(room->name, sizeof(room->name), "%s", name);
		LIST_INSERT_HEAD(&hall->rooms, room, link);
		hall->room_count++;
	}
	*ret_room = room;
	return 0;
}

/* Its flow is woken if it may be waiting: it looks at a queue that is not empty by itself. */
static void
member_put(struct member *member, struct message *message, struct wakes *wakes)
{
	struct hall *hall = member->hall;
	int r = queue_put(&member->queue, message, hall->limits.queue);

	if (r < 0 && hall->limits.ends_slow && !member->is_too_slow) {
		member->is_too_slow = true;
		r = 1;
	}
	if (r == 1 && wakes != NULL)
		wakes_add(wakes, hall, member->id);
}

static void
member_put_others(const struct member *member, struct message *message, struct wakes *wakes)
{
	struct member *other;

	if (member->room == NULL || message == NULL)
		return;
	for (other = LIST_FIRST(&member->room->members); other != NULL;
	     other = LIST_NEXT(other, link)) {
		if (other != member)
			member_put(other, message, wakes);
	}
}

/* Out of its room, which goes with the last one. */
static void
member_go_out(struct member *member)
{
	struct room *room = member->room;

	if (room == NULL)
		return;
	LIST_REMOVE(member, link);
	member->room = NULL;
	if (--room->count > 0)
		return;
	LIST_REMOVE(room, link);
	member->hall->room_count--;
	free(room);
}

void
member_init(struct member *member, struct hall *hall, uint64_t id)
{
	member->hall = hall;
	member->id = id;
	member->number = atomic_fetch_add(&hall->members, 1) + 1;
}

void
member_leave(struct member *member, bool is_told)
{
	struct hall *hall = member->hall;
	struct message *message = NULL;
	struct wakes wakes = {0};

	if (is_told && hall->limits.tells_arrivals && member->room != NULL)
		message = message_format("* %s has left\n", member->name);
	hall_lock(hall);
	member_put_others(member, message, &wakes);
	member_go_out(member);
	if (member->name[0] != '\0')
		(void)tdelete(member, &hall->names, hall_compare_names);
	hall_unlock(hall);
	member->name[0] = '\0';
	wakes_send(&wakes, hall);
	message_release(message);
}

void
member_destroy(struct member *member)
{
	queue_destroy(&member->queue);
}

int
member_rename(struct member *member, const char *name)
{
	struct hall *hall = member->hall;
	struct message *message = NULL;
	struct wakes wakes = {0};
	struct member *const *found;
	struct member wanted;
	int r = 0;

	(void)snprintf(wanted.name, sizeof(wanted.name), "%s", name);
	if (hall->limits.tells_arrivals)
		message = message_format("* %s is now %s\n", member->name, name);
	hall_lock(hall);
	found = tfind(&wanted, &hall->names, hall_compare_names);
	if (found != NULL) {
		r = *found == member ? 0 : -EEXIST;
	} else {
		if (member->name[0] != '\0')
			(void)tdelete(member, &hall->names, hall_compare_names);
		memcpy(member->name, wanted.name, sizeof(member->name));
		if (tsearch(member, &hall->names, hall_compare_names) == NULL) {
			member->name[0] = '\0';
			r = -ENOMEM;
		} else {
			member_put_others(member, message, &wakes);
		}
	}
	hall_unlock(hall);
	wakes_send(&wakes, hall);
	message_release(message);
	return r;
}

int
member_join(struct member *member, const char *name)
{
	struct hall *hall = member->hall;
	struct message *comes = NULL, *goes = NULL;
	struct wakes wakes = {0};
	struct room *room = NULL;
	int r;

	if (hall->limits.tells_arrivals) {
		comes = message_format("* %s has come\n", member->name);
		goes = message_format("* %s has gone to another room\n", member->name);
	}
	hall_lock(hall);
	if (member->room != NULL && strcmp(member->room->name, name) == 0)
		r = -EALREADY;
	else
		r = hall_open_room(hall, name, &room);
	if (r == 0) {
		member_put_others(member, goes, &wakes);
		member_go_out(member);
		LIST_INSERT_HEAD(&room->members, member, link);
		room->count++;
		member->room = room;
		member_put_others(member, comes, &wakes);
	}
	hall_unlock(hall);
	wakes_send(&wakes, hall);
	message_release(comes);
	message_release(goes);
	return r;
}

bool
member_say(struct member *member, const char *text)
{
	struct message *message = message_format("<%s> %s\n", member->name, text);
	struct wakes wakes = {0};
	bool is_heard;

	hall_lock(member->hall);
	is_heard = member->room != NULL;
	member_put_others(member, message, &wakes);
	hall_unlock(member->hall);
	wakes_send(&wakes, member->hall);
	message_release(message);
	return is_heard;
}

void
member_tell(struct member *member, const char *format, ...)
{
	char text[HALL_TOLD_SIZE];
	struct message *message;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	message = message_format("%s\n", text);
	if (message == NULL)
		return;
	hall_lock(member->hall);
	member_put(member, message, NULL);
	hall_unlock(member->hall);
	message_release(message);
}

/* Adds a piece to a list; false, and nothing added, when there is no room for it and for a number
 * of those that were left out. */
static bool
list_add(char *list, size_t size, const char *piece)
{
	static const char end[] = " and 18446744073709551615 more";
	size_t used = strlen(list);

	if (used + strlen(piece) + sizeof(end) > size)
		return false;
	memcpy(list + used, piece, strlen(piece) + 1);
	return true;
}

static void
list_end(char *list, size_t size, size_t left_out)
{
	size_t used = strlen(list);

	if (left_out > 0)
		(void)snprintf(list + used, size - used, " and %zu more", left_out);
}

bool
member_list_room(struct member *member, char *list, size_t size)
{
	const struct member *other;
	const struct room *room;
	char piece[HALL_NAME_SIZE + 2];
	size_t count = 0;

	hall_lock(member->hall);
	room = member->room;
	if (room != NULL) {
		(void)snprintf(list, size, "%s:", room->name);
		for (other = LIST_FIRST(&room->members); other != NULL;
		     other = LIST_NEXT(other, link)) {
			(void)snprintf(piece, sizeof(piece), " %s", other->name);
			if (!list_add(list, size, piece))
				break;
			count++;
		}
		list_end(list, size, room->count - count);
	}
	hall_unlock(member->hall);
	return room != NULL;
}

void
member_list_rooms(struct member *member, char *list, size_t size)
{
	struct hall *hall = member->hall;
	const struct room *room;
	char piece[HALL_NAME_SIZE + 32];
	size_t count = 0;

	(void)snprintf(list, size, "rooms:");
	hall_lock(hall);
	for (room = LIST_FIRST(&hall->rooms); room != NULL; room = LIST_NEXT(room, link)) {
		(void)snprintf(piece, sizeof(piece), " %s (%zu)", room->name, room->count);
		if (!list_add(list, size, piece))
			break;
		count++;
	}
	list_end(list, size, hall->room_count - count);
	hall_unlock(hall);
}

/* Tells of a gap where it is: when all that waited before it has been sent. */
static void
member_tell_missed(struct member *member)
{
	struct queue *queue = &member->queue;
	unsigned long missed = queue->missed;
	struct message *message;

	if (queue->count > 0 || missed == 0)
		return;
	message = message_format("* you have missed %lu %s: you read too slowly\n", missed,
				 missed == 1 ? "line" : "lines");
	if (message == NULL)
		return;
	queue->missed = 0;
	member_put(member, message, NULL);
	message_release(message);
}

ssize_t
member_next(struct member *member, size_t sent, char *buf, size_t size)
{
	ssize_t n = -ENOBUFS;

	hall_lock(member->hall);
	queue_advance(&member->queue, sent);
	if (!member->is_too_slow) {
		member_tell_missed(member);
		n = (ssize_t)queue_copy(&member->queue, buf, size);
	}
	hall_unlock(member->hall);
	return n;
}
