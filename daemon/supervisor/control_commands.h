/*
 * control_commands.h - what can be asked over the control socket: one row for each command.
 */
#ifndef SUPERVISOR_CONTROL_COMMANDS_H
#define SUPERVISOR_CONTROL_COMMANDS_H

#include "supervisor/control_client.h"

extern const struct control_command control_commands[];
extern const size_t control_command_count;

/* The listener of that name that serves or is to serve; NULL: none. */
struct listener *control_find_listener(const struct supervisor *supervisor, const char *name);
/* Tells the client that there is none, and which one may be meant. */
void control_refuse_listener(struct supervisor *supervisor, struct control_client *client,
			     const char *name);

/* Who changed something is worth a line of the log. */
void control_log_change(const struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The time that a client gave, or has for what it waits for, is over. */
void control_is_late(struct control_client *client);
void control_kill_is_late(struct supervisor *supervisor, struct control_client *client);
void control_hold_is_late(struct supervisor *supervisor, struct control_client *client);

/* Whether what a client waits for has come to a listener that it paused or drained. */
void control_look_held(struct supervisor *supervisor, struct control_client *client);

/* The word that status has for it. */
const char *control_listener_state(const struct listener *listener);

/* In control_status.c, control_connections.c, control_reload.c and control_hold.c. */
void control_run_status(struct supervisor *supervisor, struct control_client *client,
			const json_t *request);
void control_run_connections(struct supervisor *supervisor, struct control_client *client,
			     const json_t *request);

void control_run_bans(struct supervisor *supervisor, struct control_client *client,
		      const json_t *request);
void control_run_explain(struct supervisor *supervisor, struct control_client *client,
			 const json_t *request);
void control_run_reload(struct supervisor *supervisor, struct control_client *client,
			const json_t *request);
void control_run_wait(struct supervisor *supervisor, struct control_client *client,
		      const json_t *request);
void control_run_upgrade(struct supervisor *supervisor, struct control_client *client,
			 const json_t *request);
void control_run_kill(struct supervisor *supervisor, struct control_client *client,
		      const json_t *request);
void control_run_pause(struct supervisor *supervisor, struct control_client *client,
		       const json_t *request);
void control_run_drain(struct supervisor *supervisor, struct control_client *client,
		       const json_t *request);
void control_run_resume(struct supervisor *supervisor, struct control_client *client,
			const json_t *request);

#endif
