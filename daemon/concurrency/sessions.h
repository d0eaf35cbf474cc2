/*
 * sessions.h - the peers of a UDP listener, each with one request that sees its datagrams in order.
 *
 * One thread receives for all of them and puts each datagram into the mailbox of its peer. A peer
 * that is new becomes a session, which waits for a thread of the pool to serve it.
 */
#ifndef CONCURRENCY_SESSIONS_H
#define CONCURRENCY_SESSIONS_H

#include <stdbool.h>

#include "concurrency/concurrency.h"

struct hd_request;
struct session;
struct sessions;

/* `call` is run, by the receiving thread, when a session waits for a thread to serve it, and `over`
 * when no datagram will be received any more. 0 or a negative errno. */
int sessions_open(struct concurrency *mode, void (*call)(void *), void (*over)(void *),
		  void *argument, struct sessions **ret);

/* The session that has waited longest for a thread, which must end it; NULL: none. */
struct session *sessions_next(struct sessions *sessions);
bool sessions_are_waiting(struct sessions *sessions);
/* Whether the receiving thread has seen the pause, and whether a session is open or waits. */
enum concurrency_rest sessions_rest(struct sessions *sessions);

/* The request serves the session from here on. */
void session_open(struct session *session, struct hd_request *req);
/* The session is over. What came after its last read begins another one. */
void session_close_peer(struct session *session);

#endif
