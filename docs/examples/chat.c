/*
 * chat - what one client writes, all others read. A flow that has something for another one puts it
 * down and wakes it with hd_wake; the other sleeps in hd_poll.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <handlerd/handler.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LINE 256
#define ROOM 8192 /* what waits for one member; one that does not read misses lines */

struct member {
	struct member *next;
	uint64_t id;
	size_t length; /* of what waits for it */
	char waiting[ROOM];
	size_t begun; /* of the line that it has not ended yet */
	char line[LINE];
};

/* Shared by the flows of one worker: it would not do for forking. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what waits, and what follows */
static struct member *members;

HD_HANDLER(.name = "chat", .version = "1.0.0", .summary = "Everybody reads what anybody writes",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

int
setup(struct hd_request *req)
{
	struct member *member = hd_alloc(req, sizeof(*member));

	if (member == NULL)
		return -ENOMEM;
	member->id = hd_request_id(req);
	hd_set_data(req, member);
	(void)pthread_mutex_lock(&lock);
	member->next = members;
	members = member;
	(void)pthread_mutex_unlock(&lock);
	return 0;
}

/* The member must be out of the list before its memory goes. */
void
finish(struct hd_request *req)
{
	struct member *member = hd_data(req);
	struct member **slot = &members;

	(void)pthread_mutex_lock(&lock);
	while (*slot != member)
		slot = &(*slot)->next;
	*slot = member->next;
	(void)pthread_mutex_unlock(&lock);
}

static void
tell_others(struct hd_request *req, const char *line, size_t size)
{
	const struct member *self = hd_data(req);
	char text[LINE + 128];
	int n = snprintf(text, sizeof(text), "%s: %.*s", hd_client_name(req), (int)size, line);
	size_t length = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;

	(void)pthread_mutex_lock(&lock);
	for (struct member *member = members; member != NULL; member = member->next) {
		if (member == self || length > ROOM - member->length)
			continue;
		memcpy(member->waiting + member->length, text, length);
		member->length += length;
		(void)hd_wake(hd_request_server(req), member->id);
	}
	(void)pthread_mutex_unlock(&lock);
}

/* Sends what others have put down, without the lock held. */
static int
tell_self(struct hd_request *req)
{
	struct member *self = hd_data(req);
	char text[ROOM];
	size_t length;

	(void)pthread_mutex_lock(&lock);
	length = self->length;
	memcpy(text, self->waiting, length);
	self->length = 0;
	(void)pthread_mutex_unlock(&lock);
	return hd_sendall(req, text, length);
}

/* Receives what has come, and tells each whole line. hd_readline would wait for the rest of a line,
 * and who has typed half of one would read nothing meanwhile. Returns 1, 0 at the end, or a
 * negative errno. */
static int
hear(struct hd_request *req)
{
	struct member *self = hd_data(req);
	ssize_t n = hd_recv(req, self->line + self->begun, LINE - self->begun);

	if (n <= 0)
		return (int)n;
	self->begun += (size_t)n;
	for (;;) {
		const char *end = memchr(self->line, '\n', self->begun);
		size_t length = end != NULL ? (size_t)(end - self->line) + 1 : LINE;

		if (length > self->begun)
			return 1;
		tell_others(req, self->line, length); /* one that is too long in pieces */
		self->begun -= length;
		memmove(self->line, self->line + length, self->begun);
	}
}

int
handle(struct hd_request *req)
{
	struct pollfd row = {HD_CLIENT, POLLIN, 0};
	int r = 1;

	hd_set_idle(req, 1);
	while (r > 0) {
		r = hd_poll(req, &row, 1, -1);
		if (r == -EINTR) { /* woken */
			r = tell_self(req);
			r = r < 0 ? r : 1;
		} else if (r > 0) {
			r = hear(req);
		}
	}
	return r;
}
