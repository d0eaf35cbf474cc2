/*
 * intake.h - what a flow of control serves next: a connection, a datagram, or a UDP peer.
 */
#ifndef CONCURRENCY_INTAKE_H
#define CONCURRENCY_INTAKE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "concurrency/acceptor.h"
#include "net/datagram.h"
#include "policy/admission.h"

struct hd_request;
struct session;

/* Datagrams that one call takes where nobody else could serve them meanwhile. More would wait
 * here, and be lost with a worker that crashes. */
#define INTAKE_BATCH 8

struct intake_batch {
	const struct datagram_socket *socket; /* not owned */
	struct datagram items[INTAKE_BATCH];
	int next, count;
};

/* A flow has one for all its life. */
struct intake {
	int fd; /* of a connection */
	struct sockaddr_storage client;
	socklen_t client_length;
	const struct datagram_socket *socket; /* of a datagram; not owned */
	struct datagram datagram;	      /* its buffer stays from one to the next */
	struct session *session;	      /* of a peer */
	unsigned empty_count;		      /* wake-ups in a row that had nothing */
	uint32_t source;		      /* that its client was admitted from */
};

void intake_free(struct intake *intake);

/* Takes a connection or a datagram without waiting. 0, or a negative errno as acceptor_take has it.
 */
int intake_take(struct acceptor *acceptor, struct intake *ret);

/* The same at a limit that is reached, before any rule is asked, and only to be turned away: with
 * acceptor.is_refusing.
 */
int intake_take_unasked(struct acceptor *acceptor, struct intake *ret);
/* What was taken so is gone: for the rule that keeps it out anyway, else for the limit. */
void intake_turn_away(const struct concurrency *mode, struct intake *intake);

/* Whether a datagram's sender may come in. Who may not is counted, and told of. */
enum close_reason intake_judge_datagram(const struct concurrency *mode,
					const struct datagram *datagram, uint32_t *ret_source);

/* After a wake-up for a datagram: another flow may be taking one after the other, and then has this
 * one too in no time. Waits a moment to see; returns at once if nobody is at it. */
void intake_give_way(const struct concurrency *mode);

/* No more datagrams are there for this flow: the next one wakes whoever waits. */
void intake_stop_taking(const struct concurrency *mode);

/* Room for several datagrams that are taken together. NULL: no memory. */
struct intake_batch *intake_make_batch(void);
void intake_free_batch(struct intake_batch *batch);

/* Whether something was taken already that is still to be served. */
bool intake_has_more(const struct intake_batch *batch);

/* Gives it to the request: from here on it is the session's. */
void intake_open(struct intake *intake, struct hd_request *req);

#endif
