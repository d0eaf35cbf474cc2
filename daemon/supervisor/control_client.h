/*
 * control_client.h - one connection to the control socket: its request, its answer, and what it
 * waits for. Nothing here waits for a client.
 *
 *	ASKING --a line--> (command runs) --answered--> ANSWERED --all sent--> closed
 *	   |                     |                          ^         (or HELD until we end)
 *	   |                  it waits                      |
 *	   |                     v                          |
 *	   |                  WAITING ---what it waits for--+
 *	   +------too long, too late, not a request---------+
 */
#ifndef SUPERVISOR_CONTROL_CLIENT_H
#define SUPERVISOR_CONTROL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/report.h"
#include "supervisor/control_json.h"
#include "supervisor/control_request.h"

/* What waits to be sent to one client, and to all. */
#define CONTROL_MOST_OUTPUT (8 * 1024 * 1024)
#define CONTROL_MOST_OUTPUT_OF_ALL (32 * 1024 * 1024)

struct control;

enum control_client_state {
	CONTROL_ASKING,
	CONTROL_WAITING,
	CONTROL_ANSWERED,
	CONTROL_HELD, /* answered; the end of the connection is the end of the daemon */
};

enum control_wait {
	CONTROL_WAITS_NOT,
	CONTROL_WAITS_READY,
	CONTROL_WAITS_RELOAD,
	CONTROL_WAITS_PAUSE,
	CONTROL_WAITS_DRAIN,
	CONTROL_WAITS_KILL,
	CONTROL_WAITS_UPGRADE,
};

struct control_client {
	struct supervisor *supervisor; /* not owned */
	struct control_client *next;
	struct loop_source source;
	struct loop_timer timer; /* until it has asked, has read, or has waited for long enough */
	uint32_t events;
	enum control_access access;
	pid_t pid;
	uid_t uid;
	enum control_client_state state;
	bool is_running; /* its command runs: who called that sends the answer */
	enum control_wait wait;
	uint64_t ticket; /* of the reload, or the connection, that it waits for */
	char *listener;	 /* whose draining it waits for; owned */
	uint64_t told;	 /* the number in the last line of progress */
	int64_t began_ns;
	char *output;
	size_t output_length, output_room, output_sent;
	size_t request_length;
	char request[CONTROL_REQUEST_SIZE + 1];
};

/* Takes a connection, which is closed if there is no memory, and answers what was asked already. */
void control_client_take(struct supervisor *supervisor, int fd, const struct control_peer *peer,
			 enum control_access access);
/* Takes over a connection that an upgrade in place brought; it waits for its end. 0 or -ENOMEM,
 * with the connection closed. */
int control_client_restore(struct supervisor *supervisor, int fd);
void control_client_close(struct control_client *client);

/* It waits for that; timeout_ms -1: for as long as it takes. */
void control_client_wait(struct control_client *client, enum control_wait wait, int64_t timeout_ms);

/* One line of progress. */
void control_client_progress(struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The last line; each of these once. The client is closed later, never from within. */
void control_client_answer(struct control_client *client, json_t *result); /* takes it over */
void control_client_answer_text(struct control_client *client, const char *line, size_t length);
void control_client_refuse(struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void control_client_refuse_report(struct control_client *client, const char *sentence,
				  const struct report *report);
/* Answers, and keeps the connection until the daemon ends. */
void control_client_answer_held(struct control_client *client, json_t *result);

/* How much an answer may take at this moment. */
size_t control_client_room(const struct control_client *client);

/* The last line for somebody who gets no slot: sent at once, as far as it goes. */
void control_client_turn_away(int fd, const char *sentence);

#endif
