/*
 * mailbox.h - the datagrams of one UDP peer, in order, between the thread that receives for all
 * peers and the flow that serves this one.
 */
#ifndef API_MAILBOX_H
#define API_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hd_request;
struct mail;

struct mailbox {
	int event_fd; /* readable while there is mail, and once it is closed; owned */
	int64_t timeout_ns;
	_Atomic uint64_t *queued; /* bytes that wait in all mailboxes together; not owned */
	_Atomic uint64_t asked;	  /* bytes on the wire that came, headers included */
	uint64_t answered; /* the same that left, in one session or several; of the serving flow */

	pthread_mutex_t lock; /* guards what follows */
	struct mail *first, *last;
	uint32_t count;
	int64_t last_ns; /* when the newest came */
	bool is_closed;
	bool was_read; /* since the session began */
};

/* After so long without a datagram the session ends. `queued` is what all mailboxes count together.
 * 0 or a negative errno. */
int mailbox_init(struct mailbox *mailbox, int64_t timeout_ns, _Atomic uint64_t *queued);
/* Throws away what is in it. */
void mailbox_destroy(struct mailbox *mailbox);

/* From any flow: adds a copy. 0; -ENOBUFS when there are `most` already, or MAILBOX_MOST_QUEUED
 * bytes in all; -ENOMEM. */
#define MAILBOX_MOST_QUEUED (UINT64_C(64) << 20)
int mailbox_put(struct mailbox *mailbox, const void *data, size_t length, uint32_t most);
/* From any flow: once what is in it was read, waiting for more gives -ECANCELED. */
void mailbox_close(struct mailbox *mailbox);
/* Another session begins with what is left in it; if nothing was read, less the oldest, or it would
 * begin for ever. False: nothing is left. Adds what was thrown away to *ret_unread. */
bool mailbox_begin_again(struct mailbox *mailbox, uint64_t *ret_unread);
/* Throws the oldest away, which must be there. False: nothing is left. */
bool mailbox_drop(struct mailbox *mailbox);
/* When the session ends if nothing comes. */
int64_t mailbox_deadline_ns(struct mailbox *mailbox);

/* Receives the next datagram of the request's peer. Bytes; 0 once the session has timed out;
 * -EMSGSIZE for one that did not fit, whose rest is gone; -ETIMEDOUT, -ECANCELED. */
ssize_t mailbox_receive(struct hd_request *req, void *buf, size_t size);

#endif
