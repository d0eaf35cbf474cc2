/*
 * sockets.h - the listening sockets of the supervisor. They outlive workers and reloads: a new
 * configuration finds its sockets here by protocol and address, not by listener name.
 */
#ifndef SUPERVISOR_SOCKETS_H
#define SUPERVISOR_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/report.h"
#include "conf/config.h"

struct held_socket {
	int fd;
	struct conf_address asked; /* as configured; with port 0, `owner` tells which it is */
	struct conf_address bound; /* with its real port */
	char *owner;		   /* the listener's name */
	int64_t backlog;
	char *next_owner; /* as the configuration that is being prepared has them */
	int64_t next_backlog;
	bool is_wanted; /* by the configuration that is being prepared */
	bool is_new;	/* opened for it */
};

struct sockets {
	struct held_socket **items;
	size_t count;
};

/* Nothing is wanted any more; what is new since then can be dropped. */
void sockets_begin(struct sockets *sockets);

/* The socket for one address of a listener: one that is held, or a new one. NULL, told in the
 * report, if it cannot be bound. */
struct held_socket *sockets_want(struct sockets *sockets, const struct conf_listener *listener,
				 size_t address, struct report *report);

/* The preparation succeeded: closes what is not wanted, gives kept ones their new backlog. */
void sockets_commit(struct sockets *sockets);
/* It failed: closes what is new. */
void sockets_roll_back(struct sockets *sockets);

/* A handler may have shut it down. Opens it anew on the same port. Returns whether it was dead. */
bool sockets_revive(struct held_socket *socket);

void sockets_close_all(struct sockets *sockets);

#endif
