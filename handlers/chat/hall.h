/*
 * hall.h - the rooms of one worker, and who is in them.
 *
 * One lock guards all of it: rooms, names, and the queue of each member. It is held for a walk
 * through one room at most, never while something waits; who must be woken is noted under the lock
 * and woken after it.
 *
 *	arrives --> has a name --> in a room <--> in another room
 *	   |             |              |
 *	   +-------------+--------------+--> has left
 */
#ifndef CHAT_HALL_H
#define CHAT_HALL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "message.h"

struct hd_server;

/* With its NUL. */
#define HALL_NAME_SIZE 32

struct hall_limits {
	size_t rooms;	     /* at once */
	size_t members;	     /* in each room */
	size_t queue;	     /* bytes that wait for one member */
	bool ends_slow;	     /* a member whose queue is full has to go; else lines are dropped */
	bool tells_arrivals; /* others are told who comes, goes, and changes the name */
};

struct room;
LIST_HEAD(hall_rooms, room);

struct hall {
	struct hd_server *server; /* not owned */
	struct hall_limits limits;
	_Atomic uint64_t members; /* that there ever were */
	pthread_mutex_t lock;	  /* guards what follows, and all members */
	struct hall_rooms rooms;
	size_t room_count;
	void *names; /* a tree of the members that have one; tsearch(3) */
};

/* Belongs to the flow that serves the client. */
struct member {
	struct hall *hall;	   /* not owned */
	uint64_t id;		   /* of its request */
	uint64_t number;	   /* among all members of this worker, from 1 */
	char name[HALL_NAME_SIZE]; /* empty: none yet; only its own flow changes it */

	/* guarded by the lock of the hall */
	struct room *room; /* NULL: in none */
	LIST_ENTRY(member) link;
	struct queue queue;
	bool is_too_slow; /* its queue has been full */
};

/* Returns 0 or a negative errno. */
int hall_init(struct hall *hall, struct hd_server *server, const struct hall_limits *limits);
/* After the last member has left. */
void hall_destroy(struct hall *hall);

void member_init(struct member *member, struct hall *hall, uint64_t id);
/* Leaves room and hall; the others in the room are told of it, or not. May be done again. */
void member_leave(struct member *member, bool is_told);
/* What it still has is thrown away. After it has left. */
void member_destroy(struct member *member);

/* Takes a name. Returns 0; -EEXIST if somebody has it; -ENOMEM. */
int member_rename(struct member *member, const char *name);

/* Goes into a room, which is made if it is not there. Returns 0; -EALREADY if it is in there;
 * -ENFILE if there are too many rooms; -EUSERS if there are too many in that one; -ENOMEM. It then
 * stays where it was. */
int member_join(struct member *member, const char *name);

/* Puts a line down for all others in the room. Without memory it is lost. Returns false if the
 * member is in none. */
bool member_say(struct member *member, const char *text);

/* Puts a line down for the member itself. */
void member_tell(struct member *member, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Writes who is in the member's room, as far as that fits. Returns false if it is in none. */
bool member_list_room(struct member *member, char *list, size_t size);
/* Writes which rooms there are, likewise. */
void member_list_rooms(struct member *member, char *list, size_t size);

/* Takes out `sent` bytes of what waits, and copies the next ones. Returns how many, 0 if nothing
 * waits, and -ENOBUFS when the member has been too slow and shall go. */
ssize_t member_next(struct member *member, size_t sent, char *buf, size_t size);

#endif
