/*
 * value_unit.c - numbers that are written as strings: durations, sizes, rates, percentages, modes.
 * Each refusal says what to write instead.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "conf/value_place.h"

/* How one kind of them is read, and what is said of a text that is none. */
struct value_unit {
	int (*parse)(const char *text, int64_t *ret);
	const char *what;     /* it is not, and what to write */
	const char *units;    /* that there are; NULL: nothing is told of them */
	const char *too_much; /* NULL: nothing is */
	const char *suffix;   /* of the example for a bare number; NULL: it is no more than that */
};

static int
value_parse_size(const char *text, int64_t *ret)
{
	uint64_t bytes = 0;
	int r = parse_size(text, &bytes);

	*ret = (int64_t)bytes;
	return r;
}

static int
value_parse_mode(const char *text, int64_t *ret)
{
	unsigned mode = 0;
	int r = parse_mode(text, &mode);

	*ret = mode;
	return r;
}

static const struct value_unit value_duration = {
	.parse = parse_duration,
	.what = "no duration; write whole numbers with their units, such as \"250ms\", \"30s\" or "
		"\"1min30s\"",
	.units = "units: ms, s, min, h, d",
	.too_much = "too long",
	.suffix = "s",
};

static const struct value_unit value_size = {
	.parse = value_parse_size,
	.what = "no size; write a whole number with its unit, such as \"64KiB\" or \"10MiB\"",
	.units = "units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB",
	.too_much = "too large",
};

static const struct value_unit value_byte_rate = {
	.parse = parse_byte_rate,
	.what = "no rate of bytes; write a whole number with its unit, such as \"100B/s\" or "
		"\"64KiB/s\"",
	.units = "units: B/s, KiB/s, MiB/s, GiB/s, kB/s, MB/s, GB/s",
	.too_much = "too large",
};

static const struct value_unit value_rate = {
	.parse = parse_rate,
	.what = "no rate; write a whole number and its time, such as \"100/s\", \"5/min\" or "
		"\"20/h\"",
	.units = "units: /s, /min, /h",
	.too_much = "too large",
	.suffix = "/s",
};

static const struct value_unit value_percent = {
	.parse = parse_percent,
	.what = "no percentage; write a whole number, such as \"80%\"",
};

static const struct value_unit value_mode = {
	.parse = value_parse_mode,
	.what = "no mode; write three or four octal digits, such as \"0660\"",
};

static const struct value_unit *
value_find_unit(const struct setting *row)
{
	switch (row->type) {
	case SETTING_DURATION:
		return &value_duration;
	case SETTING_SIZE:
		return &value_size;
	case SETTING_BYTE_RATE:
		return &value_byte_rate;
	case SETTING_RATE:
		return &value_rate;
	case SETTING_PERCENT:
		return &value_percent;
	case SETTING_MODE:
		return &value_mode;
	default:
		CHECK(false); /* no type with a unit */
	}
	return NULL;
}

int
value_parse_unit(const struct setting *row, const char *text, int64_t *ret)
{
	int r = value_find_unit(row)->parse(text, ret);

	if (r == 0 && *ret == PARSE_NONE && (row->flags & SETTING_OR_NONE) != 0)
		*ret = row->none;
	return r;
}

/* A number without its unit, where one must stand. */
static void
value_refuse_unit(const struct value_place *place, const char *example)
{
	value_error(place->values, place->node,
		    "%s must have its unit, as a string: write \"%s\" (%s)", place->label, example,
		    value_find_unit(place->row)->units);
}

static void
value_refuse_digits(const struct value_place *place, const char *digits)
{
	CLEANUP_FREE char *example =
		memory_format("%s%s", digits, value_find_unit(place->row)->suffix);

	value_refuse_unit(place, example);
}

/* A number that was meant as a mode is one in octal, as it stands there. */
static void
value_refuse_mode(const struct value_place *place, int64_t number)
{
	CLEANUP_FREE char *digits = memory_format("%04" PRId64, number);
	unsigned mode;
	bool is_mode = parse_mode(digits, &mode) == 0 && mode <= place->row->max;

	value_error(place->values, place->node, "%s is a mode, and those are strings: write \"%s\"",
		    place->label, is_mode ? digits : "0660");
}

/* A whole number that is no string. */
static void
value_refuse_int(const struct value_place *place, int64_t number)
{
	char text[SETTING_NUMBER_SIZE];

	switch (place->row->type) {
	case SETTING_SIZE:
		number = number < 0 ? 65536 : number;
		value_refuse_unit(place, parse_format_size((uint64_t)number, text, sizeof(text)));
		break;
	case SETTING_BYTE_RATE:
		number = number < 0 ? 65536 : number;
		value_refuse_unit(place, parse_format_byte_rate(number, text, sizeof(text)));
		break;
	case SETTING_PERCENT:
		number = number < 0 ? 80 : number;
		value_error(place->values, place->node,
			    "%s is a percentage, and those are strings: write \"%s\"", place->label,
			    parse_format_percent(number, text, sizeof(text)));
		break;
	case SETTING_MODE:
		value_refuse_mode(place, number);
		break;
	default:
		(void)snprintf(text, sizeof(text), "%" PRId64, number);
		value_refuse_digits(place, text);
	}
}

static bool
value_is_all_digits(const char *text)
{
	return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* Whether a text is only a part of what it should be, which is told then. */
static bool
value_refuse_part(const struct value_place *place, const char *text)
{
	uint64_t bytes;
	int64_t number;

	switch (place->row->type) {
	case SETTING_SIZE:
		if (parse_int64(text, &number) < 0 || number < 0)
			return false;
		value_refuse_int(place, number);
		return true;
	case SETTING_BYTE_RATE:
		if (parse_size(text, &bytes) < 0)
			return false;
		value_error(place->values, place->node,
			    "%s = \"%s\" is a size; write \"%s/s\" for that in each second",
			    place->label, text, text);
		return true;
	default:
		if (value_find_unit(place->row)->suffix == NULL || !value_is_all_digits(text))
			return false;
		value_refuse_digits(place, text);
		return true;
	}
}

void
value_set_unit(const struct value_place *place)
{
	const struct value_unit *unit = value_find_unit(place->row);
	const char *text;
	int64_t number;
	int r;

	if (value_is_int(place->node)) {
		value_refuse_int(place, config_setting_get_int64(place->node));
		return;
	}
	text = value_get_text(place);
	if (text == NULL)
		return;
	r = value_parse_unit(place->row, text, &number);
	if (r == 0)
		value_store_number(place, number);
	else if (r == -ERANGE && unit->too_much != NULL)
		value_error(place->values, place->node, "%s = \"%s\" is %s", place->label, text,
			    unit->too_much);
	else if (!value_refuse_part(place, text))
		value_error(place->values, place->node, "%s = \"%s\" is %s%s%s%s", place->label,
			    text, unit->what, unit->units != NULL ? " (" : "",
			    unit->units != NULL ? unit->units : "", unit->units != NULL ? ")" : "");
}
