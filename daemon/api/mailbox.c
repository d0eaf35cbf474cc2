/*
 * mailbox.c - a queue with an event.
 */
#include "api/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/reply.h"
#include "api/request.h"
#include "api/wait.h"
#include "base/clock.h"
#include "base/fd.h"

struct mail {
	struct mail *next;
	size_t length;
	unsigned char data[];
};

int
mailbox_init(struct mailbox *mailbox, int64_t timeout_ns, _Atomic uint64_t *queued)
{
	*mailbox = (struct mailbox){
		.timeout_ns = timeout_ns,
		.last_ns = clock_now_ns(),
		.queued = queued,
	};
	mailbox->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mailbox->event_fd < 0)
		return -errno;
	(void)pthread_mutex_init(&mailbox->lock, NULL);
	return 0;
}

/* Under the lock, or with nobody else about: the oldest, which must be there. */
static struct mail *
mailbox_pop(struct mailbox *mailbox)
{
	struct mail *mail = mailbox->first;

	mailbox->first = mail->next;
	(void)atomic_fetch_sub(mailbox->queued, mail->length);
	if (--mailbox->count == 0 && !mailbox->is_closed)
		fd_clear_event(mailbox->event_fd);
	return mail;
}

void
mailbox_destroy(struct mailbox *mailbox)
{
	while (mailbox->first != NULL)
		free(mailbox_pop(mailbox));
	(void)close(mailbox->event_fd);
	(void)pthread_mutex_destroy(&mailbox->lock);
}

int
mailbox_put(struct mailbox *mailbox, const void *data, size_t length, uint32_t most)
{
	struct mail *mail = malloc(sizeof(*mail) + length);
	int r = mail == NULL ? -ENOMEM : 0;

	(void)pthread_mutex_lock(&mailbox->lock);
	/* one that is thrown away is a sign of life all the same */
	mailbox->last_ns = clock_now_ns();
	if (r == 0 && (mailbox->count >= most ||
		       atomic_load(mailbox->queued) + length > MAILBOX_MOST_QUEUED)) {
		free(mail);
		r = -ENOBUFS;
	}
	if (r == 0) {
		*mail = (struct mail){.length = length};
		memcpy(mail->data, data, length);
		if (mailbox->first == NULL)
			mailbox->first = mail;
		else
			mailbox->last->next = mail;
		mailbox->last = mail;
		(void)atomic_fetch_add(mailbox->queued, length);
		(void)atomic_fetch_add(&mailbox->asked, length + REPLY_HEADER_SIZE);
		if (mailbox->count++ == 0 && !mailbox->is_closed)
			fd_raise_event(mailbox->event_fd);
	}
	(void)pthread_mutex_unlock(&mailbox->lock);
	return r;
}

void
mailbox_close(struct mailbox *mailbox)
{
	(void)pthread_mutex_lock(&mailbox->lock);
	mailbox->is_closed = true;
	fd_raise_event(mailbox->event_fd);
	(void)pthread_mutex_unlock(&mailbox->lock);
}

bool
mailbox_begin_again(struct mailbox *mailbox, uint64_t *ret_unread)
{
	bool has_more;

	(void)pthread_mutex_lock(&mailbox->lock);
	if (!mailbox->was_read && mailbox->first != NULL) {
		free(mailbox_pop(mailbox));
		(*ret_unread)++;
	}
	mailbox->was_read = false;
	has_more = mailbox->first != NULL;
	(void)pthread_mutex_unlock(&mailbox->lock);
	return has_more;
}

bool
mailbox_drop(struct mailbox *mailbox)
{
	bool has_more;

	(void)pthread_mutex_lock(&mailbox->lock);
	free(mailbox_pop(mailbox));
	has_more = mailbox->first != NULL;
	(void)pthread_mutex_unlock(&mailbox->lock);
	return has_more;
}

int64_t
mailbox_deadline_ns(struct mailbox *mailbox)
{
	int64_t last_ns;

	(void)pthread_mutex_lock(&mailbox->lock);
	last_ns = mailbox->last_ns;
	(void)pthread_mutex_unlock(&mailbox->lock);
	return last_ns + mailbox->timeout_ns;
}

/* The oldest, for the caller to free; NULL: none. */
static struct mail *
mailbox_take(struct mailbox *mailbox, bool *ret_is_closed)
{
	struct mail *mail;

	(void)pthread_mutex_lock(&mailbox->lock);
	mail = mailbox->first != NULL ? mailbox_pop(mailbox) : NULL;
	mailbox->was_read = mailbox->was_read || mail != NULL;
	*ret_is_closed = mailbox->is_closed;
	(void)pthread_mutex_unlock(&mailbox->lock);
	return mail;
}

/* Waits for mail. 0: there may be some, or the session's time may have run out; else -ETIMEDOUT,
 * -ECANCELED. */
static int
mailbox_wait(struct hd_request *req, int64_t deadline_ns)
{
	int left_ms = clock_ms_until(deadline_ns);
	bool is_mine = req->timeout_ms >= 0 && req->timeout_ms < left_ms;
	int r = wait_for_fd(req, req->mailbox->event_fd, POLLIN,
			    is_mine ? req->timeout_ms : left_ms);

	return r == -ETIMEDOUT && !is_mine ? 0 : r;
}

ssize_t
mailbox_receive(struct hd_request *req, void *buf, size_t size)
{
	for (;;) {
		bool is_closed;
		struct mail *mail;
		int r;

		if (atomic_load_explicit(&req->is_cancelled, memory_order_relaxed))
			return request_note_error(req, -ECANCELED);
		mail = mailbox_take(req->mailbox, &is_closed);
		if (mail != NULL) {
			size_t length = mail->length;

			memcpy(buf, mail->data, length < size ? length : size);
			free(mail);
			request_count_in(req, length);
			wait_spend(req);
			return length <= size ? (ssize_t)length : -EMSGSIZE;
		}
		if (is_closed)
			return request_note_error(req, -ECANCELED);
		if (clock_now_ns() >= mailbox_deadline_ns(req->mailbox)) {
			req->is_end_seen = true;
			return 0;
		}
		r = mailbox_wait(req, mailbox_deadline_ns(req->mailbox));
		if (r < 0)
			return request_note_error(req, r);
	}
}
