/*
 * control_reload.c - the commands `reload` and `wait`: clients that wait for what the daemon is
 * doing. A client that goes away meanwhile changes nothing about it.
 */
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/control_commands.h"
#include "supervisor/supervisor.h"

void
control_run_reload(struct supervisor *supervisor, struct control_client *client,
		   const json_t *request)
{
	bool is_dry = control_request_truth(request, "dry_run");
	const char *reason = "";

	client->ticket = reload_ask(supervisor, is_dry ? RELOAD_DRY : RELOAD_FILE, &reason);
	if (client->ticket == 0) {
		control_client_refuse(client, "nothing to reload: %s", reason);
		return;
	}
	if (!is_dry)
		control_log_change(client, "reload");
	control_client_wait(client, CONTROL_WAITS_RELOAD, -1);
}

static json_t *
control_reload_plan(const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_row *row = &plan->rows[i];

		(void)json_array_append_new(list,
					    json_pack("{s:o,s:s,s:o}", "listener",
						      control_json_text(row->listener), "change",
						      plan_change_name(row->changes), "connections",
						      control_json_count(row->connections)));
	}
	return list;
}

static json_t *
control_reload_result(const struct supervisor *supervisor, const struct reload_outcome *outcome)
{
	bool is_dry = outcome->kind == RELOAD_DRY;

	return json_pack("{s:b,s:b,s:I,s:f,s:o,s:o}", "ok", 1, "dry_run", is_dry, "generation",
			 (json_int_t)(is_dry ? supervisor->generation : outcome->generation),
			 "took_ms", (double)outcome->took_us / 1000, "plan",
			 control_reload_plan(outcome->plan), "warnings",
			 control_json_report(outcome->report, true, false));
}

static bool
control_waits_for_ticket(const struct control_client *client, uint64_t ticket)
{
	return client->wait == CONTROL_WAITS_RELOAD && ticket != 0 && client->ticket == ticket;
}

void
control_on_plan(struct supervisor *supervisor, uint64_t ticket, const struct plan *plan)
{
	for (struct control_client *client = supervisor->control.clients; client != NULL;
	     client = client->next) {
		for (size_t i = 0; i < plan->count && control_waits_for_ticket(client, ticket);
		     i++) {
			CLEANUP_FREE char *sentence = plan_sentence(&plan->rows[i]);

			control_client_progress(client, "%s", sentence);
		}
	}
}

void
control_on_reload(struct supervisor *supervisor, const struct reload_outcome *outcome)
{
	for (struct control_client *client = supervisor->control.clients; client != NULL;
	     client = client->next) {
		if (!control_waits_for_ticket(client, outcome->ticket))
			continue;
		if (outcome->is_ok)
			control_client_answer(client, control_reload_result(supervisor, outcome));
		else
			control_client_refuse_report(client, outcome->text, outcome->report);
	}
}

/* Whether all is as the last configuration has it, and nobody has asked for another. A dry run
 * changes nothing about that. */
static bool
control_is_ready(const struct supervisor *supervisor)
{
	const struct reload *reload = &supervisor->reload;

	return supervisor->generation > 0 && supervisor->reload_queue.file_ticket == 0 &&
	       (reload->phase == RELOAD_IDLE || reload->kind == RELOAD_DRY);
}

void
control_run_wait(struct supervisor *supervisor, struct control_client *client,
		 const json_t *request)
{
	if (strcmp(control_request_text(request, "for"), "ready") != 0) {
		control_client_refuse(client, "what can be waited for is \"ready\"");
		return;
	}
	control_client_wait(client, CONTROL_WAITS_READY,
			    control_request_number(request, "timeout_ms", -1));
	control_look(supervisor);
}

void
control_look(struct supervisor *supervisor)
{
	for (struct control_client *client = supervisor->control.clients; client != NULL;
	     client = client->next) {
		if (client->wait == CONTROL_WAITS_PAUSE || client->wait == CONTROL_WAITS_DRAIN)
			control_look_held(supervisor, client);
		else if (client->wait == CONTROL_WAITS_READY && supervisor->is_stopping)
			control_client_refuse(client, "handlerd is stopping");
		else if (client->wait == CONTROL_WAITS_READY && control_is_ready(supervisor))
			control_client_answer(client, control_result());
	}
}
