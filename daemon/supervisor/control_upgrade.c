/*
 * control_upgrade.c - the command `upgrade`: whoever asked is refused by the old program, or
 * answered by the new one.
 */
#include "supervisor/control_commands.h"
#include "supervisor/supervisor.h"

#define MS_PER_S 1000

void
control_run_upgrade(struct supervisor *supervisor, struct control_client *client,
		    const json_t *request)
{
	(void)request;
	control_log_change(client, "upgrade");
	control_client_wait(client, CONTROL_WAITS_UPGRADE, -1);
	if (!supervisor->is_stopping && !reload_is_idle(supervisor))
		control_client_progress(client, "waiting for the end of a reload");
	upgrade_begin(supervisor);
}

void
control_on_upgrade(struct supervisor *supervisor, const char *why)
{
	for (struct control_client *client = supervisor->control.clients; client != NULL;
	     client = client->next) {
		if (client->wait == CONTROL_WAITS_UPGRADE)
			control_client_refuse(
				client, "not upgraded, version " HANDLERD_VERSION " goes on: %s",
				why);
	}
}

void
control_on_upgraded(struct supervisor *supervisor, int64_t took_us)
{
	for (struct control_client *client = supervisor->control.clients; client != NULL;
	     client = client->next) {
		if (client->wait == CONTROL_WAITS_UPGRADE)
			control_client_answer(client, json_pack("{s:b,s:s,s:f}", "ok", 1, "version",
								HANDLERD_VERSION, "took_ms",
								(double)took_us / MS_PER_S));
	}
}

void
control_leave(struct supervisor *supervisor)
{
	for (struct control_client *client = supervisor->control.clients; client != NULL;
	     client = client->next) {
		if (client->wait != CONTROL_WAITS_NOT && client->wait != CONTROL_WAITS_UPGRADE)
			control_client_turn_away(client->source.fd,
						 "handlerd was upgraded while this was waited for; "
						 "ask again");
	}
}
