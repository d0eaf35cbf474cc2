/*
 * control.h - the socket that handlerctl talks to.
 *
 * A client sends one request, a JSON object on one line, and gets lines of progress and one last
 * line, JSON objects too; then the connection is closed. A client costs at most a slot of a few
 * KiB for a few seconds until it has asked, and never waits for anybody but itself.
 */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/report.h"
#include "conf/config.h"
#include "net/local.h"
#include "supervisor/control_access.h"
#include "supervisor/control_path.h"
#include "supervisor/identities.h"
#include "supervisor/reload.h"

/* Clients at once; of these, so many are kept for those who may do everything. */
#define CONTROL_MOST_CLIENTS 64
#define CONTROL_KEPT_CLIENTS 16

struct supervisor;
struct listener_world;
struct control_client;

struct control {
	struct loop_source listening; /* fd -1: none */
	struct loop_timer again;      /* accept, when descriptors have run out */
	struct control_place place;   /* as it was at the start */
	struct local_identity identity;
	struct control_group group;
	struct control_group next_group; /* of the configuration that is being prepared */
	struct control_client *clients;
	size_t client_count;
	size_t reader_count; /* of these, how many may only read */
	size_t output;	     /* bytes that wait for all clients together */
	struct log_limiter refusals;
};

void control_init(struct control *control);

/*
 * Checks what a configuration says of the socket, after names_look_up: the group must be there and
 * none of the workers', the path that of the start. Whether all is good; if not, the report tells.
 */
bool control_prepare(struct supervisor *supervisor, const struct config *config,
		     const struct identities *workers, struct report *report);
/* Opens the socket if it is not open. False, told in the report, if a path that somebody asked for
 * cannot be had; one that is a default leaves a warning. */
bool control_open(struct supervisor *supervisor, struct report *report);
/* What control_prepare has looked up holds from now on. */
void control_commit(struct supervisor *supervisor);

/* Closes all connections, and removes the socket. */
void control_close(struct supervisor *supervisor);

/* Something has changed: answers clients that waited for it. */
void control_look(struct supervisor *supervisor);

/* supervisor->on_plan and on_reload, and on_killed of its world. */
void control_on_plan(struct supervisor *supervisor, uint64_t ticket, const struct plan *plan);
void control_on_reload(struct supervisor *supervisor, const struct reload_outcome *outcome);
void control_on_killed(struct listener_world *world, const struct listener *listener, uint64_t id);

/* What an upgrade in place carries over to the new program. Descriptors stay who has them. */
struct control_state {
	int listening_fd; /* -1: none */
	struct control_place place;
	struct local_identity identity;
	struct control_group group;
	int waiting_fds[CONTROL_MOST_CLIENTS]; /* clients that wait for the upgrade */
	size_t waiting_count;
	int asking_fds[CONTROL_MOST_CLIENTS]; /* that have not asked anything yet */
	size_t asking_count;
};

/* What is to be carried over; the path in it stays the control's. */
void control_save(const struct control *control, struct control_state *ret);
/* In the new program: takes the descriptors over, and a copy of the path. 0, or a negative errno
 * with the descriptors that could not be taken closed. */
int control_restore(struct supervisor *supervisor, const struct control_state *state);

/* supervisor->on_upgrade; the new program answers those who waited. In control_upgrade.c. */
void control_on_upgrade(struct supervisor *supervisor, const char *why);
void control_on_upgraded(struct supervisor *supervisor, int64_t took_us);
/* Just before the new program goes on: tells clients who wait for something else that they wait in
 * vain. */
void control_leave(struct supervisor *supervisor);

#endif
