/*
 * commands.c - testing a configuration, and describing a handler.
 */
#include "supervisor/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"
#include "conf/source.h"
#include "supervisor/supervisor.h"

static void
command_on_probe_over(struct probe *probe)
{
	(void)probe;
}

static void
command_on_change(struct listener_world *world)
{
	(void)world;
}

static void
command_wait(struct supervisor *supervisor, const struct probe *probe)
{
	while (!probe->is_over && loop_turn(&supervisor->loop) >= 0)
		;
}

static void
command_take_report(struct report *to, const struct report *from)
{
	for (size_t i = 0; i < from->count; i++)
		report_add(to, from->entries[i].is_warning, from->entries[i].file,
			   from->entries[i].line, NULL, from->entries[i].text);
}

/* Loads the handler of every listener, one after the other; also where the configuration has
 * errors: handlers and options may have some of their own. */
static void
command_probe_all(struct supervisor *supervisor, struct config *config, struct report *report)
{
	struct identities identities;
	bool is_broken = report->errors > 0;
	bool is_known = identities_look_up(config, &identities, report);
	struct control_group group;

	if (is_known)
		(void)identities_look_up_control(config, &identities, &group.is_given, &group.gid,
						 report);
	for (size_t i = 0; i < config->listener_count && is_known; i++) {
		struct conf_listener *conf = &config->listeners[i];
		struct listener *listener;
		struct probe probe;

		if (conf->name == NULL || conf->handler == NULL)
			continue;
		/* what it really says may be one of the errors; every handler bears this */
		if (is_broken)
			conf->concurrency = CONF_SERIAL;
		listener = listener_new(&supervisor->world, config, conf,
					identities_find(&identities, config, conf), report);
		if (listener == NULL)
			continue;
		probe_start(&probe, listener, WORKER_PROBE, command_on_probe_over);
		command_wait(supervisor, &probe);
		command_take_report(report, &probe.report);
		probe_free(&probe);
		listener_free(listener);
	}
	identities_free(&identities);
}

int
command_test(struct supervisor *supervisor, bool is_dumped)
{
	struct report report = {0};
	struct config *config;
	bool is_good;

	supervisor->world.on_change = command_on_change;
	config = supervisor_read_config(supervisor, &report);
	command_probe_all(supervisor, config, &report);
	is_good = report.errors == 0;
	source_find_lines(&report);
	report_print(&report, stderr);
	if (is_good && is_dumped)
		config_emit(config, stdout);
	if (!is_good || !is_dumped)
		text_print(supervisor->cmdline->file, strlen(supervisor->cmdline->file), stderr);
	if (!is_good)
		(void)fprintf(stderr, ": refused: %zu error%s\n", report.errors,
			      report.errors == 1 ? "" : "s");
	else if (!is_dumped)
		(void)fprintf(stderr, ": good: %zu listener%s\n", config->listener_count,
			      config->listener_count == 1 ? "" : "s");
	report_free(&report);
	config_free(config);
	if (is_good && fflush(stdout) != 0)
		return EXIT_FAILURE;
	return is_good ? EXIT_SUCCESS : EXIT_CONFIGURATION;
}

/* A configuration whose only listener has the handler to be described. */
static struct config *
command_describe_config(const struct supervisor *supervisor, struct report *report)
{
	const struct cmdline *cmdline = supervisor->cmdline;
	CLEANUP_FREE char *path = supervisor_absolute_handler(cmdline->describe);
	struct config *config;

	if (cmdline->has_file)
		config = supervisor_read_config(supervisor, report);
	else
		config = config_new(supervisor->places.handler_directory);
	/* whoever it belongs to, a handler that is only looked at gets as little as can be */
	free(config->user);
	free(config->group);
	config->user = geteuid() == 0 ? memory_text("nobody") : NULL;
	config->group = NULL;
	(void)config_add_listener(config, "describe", path != NULL ? path : cmdline->describe);
	return config;
}

/* The worker has escaped it; a handler that speaks in its place has not. */
static void
command_print_description(const struct buf *description)
{
	const char *at = (const char *)description->data, *end = at + description->length;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline != NULL ? newline : end) - at);

		text_print(at, length, stdout);
		if (newline != NULL)
			(void)fputc('\n', stdout);
		at += length + (newline != NULL);
	}
}

int
command_describe(struct supervisor *supervisor)
{
	struct report report = {0};
	struct identities identities = {0};
	struct listener *listener = NULL;
	struct config *config = command_describe_config(supervisor, &report);
	const struct conf_listener *conf = &config->listeners[config->listener_count - 1];
	int status = EXIT_CONFIGURATION;

	supervisor->world.on_change = command_on_change;
	if (report.errors == 0 && identities_look_up_one(config, conf, &identities, &report))
		listener = listener_new(&supervisor->world, config, conf,
					identities_find(&identities, config, conf), &report);
	if (listener != NULL) {
		struct probe probe;

		probe_start(&probe, listener,
			    supervisor->cmdline->is_json ? WORKER_DESCRIBE_JSON : WORKER_DESCRIBE,
			    command_on_probe_over);
		command_wait(supervisor, &probe);
		command_take_report(&report, &probe.report);
		if (probe.is_good) {
			command_print_description(&probe.description);
			status = fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
		}
		probe_free(&probe);
	}
	source_find_lines(&report);
	report_print(&report, stderr);
	listener_free(listener);
	identities_free(&identities);
	config_free(config);
	report_free(&report);
	return status;
}
