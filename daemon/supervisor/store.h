/*
 * store.h - systemd's store of descriptors: listening sockets that outlive the process, so that
 * `systemctl restart` refuses no client. Each is stored as LISTENER/NUMBER; of a Unix path, a
 * descriptor of the file stands beside it as LISTENER/NUMBER/path, which tells whether the path
 * still leads to the socket.
 *
 * Sockets from a .socket unit are that unit's and are never stored.
 */
#ifndef SUPERVISOR_STORE_H
#define SUPERVISOR_STORE_H

#include <stdbool.h>

#include "conf/config.h"
#include "supervisor/adopted.h"
#include "supervisor/held.h"

struct store {
	bool is_open;		      /* there is one, and this program uses it */
	struct adopted_socket *items; /* that came back with this start, not taken yet */
	size_t count;
};

/* Uses the store if systemd has started this program; takes what came back from it out of what
 * systemd has passed. */
void store_open(struct store *store, struct adopted *adopted);

/* The stored socket for an address of a listener, if there is one that is bound as the options say;
 * the caller owns the descriptor and the name. -1: none; then *ret_free is the address to bind: as
 * asked, with port 0 the port of one that had to be dropped. */
int store_claim(struct store *store, const struct conf_listener *listener,
		const struct conf_address *asked, const struct socket_options *options,
		char **ret_name, struct conf_address *ret_free);

/* Stores a socket that is held, under the first free name of its owner. `items` are all that are
 * held. */
void store_put(const struct store *store, struct held_socket *held,
	       struct held_socket *const *items, size_t count);

/* The socket is closed for good: the store forgets it. Nothing for one that is not stored. */
void store_drop(struct held_socket *held);

/* What came back and is not among the sockets that are held now is dropped. */
void store_close_rest(struct store *store, struct held_socket *const *items, size_t count);

/* What came back is let go of here; systemd keeps it. */
void store_free(struct store *store);

#endif
