/*
 * adopted.h - sockets that systemd has bound and passed on (LISTEN_FDS), until a listener takes
 * them. They are never shut down: systemd has them too.
 */
#ifndef SUPERVISOR_ADOPTED_H
#define SUPERVISOR_ADOPTED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/report.h"
#include "conf/config.h"

struct adopted_socket {
	int fd; /* owned */
	char *name;
};

struct adopted {
	struct adopted_socket *items;
	size_t count;
	bool is_connection; /* the only one is no listening socket, but a connection */
};

/* Takes what the environment tells of, and clears it there: nobody else is to take it. */
void adopted_take(struct adopted *adopted);

/* Adds one that is a connection already. */
void adopted_add(struct adopted *adopted, int fd, const char *name);

/* CONF_TCP or CONF_UNIX of a connected stream socket; -1: it is none. */
int64_t adopted_connection_protocol(int fd);

/* The protocol that the socket could serve; -1: none of ours. */
int64_t adopted_protocol(int fd);

/* How many of this name are left. */
size_t adopted_count(const struct adopted *adopted, const char *name);

/* The first one of this name, non-blocking; the caller owns it. -1, told in the report, if it is
 * not what the listener's protocol needs. */
int adopted_claim(struct adopted *adopted, const struct conf_listener *listener, const char *name,
		  struct report *report);

void adopted_free(struct adopted *adopted);

/* Closes what no listener has taken, with a warning for each. */
void adopted_close_rest(struct adopted *adopted);

#endif
