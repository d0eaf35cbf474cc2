/*
 * control_client.c - one connection to the control socket.
 *
 * The daemon must outlive its clients: what they make it allocate comes from malloc and may fail,
 * which costs the one client its answer.
 */
#include "supervisor/control_client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/channel.h"
#include "supervisor/control_commands.h"
#include "supervisor/supervisor.h"
#include "supervisor/unread.h"

#define CONTROL_ASK_MS 5000   /* until the request is complete */
#define CONTROL_READ_MS 10000 /* until the client has read some of the answer */
#define CONTROL_SENTENCE_SIZE 1024
/* Always taken, so that a client can be told why it gets nothing else. */
#define CONTROL_LAST_WORDS 8192
/* Progress beyond this is for somebody who does not read it; what it led to is told in any case. */
#define CONTROL_MOST_PROGRESS 65536
/* What a client sends behind its request is read and dropped, or closing would be a reset. */
#define CONTROL_MOST_DROPPED 65536

static struct control *
control_client_control(const struct control_client *client)
{
	return &client->supervisor->control;
}

static struct loop *
control_client_loop(const struct control_client *client)
{
	return &client->supervisor->loop;
}

void
control_client_close(struct control_client *client)
{
	struct control *control = control_client_control(client);
	struct control_client **slot = &control->clients;
	char dropped[4096];

	while (*slot != client)
		slot = &(*slot)->next;
	*slot = client->next;
	control->client_count--;
	control->reader_count -= client->access == CONTROL_READ;
	control->output -= client->output_length;
	loop_disarm(control_client_loop(client), &client->timer);
	loop_remove(control_client_loop(client), &client->source);
	for (size_t n = 0; n < CONTROL_MOST_DROPPED; n += sizeof(dropped)) {
		if (channel_receive_bytes(client->source.fd, dropped, sizeof(dropped)) <= 0)
			break;
	}
	unread_close(client->source.fd);
	free(client->output);
	free(client->listener);
	free(client);
}

static void
control_client_want(struct control_client *client, uint32_t events)
{
	struct loop *loop = control_client_loop(client);

	if (client->source.is_added && client->events == events)
		return;
	loop_remove(loop, &client->source);
	client->events = events;
	if (loop_add(loop, &client->source, events) < 0)
		loop_arm(loop, &client->timer, 0);
}

static void
control_client_arm(struct control_client *client, int64_t ms)
{
	loop_arm(control_client_loop(client), &client->timer, clock_deadline_ns(ms));
}

size_t
control_client_room(const struct control_client *client)
{
	size_t all = control_client_control(client)->output;
	size_t own = CONTROL_MOST_OUTPUT - client->output_length;

	if (all >= CONTROL_MOST_OUTPUT_OF_ALL)
		return 0;
	all = CONTROL_MOST_OUTPUT_OF_ALL - all;
	return own < all ? own : all;
}

/* Whether there was room and memory for the line. */
static bool
control_client_add(struct control_client *client, const char *line, size_t length, size_t room)
{
	size_t needed = client->output_length + length + 1;

	if (length + 1 > room)
		return false;
	if (needed > client->output_room) {
		size_t larger = needed < 2 * client->output_room ? 2 * client->output_room : needed;
		char *grown = realloc(client->output, larger);

		if (grown == NULL)
			return false;
		client->output = grown;
		client->output_room = larger;
	}
	memcpy(client->output + client->output_length, line, length);
	client->output[client->output_length + length] = '\n';
	client->output_length += length + 1;
	control_client_control(client)->output += length + 1;
	/* somebody else's event brought this: it is sent when its own turn comes */
	if (!client->is_running)
		control_client_want(client, EPOLLOUT);
	return true;
}

static void
control_client_end(struct control_client *client, enum control_client_state state)
{
	client->state = state;
	client->wait = CONTROL_WAITS_NOT;
	control_client_arm(client, CONTROL_READ_MS);
}

void
control_client_answer_text(struct control_client *client, const char *line, size_t length)
{
	static const char last[] =
		"{\"ok\":false,\"error\":\"the answer is longer than can be kept "
		"for clients that have not read theirs; ask again\"}";

	control_client_end(client, CONTROL_ANSWERED);
	if (line == NULL || !control_client_add(client, line, length, control_client_room(client)))
		(void)control_client_add(client, last, sizeof(last) - 1, CONTROL_LAST_WORDS);
}

void
control_client_answer(struct control_client *client, json_t *result)
{
	/* what a terminal would obey is escaped */
	CLEANUP_FREE char *line =
		json_dumps(result, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));

	json_decref(result);
	control_client_answer_text(client, line, line != NULL ? strlen(line) : 0);
}

void
control_client_answer_held(struct control_client *client, json_t *result)
{
	control_client_answer(client, result);
	client->state = CONTROL_HELD;
}

void
control_client_refuse(struct control_client *client, const char *format, ...)
{
	char sentence[CONTROL_SENTENCE_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	control_client_refuse_report(client, sentence, NULL);
}

void
control_client_refuse_report(struct control_client *client, const char *sentence,
			     const struct report *report)
{
	json_t *result = json_pack("{s:b,s:o}", "ok", 0, "error", control_json_text(sentence));

	if (report != NULL && report->count > 0)
		(void)json_object_set_new(result, "errors",
					  control_json_report(report, true, true));
	control_client_answer(client, result);
}

void
control_client_progress(struct control_client *client, const char *format, ...)
{
	char sentence[CONTROL_SENTENCE_SIZE];
	CLEANUP_FREE char *line = NULL;
	json_t *progress;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	progress = json_pack("{s:o}", "progress", control_json_text(sentence));
	line = json_dumps(progress, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(progress);
	if (line != NULL && client->output_length < CONTROL_MOST_PROGRESS)
		(void)control_client_add(client, line, strlen(line), control_client_room(client));
}

void
control_client_wait(struct control_client *client, enum control_wait wait, int64_t timeout_ms)
{
	client->state = CONTROL_WAITING;
	client->wait = wait;
	if (timeout_ms >= 0)
		control_client_arm(client, timeout_ms);
	else
		loop_disarm(control_client_loop(client), &client->timer);
}

/* Sends what it can. The client may be gone afterwards. */
static void
control_client_flush(struct control_client *client)
{
	struct control *control = control_client_control(client);
	bool is_over = client->state == CONTROL_ANSWERED;

	while (client->output_sent < client->output_length) {
		ssize_t n = send(client->source.fd, client->output + client->output_sent,
				 client->output_length - client->output_sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			control_client_want(client, EPOLLOUT);
			return;
		}
		if (n < 0) {
			control_client_close(client);
			return;
		}
		client->output_sent += (size_t)n;
		if (client->state != CONTROL_WAITING)
			control_client_arm(client, CONTROL_READ_MS);
	}
	if (is_over) {
		control_client_close(client);
		return;
	}
	control->output -= client->output_length;
	client->output_length = client->output_sent = 0;
	if (client->state == CONTROL_HELD)
		loop_disarm(control_client_loop(client), &client->timer);
	/* that the client has gone is told in any case */
	control_client_want(client, 0);
}

static void
control_client_run(struct control_client *client, size_t length)
{
	char why[CONTROL_WHY_SIZE];
	const struct control_command *command;
	json_t *request;

	loop_disarm(control_client_loop(client), &client->timer);
	request = control_request_read(client->request, length, control_commands,
				       control_command_count, &command, why);
	if (request == NULL || !control_request_may(request, command, client->access, why))
		control_client_refuse(client, "%s", why);
	else
		command->run(client->supervisor, client, request);
	json_decref(request);
}

/* Reads what is there, and runs the command when it is complete. */
static void
control_client_read(struct control_client *client)
{
	size_t had = client->request_length;
	const char *end;
	ssize_t n;

	do {
		n = channel_receive_bytes(client->source.fd, client->request + had,
					  sizeof(client->request) - had);
	} while (n == -EINTR);
	if (n == -EAGAIN)
		return;
	if (n < 0 || (n == 0 && had == 0)) {
		control_client_close(client);
		return;
	}
	client->request_length += (size_t)n;
	end = memchr(client->request + had, '\n', (size_t)n);
	client->is_running = true;
	if (end != NULL)
		control_client_run(client, (size_t)(end - client->request));
	else if (n == 0)
		control_client_refuse(client, "the request ends before its line does");
	else if (client->request_length > CONTROL_REQUEST_SIZE)
		control_client_refuse(client, "the request is longer than %d bytes",
				      CONTROL_REQUEST_SIZE);
	client->is_running = false;
	if (client->state != CONTROL_ASKING)
		control_client_flush(client);
}

static void
control_client_on_event(struct loop_source *source, uint32_t events)
{
	struct control_client *client = CONTAINER_OF(source, struct control_client, source);

	if (client->state == CONTROL_ASKING)
		control_client_read(client);
	else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
		control_client_close(client);
	else
		control_client_flush(client);
}

static void
control_client_on_timer(struct loop_timer *timer)
{
	struct control_client *client = CONTAINER_OF(timer, struct control_client, timer);

	switch (client->state) {
	case CONTROL_ASKING:
		control_client_refuse(client, "the request was not complete within %d s",
				      CONTROL_ASK_MS / 1000);
		break;
	case CONTROL_WAITING:
		control_is_late(client);
		break;
	case CONTROL_ANSWERED:
	case CONTROL_HELD:
		control_client_close(client);
		break;
	}
}

static struct control_client *
control_client_new(struct supervisor *supervisor, int fd, const struct control_peer *peer,
		   enum control_access access)
{
	struct control_client *client = calloc(1, sizeof(*client));
	struct control *control = &supervisor->control;

	if (client == NULL) {
		(void)close(fd);
		return NULL;
	}
	client->supervisor = supervisor;
	client->source = (struct loop_source){.fd = fd, .on_event = control_client_on_event};
	client->timer.on_timer = control_client_on_timer;
	client->access = access;
	client->pid = peer->pid;
	client->uid = peer->uid;
	client->began_ns = clock_now_ns();
	client->next = control->clients;
	control->clients = client;
	control->client_count++;
	control->reader_count += access == CONTROL_READ;
	return client;
}

void
control_client_take(struct supervisor *supervisor, int fd, const struct control_peer *peer,
		    enum control_access access)
{
	struct control_client *client = control_client_new(supervisor, fd, peer, access);

	if (client == NULL)
		return;
	control_client_arm(client, CONTROL_ASK_MS);
	control_client_want(client, EPOLLIN);
	/* most have asked by the time they are accepted */
	control_client_read(client);
}

int
control_client_restore(struct supervisor *supervisor, int fd)
{
	struct control_peer nobody = {0};
	struct control_client *client = control_client_new(supervisor, fd, &nobody, CONTROL_ALL);

	if (client == NULL)
		return -ENOMEM;
	control_client_wait(client, CONTROL_WAITS_UPGRADE, -1);
	control_client_want(client, 0);
	return 0;
}

void
control_client_turn_away(int fd, const char *sentence)
{
	char line[CONTROL_SENTENCE_SIZE];
	char dropped[CONTROL_REQUEST_SIZE];
	int length = snprintf(line, sizeof(line), "{\"ok\":false,\"error\":\"%s\"}\n", sentence);

	(void)send(fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)channel_receive_bytes(fd, dropped, sizeof(dropped));
}
