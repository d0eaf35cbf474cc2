/*
 * listener_sockets.c - which sockets a listener has.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "supervisor/listener.h"

/* All sockets of an entry, in the order of its addresses; false: some are missing. */
static bool
listener_gather_sockets(const struct listener *listener, const struct conf_listener *conf,
			struct sockets *sockets, struct report *report,
			struct held_socket ***ret_sockets, size_t *ret_count)
{
	bool has_all = true;

	for (size_t i = 0; i < conf->address_count; i++) {
		size_t count = sockets_count_for(sockets, conf, i, report);

		has_all = has_all && count > 0;
		for (size_t k = 0; k < count; k++) {
			*ret_sockets =
				memory_grow(*ret_sockets, *ret_count, sizeof(struct held_socket *));
			(*ret_sockets)[*ret_count] =
				sockets_want(sockets, conf, i, k, &listener->socket_owner, report);
			has_all = has_all && (*ret_sockets)[(*ret_count)++] != NULL;
		}
	}
	return has_all;
}

bool
listener_want_sockets(struct listener *listener, struct sockets *sockets, struct report *report)
{
	free(listener->sockets);
	listener->sockets = NULL;
	listener->socket_count = 0;
	return listener_gather_sockets(listener, listener->conf, sockets, report,
				       &listener->sockets, &listener->socket_count);
}

bool
listener_keep_sockets(const struct listener *listener, const struct conf_listener *conf,
		      struct sockets *sockets, struct report *report)
{
	struct held_socket **kept = NULL;
	size_t count = 0;
	bool has_all = listener_gather_sockets(listener, conf, sockets, report, &kept, &count);

	free(kept);
	return has_all;
}

void
listener_look_at_sockets(struct listener *listener)
{
	if (!listener->is_socket_suspect)
		return;
	listener->is_socket_suspect = false;
	for (size_t i = 0; i < listener->socket_count; i++)
		(void)held_revive(listener->sockets[i], true);
}
