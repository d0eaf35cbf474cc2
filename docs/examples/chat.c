/*
 * chat - what one client writes, all others read. A thread that has something for another one puts
 * it down and wakes it with hd_wake; the other sleeps in hd_poll.
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
	size_t length;
	char waiting[ROOM];
};

/* Shared by the threads of one worker: it would not do for forking. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct member *members;

HD_HANDLER(.name = "chat", .version = "1.0.0", .summary = "Everybody reads what anybody writes",
	   .flags = HD_STREAM | HD_THREADS);

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
tell_others(struct hd_request *req, const char *line)
{
	const struct member *self = hd_data(req);
	char text[LINE + 128];
	int n = snprintf(text, sizeof(text), "%s: %s", hd_client_name(req), line);
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

int
handle(struct hd_request *req)
{
	struct pollfd row = {HD_CLIENT, POLLIN, 0};
	char line[LINE];
	int r = 0;

	hd_set_idle(req, 1);
	while (r >= 0) {
		ssize_t n;

		r = hd_poll(req, &row, 1, -1);
		if (r == -EINTR) { /* woken */
			r = tell_self(req);
			continue;
		}
		if (r < 0)
			break;
		n = hd_readline(req, line, sizeof(line));
		if (n <= 0)
			return (int)n;
		tell_others(req, line);
	}
	return r;
}
