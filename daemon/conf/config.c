/*
 * config.c - makes and frees configurations.
 */
#include "conf/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "conf/settings.h"
#include "conf/value.h"

void
conf_texts_add_line(struct conf_texts *texts, const char *text, unsigned line)
{
	texts->items = memory_grow(texts->items, texts->count, sizeof(*texts->items));
	texts->lines = memory_grow(texts->lines, texts->count, sizeof(*texts->lines));
	texts->lines[texts->count] = line;
	texts->items[texts->count++] = memory_text(text);
}

void
conf_texts_add(struct conf_texts *texts, const char *text)
{
	conf_texts_add_line(texts, text, 0);
}

void
conf_texts_free(struct conf_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->items[i]);
	free(texts->items);
	free(texts->lines);
	*texts = (struct conf_texts){0};
}

static void
config_set_defaults(enum setting_scope scope, void *target)
{
	for (size_t i = 0; i < setting_count; i++) {
		if (settings[i].scope == scope)
			value_set_default(&settings[i], target);
	}
}

struct config *
config_new(const char *default_handler_directory)
{
	struct config *config = memory_zero(1, sizeof(*config));

	config_set_defaults(SETTING_TOP, config);
	conf_texts_add(&config->handler_path, default_handler_directory);
	return config;
}

struct conf_listener *
config_add_listener(struct config *config, const char *name, const char *handler)
{
	struct conf_listener *listener;

	config->listeners =
		memory_grow(config->listeners, config->listener_count, sizeof(*config->listeners));
	listener = &config->listeners[config->listener_count++];
	*listener = (struct conf_listener){.name = NULL};
	config_set_defaults(SETTING_LISTENER, listener);
	listener->name = memory_text(name);
	listener->handler = memory_text(handler);
	return listener;
}

const char *
config_keep_file(struct config *config, const char *path)
{
	for (size_t i = 0; i < config->file_count; i++) {
		if (strcmp(config->files[i], path) == 0)
			return config->files[i];
	}
	config->files = memory_grow(config->files, config->file_count, sizeof(*config->files));
	config->files[config->file_count] = memory_text(path);
	return config->files[config->file_count++];
}

int64_t
conf_listener_limit(const struct conf_listener *listener)
{
	int64_t bound = 0;

	switch ((enum conf_concurrency)listener->concurrency) {
	case CONF_THREADING:
		bound = listener->threading.max_threads;
		break;
	case CONF_FORKING:
		bound = listener->forking.max_children;
		break;
	case CONF_SERIAL:
		bound = 1;
		break;
	case CONF_FIBERS:
		break;
	}
	if (bound == 0)
		return listener->max_connections;
	if (listener->max_connections == 0)
		return bound;
	return listener->max_connections < bound ? listener->max_connections : bound;
}

const char *
conf_protocol_name(int64_t protocol)
{
	return setting_find(SETTING_LISTENER, "", "protocol")->choices[protocol];
}

bool
conf_protocol_is_datagram(int64_t protocol)
{
	return protocol == CONF_UDP || protocol == CONF_UNIXGRAM;
}

bool
conf_protocol_is_unix(int64_t protocol)
{
	return protocol == CONF_UNIX || protocol == CONF_UNIXGRAM;
}

bool
conf_listener_takes(const struct conf_listener *listener, const struct setting *row)
{
	if (row->protocols != 0 && (row->protocols & SETTING_FOR(listener->protocol)) == 0)
		return false;
	for (size_t i = 0; i < listener->address_count; i++) {
		if ((row->flags & SETTING_BEFORE_BIND) != 0 &&
		    listener->addresses[i].kind == CONF_ADDRESS_SYSTEMD)
			return false;
	}
	return true;
}

static void
conf_listener_free(struct conf_listener *listener)
{
	for (size_t i = 0; i < listener->option_count; i++) {
		free(listener->options[i].name);
		free(listener->options[i].text);
		conf_texts_free(&listener->options[i].list);
	}
	for (size_t i = 0; i < listener->environment_count; i++) {
		free(listener->environment[i].name);
		free(listener->environment[i].value);
	}
	free(listener->options);
	free(listener->environment);
	conf_texts_free(&listener->address_texts);
	conf_texts_free(&listener->sandbox.filesystem);
	free(listener->addresses);
	free(listener->name);
	free(listener->handler);
	conf_texts_free(&listener->access.allow);
	conf_texts_free(&listener->access.deny);
	conf_texts_free(&listener->access.times);
	conf_texts_free(&listener->access.sensor_except);
	free(listener->access.file);
	free(listener->socket.device);
	free(listener->socket.congestion);
	free(listener->limits.banner);
	free(listener->socket.owner);
	free(listener->socket.group);
	free(listener->user);
	free(listener->group);
	conf_texts_free(&listener->groups);
	free(listener->root_directory);
	conf_texts_free(&listener->cpu_affinity);
	free(listener->origins);
}

struct config *
config_hold(struct config *config)
{
	config->holders++;
	return config;
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	if (config->holders > 0) {
		config->holders--;
		return;
	}
	for (size_t i = 0; i < config->listener_count; i++)
		conf_listener_free(&config->listeners[i]);
	free(config->listeners);
	conf_texts_free(&config->handler_path);
	free(config->user);
	free(config->group);
	free(config->control);
	free(config->control_group);
	for (size_t i = 0; i < config->file_count; i++)
		free(config->files[i]);
	free(config->files);
	free(config);
}
