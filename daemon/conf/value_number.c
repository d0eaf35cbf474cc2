/*
 * value_number.c - numbers, with and without units. Each refusal says what to write instead.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "conf/config.h"
#include "conf/value_place.h"

/* of a number with unit and quotes */
#define VALUE_TEXT_SIZE (SETTING_NUMBER_SIZE + 2)

static bool
value_is_int(const config_setting_t *node)
{
	return config_setting_type(node) == CONFIG_TYPE_INT ||
	       config_setting_type(node) == CONFIG_TYPE_INT64;
}

/* A limit of the row, or a value, as it would be written. */
static const char *
value_format(const struct setting *row, int64_t number, char *buf)
{
	const char *quote = setting_is_number_quoted(row, number) ? "\"" : "";
	char text[SETTING_NUMBER_SIZE];

	(void)snprintf(buf, VALUE_TEXT_SIZE, "%s%s%s", quote,
		       setting_format(row, number, text, sizeof(text)), quote);
	return buf;
}

/* `is` is what was written instead. */
static void
value_refuse_range(const struct value_place *place, const char *is)
{
	const struct setting *row = place->row;
	char min[VALUE_TEXT_SIZE], max[VALUE_TEXT_SIZE], none[VALUE_TEXT_SIZE];
	bool has_none = (row->flags & SETTING_OR_NONE) != 0;

	value_error(place->values, place->node, "%s must be from %s to %s%s%s%s, not %s",
		    place->label, value_format(row, row->min, min),
		    value_format(row, row->max, max), has_none ? ", or " : "",
		    has_none ? value_format(row, row->none, none) : "",
		    (row->flags & SETTING_OR_UNLIMITED) != 0 ? ", or \"unlimited\"" : "", is);
}

/* Stores a number if it is within the row's range. */
static void
value_store_number(const struct value_place *place, int64_t number)
{
	const struct setting *row = place->row;
	bool is_none = (row->flags & SETTING_OR_NONE) != 0 && number == row->none;
	char is[VALUE_TEXT_SIZE];

	if (!is_none && (number < row->min || number > row->max))
		value_refuse_range(place, value_format(row, number, is));
	else if ((row->flags & SETTING_WHOLE_SECONDS) != 0 && number % 1000 != 0)
		value_error(place->values, place->node, "%s must be whole seconds, not %s",
			    place->label, value_format(row, number, is));
	else
		*(int64_t *)place->field = number;
}

static void
value_set_int(const struct value_place *place)
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
value_set_duration(const struct value_place *place)
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
	if (r == 0 && ms == PARSE_NONE && (place->row->flags & SETTING_OR_NONE) != 0) {
		value_store_number(place, place->row->none);
	} else if (r == 0) {
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
value_set_size(const struct value_place *place)
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

static void
value_set_byte_rate(const struct value_place *place)
{
	static const char units[] = "units: B/s, KiB/s, MiB/s, GiB/s, kB/s, MB/s, GB/s";
	char example[VALUE_TEXT_SIZE];
	const char *text;
	uint64_t bytes;
	int64_t number;
	int r;

	if (value_is_int(place->node)) {
		number = config_setting_get_int64(place->node);
		value_refuse_unit(place,
				  parse_format_byte_rate(number < 0 ? 65536 : number, example,
							 sizeof(example)),
				  units);
		return;
	}
	text = value_get_text(place);
	if (text == NULL)
		return;
	r = parse_byte_rate(text, &number);
	if (r == 0 && number == PARSE_NONE && (place->row->flags & SETTING_OR_NONE) != 0)
		value_store_number(place, place->row->none);
	else if (r == 0)
		value_store_number(place, number);
	else if (r == -ERANGE)
		value_error(place->values, place->node, "%s = \"%s\" is too large", place->label,
			    text);
	else if (parse_size(text, &bytes) == 0)
		value_error(place->values, place->node,
			    "%s = \"%s\" is a size; write \"%s/s\" for that in each second",
			    place->label, text, text);
	else
		value_error(place->values, place->node,
			    "%s = \"%s\" is no rate of bytes; write a whole number with its unit, "
			    "such as \"100B/s\" or \"64KiB/s\" (%s)",
			    place->label, text, units);
}

static void
value_set_percent(const struct value_place *place)
{
	char example[VALUE_TEXT_SIZE];
	const char *text;
	int64_t number;
	int r;

	if (value_is_int(place->node)) {
		number = config_setting_get_int64(place->node);
		value_error(
			place->values, place->node,
			"%s is a percentage, and those are strings: write \"%s\"", place->label,
			parse_format_percent(number < 0 ? 80 : number, example, sizeof(example)));
		return;
	}
	text = value_get_text(place);
	if (text == NULL)
		return;
	r = parse_percent(text, &number);
	if (r == 0 && number == PARSE_NONE && (place->row->flags & SETTING_OR_NONE) != 0)
		value_store_number(place, place->row->none);
	else if (r == 0)
		value_store_number(place, number);
	else
		value_error(place->values, place->node,
			    "%s = \"%s\" is no percentage; write a whole number, such as \"80%%\"",
			    place->label, text);
}

static void
value_set_rate(const struct value_place *place)
{
	static const char units[] = "units: /s, /min, /h";
	CLEANUP_FREE char *example = NULL;
	const char *text;
	int64_t number;
	int r;

	if (value_is_int(place->node)) {
		example = memory_format("%lld/s", config_setting_get_int64(place->node));
		value_refuse_unit(place, example, units);
		return;
	}
	text = value_get_text(place);
	if (text == NULL)
		return;
	r = parse_rate(text, &number);
	if (r == 0 && number == PARSE_NONE && (place->row->flags & SETTING_OR_NONE) != 0) {
		value_store_number(place, place->row->none);
	} else if (r == 0) {
		value_store_number(place, number);
	} else if (r == -EINVAL && value_is_all_digits(text)) {
		example = memory_format("%s/s", text);
		value_refuse_unit(place, example, units);
	} else if (r == -EINVAL) {
		value_error(place->values, place->node,
			    "%s = \"%s\" is no rate; write a whole number and its time, such as "
			    "\"100/s\", \"5/min\" or \"20/h\" (%s)",
			    place->label, text, units);
	} else {
		value_error(place->values, place->node, "%s = \"%s\" is too large", place->label,
			    text);
	}
}

static void
value_set_mode(const struct value_place *place)
{
	CLEANUP_FREE char *digits = NULL;
	const char *text, *example = "0660";
	unsigned mode;

	/* a number that was meant as a mode is one in octal, as it stands there */
	if (value_is_int(place->node)) {
		digits = memory_format("%04lld", config_setting_get_int64(place->node));
		if (parse_mode(digits, &mode) == 0 && mode <= place->row->max)
			example = digits;
		value_error(place->values, place->node,
			    "%s is a mode, and those are strings: write \"%s\"", place->label,
			    example);
		return;
	}
	text = value_get_text(place);
	if (text == NULL)
		return;
	if (parse_mode(text, &mode) == 0)
		value_store_number(place, mode);
	else
		value_error(place->values, place->node,
			    "%s = \"%s\" is no mode; write three or four octal digits, such as "
			    "\"0660\"",
			    place->label, text);
}

static int64_t
value_round(double number)
{
	return (int64_t)(number < 0 ? number - 0.5 : number + 0.5);
}

static void
value_set_fraction(const struct value_place *place)
{
	const char *text = config_setting_get_string(place->node);
	char is[VALUE_TEXT_SIZE];
	double number, thousandths;

	if (!config_setting_is_number(place->node)) {
		value_error(place->values, place->node, "%s must be a number, %s, not %s",
			    place->label, text != NULL ? "without quotes" : "such as 3.0",
			    value_kind(place->node));
		return;
	}
	number = value_is_int(place->node) ? (double)config_setting_get_int64(place->node)
					   : config_setting_get_float(place->node);
	thousandths = number * 1000;
	(void)snprintf(is, sizeof(is), "%g", number);
	/* written so that what is not a number is refused, too */
	if (!(thousandths > (double)place->row->min - 0.5 &&
	      thousandths < (double)place->row->max + 0.5))
		value_refuse_range(place, is);
	else if (value_round(thousandths) == 0 && (number < 0 || number > 0))
		value_error(place->values, place->node,
			    "%s = %s is too small; three decimals count, and 0.001 is the least",
			    place->label, is);
	else
		value_store_number(place, value_round(thousandths));
}

static bool
value_is_unlimited(const struct value_place *place)
{
	const char *text = config_setting_get_string(place->node);

	return (place->row->flags & SETTING_OR_UNLIMITED) != 0 && text != NULL &&
	       strcmp(text, "unlimited") == 0;
}

void
value_set_number(const struct value_place *place)
{
	if (value_is_unlimited(place)) {
		*(int64_t *)place->field = CONF_UNLIMITED;
		return;
	}
	switch (place->row->type) {
	case SETTING_INT:
		value_set_int(place);
		break;
	case SETTING_DURATION:
		value_set_duration(place);
		break;
	case SETTING_SIZE:
		value_set_size(place);
		break;
	case SETTING_BYTE_RATE:
		value_set_byte_rate(place);
		break;
	case SETTING_PERCENT:
		value_set_percent(place);
		break;
	case SETTING_RATE:
		value_set_rate(place);
		break;
	case SETTING_MODE:
		value_set_mode(place);
		break;
	case SETTING_FRACTION:
		value_set_fraction(place);
		break;
	default:
		CHECK(false); /* no type with a range */
	}
}

int64_t
value_read_default_number(const struct setting *row)
{
	const char *text = row->default_text;
	char *end = NULL;
	int64_t number = 0;
	uint64_t bytes = 0;
	unsigned mode = 0;

	switch (row->type) {
	case SETTING_INT:
		CHECK(parse_int64(text, &number) == 0);
		return number;
	case SETTING_DURATION:
		CHECK(parse_duration(text, &number) == 0);
		return number == PARSE_NONE ? row->none : number;
	case SETTING_SIZE:
		CHECK(parse_size(text, &bytes) == 0);
		return (int64_t)bytes;
	case SETTING_BYTE_RATE:
		CHECK(parse_byte_rate(text, &number) == 0);
		return number == PARSE_NONE ? row->none : number;
	case SETTING_RATE:
		CHECK(parse_rate(text, &number) == 0);
		return number == PARSE_NONE ? row->none : number;
	case SETTING_PERCENT:
		CHECK(parse_percent(text, &number) == 0);
		return number == PARSE_NONE ? row->none : number;
	case SETTING_MODE:
		CHECK(parse_mode(text, &mode) == 0);
		return mode;
	case SETTING_FRACTION:
		number = value_round(strtod(text, &end) * 1000);
		CHECK(end != NULL && *end == '\0');
		return number;
	default:
		CHECK(false); /* no type with a range */
	}
	return 0;
}
