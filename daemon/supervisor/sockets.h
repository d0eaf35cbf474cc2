/*
 * sockets.h - the sockets of the supervisor that clients come to. They outlive workers and reloads:
 * a new configuration finds its sockets here by protocol, address and what only bind can set, not
 * by listener name.
 */
#ifndef SUPERVISOR_SOCKETS_H
#define SUPERVISOR_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/report.h"
#include "conf/config.h"
#include "ipc/ports.h"
#include "supervisor/adopted.h"
#include "supervisor/held.h"
#include "supervisor/store.h"

struct sockets {
	struct held_socket **items;
	size_t count;
	struct adopted adopted; /* passed by systemd, not taken yet */
	struct store store;
};

/* The numbers of a listener's socket.owner and socket.group; (uid_t)-1, (gid_t)-1: as they come. */
struct socket_owner {
	uid_t uid;
	gid_t gid;
};

/* Nothing is wanted any more; what is new since then can be dropped. */
void sockets_begin(struct sockets *sockets);

/* How many sockets one address of a listener has; 0, told in the report, for one that systemd has
 * not passed, or has passed for another protocol. */
size_t sockets_count_for(const struct sockets *sockets, const struct conf_listener *listener,
			 size_t address, struct report *report);

/* The socket of this index for one address of a listener: one that is held, or a new one. NULL,
 * told in the report, if it cannot be had. */
struct held_socket *sockets_want(struct sockets *sockets, const struct conf_listener *listener,
				 size_t address, size_t index, const struct socket_owner *owner,
				 struct report *report);

/* The preparation succeeded: closes what is not wanted, gives kept ones their new settings. */
void sockets_commit(struct sockets *sockets);
/* It failed: closes what is new. */
void sockets_roll_back(struct sockets *sockets);

/* Gives systemd's store what it does not have yet. */
void sockets_store(const struct sockets *sockets);

void sockets_close_all(struct sockets *sockets);

/* What a listener's sockets have set on them. */
struct socket_options sockets_options(const struct conf_listener *listener);

/* The same, and what else is the sockets' that can be changed. */
struct held_settings sockets_settings(const struct conf_listener *listener,
				      const struct socket_owner *owner);

/* Shows every UDP port and every Unix datagram socket that is held in the page. */
void sockets_show_ports(const struct sockets *sockets, struct port_page *page);

#endif
