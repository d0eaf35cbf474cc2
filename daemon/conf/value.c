/*
 * value.c - one function for each type of value. Each refusal says what to write instead.
 */
#include "conf/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "conf/config.h"

/* of a number with unit and quotes */
#define VALUE_TEXT_SIZE 40

/* A row with its name as messages write it, and where its value goes. */
struct value_place {
	const struct values *values;
	const struct setting *row;
	const config_setting_t *node;
	char label[SETTING_LABEL_SIZE];
	void *field;
};

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
value_is_int(const config_setting_t *node)
{
	return config_setting_type(node) == CONFIG_TYPE_INT ||
	       config_setting_type(node) == CONFIG_TYPE_INT64;
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

/* A limit of the row, or a value, as it would be written. */
static const char *
value_format(const struct setting *row, int64_t number, char *buf)
{
	char text[VALUE_TEXT_SIZE - 2];

	if (row->type == SETTING_DURATION)
		(void)snprintf(buf, VALUE_TEXT_SIZE, "\"%s\"",
			       parse_format_duration(number, text, sizeof(text)));
	else if (row->type == SETTING_SIZE)
		(void)snprintf(buf, VALUE_TEXT_SIZE, "\"%s\"",
			       parse_format_size((uint64_t)number, text, sizeof(text)));
	else
		(void)snprintf(buf, VALUE_TEXT_SIZE, "%" PRId64, number);
	return buf;
}

/* Stores a number if it is within the row's range. */
static void
value_store_number(struct value_place *place, int64_t number)
{
	const struct setting *row = place->row;
	char min[VALUE_TEXT_SIZE], max[VALUE_TEXT_SIZE], is[VALUE_TEXT_SIZE];

	if (number >= row->min && number <= row->max) {
		*(int64_t *)place->field = number;
		return;
	}
	value_error(place->values, place->node, "%s must be from %s to %s, not %s", place->label,
		    value_format(row, row->min, min), value_format(row, row->max, max),
		    value_format(row, number, is));
}

static void
value_set_int(struct value_place *place)
{
	const char *text = config_setting_get_string(place->node);
	int64_t number;

	if (value_is_int(place->node))
		value_store_number(place, config_setting_get_int64(place->node));
	else if (text != NULL && parse_int64(text, &number) == 0)
		value_error(place->values, place->node,
			    "%s is a whole number; write %" PRId64 " without quotes", place->label,
			    number);
	else
		value_error(place->values, place->node, "%s must be a whole number, not %s",
			    place->label, value_kind(place->node));
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

/* The string of a value that must be one; NULL: it is none, or none that can be used. */
static const char *
value_get_text(const struct value_place *place)
{
	const char *text = config_setting_get_string(place->node);

	if (text == NULL)
		value_error(place->values, place->node,
			    "%s must be a string, in double quotes, "
			    "not %s",
			    place->label, value_kind(place->node));
	else if (*text == '\0')
		value_error(place->values, place->node, "%s must not be empty", place->label);
	else if (value_has_control(text))
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
		conf_texts_add(&texts, config_setting_get_string(item));
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
		    (place->row->flags & SETTING_REQUIRED) != 0) {
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
		conf_texts_add(&texts, text);
	} else {
		value_error(place->values, place->node,
			    "%s must be a string or a list of strings, not %s", place->label,
			    value_kind(place->node));
		return;
	}
	conf_texts_free(field);
	*field = texts;
}

/* A number as a string, or not even that, where a duration or size must stand. */
static void
value_refuse_unit(const struct value_place *place, const char *example, const char *units)
{
	value_error(place->values, place->node,
		    "%s must have its unit, as a string: write \"%s\" (%s)", place->label, example,
		    units);
}

static bool
value_is_all_digits(const char *text)
{
	return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

static void
value_set_duration(struct value_place *place)
{
	static const char units[] = "units: ms, s, min, h, d";
	CLEANUP_FREE char *example = NULL;
	const char *text;
	int64_t ms;
	int r;

	if (value_is_int(place->node)) {
		example = memory_format("%llds", config_setting_get_int64(place->node));
		value_refuse_unit(place, example, units);
		return;
	}
	text = value_get_text(place);
	if (text == NULL)
		return;
	r = parse_duration(text, &ms);
	if (r == 0) {
		value_store_number(place, ms);
	} else if (r == -EINVAL && value_is_all_digits(text)) {
		example = memory_format("%ss", text);
		value_refuse_unit(place, example, units);
	} else if (r == -EINVAL) {
		value_error(place->values, place->node,
			    "%s = \"%s\" is no duration; write whole numbers with their units, "
			    "such as \"250ms\", \"30s\" or \"1min30s\" (%s)",
			    place->label, text, units);
	} else {
		value_error(place->values, place->node, "%s = \"%s\" is too long", place->label,
			    text);
	}
}

static void
value_set_size(struct value_place *place)
{
	static const char units[] = "units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
	char example[VALUE_TEXT_SIZE];
	const char *text;
	uint64_t bytes;
	int64_t number;
	int r;

	if (value_is_int(place->node)) {
		number = config_setting_get_int64(place->node);
		value_refuse_unit(
			place,
			number < 0 ? "64KiB"
				   : parse_format_size((uint64_t)number, example, sizeof(example)),
			units);
		return;
	}
	text = value_get_text(place);
	if (text == NULL)
		return;
	r = parse_size(text, &bytes);
	if (r == 0) {
		value_store_number(place, (int64_t)bytes);
	} else if (r == -EINVAL && parse_int64(text, &number) == 0 && number >= 0) {
		value_refuse_unit(place,
				  parse_format_size((uint64_t)number, example, sizeof(example)),
				  units);
	} else if (r == -EINVAL) {
		value_error(place->values, place->node,
			    "%s = \"%s\" is no size; write a whole number with its unit, such as "
			    "\"64KiB\" or \"10MiB\" (%s)",
			    place->label, text, units);
	} else {
		value_error(place->values, place->node, "%s = \"%s\" is too large", place->label,
			    text);
	}
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
	if (suggest.nearest != NULL)
		value_error(place->values, place->node,
			    "%s = \"%s\" is not one of %s; did you mean \"%s\"?", place->label,
			    suggest.word, list, suggest.nearest);
	else
		value_error(place->values, place->node, "%s = \"%s\" is not one of %s",
			    place->label, suggest.word, list);
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
	case SETTING_INT:
		value_set_int(&place);
		break;
	case SETTING_BOOL:
		value_set_bool(&place);
		break;
	case SETTING_TEXT:
		value_set_text(&place);
		break;
	case SETTING_TEXTS:
		value_set_texts(&place);
		break;
	case SETTING_DURATION:
		value_set_duration(&place);
		break;
	case SETTING_SIZE:
		value_set_size(&place);
		break;
	case SETTING_CHOICE:
		value_set_choice(&place);
		break;
	default:
		CHECK(false); /* no type that stands in one field */
	}
}

void
value_set_default(const struct setting *row, void *target)
{
	void *field = (char *)target + row->offset;
	const char *text = row->default_text;
	uint64_t bytes;

	if (text == NULL)
		return;
	switch (row->type) {
	case SETTING_INT:
		CHECK(parse_int64(text, field) == 0);
		break;
	case SETTING_BOOL:
		*(bool *)field = strcmp(text, "true") == 0;
		break;
	case SETTING_DURATION:
		CHECK(parse_duration(text, field) == 0);
		break;
	case SETTING_SIZE:
		CHECK(parse_size(text, &bytes) == 0);
		*(int64_t *)field = (int64_t)bytes;
		break;
	case SETTING_CHOICE:
		CHECK(value_find_choice(row, text, field));
		break;
	case SETTING_TEXTS:
		conf_texts_add(field, text);
		break;
	default:
		CHECK(false); /* no type that has a default */
	}
}
