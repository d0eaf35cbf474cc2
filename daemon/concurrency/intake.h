/*
 * intake.h - what a flow of control serves next: a connection, a datagram, or a UDP peer.
 */
#ifndef CONCURRENCY_INTAKE_H
#define CONCURRENCY_INTAKE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "concurrency/acceptor.h"
#include "net/datagram.h"

struct hd_request;
struct session;

/* A flow has one for all its life. */
struct intake {
	int fd; /* of a connection */
	struct sockaddr_storage client;
	socklen_t client_length;
	const struct datagram_socket *socket; /* of a datagram; not owned */
	struct datagram datagram;	      /* its buffer stays from one to the next */
	struct session *session;	      /* of a peer */
	unsigned empty_count;		      /* wake-ups in a row that had nothing */
};

void intake_free(struct intake *intake);

/* Takes a connection or a datagram without waiting. 0, or a negative errno as acceptor_take has it.
 */
int intake_take(struct acceptor *acceptor, struct intake *ret);

/* Gives it to the request: from here on it is the session's. */
void intake_open(struct intake *intake, struct hd_request *req);

#endif
