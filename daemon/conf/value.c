/*
 * value.c - one function for each type of value; numbers are in value_number.c. Each refusal says
 * what to write instead.
 */
#include "conf/value.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "base/suggest.h"
#include "conf/config.h"
#include "conf/value_place.h"

const char *
value_kind(const config_setting_t *node)
{
	switch (config_setting_type(node)) {
	case CONFIG_TYPE_GROUP:
		return "a group";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	default:
		return "a list";
	}
}

void
value_error(const struct values *values, const config_setting_t *node, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	if (values->report == NULL)
		return;
	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	report_error(values->report, values->file, config_setting_source_line(node), "%s", text);
}

static bool
value_is_string(const config_setting_t *node)
{
	return config_setting_type(node) == CONFIG_TYPE_STRING;
}

static bool
value_is_list(const config_setting_t *node)
{
	return config_setting_type(node) == CONFIG_TYPE_ARRAY ||
	       config_setting_type(node) == CONFIG_TYPE_LIST;
}

/* Whether this is a number that was refused before libconfig read it. */
static bool
value_is_bad_number(const struct value_place *place)
{
	return config_setting_is_number(place->node) &&
	       scan_has_bad_number(place->values->scan, config_setting_source_line(place->node));
}

static bool
value_has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	}
	return false;
}

static void
value_set_bool(struct value_place *place)
{
	if (config_setting_type(place->node) == CONFIG_TYPE_BOOL)
		*(bool *)place->field = config_setting_get_bool(place->node) != 0;
	else
		value_error(place->values, place->node,
			    "%s must be true or false, without quotes, not %s", place->label,
			    value_kind(place->node));
}

const char *
value_get_text(const struct value_place *place)
{
	const char *text = config_setting_get_string(place->node);

	if (text == NULL)
		value_error(place->values, place->node,
			    "%s must be a string, in double quotes, "
			    "not %s",
			    place->label, value_kind(place->node));
	else if (*text == '\0' && (place->row->flags & SETTING_OR_EMPTY) == 0)
		value_error(place->values, place->node, "%s must not be empty", place->label);
	else if ((place->row->flags & SETTING_OR_CONTROL) == 0 && value_has_control(text))
		value_error(place->values, place->node,
			    "%s has a control character or a line end in it", place->label);
	else
		return text;
	return NULL;
}

static void
value_set_text(struct value_place *place)
{
	const char *text = value_get_text(place);
	char **field = place->field;

	if (text == NULL)
		return;
	if (place->row->max > 0 && strlen(text) > (size_t)place->row->max) {
		value_error(place->values, place->node,
			    "%s = \"%s\" has more than %" PRId64 " characters", place->label, text,
			    place->row->max);
		return;
	}
	free(*field);
	*field = memory_text(text);
}

bool
value_get_texts(const config_setting_t *node, struct conf_texts *ret)
{
	struct conf_texts texts = {0};

	for (int i = 0; i < config_setting_length(node); i++) {
		const config_setting_t *item = config_setting_get_elem(node, (unsigned)i);

		if (!value_is_string(item)) {
			conf_texts_free(&texts);
			return false;
		}
		conf_texts_add_line(&texts, config_setting_get_string(item),
				    config_setting_source_line(item));
	}
	*ret = texts;
	return true;
}

static bool
value_check_texts(const struct value_place *place)
{
	bool is_good = true;

	for (int i = 0; i < config_setting_length(place->node); i++) {
		struct value_place item = *place;

		item.node = config_setting_get_elem(place->node, (unsigned)i);
		is_good = value_get_text(&item) != NULL && is_good;
	}
	return is_good;
}

static void
value_set_texts(struct value_place *place)
{
	struct conf_texts *field = place->field;
	struct conf_texts texts = {0};
	const char *text;

	if (value_is_list(place->node)) {
		if (config_setting_length(place->node) == 0 &&
		    (place->row->flags & (SETTING_REQUIRED | SETTING_NOT_EMPTY)) != 0) {
			value_error(place->values, place->node, "%s must not be an empty list",
				    place->label);
			return;
		}
		if (!value_check_texts(place) || !value_get_texts(place->node, &texts))
			return;
	} else if (value_is_string(place->node)) {
		text = value_get_text(place);
		if (text == NULL)
			return;
		conf_texts_add_line(&texts, text, config_setting_source_line(place->node));
	} else {
		value_error(place->values, place->node,
			    "%s must be a string or a list of strings, not %s", place->label,
			    value_kind(place->node));
		return;
	}
	/* an empty list is one, too */
	if (texts.items == NULL)
		texts.items = memory_zero(1, sizeof(*texts.items));
	conf_texts_free(field);
	*field = texts;
}

/* The words of a choice, as a list for a message. */
static char *
value_list_choices(const struct setting *row)
{
	char *list = memory_text("");

	for (size_t i = 0; row->choices[i] != NULL; i++) {
		char *longer =
			memory_format("%s%s\"%s\"", list, i > 0 ? ", " : "", row->choices[i]);

		free(list);
		list = longer;
	}
	return list;
}

/* False: it is none of the row's words. */
static bool
value_find_choice(const struct setting *row, const char *text, int64_t *ret)
{
	for (int64_t i = 0; row->choices[i] != NULL; i++) {
		if (strcmp(row->choices[i], text) == 0) {
			*ret = row->first_choice + i;
			return true;
		}
	}
	return false;
}

static void
value_set_choice(struct value_place *place)
{
	const struct setting *row = place->row;
	CLEANUP_FREE char *list = value_list_choices(row);
	struct suggest suggest = {0};

	suggest.word = value_get_text(place);
	if (suggest.word == NULL || value_find_choice(row, suggest.word, place->field))
		return;
	for (size_t i = 0; row->choices[i] != NULL; i++)
		suggest_offer(&suggest, row->choices[i]);
	if (suggest.nearest != NULL) {
		/* so that nothing else is refused because of it */
		(void)value_find_choice(row, suggest.nearest, place->field);
		value_error(place->values, place->node,
			    "%s = \"%s\" is not one of %s; did you mean \"%s\"?", place->label,
			    suggest.word, list, suggest.nearest);
		return;
	}
	value_error(place->values, place->node, "%s = \"%s\" is not one of %s", place->label,
		    suggest.word, list);
}

static void
value_set_switch(struct value_place *place, void *target)
{
	if (config_setting_type(place->node) == CONFIG_TYPE_GROUP) {
		*(bool *)place->field = true;
	} else if (config_setting_type(place->node) != CONFIG_TYPE_BOOL) {
		value_error(place->values, place->node,
			    "%s must be true, false or a group, %s = { ... }, not %s", place->label,
			    place->row->name, value_kind(place->node));
	} else {
		/* what `defaults` say of it is forgotten with it */
		if (config_setting_get_bool(place->node) == 0)
			value_set_default(place->row, target);
		*(bool *)place->field = config_setting_get_bool(place->node) != 0;
	}
}

void
value_set(const struct values *values, const struct setting *row, const config_setting_t *node,
	  void *target)
{
	struct value_place place = {
		.values = values,
		.row = row,
		.node = node,
		.field = (char *)target + row->offset,
	};

	(void)setting_label(row, place.label, sizeof(place.label));
	if (value_is_bad_number(&place))
		return;
	switch (row->type) {
	case SETTING_BOOL:
		value_set_bool(&place);
		break;
	case SETTING_SWITCH:
		value_set_switch(&place, target);
		break;
	case SETTING_TEXT:
		value_set_text(&place);
		break;
	case SETTING_TEXTS:
		value_set_texts(&place);
		break;
	case SETTING_CHOICE:
		value_set_choice(&place);
		break;
	default:
		value_set_number(&place);
		break;
	}
}

/* Every row of the group that a switch may be. */
static void
value_set_group_default(const struct setting *group, void *target)
{
	char label[SETTING_LABEL_SIZE];

	(void)setting_label(group, label, sizeof(label));
	for (size_t i = 0; i < setting_count; i++) {
		if (settings[i].scope == group->scope && strcmp(settings[i].group, label) == 0)
			value_set_default(&settings[i], target);
	}
}

void
value_set_default(const struct setting *row, void *target)
{
	void *field = (char *)target + row->offset;
	const char *text = row->default_text;

	if (row->type == SETTING_TEXT) {
		free(*(char **)field);
		*(char **)field = memory_text(text);
		return;
	}
	if ((row->flags & SETTING_OR_UNSET) != 0) {
		if (row->type == SETTING_TEXTS)
			conf_texts_free(field);
		else
			*(int64_t *)field = CONF_UNSET;
		return;
	}
	if (text == NULL) {
		if (row->type == SETTING_TEXTS)
			conf_texts_free(field);
		return;
	}
	switch (row->type) {
	case SETTING_BOOL:
		*(bool *)field = strcmp(text, "true") == 0;
		break;
	case SETTING_SWITCH:
		*(bool *)field = strcmp(text, "true") == 0;
		value_set_group_default(row, target);
		break;
	case SETTING_CHOICE:
		CHECK(value_find_choice(row, text, field));
		break;
	case SETTING_TEXTS:
		conf_texts_free(field);
		conf_texts_add(field, text);
		break;
	default:
		*(int64_t *)field = value_read_default_number(row);
		break;
	}
}
