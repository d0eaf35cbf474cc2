/*
 * probe.c - runs the worker program with the listener's identity, its handler file and nothing
 * else.
 */
#include "supervisor/probe.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/complaint.h"

#define PROBE_TIMEOUT_MS 10000
#define PROBE_MOST_ENTRIES 200
#define PROBE_MOST_DESCRIPTION (1U << 20)
/* Processes that are not of a generation. */
#define PROBE_GENERATION 1

static void
probe_note(struct probe *probe, struct buf_reader *payload, bool is_warning)
{
	const struct listener *listener = probe->listener;
	CLEANUP_FREE char *who = memory_format("trial load for '%s' (handler '%s')", listener->name,
					       listener->handler);

	if (complaint_take(&probe->report, listener->conf, who, is_warning, payload))
		probe->is_refusal = true;
}

static void
probe_on_message(struct process *process, struct channel_message *message)
{
	struct probe *probe = CONTAINER_OF(process, struct probe, process);
	CLEANUP_FREE char *piece = NULL;

	switch (message->type) {
	case PROTOCOL_READY:
		probe->is_good = true;
		break;
	case PROTOCOL_FAILED:
		probe_note(probe, &message->payload, false);
		break;
	case PROTOCOL_WARNING:
		probe_note(probe, &message->payload, true);
		break;
	case PROTOCOL_DESCRIPTION:
		piece = buf_read_text(&message->payload);
		if (piece != NULL && probe->description.length < PROBE_MOST_DESCRIPTION)
			buf_add(&probe->description, piece, strlen(piece));
		break;
	default:
		break;
	}
}

static void
probe_on_refusal(struct process *process, const struct refusal *refusal)
{
	struct probe *probe = CONTAINER_OF(process, struct probe, process);
	const struct conf_origin *origin = &probe->listener->conf->handler_origin;
	char name[REFUSAL_TEXT_SIZE];
	CLEANUP_FREE char *text =
		memory_format("handler '%s' (%s) was refused %s by its sandbox while it was loaded",
			      probe->listener->handler, probe->listener->pin.path,
			      refusal_format(refusal, name, sizeof(name)));

	for (size_t i = 0; i < probe->report.count; i++) {
		if (strcmp(probe->report.entries[i].text, text) == 0)
			return;
	}
	if (probe->report.count < PROBE_MOST_ENTRIES)
		report_warning(&probe->report, origin->file, origin->line, "%s", text);
}

static void
probe_on_death(struct process *process, int status)
{
	struct probe *probe = CONTAINER_OF(process, struct probe, process);
	const struct listener *listener = probe->listener;
	const struct conf_origin *origin = &listener->conf->handler_origin;

	loop_disarm(process->loop, &probe->timer);
	if (probe->was_killed)
		report_error(
			&probe->report, origin->file, origin->line,
			"handler '%s' (%s) was not loaded within %d s: a constructor in it waits",
			listener->handler, listener->pin.path, PROBE_TIMEOUT_MS / 1000);
	else if (WIFSIGNALED(status))
		report_error(&probe->report, origin->file, origin->line,
			     "handler '%s' (%s) killed the process that loaded it: signal %d (%s)",
			     listener->handler, listener->pin.path, WTERMSIG(status),
			     strsignal(WTERMSIG(status)));
	else if (!probe->is_good && probe->report.errors == 0)
		report_error(&probe->report, origin->file, origin->line,
			     "handler '%s' (%s) ended the process that loaded it: exit status %d",
			     listener->handler, listener->pin.path, WEXITSTATUS(status));
	probe->is_good = probe->is_good && probe->report.errors == 0;
	probe->is_over = true;
	probe->on_over(probe);
}

static void
probe_on_timer(struct loop_timer *timer)
{
	struct probe *probe = CONTAINER_OF(timer, struct probe, timer);

	if (probe->process.pid == 0) {
		probe->is_over = true;
		probe->on_over(probe);
		return;
	}
	probe->was_killed = true;
	process_kill(&probe->process);
}

static int
probe_execute(struct probe *probe, enum worker_purpose purpose)
{
	const struct listener *listener = probe->listener;
	struct worker_settings settings = listener_settings(listener, PROBE_GENERATION, purpose);
	char **environment = listener_environment(&listener->identity, listener->conf);
	struct buf image = {0};
	CLEANUP_CLOSE int settings_fd = -1;
	struct outlet outlet;
	struct process_birth birth = {
		.program_fd = listener->world->places->worker_fd,
		.scoreboard_fd = -1,
		.handler_fd = listener->pin.fd,
		.outlet = &outlet,
		.ports_fd = -1,
		.access_fd = -1,
		.bans_fd = -1,
		.environment = environment,
	};
	int r = listener_add_filter(listener, &settings);

	outlet_open(&outlet, false);
	settings.log_target = outlet.target;
	worker_settings_write(&settings, &image);
	if (r >= 0)
		r = settings_fd = fd_sealed_memfd("handlerd-settings", image.data, image.length);
	birth.settings_fd = settings_fd;
	if (r >= 0)
		r = process_start(&probe->process, listener->world->loop, PROBE_GENERATION, &birth);
	outlet_close(&outlet);
	buf_free(&image);
	listener_free_environment(environment);
	listener_free_settings(&settings);
	return r;
}

void
probe_start(struct probe *probe, const struct listener *listener, enum worker_purpose purpose,
	    void (*on_over)(struct probe *probe))
{
	int r;

	*probe = (struct probe){.listener = listener, .on_over = on_over};
	probe->process.on_message = probe_on_message;
	probe->process.on_death = probe_on_death;
	probe->process.on_refusal = probe_on_refusal;
	probe->timer.on_timer = probe_on_timer;
	r = probe_execute(probe, purpose);
	if (r < 0)
		report_error(&probe->report, NULL, 0, "cannot load handler '%s' on trial: %s",
			     listener->handler, strerror(-r));
	loop_arm(listener->world->loop, &probe->timer,
		 clock_deadline_ns(r < 0 ? 0 : PROBE_TIMEOUT_MS));
}

void
probe_free(struct probe *probe)
{
	if (probe->listener != NULL)
		loop_disarm(probe->listener->world->loop, &probe->timer);
	process_destroy(&probe->process);
	report_free(&probe->report);
	buf_free(&probe->description);
	*probe = (struct probe){0};
}
