/*
 * talk.c - connects, sends one line, and cuts what comes into lines. The daemon is waited for as
 * long as the caller says: a line may be half there for ever.
 */
#include "handlerctl/talk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define TALK_CHUNK 65536

int
talk_open(struct talk *talk, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = TALK_PATIENCE_MS / 1000};
	int r;

	*talk = (struct talk){.fd = -1};
	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, strlen(path));
	talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (talk->fd < 0)
		return -errno;
	/* where the backlog is full, connect waits, too */
	if (setsockopt(talk->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	do {
		r = connect(talk->fd, (const struct sockaddr *)&un, sizeof(un));
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int
talk_say(struct talk *talk, const char *text)
{
	struct buf line = {.length = 0};
	size_t sent = 0;
	int r = 0;

	buf_add(&line, text, strlen(text));
	buf_add(&line, "\n", 1);
	while (sent < line.length) {
		ssize_t n = send(talk->fd, line.data + sent, line.length - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
			break;
		}
		sent += (size_t)n;
	}
	buf_free(&line);
	return r;
}

/* Waits for more and adds it to what was heard. */
static int
talk_listen(struct talk *talk, int64_t deadline_ns)
{
	char chunk[TALK_CHUNK];
	struct pollfd wait = {.fd = talk->fd, .events = POLLIN};
	ssize_t n;
	int ready;

	do {
		ready = poll(&wait, 1, clock_ms_until(deadline_ns));
	} while ((ready < 0 && errno == EINTR) || (ready == 0 && clock_now_ns() < deadline_ns));
	if (ready <= 0)
		return ready == 0 ? -ETIMEDOUT : -errno;
	do {
		n = recv(talk->fd, chunk, sizeof(chunk), 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return -ENODATA;
	if (n < 0)
		return -errno;
	buf_add(&talk->heard, chunk, (size_t)n);
	return 0;
}

/* What was handed out makes room. */
static void
talk_forget(struct talk *talk)
{
	if (talk->taken == 0)
		return;
	talk->heard.length -= talk->taken;
	memmove(talk->heard.data, talk->heard.data + talk->taken, talk->heard.length);
	talk->taken = 0;
	talk->searched = 0;
}

int
talk_hear(struct talk *talk, int64_t deadline_ns, const char **ret_line, size_t *ret_length)
{
	struct buf *heard = &talk->heard;

	talk_forget(talk);
	for (;;) {
		const unsigned char *end = NULL;
		int r;

		if (heard->length > talk->searched)
			end = memchr(heard->data + talk->searched, '\n',
				     heard->length - talk->searched);
		talk->searched = heard->length;
		if ((end == NULL ? heard->length : (size_t)(end - heard->data)) >= TALK_ANSWER_MOST)
			return -EMSGSIZE;
		if (end != NULL) {
			*ret_line = (const char *)heard->data;
			*ret_length = (size_t)(end - heard->data);
			talk->taken = *ret_length + 1;
			return 0;
		}
		r = talk_listen(talk, deadline_ns);
		if (r < 0)
			return r;
	}
}

void
talk_close(struct talk *talk)
{
	if (talk->fd >= 0)
		(void)close(talk->fd);
	buf_free(&talk->heard);
	talk->fd = -1;
}
