/*
 * intake.c - accepting or receiving, whichever the listener does.
 */
#include "concurrency/intake.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "api/request.h"
#include "base/clock.h"
#include "concurrency/sessions.h"
#include "concurrency/turn_away.h"
#include "net/listen.h"
#include "net/peer.h"

/* So often a flow is woken for nothing before it asks whether the socket is still good: one that
 * was shut down is always ready, with nothing. Of stream sockets, those of Unix are so; those of
 * TCP fail with EINVAL. */
#define INTAKE_MOST_EMPTY 16

/* Datagrams that are too long, in a row, before draining and other sockets are looked at. */
#define INTAKE_MOST_TOO_LONG 64

/* Clients that are turned away in a row, likewise. */
#define INTAKE_MOST_TURNED_AWAY 64
/* The same once draining has begun: who was woken for those behind them will not look again, and
 * nobody else was. */
#define INTAKE_MOST_LAST 1024

/* How long a datagram is left to a flow that is busy with others. */
#define INTAKE_WAY_NS (250 * INT64_C(1000))

void
intake_free(struct intake *intake)
{
	datagram_free(&intake->datagram);
}

bool
intake_has_more(const struct intake_batch *batch)
{
	return batch != NULL && batch->next < batch->count;
}

struct intake_batch *
intake_make_batch(void)
{
	return calloc(1, sizeof(struct intake_batch));
}

void
intake_free_batch(struct intake_batch *batch)
{
	for (int i = 0; batch != NULL && i < INTAKE_BATCH; i++)
		datagram_free(&batch->items[i]);
	free(batch);
}

/* A request may have kept the buffer for something larger, or freed it. */
static int
intake_make_room(const struct concurrency *mode, struct datagram *datagram)
{
	size_t room = mode->server->max_datagram;

	if (datagram->room >= room)
		return 0;
	datagram_free(datagram);
	return datagram_init(datagram, room);
}

/* Those that are too long are counted on the way. */
static int
intake_receive_from(const struct concurrency *mode, const struct datagram_socket *socket,
		    struct datagram *ret)
{
	for (int i = 0; i < INTAKE_MOST_TOO_LONG; i++) {
		int r = datagram_receive(socket, ret);

		if (r != -EMSGSIZE)
			return r;
		scoreboard_drop(mode->board, SCOREBOARD_TOO_LONG, 1);
	}
	return -EAGAIN;
}

/* The next one of those that were taken together; the buffers change places. */
static void
intake_take_next(struct intake_batch *batch, struct intake *intake)
{
	struct datagram *next = &batch->items[batch->next++];
	struct datagram empty = intake->datagram;

	intake->socket = batch->socket;
	intake->datagram = *next;
	*next = empty;
}

/* Takes several at once. 0 or a negative errno. */
static int
intake_receive_batch(const struct concurrency *mode, struct intake_batch *batch,
		     const struct datagram_socket *socket, struct intake *ret)
{
	unsigned too_long;
	int n, r = 0;

	for (int i = 0; i < INTAKE_BATCH && r == 0; i++)
		r = intake_make_room(mode, &batch->items[i]);
	if (r < 0)
		return r;
	n = datagram_receive_batch(socket, batch->items, INTAKE_BATCH, &too_long);
	if (too_long > 0)
		scoreboard_drop(mode->board, SCOREBOARD_TOO_LONG, too_long);
	if (n <= 0)
		return n < 0 ? n : -EAGAIN;
	batch->socket = socket;
	batch->next = 0;
	batch->count = n;
	intake_take_next(batch, ret);
	return 0;
}

void
intake_give_way(const struct concurrency *mode)
{
	struct pollfd row = {.fd = mode->drain_fd, .events = POLLIN};
	struct timespec moment = {.tv_nsec = INTAKE_WAY_NS};
	int64_t took_ns;

	if (!mode->takes_in_runs)
		return;
	took_ns = atomic_load_explicit(&mode->board->took_datagram_ns, memory_order_relaxed);
	if (took_ns != 0 && clock_now_ns() - took_ns < INTAKE_WAY_NS)
		(void)ppoll(&row, 1, &moment, NULL);
}

static void
intake_note_taking(const struct concurrency *mode)
{
	int64_t now_ns = clock_now_ns();

	atomic_store_explicit(&mode->board->took_datagram_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&mode->board->last_datagram_ns, now_ns, memory_order_relaxed);
}

void
intake_stop_taking(const struct concurrency *mode)
{
	atomic_store_explicit(&mode->board->took_datagram_ns, 0, memory_order_relaxed);
}

/* There was nothing: -EAGAIN, or -EINVAL if there never will be. */
static int
intake_doubt(const struct acceptor *acceptor, struct intake *intake)
{
	const struct concurrency *mode = acceptor->mode;

	if (mode->is_connection || ++intake->empty_count < INTAKE_MOST_EMPTY)
		return -EAGAIN;
	intake->empty_count = 0;
	return listen_is_alive(mode->sockets[acceptor->next]) ? -EAGAIN : -EINVAL;
}

static int
intake_receive(struct acceptor *acceptor, struct intake *ret)
{
	struct concurrency *mode = acceptor->mode;
	size_t most = acceptor_reach(acceptor);
	int error;

	if (intake_has_more(acceptor->batch)) {
		intake_take_next(acceptor->batch, ret);
		return 0;
	}
	if (!acceptor->is_refusing && !older_has_room(mode))
		return -EUSERS;
	error = intake_make_room(mode, &ret->datagram);
	for (size_t i = 0; i < most && error == 0; i++) {
		size_t at = (acceptor->next + i) % mode->socket_count;
		const struct datagram_socket *socket = &mode->receivers[at];
		int r = acceptor->batch != NULL
				? intake_receive_batch(mode, acceptor->batch, socket, ret)
				: intake_receive_from(mode, socket, &ret->datagram);

		if (r == 0) {
			acceptor->next = at;
			if (mode->takes_in_runs)
				intake_note_taking(mode);
			ret->socket = socket;
			ret->empty_count = 0;
			return 0;
		}
		if (r != -EAGAIN)
			error = r;
	}
	if (error != 0)
		return error;
	acceptor->is_unsure = false;
	return intake_doubt(acceptor, ret);
}

static int
intake_accept(struct acceptor *acceptor, struct intake *ret)
{
	ret->fd = acceptor_take(acceptor, &ret->client, &ret->client_length);
	if (ret->fd == -EAGAIN)
		return intake_doubt(acceptor, ret);
	if (ret->fd < 0)
		return ret->fd;
	ret->empty_count = 0;
	return 0;
}

/* Who has sent it, with the address in `client`. */
static struct admission_peer
intake_find_sender(const struct datagram *datagram, struct sockaddr_storage *client)
{
	struct admission_peer peer = {
		.address = client,
		.length = datagram->client_length,
		.fd = -1,
		.credentials = datagram->has_credentials ? &datagram->credentials : NULL,
	};

	*client = datagram->client;
	peer_normalise(client, &peer.length);
	return peer;
}

static struct admission_peer
intake_find_client(struct intake *intake)
{
	peer_normalise(&intake->client, &intake->client_length);
	return (struct admission_peer){
		.address = &intake->client,
		.length = intake->client_length,
		.fd = intake->fd,
	};
}

enum close_reason
intake_judge_datagram(const struct concurrency *mode, const struct datagram *datagram,
		      uint32_t *ret_source)
{
	struct sockaddr_storage client;
	struct admission_peer peer = intake_find_sender(datagram, &client);
	enum close_reason reason;

	reason = admission_judge(&mode->server->admission, &peer, ret_source);
	if (reason != CLOSE_NONE)
		turn_away_datagram(mode, &peer, reason);
	return reason;
}

/* Whether what was taken may come in; if not, it is gone. */
static bool
intake_admits(const struct concurrency *mode, struct intake *intake)
{
	struct admission_peer peer;
	enum close_reason reason;

	if (mode->is_datagram)
		return intake_judge_datagram(mode, &intake->datagram, &intake->source) ==
		       CLOSE_NONE;
	peer = intake_find_client(intake);
	reason = admission_judge(&mode->server->admission, &peer, &intake->source);
	if (reason != CLOSE_NONE)
		turn_away_connection(mode, &peer, reason);
	return reason == CLOSE_NONE;
}

int
intake_take_unasked(struct acceptor *acceptor, struct intake *ret)
{
	return acceptor->mode->is_datagram ? intake_receive(acceptor, ret)
					   : intake_accept(acceptor, ret);
}

void
intake_turn_away(const struct concurrency *mode, struct intake *intake)
{
	const struct admission *admission = &mode->server->admission;
	enum close_reason reason = CLOSE_NONE;
	struct sockaddr_storage sender;
	struct admission_peer peer;

	peer = mode->is_datagram ? intake_find_sender(&intake->datagram, &sender)
				 : intake_find_client(intake);
	if (admission_has_rules(admission))
		reason = admission_judge_rules(admission, &peer);
	if (reason == CLOSE_NONE)
		reason = CLOSE_LIMIT;
	if (mode->is_datagram)
		turn_away_datagram(mode, &peer, reason);
	else
		turn_away_connection(mode, &peer, reason);
}

/* Older generations have the rest of the limit, and nobody is to wait for that. */
static int
intake_refuse(struct acceptor *acceptor, struct intake *intake)
{
	int r;

	acceptor->is_refusing = true;
	r = intake_take_unasked(acceptor, intake);
	acceptor->is_refusing = false;
	if (r >= 0)
		intake_turn_away(acceptor->mode, intake);
	return r;
}

/* Whether to look at one more, behind so many that were turned away. Those that were taken with
 * them wake nobody. */
static bool
intake_goes_on(const struct acceptor *acceptor, int turned_away)
{
	return turned_away < INTAKE_MOST_TURNED_AWAY || intake_has_more(acceptor->batch) ||
	       (turned_away < INTAKE_MOST_LAST && acceptor_is_draining(acceptor->mode));
}

int
intake_take(struct acceptor *acceptor, struct intake *ret)
{
	const struct concurrency *mode = acceptor->mode;
	struct admission *admission = &mode->server->admission;

	ret->source = ADMISSION_NO_SOURCE;
	for (int i = 0; intake_goes_on(acceptor, i); i++) {
		int r;

		if (admission->waits_for_rate && !admission_reserve(admission, &acceptor->until_ns))
			return -EDQUOT;
		r = intake_take_unasked(acceptor, ret);
		if (r == -EUSERS && mode->on_limit != WORKER_WAIT) {
			r = intake_refuse(acceptor, ret);
			if (r < 0)
				return r;
			continue;
		}
		if (r >= 0 && (!admission_is_needed(admission) || intake_admits(mode, ret)))
			return r;
		if (admission->waits_for_rate)
			admission_give_back(admission);
		if (r < 0)
			return r;
	}
	/* what is left wakes a flow again, which then looks at whether it may go on */
	return -EAGAIN;
}

void
intake_open(struct intake *intake, struct hd_request *req)
{
	if (intake->session != NULL)
		session_open(intake->session, req);
	else if (intake->socket != NULL)
		request_open_datagram(req, intake->socket, &intake->datagram);
	else
		request_open(req, intake->fd, &intake->client, intake->client_length);
	/* that of a session stays with it */
	if (intake->source != ADMISSION_NO_SOURCE)
		request_enter(req, intake->source);
}
