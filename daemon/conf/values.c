/*
 * values.c - walks through groups. A key that no row declares is refused with the nearest one that
 * is declared, or with the place where it belongs.
 */
#include "conf/values.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/suggest.h"

/* One group and where its keys go to. */
struct values_walk {
	const struct values *values;
	enum setting_scope scope;
	unsigned refused;
	void *target;
	struct conf_origin *origins;
};

static void
values_note(const struct values_walk *walk, const struct setting *row, const config_setting_t *node)
{
	walk->origins[row - settings] = (struct conf_origin){
		.file = walk->values->file,
		.line = config_setting_source_line(node),
		.is_shared = walk->values->is_shared,
	};
}

/* "at the top level" and so on. */
static char *
values_place(const struct values_walk *walk, const char *group)
{
	if (*group != '\0')
		return memory_format("in the group '%s'", group);
	if (walk->scope == SETTING_TOP)
		return memory_text("at the top level");
	return memory_text((walk->refused & SETTING_NO_DEFAULTS) != 0 ? "in 'defaults'"
								      : "in a listener");
}

/* The row of this name that stands elsewhere; one in a group of this group goes before. */
static const struct setting *
values_find_elsewhere(const char *name, const char *group)
{
	const struct setting *found = NULL;

	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &settings[i];

		if (strcmp(row->name, name) != 0)
			continue;
		if (*group != '\0' && strncmp(row->group, group, strlen(group)) == 0)
			return row;
		if (found == NULL)
			found = row;
	}
	return found;
}

static void
values_refuse_unknown(const struct values_walk *walk, const char *group,
		      const config_setting_t *node)
{
	const char *name = config_setting_name(node);
	CLEANUP_FREE char *place = values_place(walk, group);
	const struct setting *elsewhere = values_find_elsewhere(name, group);
	struct suggest suggest = {.word = name};

	if (elsewhere != NULL) {
		bool is_top = elsewhere->scope == SETTING_TOP;

		value_error(walk->values, node, "'%s' cannot stand %s; it belongs %s%s%s%s", name,
			    place, *elsewhere->group != '\0' ? "into the group '" : "",
			    elsewhere->group, *elsewhere->group != '\0' ? "' " : "",
			    is_top ? "at the top level" : "in a listener");
		return;
	}
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &settings[i];

		if (row->scope == walk->scope && strcmp(row->group, group) == 0 &&
		    (row->flags & walk->refused) == 0)
			suggest_offer(&suggest, row->name);
	}
	if (suggest.nearest == NULL) {
		value_error(walk->values, node, "unknown key '%s' %s", name, place);
		return;
	}
	values_note(walk, setting_find(walk->scope, group, suggest.nearest), node);
	value_error(walk->values, node, "unknown key '%s' %s; did you mean '%s'?", name, place,
		    suggest.nearest);
}

static bool
values_is_group(const struct values *values, const config_setting_t *node)
{
	const char *name = config_setting_name(node);

	if (config_setting_type(node) == CONFIG_TYPE_GROUP)
		return true;
	value_error(values, node, "%s must be a group, %s = { ... }, not %s", name, name,
		    value_kind(node));
	return false;
}

/* The option of this name, added if there is none; emptied either way. */
static struct conf_option *
values_take_option(struct conf_listener *listener, const char *name)
{
	struct conf_option *option;

	for (size_t i = 0; i < listener->option_count; i++) {
		option = &listener->options[i];
		if (strcmp(option->name, name) != 0)
			continue;
		free(option->text);
		conf_texts_free(&option->list);
		*option = (struct conf_option){.name = option->name};
		return option;
	}
	listener->options =
		memory_grow(listener->options, listener->option_count, sizeof(*listener->options));
	option = &listener->options[listener->option_count++];
	*option = (struct conf_option){.name = memory_text(name)};
	return option;
}

static void
values_set_option(const struct values_walk *walk, const config_setting_t *node)
{
	struct conf_option value = {
		.origin = {.file = walk->values->file, .line = config_setting_source_line(node)},
	};
	struct conf_option *option;

	switch (config_setting_type(node)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		value.type = CONF_VALUE_INT;
		value.number = config_setting_get_int64(node);
		break;
	case CONFIG_TYPE_BOOL:
		value.type = CONF_VALUE_BOOL;
		value.number = config_setting_get_bool(node) != 0;
		break;
	case CONFIG_TYPE_STRING:
		value.type = CONF_VALUE_STRING;
		value.text = memory_text(config_setting_get_string(node));
		break;
	case CONFIG_TYPE_ARRAY:
	case CONFIG_TYPE_LIST:
		value.type = CONF_VALUE_LIST;
		if (value_get_texts(node, &value.list))
			break;
		value_error(walk->values, node, "the list options.%s may hold strings only",
			    config_setting_name(node));
		return;
	default:
		value_error(walk->values, node,
			    "options.%s is %s; an option is a whole number, true or false, a "
			    "string or a list of strings",
			    config_setting_name(node), value_kind(node));
		return;
	}
	option = values_take_option(walk->target, config_setting_name(node));
	value.name = option->name;
	*option = value;
}

static void
values_set_variable(const struct values_walk *walk, const config_setting_t *node)
{
	struct conf_listener *listener = walk->target;
	const char *name = config_setting_name(node);
	struct conf_variable *variable = NULL;

	if (config_setting_type(node) != CONFIG_TYPE_STRING) {
		value_error(walk->values, node,
			    "environment.%s must be a string, in double quotes, not %s", name,
			    value_kind(node));
		return;
	}
	for (size_t i = 0; i < listener->environment_count; i++) {
		if (strcmp(listener->environment[i].name, name) == 0)
			variable = &listener->environment[i];
	}
	if (variable == NULL) {
		listener->environment =
			memory_grow(listener->environment, listener->environment_count,
				    sizeof(*listener->environment));
		variable = &listener->environment[listener->environment_count++];
		*variable = (struct conf_variable){.name = memory_text(name)};
	}
	free(variable->value);
	variable->value = memory_text(config_setting_get_string(node));
	variable->origin = (struct conf_origin){
		.file = walk->values->file,
		.line = config_setting_source_line(node),
	};
}

/* The members of a group whose keys no row declares. */
static void
values_fill_free_group(const struct values_walk *walk, const config_setting_t *group,
		       void (*set)(const struct values_walk *, const config_setting_t *))
{
	if (!values_is_group(walk->values, group))
		return;
	for (int i = 0; i < config_setting_length(group); i++)
		set(walk, config_setting_get_elem(group, (unsigned)i));
}

static void values_fill_group(const struct values_walk *walk, const char *name,
			      const config_setting_t *group);

static void
values_set_row(const struct values_walk *walk, const struct setting *row,
	       const config_setting_t *node)
{
	char label[SETTING_LABEL_SIZE];

	(void)setting_label(row, label, sizeof(label));
	switch (row->type) {
	case SETTING_GROUP:
		if (values_is_group(walk->values, node))
			values_fill_group(walk, label, node);
		break;
	case SETTING_OPTIONS:
		values_fill_free_group(walk, node, values_set_option);
		break;
	case SETTING_VARIABLES:
		values_fill_free_group(walk, node, values_set_variable);
		break;
	case SETTING_ENTRIES:
	case SETTING_DEFAULTS:
		break;
	case SETTING_SWITCH:
		value_set(walk->values, row, node, walk->target);
		if (config_setting_type(node) == CONFIG_TYPE_GROUP)
			values_fill_group(walk, label, node);
		break;
	default:
		value_set(walk->values, row, node, walk->target);
		break;
	}
}

static void
values_fill_group(const struct values_walk *walk, const char *name, const config_setting_t *group)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *node = config_setting_get_elem(group, (unsigned)i);
		const struct setting *row =
			setting_find(walk->scope, name, config_setting_name(node));

		if (row == NULL) {
			values_refuse_unknown(walk, name, node);
			continue;
		}
		values_note(walk, row, node);
		if ((row->flags & walk->refused) != 0)
			value_error(walk->values, node,
				    "'%s' cannot stand in 'defaults'; each listener has its own",
				    row->name);
		else
			values_set_row(walk, row, node);
	}
}

void
values_fill(const struct values *values, enum setting_scope scope, const config_setting_t *group,
	    unsigned refused, void *target, struct conf_origin *origins)
{
	struct values_walk walk = {
		.values = values,
		.scope = scope,
		.refused = refused,
		.target = target,
		.origins = origins,
	};

	values_fill_group(&walk, "", group);
}

void
values_refuse_others(const struct values *values, const config_setting_t *root)
{
	for (int i = 0; i < config_setting_length(root); i++) {
		const config_setting_t *node = config_setting_get_elem(root, (unsigned)i);
		const char *name = config_setting_name(node);
		struct suggest suggest = {.word = name};

		if (strcmp(name, "listeners") == 0)
			continue;
		suggest_offer(&suggest, "listeners");
		value_error(values, node,
			    "a file of listeners.d holds 'listeners' and nothing else; %s '%s'%s",
			    suggest.nearest != NULL ? "did you mean 'listeners' by"
						    : "put into the main file:",
			    name, suggest.nearest != NULL ? "?" : "");
	}
}
