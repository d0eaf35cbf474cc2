/*
 * turn_away.c - counted by the reason, told at a bounded rate, and closed.
 */
#include "concurrency/turn_away.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/peer.h"

/* Of 4 KiB each, of what a client has sent. */
#define TURN_AWAY_READS 16

/* The client in numbers; of a Unix socket the kernel knows who is at the other end, or has said it
 * with the datagram. */
static uint32_t
turn_away_find_peer(const struct admission_peer *peer, uint64_t ret_words[2], uint32_t *ret_scope)
{
	pid_t pid;
	uid_t uid;

	if (peer->address->ss_family == AF_INET || peer->address->ss_family == AF_INET6)
		return peer_to_words(peer->address, ret_words, ret_scope);
	if (peer->credentials != NULL)
		return peer_to_words_unix(peer->credentials->pid, peer->credentials->uid,
					  ret_words);
	if (peer->fd < 0 || peer_credentials(peer->fd, &pid, &uid, NULL) < 0)
		return 0;
	return peer_to_words_unix(pid, uid, ret_words);
}

static void
turn_away_note(const struct concurrency *mode, const struct admission_peer *peer,
	       enum close_reason reason)
{
	struct hd_server *server = mode->server;
	struct log_context context;
	struct connection_end end = {
		.kind = mode->session_timeout_ns > 0 ? CONNECTION_SESSION
			: mode->is_datagram	     ? CONNECTION_DATAGRAM
						     : CONNECTION_STREAM,
		.reason = reason,
	};
	uint64_t words[2] = {0}, left_out;
	uint32_t scope = 0, kind;
	char name[PEER_NAME_SIZE];

	scoreboard_end(mode->board, reason, 1);
	if (!connection_log_may(&server->connection_log, &server->limiters->ends,
				&mode->board->unlogged, reason, &left_out))
		return;
	context = server_log_context(server);
	kind = turn_away_find_peer(peer, words, &scope);
	context.peer = peer_format_words(kind, scope, words, name, sizeof(name));
	connection_log_write(&context, &end, left_out);
}

/* What has arrived and nobody has read would make the close a reset, which takes away from the
 * client what it has not read yet. Without waiting: what comes later can still do that. */
static void
turn_away_read(int fd)
{
	char scratch[4096];
	ssize_t n;
	int i = 0;

	do {
		n = recv(fd, scratch, sizeof(scratch), MSG_DONTWAIT);
	} while (n > 0 && ++i < TURN_AWAY_READS);
}

/* Not for those whom the rules keep out: they are told nothing. */
static bool
turn_away_is_limit(enum close_reason reason)
{
	return reason >= CLOSE_RATE && reason <= CLOSE_OVERLOAD;
}

/* So that the kernel sends a reset. */
static void
turn_away_reset(int fd)
{
	static const struct linger at_once = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static bool
turn_away_resets(const struct concurrency *mode, enum close_reason reason)
{
	if (reason == CLOSE_SOURCE_RATE || reason == CLOSE_SOURCE_CONNECTIONS)
		return mode->on_source_limit == WORKER_RESET;
	return (reason == CLOSE_RATE || reason == CLOSE_LIMIT) && mode->on_limit == WORKER_RESET;
}

void
turn_away_connection(const struct concurrency *mode, const struct admission_peer *peer,
		     enum close_reason reason)
{
	int fd = peer->fd;

	turn_away_note(mode, peer, reason);
	if (turn_away_resets(mode, reason)) {
		turn_away_reset(fd);
	} else if (mode->banner != NULL && turn_away_is_limit(reason)) {
		turn_away_read(fd);
		(void)send(fd, mode->banner, strlen(mode->banner), MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)shutdown(fd, SHUT_WR);
		turn_away_read(fd);
	}
	(void)close(fd);
}

void
turn_away_datagram(const struct concurrency *mode, const struct admission_peer *peer,
		   enum close_reason reason)
{
	turn_away_note(mode, peer, reason);
}
