/*
 * state_config.c - the configuration in the state: read from its texts, with the places where it
 * was written in truth. No file is looked at.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "conf/settings.h"
#include "supervisor/state_field.h"

static bool
state_config_set_origin(struct state_reader *reader, struct config *config, const json_t *object,
			const char *name, struct conf_origin *to)
{
	const json_t *value = json_object_get(object, name);
	CLEANUP_FREE char *file = NULL;

	*to = (struct conf_origin){.file = NULL};
	if (value == NULL)
		return true;
	if (!state_get(reader, &state_conf_origin_table, value, to))
		return false;
	file = state_get_text(json_object_get(value, "file"));
	if (file == NULL)
		return state_refuse(reader, "'file' of a place in a file is missing");
	to->file = config_keep_file(config, file);
	return true;
}

/* The same of the entries of a list. */
static void
state_config_set_lines(const json_t *lines, struct conf_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++) {
		json_int_t line = json_integer_value(json_array_get(lines, i));

		texts->lines[i] = line > 0 && line <= UINT32_MAX ? (unsigned)line : 0;
	}
}

/* And of all keys. */
static bool
state_config_set_keys(struct state_reader *reader, struct config *config,
		      struct conf_listener *listener, const json_t *object)
{
	const json_t *origins = json_object_get(object, "origins");
	char label[SETTING_LABEL_SIZE];

	state_config_set_lines(json_object_get(object, "allow_lines"), &listener->access.allow);
	state_config_set_lines(json_object_get(object, "deny_lines"), &listener->access.deny);
	for (size_t i = 0; i < setting_count && listener->origins != NULL; i++) {
		if (settings[i].scope == SETTING_LISTENER &&
		    !state_config_set_origin(reader, config, origins,
					     setting_label(&settings[i], label, sizeof(label)),
					     &listener->origins[i]))
			return false;
	}
	return true;
}

/* Where the entry was written in truth. */
static bool
state_config_set_origins(struct state_reader *reader, struct config *config,
			 struct conf_listener *listener, const json_t *object)
{
	const json_t *options = json_object_get(object, "options");

	for (size_t i = 0; i < listener->option_count; i++) {
		if (!state_config_set_origin(reader, config, json_array_get(options, i), "origin",
					     &listener->options[i].origin))
			return false;
	}
	return state_config_set_keys(reader, config, listener, object) &&
	       state_config_set_origin(reader, config, object, "origin", &listener->origin) &&
	       state_config_set_origin(reader, config, object, "handler_origin",
				       &listener->handler_origin) &&
	       state_config_set_origin(reader, config, object, "address_origin",
				       &listener->address_origin);
}

/* The configuration from its texts; NULL: refused. */
static struct config *
state_config_load(struct state_reader *reader, const struct supervisor *supervisor,
		  const struct conf_part *parts, size_t count)
{
	struct report report = {0};
	struct config *config = NULL;

	for (size_t i = 0; i < count; i++) {
		if (parts[i].text == NULL)
			(void)state_refuse(reader, "'text' of the configuration is missing");
	}
	if (reader->reason == NULL)
		config = config_load_parts(parts, count, supervisor->places.handler_directory,
					   &report);
	for (size_t i = 0; i < report.count && config == NULL; i++) {
		CLEANUP_FREE char *sentence = report_sentence(&report.entries[i]);

		if (!report.entries[i].is_warning)
			(void)state_refuse(reader,
					   "the configuration that it serves is refused: %s",
					   sentence);
	}
	report_free(&report);
	return config;
}

bool
state_get_config(struct state_reader *reader, const struct supervisor *supervisor,
		 const json_t *object, struct config **to)
{
	const json_t *listeners = json_object_get(object, "listeners");
	size_t count = json_array_size(listeners) + 1;
	struct conf_part *parts = memory_zero(count, sizeof(*parts));
	struct config *config;
	bool is_good = true;

	for (size_t i = 0; i < count; i++) {
		const json_t *part = i == 0 ? object : json_array_get(listeners, i - 1);

		parts[i].name = memory_format("listener %zu of the running configuration", i);
		parts[i].text = state_get_text(json_object_get(part, "text"));
	}
	config = state_config_load(reader, supervisor, parts, count);
	for (size_t i = 0; i < count; i++) {
		free((char *)parts[i].name);
		free((char *)parts[i].text);
	}
	free(parts);
	if (config == NULL)
		return false;
	*to = config;
	if (config->listener_count != count - 1)
		return state_refuse(reader, "its configuration has another number of listeners");
	for (size_t i = 0; i < config->listener_count && is_good; i++)
		is_good = state_config_set_origins(reader, config, &config->listeners[i],
						   json_array_get(listeners, i));
	return is_good;
}

bool
state_get_own_config(struct state_reader *reader, const struct supervisor *supervisor,
		     const json_t *object, struct config **to)
{
	if (!state_get_config(reader, supervisor, object, to))
		return false;
	if ((*to)->listener_count == 1)
		return true;
	return state_refuse(reader, "a configuration of one listener has %zu",
			    (*to)->listener_count);
}
