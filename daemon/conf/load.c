/*
 * load.c - from files to a checked configuration.
 *
 *	read main file and listeners.d/ *.conf -> scan -> libconfig -> values, listener by listener:
 *	table's defaults, then `defaults`, then its own -> checks -> offending lines added
 *
 * A file that cannot be parsed gives one error and no values; the others are read all the same.
 */
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "conf/config.h"
#include "conf/explain.h"
#include "conf/scan.h"
#include "conf/settings.h"
#include "conf/source.h"
#include "conf/values.h"

#define LOAD_DIRECTORY "listeners.d"

/* One file. libconfig's tree holds pointers into itself, so it is never moved. */
struct load_file {
	const char *path; /* as messages show it; owned by the configuration */
	struct source source;
	struct scan scan;
	config_t tree;
	bool is_parsed;
};

struct load {
	struct config *config;
	struct report *report;
	size_t first_entry;	  /* of the report that is about these files */
	struct load_file **files; /* the main file first */
	size_t file_count;
	const config_setting_t *defaults; /* NULL: the main file has none */
};

/* Adds the error that libconfig met, in better words where they can be found. */
static void
load_report_syntax(const struct load_file *file, struct report *report)
{
	unsigned parser_line = (unsigned)config_error_line(&file->tree), line = 0;
	const char *parser_text = config_error_text(&file->tree);
	CLEANUP_FREE char *sentence =
		explain_syntax(file->source.text, file->source.length, parser_line, &line);

	if (sentence != NULL)
		report_error(report, file->path, line, "syntax error: %s", sentence);
	else
		report_error(report, file->path, parser_line, "%s",
			     parser_text != NULL ? parser_text : "syntax error");
}

static void
load_parse(struct load_file *file, struct report *report)
{
	if (scan_text(file->source.text, file->source.length, file->path, &file->scan, report) < 0)
		return;
	if (config_read_string(&file->tree, file->source.text) == CONFIG_TRUE)
		file->is_parsed = true;
	else if (file->scan.bad_number_count == 0)
		load_report_syntax(file, report);
}

static struct load_file *
load_new_file(struct load *load, const char *path)
{
	struct load_file *file = memory_zero(1, sizeof(*file));

	file->path = config_keep_file(load->config, path);
	config_init(&file->tree);
	load->files = memory_grow(load->files, load->file_count, sizeof(*load->files));
	load->files[load->file_count++] = file;
	return file;
}

/* Reads one file; what is wrong with it is in the report, and the file is there either way. */
static struct load_file *
load_add_file(struct load *load, const char *path)
{
	struct load_file *file = load_new_file(load, path);
	CLEANUP_FREE char *reason = NULL;

	if (source_read(path, &file->source, &reason) < 0)
		report_error(load->report, file->path, 0, "%s", reason);
	else
		load_parse(file, load->report);
	return file;
}

/* Reads listeners.d beside the main file. */
static void
load_add_directory(struct load *load, const char *main_path)
{
	const char *slash = strrchr(main_path, '/');
	CLEANUP_FREE char *directory = NULL;
	CLEANUP_FREE char *reason = NULL;
	char **names = NULL;
	int count;

	directory = memory_format("%.*s" LOAD_DIRECTORY,
				  slash != NULL ? (int)(slash + 1 - main_path) : 0, main_path);
	count = source_list(directory, &names, &reason);
	if (count < 0)
		report_error(load->report, directory, 0, "%s", reason);
	for (int i = 0; i < count; i++) {
		CLEANUP_FREE char *path = memory_format("%s/%s", directory, names[i]);

		(void)load_add_file(load, path);
		free(names[i]);
	}
	free(names);
}

static struct values
load_values(const struct load *load, const struct load_file *file)
{
	return (struct values){.file = file->path, .scan = &file->scan, .report = load->report};
}

/* Tells which keys that an entry must have it has not. */
static void
load_check_required(const struct load *load, const struct conf_listener *listener)
{
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &settings[i];

		if (row->scope != SETTING_LISTENER || (row->flags & SETTING_REQUIRED) == 0 ||
		    listener->origins[i].file != NULL)
			continue;
		if (listener->name != NULL)
			report_error(load->report, listener->origin.file, listener->origin.line,
				     "listener '%s' has no '%s'", listener->name, row->name);
		else
			report_error(load->report, listener->origin.file, listener->origin.line,
				     "this listener has no '%s'", row->name);
	}
}

/* A default that only says how much is kept ready gives way to a limit that was set lower. */
static void
load_lower_default(const struct conf_listener *listener, const char *group, const char *name,
		   int64_t *field)
{
	const struct setting *row = setting_find(SETTING_LISTENER, group, name);
	int64_t limit = conf_listener_limit(listener);

	if (listener->origins[row - settings].file == NULL && limit > 0 && *field > limit)
		*field = limit;
}

static void
load_fill_listener(const struct load *load, const struct load_file *file,
		   const config_setting_t *entry, struct conf_listener *listener)
{
	struct values values = load_values(load, file);
	struct values quiet;

	listener->origin = (struct conf_origin){
		.file = file->path,
		.line = config_setting_source_line(entry),
	};
	listener->origins = memory_zero(setting_count, sizeof(*listener->origins));
	if (load->defaults != NULL) {
		quiet = load_values(load, load->files[0]);
		quiet.report = NULL;
		quiet.is_shared = true;
		values_fill(&quiet, SETTING_LISTENER, load->defaults, SETTING_NO_DEFAULTS, listener,
			    listener->origins);
	}
	values_fill(&values, SETTING_LISTENER, entry, 0, listener, listener->origins);
	load_lower_default(listener, "threading", "min_threads", &listener->threading.min_threads);
	load_lower_default(listener, "forking", "spare_children",
			   &listener->forking.spare_children);
	listener->handler_origin =
		listener->origins[setting_find(SETTING_LISTENER, "", "handler") - settings];
	listener->address_origin =
		listener->origins[setting_find(SETTING_LISTENER, "", "address") - settings];
	load_check_required(load, listener);
}

/* Adds the listeners of a file. */
static void
load_add_entries(const struct load *load, const struct load_file *file)
{
	const config_setting_t *root = config_root_setting(&file->tree);
	const config_setting_t *list = config_setting_get_member(root, "listeners");
	struct values values = load_values(load, file);

	if (list == NULL)
		return;
	if (config_setting_type(list) != CONFIG_TYPE_LIST &&
	    config_setting_type(list) != CONFIG_TYPE_ARRAY) {
		value_error(&values, list,
			    "listeners must be a list of groups, "
			    "listeners = ( { ... }, { ... } ), not %s",
			    value_kind(list));
		return;
	}
	for (int i = 0; i < config_setting_length(list); i++) {
		const config_setting_t *entry = config_setting_get_elem(list, (unsigned)i);

		if (config_setting_type(entry) == CONFIG_TYPE_GROUP)
			load_fill_listener(load, file, entry,
					   config_add_listener(load->config, NULL, NULL));
		else
			value_error(&values, entry,
				    "an entry of listeners must be a group, { ... }, not %s",
				    value_kind(entry));
	}
}

/* Finds `defaults`, and tells once what is wrong in it. */
static void
load_find_defaults(struct load *load, const struct load_file *file)
{
	const config_setting_t *node =
		config_setting_get_member(config_root_setting(&file->tree), "defaults");
	struct values values = load_values(load, file);
	struct config *scratch;
	struct conf_origin *origins;

	if (node == NULL)
		return;
	if (config_setting_type(node) != CONFIG_TYPE_GROUP) {
		value_error(&values, node, "defaults must be a group, defaults = { ... }, not %s",
			    value_kind(node));
		return;
	}
	scratch = config_new("/");
	origins = memory_zero(setting_count, sizeof(*origins));
	values_fill(&values, SETTING_LISTENER, node, SETTING_NO_DEFAULTS,
		    config_add_listener(scratch, NULL, NULL), origins);
	free(origins);
	config_free(scratch);
	load->defaults = node;
}

/* The top level of the main file. */
static void
load_fill_top(struct load *load, const struct load_file *file)
{
	struct values values = load_values(load, file);
	struct conf_origin *origins = memory_zero(setting_count, sizeof(*origins));
	struct config *config = load->config;

	values_fill(&values, SETTING_TOP, config_root_setting(&file->tree), 0, config, origins);
	config->handler_path_origin =
		origins[setting_find(SETTING_TOP, "", "handler_path") - settings];
	config->user_origin = origins[setting_find(SETTING_TOP, "", "user") - settings];
	config->group_origin = origins[setting_find(SETTING_TOP, "", "group") - settings];
	config->control_origin = origins[setting_find(SETTING_TOP, "", "control") - settings];
	config->control_group_origin =
		origins[setting_find(SETTING_TOP, "", "control_group") - settings];
	if (origins[setting_find(SETTING_TOP, "", "listeners") - settings].file == NULL)
		report_error(load->report, file->path, 0,
			     "has no 'listeners'; write listeners = ( ); if there are none yet");
	free(origins);
	load_find_defaults(load, file);
}

/* A file of listeners.d. */
static void
load_check_part(const struct load *load, const struct load_file *file)
{
	const config_setting_t *root = config_root_setting(&file->tree);
	struct values values = load_values(load, file);

	values_refuse_others(&values, root);
	if (config_setting_length(root) == 0)
		report_error(load->report, file->path, 0,
			     "has no 'listeners'; a file of " LOAD_DIRECTORY
			     " holds them and nothing else");
}

static void
load_fill(struct load *load)
{
	for (size_t i = 0; i < load->file_count; i++) {
		const struct load_file *file = load->files[i];

		if (!file->is_parsed)
			continue;
		if (i == 0)
			load_fill_top(load, file);
		else
			load_check_part(load, file);
		load_add_entries(load, file);
	}
	/* without the main file's defaults, limits would seem to contradict each other */
	if (load->files[0]->is_parsed)
		config_check(load->config, load->report);
}

/* The file an entry of the report is about; file_count: none of these. */
static size_t
load_find_file(const struct load *load, const struct report_entry *entry)
{
	size_t i = 0;

	while (i < load->file_count &&
	       (entry->file == NULL || strcmp(load->files[i]->path, entry->file) != 0))
		i++;
	return i;
}

static bool
load_is_after(const struct load *load, const struct report_entry *a, const struct report_entry *b)
{
	size_t file_a = load_find_file(load, a), file_b = load_find_file(load, b);

	return file_a != file_b ? file_a > file_b : a->line > b->line;
}

/* Puts what was found into the order of the files, and adds the offending lines. */
static void
load_finish_report(const struct load *load)
{
	struct report *report = load->report;

	for (size_t i = load->first_entry; i < report->count; i++) {
		struct report_entry entry = report->entries[i];
		size_t file = load_find_file(load, &entry), k = i;

		if (entry.source == NULL && entry.line > 0 && file < load->file_count &&
		    load->files[file]->source.text != NULL)
			entry.source = source_line(&load->files[file]->source, entry.line);
		for (;
		     k > load->first_entry && load_is_after(load, &report->entries[k - 1], &entry);
		     k--)
			report->entries[k] = report->entries[k - 1];
		report->entries[k] = entry;
	}
}

static void
load_free(struct load *load)
{
	for (size_t i = 0; i < load->file_count; i++) {
		config_destroy(&load->files[i]->tree);
		source_free(&load->files[i]->source);
		scan_free(&load->files[i]->scan);
		free(load->files[i]);
	}
	free(load->files);
}

struct config *
config_load_parts(const struct conf_part *parts, size_t count,
		  const char *default_handler_directory, struct report *report)
{
	struct load load = {
		.config = config_new(default_handler_directory),
		.report = report,
		.first_entry = report->count,
	};
	size_t errors_before = report->errors;

	for (size_t i = 0; i < count; i++) {
		struct load_file *file = load_new_file(&load, parts[i].name);

		file->source.length = strlen(parts[i].text);
		file->source.text = memory_format("%s\n", parts[i].text);
		load_parse(file, report);
	}
	if (count > 0)
		load_fill(&load);
	load_finish_report(&load);
	load_free(&load);
	if (report->errors == errors_before)
		return load.config;
	config_free(load.config);
	return NULL;
}

struct config *
config_load(const char *path, const char *default_handler_directory, struct report *report)
{
	struct load load = {
		.config = config_new(default_handler_directory),
		.report = report,
		.first_entry = report->count,
	};

	if (load_add_file(&load, path)->source.text != NULL) {
		load_add_directory(&load, path);
		load_fill(&load);
	}
	load_finish_report(&load);
	load_free(&load);
	return load.config;
}
