/*
 * intake.c - accepting or receiving, whichever the listener does.
 */
#include "concurrency/intake.h"

#include <errno.h>

#include "api/request.h"
#include "concurrency/sessions.h"
#include "net/listen.h"

/* So often a flow is woken for nothing before it asks whether the socket is still good: one that
 * was shut down is always ready, with nothing. */
#define INTAKE_MOST_EMPTY 16

void
intake_free(struct intake *intake)
{
	datagram_free(&intake->datagram);
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
	for (;;) {
		int r = datagram_receive(socket, ret);

		if (r != -EMSGSIZE)
			return r;
		scoreboard_drop(mode->board, SCOREBOARD_TOO_LONG, 1);
	}
}

static int
intake_receive(struct acceptor *acceptor, struct intake *ret)
{
	struct concurrency *mode = acceptor->mode;
	size_t most = acceptor_reach(mode);
	int error;

	if (!older_has_room(mode))
		return -EUSERS;
	error = intake_make_room(mode, &ret->datagram);
	for (size_t i = 0; i < most && error == 0; i++) {
		size_t at = (acceptor->next + i) % mode->socket_count;
		int r = intake_receive_from(mode, &mode->receivers[at], &ret->datagram);

		if (r == 0) {
			acceptor->next = at;
			ret->socket = &mode->receivers[at];
			ret->empty_count = 0;
			return 0;
		}
		if (r != -EAGAIN)
			error = r;
	}
	if (error != 0)
		return error;
	if (++ret->empty_count < INTAKE_MOST_EMPTY)
		return -EAGAIN;
	ret->empty_count = 0;
	return listen_is_alive(mode->sockets[acceptor->next]) ? -EAGAIN : -EINVAL;
}

int
intake_take(struct acceptor *acceptor, struct intake *ret)
{
	if (acceptor->mode->is_datagram)
		return intake_receive(acceptor, ret);
	ret->fd = acceptor_take(acceptor, &ret->client, &ret->client_length);
	return ret->fd < 0 ? ret->fd : 0;
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
}
