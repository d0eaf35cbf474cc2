/*
 * turn_away.c - counted by the reason, told at a bounded rate, and closed.
 */
#include "concurrency/turn_away.h"

#include <inttypes.h>
#include <unistd.h>

#include "net/peer.h"

/* In 10 s, of all flows together. */
#define TURN_AWAY_LOGGED 100

static void
turn_away_note(const struct concurrency *mode, const struct sockaddr_storage *client,
	       enum close_reason reason)
{
	struct hd_server *server = mode->server;
	struct log_context context;
	uint64_t words[2] = {0}, suppressed = 0;
	uint32_t scope = 0, kind;
	char peer[PEER_NAME_SIZE];

	scoreboard_end(mode->board, reason, 1);
	if (!server->logs_refused ||
	    !log_limit(&server->limiters->refusals, TURN_AWAY_LOGGED, &suppressed))
		return;
	context = server_log_context(server);
	kind = peer_to_words(client, words, &scope);
	context.peer = peer_format_words(kind, scope, words, peer, sizeof(peer));
	context.event = LOG_EVENT_REFUSED;
	log_write(LOG_LEVEL_INFO, &context, "refused: %s", close_reason_text(reason));
	if (suppressed > 0)
		log_write(LOG_LEVEL_INFO, &context, "%" PRIu64 " more were refused and not logged",
			  suppressed);
}

void
turn_away_connection(const struct concurrency *mode, int fd, const struct sockaddr_storage *client,
		     enum close_reason reason)
{
	turn_away_note(mode, client, reason);
	(void)close(fd);
}

void
turn_away_datagram(const struct concurrency *mode, const struct sockaddr_storage *client,
		   enum close_reason reason)
{
	turn_away_note(mode, client, reason);
}
