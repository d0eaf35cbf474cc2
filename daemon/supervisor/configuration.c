/*
 * configuration.c - the configuration: from the file, or from --listen and its friends.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "conf/settings.h"
#include "supervisor/inetd.h"
#include "supervisor/supervisor.h"

/* "K=V" as an option's value: what looks like a number or a truth value is one. A handler whose
 * option is a string may be given "5" as "\"5\"". */
static void
configuration_add_option(struct conf_listener *listener, const char *text, struct report *report)
{
	const char *equals = strchr(text, '=');
	struct conf_option option = {0};
	size_t length;

	if (equals == NULL || equals == text) {
		report_error(report, NULL, 0, "--option %s: write --option NAME=VALUE", text);
		return;
	}
	option.name = memory_format("%.*s", (int)(equals - text), text);
	text = equals + 1;
	length = strlen(text);
	if (parse_int64(text, &option.number) == 0) {
		option.type = CONF_VALUE_INT;
	} else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
		option.type = CONF_VALUE_BOOL;
		option.number = text[0] == 't';
	} else {
		option.type = CONF_VALUE_STRING;
		if (length >= 2 && text[0] == '"' && text[length - 1] == '"')
			option.text = memory_format("%.*s", (int)(length - 2), text + 1);
		else
			option.text = memory_text(text);
	}
	listener->options =
		memory_grow(listener->options, listener->option_count, sizeof(*listener->options));
	listener->options[listener->option_count++] = option;
}

/* The listener's name is the handler's, without directory and ".so". */
static char *
configuration_name(const char *handler)
{
	const char *slash = strrchr(handler, '/');
	char *name = memory_text(slash != NULL ? slash + 1 : handler);
	size_t length = strlen(name);

	if (length > 3 && strcmp(name + length - 3, ".so") == 0)
		name[length - 3] = '\0';
	return name;
}

/* A handler that is given as a path, from the root; NULL for a name. */
char *
supervisor_absolute_handler(const char *handler)
{
	CLEANUP_FREE char *here = NULL;

	if (strchr(handler, '/') == NULL)
		return NULL;
	here = handler[0] == '/' ? NULL : getcwd(NULL, 0);
	return here != NULL ? memory_format("%s/%s", here, handler) : memory_text(handler);
}

static void
configuration_set_concurrency(struct conf_listener *listener, const char *word,
			      struct report *report)
{
	const struct setting *setting = setting_find(SETTING_LISTENER, "", "concurrency");

	for (size_t i = 0; setting->choices[i] != NULL; i++) {
		if (strcmp(setting->choices[i], word) == 0) {
			listener->concurrency = setting->first_choice + (int64_t)i;
			return;
		}
	}
	report_error(report, NULL, 0,
		     "--concurrency %s: it is one of threading, forking, serial and fibers", word);
}

/* The listener of the protocol that "PROTO:ADDRESS" begins with; NULL, told in the report: of none.
 * The first has the handler's name, those of further protocols have theirs behind it. */
static struct conf_listener *
configuration_find(struct config *config, const char *name, const char *handler, const char *text,
		   struct report *report)
{
	const struct setting *setting = setting_find(SETTING_LISTENER, "", "protocol");
	size_t length = strcspn(text, ":");
	size_t word = 0;
	struct conf_listener *listener;
	CLEANUP_FREE char *long_name = NULL;

	while (setting->choices[word] != NULL &&
	       (strlen(setting->choices[word]) != length ||
		strncmp(setting->choices[word], text, length) != 0))
		word++;
	if (setting->choices[word] == NULL || text[length] == '\0') {
		report_error(report, NULL, 0,
			     "--listen %s: write it as PROTO:ADDRESS, such as tcp:127.0.0.1:7007, "
			     "udp:*:7007, unix:/path or unixgram:@name",
			     text);
		return NULL;
	}
	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].protocol == setting->first_choice + (int64_t)word)
			return &config->listeners[i];
	}
	if (config->listener_count > 0)
		long_name = memory_format("%s-%s", name, setting->choices[word]);
	listener = config_add_listener(config, long_name != NULL ? long_name : name, handler);
	listener->protocol = setting->first_choice + (int64_t)word;
	return listener;
}

static void
configuration_fill(struct conf_listener *listener, const struct cmdline *cmdline,
		   struct report *report)
{
	size_t errors = report->errors;

	if (cmdline->concurrency != NULL)
		configuration_set_concurrency(listener, cmdline->concurrency, report);
	for (size_t i = 0; i < cmdline->option_count && report->errors == errors; i++)
		configuration_add_option(listener, cmdline->options[i], report);
}

/* --inetd: the connection that is there already is the only one, and its log is for what is wrong.
 */
static void
configuration_add_connection(const struct supervisor *supervisor, struct config *config,
			     const char *name, const char *handler)
{
	struct conf_listener *listener = config_add_listener(config, name, handler);

	listener->protocol = supervisor->inetd_protocol;
	listener->concurrency = CONF_SERIAL;
	conf_texts_add(&listener->address_texts, "systemd:" INETD_NAME);
	config->log_level = LOG_LEVEL_WARNING;
}

static struct config *
configuration_make(const struct supervisor *supervisor, struct report *report)
{
	const struct cmdline *cmdline = supervisor->cmdline;
	struct config *config = config_new(supervisor->places.handler_directory);
	CLEANUP_FREE char *name = configuration_name(cmdline->handler);
	/* a path may be relative here: whoever types it is in that directory */
	CLEANUP_FREE char *path = supervisor_absolute_handler(cmdline->handler);
	const char *handler = path != NULL ? path : cmdline->handler;

	for (size_t i = 0; i < cmdline->listen_count; i++) {
		struct conf_listener *listener =
			configuration_find(config, name, handler, cmdline->listen[i], report);

		if (listener != NULL)
			conf_texts_add(&listener->address_texts,
				       strchr(cmdline->listen[i], ':') + 1);
	}
	if (cmdline->is_inetd)
		configuration_add_connection(supervisor, config, name, handler);
	for (size_t i = 0; i < config->listener_count; i++)
		configuration_fill(&config->listeners[i], cmdline, report);
	config->user = memory_text(cmdline->user);
	config->group = memory_text(cmdline->group);
	if (report->errors == 0)
		config_check(config, report);
	return config;
}

void
supervisor_find_missing_handlers(const struct config *config, struct report *report)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct conf_listener *listener = &config->listeners[i];
		struct pin pin;

		/* a path that is not absolute is one of the errors already */
		if (listener->handler == NULL ||
		    (listener->handler[0] != '/' && strchr(listener->handler, '/') != NULL))
			continue;
		(void)pin_open(&pin, listener->handler, &config->handler_path,
			       &listener->handler_origin, report);
		pin_close(&pin);
	}
}

struct config *
supervisor_read_config(const struct supervisor *supervisor, struct report *report)
{
	if (cmdline_has_no_file(supervisor->cmdline))
		return configuration_make(supervisor, report);
	return config_load(supervisor->cmdline->file, supervisor->places.handler_directory, report);
}
