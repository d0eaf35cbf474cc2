/*
 * value_number.c - numbers: whole ones, fractions, and whether they are in the range of their row.
 * Those with a unit are read in value_unit.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/parse.h"
#include "conf/config.h"
#include "conf/value_place.h"

/* of a number with unit and quotes */
#define VALUE_TEXT_SIZE (SETTING_NUMBER_SIZE + 2)

bool
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

void
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
	case SETTING_FRACTION:
		value_set_fraction(place);
		break;
	default:
		value_set_unit(place);
	}
}

static int
value_parse_fraction(const char *text, int64_t *ret)
{
	char *end = NULL;

	*ret = value_round(strtod(text, &end) * 1000);
	return end != text && *end == '\0' ? 0 : -EINVAL;
}

int64_t
value_read_default_number(const struct setting *row)
{
	int64_t number = 0;
	int r;

	switch (row->type) {
	case SETTING_INT:
		r = parse_int64(row->default_text, &number);
		break;
	case SETTING_FRACTION:
		r = value_parse_fraction(row->default_text, &number);
		break;
	default:
		r = value_parse_unit(row, row->default_text, &number);
	}
	CHECK(r == 0);
	return number;
}
