/*
 * sessions.c - the thread that receives for all peers, and the table of peers: a balanced tree, so
 * that nobody can make it slow by choosing addresses.
 */
#include "concurrency/sessions.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "api/mailbox.h"
#include "api/request.h"
#include "base/fd.h"
#include "concurrency/acceptor.h"
#include "concurrency/intake.h"
#include "net/listen.h"

/* Datagrams of one peer that wait to be read. */
#define SESSIONS_MOST_MAIL 64
/* Batches in a row from one socket before the others, and draining, are looked at. */
#define SESSIONS_MOST_BATCHES 8

struct session {
	struct sessions *sessions;
	const struct datagram_socket *socket; /* with `first`: the key */
	struct datagram first;		      /* who and which way; without bytes */
	struct mailbox mailbox;
	uint32_t source;      /* that its peer was admitted from */
	struct session *next; /* among the waiting */
};

struct sessions {
	struct concurrency *mode;
	struct acceptor acceptor;
	void (*call)(void *);
	void (*over)(void *);
	void *argument;
	struct datagram batch[DATAGRAM_BATCH];
	_Atomic uint64_t queued; /* bytes in all mailboxes */

	pthread_mutex_t lock; /* guards what follows */
	void *tree;	      /* tsearch(3) */
	uint32_t count;
	bool is_held; /* nothing is received while the listener is paused */
	struct session *first_waiting, **last_waiting;
};

/* Addresses are compared by what they mean: the rest of the structures is not always the same. */
static int
sessions_compare_client(const struct datagram *a, const struct datagram *b)
{
	struct sockaddr_in6 a6, b6;
	struct sockaddr_in a4, b4;
	int order = (a->client.ss_family > b->client.ss_family) -
		    (a->client.ss_family < b->client.ss_family);

	if (order != 0)
		return order;
	if (a->client.ss_family == AF_INET) {
		memcpy(&a4, &a->client, sizeof(a4));
		memcpy(&b4, &b->client, sizeof(b4));
		order = (a4.sin_port > b4.sin_port) - (a4.sin_port < b4.sin_port);
		return order != 0 ? order : memcmp(&a4.sin_addr, &b4.sin_addr, sizeof(a4.sin_addr));
	}
	memcpy(&a6, &a->client, sizeof(a6));
	memcpy(&b6, &b->client, sizeof(b6));
	order = (a6.sin6_port > b6.sin6_port) - (a6.sin6_port < b6.sin6_port);
	if (order == 0)
		order = memcmp(&a6.sin6_addr, &b6.sin6_addr, sizeof(a6.sin6_addr));
	if (order == 0)
		order = (a6.sin6_scope_id > b6.sin6_scope_id) -
			(a6.sin6_scope_id < b6.sin6_scope_id);
	return order;
}

static int
sessions_compare(const void *left, const void *right)
{
	const struct session *a = left, *b = right;
	int order = (a->socket > b->socket) - (a->socket < b->socket);

	if (order == 0)
		order = sessions_compare_client(&a->first, &b->first);
	/* to another address of this machine it is another conversation */
	if (order == 0)
		order = memcmp(&a->first.path.in, &b->first.path.in, sizeof(a->first.path.in));
	if (order == 0)
		order = memcmp(&a->first.path.in6, &b->first.path.in6, sizeof(a->first.path.in6));
	return order;
}

/* Under the lock. */
static void
sessions_queue(struct sessions *sessions, struct session *session)
{
	session->next = NULL;
	*sessions->last_waiting = session;
	sessions->last_waiting = &session->next;
}

/* Under the lock: NULL when there may not be, or cannot be, one more. */
static struct session *
sessions_add(struct sessions *sessions, const struct session *key)
{
	struct concurrency *mode = sessions->mode;
	struct session *session = NULL;

	if (sessions->count < mode->max_sessions)
		session = malloc(sizeof(*session));
	if (session == NULL)
		return NULL;
	*session = *key;
	session->first.data = NULL;
	session->first.room = session->first.length = 0;
	if (mailbox_init(&session->mailbox, mode->session_timeout_ns, &sessions->queued) < 0) {
		free(session);
		return NULL;
	}
	if (tsearch(session, &sessions->tree, sessions_compare) == NULL) {
		mailbox_destroy(&session->mailbox);
		free(session);
		return NULL;
	}
	sessions->count++;
	return session;
}

/* Who begins a session is asked; what follows belongs to it. */
static bool
sessions_admit(const struct sessions *sessions, const struct datagram *datagram,
	       uint32_t *ret_source)
{
	return !admission_is_needed(&sessions->mode->server->admission) ||
	       intake_judge_datagram(sessions->mode, datagram, ret_source) == CLOSE_NONE;
}

/* Brings one datagram to its session. Returns whether that is a new one. */
static bool
sessions_deliver(struct sessions *sessions, const struct datagram_socket *socket,
		 const struct datagram *datagram)
{
	struct session key = {.sessions = sessions, .socket = socket, .first = *datagram};
	struct scoreboard *board = sessions->mode->board;
	struct session *session;
	bool is_new = false;
	void *found;

	if (datagram->length == 0) {
		scoreboard_drop(board, SCOREBOARD_EMPTY, 1);
		return false;
	}
	(void)pthread_mutex_lock(&sessions->lock);
	found = tfind(&key, &sessions->tree, sessions_compare);
	if (found == NULL && !sessions_admit(sessions, datagram, &key.source)) {
		(void)pthread_mutex_unlock(&sessions->lock);
		return false;
	}
	session = found != NULL ? *(struct session **)found : sessions_add(sessions, &key);
	is_new = found == NULL && session != NULL;
	if (session == NULL && key.source != ADMISSION_NO_SOURCE)
		admission_leave(&sessions->mode->server->admission, key.source);
	if (session == NULL)
		scoreboard_drop(board, SCOREBOARD_SESSIONS_FULL, 1);
	else if (mailbox_put(&session->mailbox, datagram->data, datagram->length,
			     SESSIONS_MOST_MAIL) < 0)
		scoreboard_drop(board, SCOREBOARD_QUEUE_FULL, 1);
	if (is_new)
		sessions_queue(sessions, session);
	(void)pthread_mutex_unlock(&sessions->lock);
	return is_new;
}

/* Takes what the socket has. 0; -EINVAL if it is woken for nothing and no good any more; another
 * negative errno. */
static int
sessions_receive(struct sessions *sessions, const struct datagram_socket *socket)
{
	unsigned too_long;
	bool is_new = false;
	bool is_first = true;
	int n = DATAGRAM_BATCH;

	for (int i = 0; i < SESSIONS_MOST_BATCHES && n == DATAGRAM_BATCH; i++) {
		n = datagram_receive_batch(socket, sessions->batch, DATAGRAM_BATCH, &too_long);
		if (too_long > 0)
			scoreboard_drop(sessions->mode->board, SCOREBOARD_TOO_LONG, too_long);
		is_first = is_first && n == -EAGAIN;
		for (int k = 0; k < n; k++)
			is_new |= sessions_deliver(sessions, socket, &sessions->batch[k]);
	}
	if (is_new)
		sessions->call(sessions->argument);
	if (n != -EAGAIN || is_new || !is_first)
		return n < 0 && n != -EAGAIN ? n : 0;
	return listen_is_alive(socket->fd) ? 0 : -EINVAL;
}

/* Looks at every socket. */
static void
sessions_receive_all(struct sessions *sessions)
{
	const struct concurrency *mode = sessions->mode;

	sessions->acceptor.is_unsure = false;
	for (size_t i = 0; i < mode->socket_count; i++)
		(void)sessions_receive(sessions, &mode->receivers[i]);
}

/* Waits until the listener is no longer paused. 0, or -ECANCELED when draining began. */
static int
sessions_hold(struct sessions *sessions)
{
	bool goes_on;

	(void)pthread_mutex_lock(&sessions->lock);
	sessions->is_held = true;
	(void)pthread_mutex_unlock(&sessions->lock);
	fd_raise_event(sessions->mode->notice_fd);
	goes_on = acceptor_hold(sessions->mode);
	(void)pthread_mutex_lock(&sessions->lock);
	sessions->is_held = false;
	(void)pthread_mutex_unlock(&sessions->lock);
	return goes_on ? 0 : -ECANCELED;
}

/* 0, or a negative errno when draining began. */
static int
sessions_wait(struct sessions *sessions)
{
	struct concurrency *mode = sessions->mode;
	int r = acceptor_wait(&sessions->acceptor, -1);
	int failed;

	if (r < 0 && r != -ECANCELED) {
		acceptor_lose(mode, r);
		return r;
	}
	if (concurrency_is_paused(mode))
		return r;
	if (sessions->acceptor.is_unsure) {
		sessions_receive_all(sessions);
		return r;
	}
	failed = sessions_receive(sessions, &mode->receivers[sessions->acceptor.next]);
	if (failed < 0 && r >= 0)
		acceptor_pause(&sessions->acceptor, failed);
	return r;
}

static void *
sessions_run(void *argument)
{
	struct sessions *sessions = argument;
	struct concurrency *mode = sessions->mode;
	int r = acceptor_wait_open(mode) ? 0 : -ECANCELED;

	while (r >= 0)
		r = concurrency_is_paused(mode) ? sessions_hold(sessions) : sessions_wait(sessions);
	/* what it was last woken for is nobody else's, and may be anywhere */
	if (!concurrency_is_paused(mode))
		sessions_receive_all(sessions);
	sessions->over(sessions->argument);
	return NULL;
}

int
sessions_open(struct concurrency *mode, void (*call)(void *), void (*over)(void *), void *argument,
	      struct sessions **ret)
{
	struct sessions *sessions = calloc(1, sizeof(*sessions));
	pthread_attr_t attributes;
	pthread_t thread;
	int r;

	if (sessions == NULL)
		return -ENOMEM;
	*ret = sessions;
	sessions->mode = mode;
	sessions->call = call;
	sessions->over = over;
	sessions->argument = argument;
	sessions->last_waiting = &sessions->first_waiting;
	(void)pthread_mutex_init(&sessions->lock, NULL);
	for (size_t i = 0; i < DATAGRAM_BATCH; i++) {
		r = datagram_init(&sessions->batch[i], mode->server->max_datagram);
		if (r < 0)
			return r;
	}
	r = acceptor_open(&sessions->acceptor, mode);
	if (r < 0)
		return r;
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attributes, sessions_run, sessions);
	(void)pthread_attr_destroy(&attributes);
	return -r;
}

struct session *
sessions_next(struct sessions *sessions)
{
	struct session *session;

	(void)pthread_mutex_lock(&sessions->lock);
	session = sessions->first_waiting;
	if (session != NULL) {
		sessions->first_waiting = session->next;
		if (session->next == NULL)
			sessions->last_waiting = &sessions->first_waiting;
	}
	(void)pthread_mutex_unlock(&sessions->lock);
	return session;
}

bool
sessions_are_waiting(struct sessions *sessions)
{
	bool are_waiting;

	(void)pthread_mutex_lock(&sessions->lock);
	are_waiting = sessions->first_waiting != NULL;
	(void)pthread_mutex_unlock(&sessions->lock);
	return are_waiting;
}

enum concurrency_rest
sessions_rest(struct sessions *sessions)
{
	enum concurrency_rest rest = CONCURRENCY_ACCEPTS;

	(void)pthread_mutex_lock(&sessions->lock);
	if (sessions->is_held)
		rest = sessions->count == 0 ? CONCURRENCY_RESTS : CONCURRENCY_HOLDS;
	(void)pthread_mutex_unlock(&sessions->lock);
	return rest;
}

void
session_open(struct session *session, struct hd_request *req)
{
	request_open_peer(req, session->socket, &session->first, &session->mailbox);
}

/* Its client has left. */
static void
session_leave(struct session *session)
{
	admission_leave(&session->sessions->mode->server->admission, session->source);
	session->source = ADMISSION_NO_SOURCE;
}

/* Under the lock: whether another session begins with what this one has left unread. That is asked
 * as if it came now, one datagram after the other: else whoever keeps something here would never be
 * asked again. */
static bool
session_begins_again(struct session *session)
{
	struct sessions *sessions = session->sessions;
	uint64_t unread = 0;
	bool has_more = mailbox_begin_again(&session->mailbox, &unread);

	if (unread > 0)
		scoreboard_drop(sessions->mode->board, SCOREBOARD_UNREAD, unread);
	session_leave(session);
	while (has_more && !sessions_admit(sessions, &session->first, &session->source))
		has_more = mailbox_drop(&session->mailbox);
	return has_more;
}

void
session_close_peer(struct session *session)
{
	struct sessions *sessions = session->sessions;
	bool has_more;

	(void)pthread_mutex_lock(&sessions->lock);
	has_more = session_begins_again(session);
	if (has_more) {
		sessions_queue(sessions, session);
	} else {
		(void)tdelete(session, &sessions->tree, sessions_compare);
		sessions->count--;
	}
	(void)pthread_mutex_unlock(&sessions->lock);
	if (has_more) {
		sessions->call(sessions->argument);
		return;
	}
	mailbox_destroy(&session->mailbox);
	free(session);
}
