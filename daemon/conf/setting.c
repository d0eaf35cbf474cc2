/*
 * setting.c - what can be asked of a row of the table.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "conf/config.h"
#include "conf/settings.h"

const struct setting *
setting_find(enum setting_scope scope, const char *group, const char *name)
{
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *row = &settings[i];

		if (row->scope == scope && strcmp(row->group, group) == 0 &&
		    strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

const char *
setting_label(const struct setting *row, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s%s%s", row->group, *row->group != '\0' ? "." : "", row->name);
	return buf;
}

bool
setting_has_range(const struct setting *row)
{
	return row->type == SETTING_INT || row->type == SETTING_DURATION ||
	       row->type == SETTING_SIZE || row->type == SETTING_BYTE_RATE ||
	       row->type == SETTING_PERCENT || row->type == SETTING_RATE ||
	       row->type == SETTING_MODE || row->type == SETTING_FRACTION;
}

bool
setting_is_quoted(const struct setting *row)
{
	return row->type != SETTING_INT && row->type != SETTING_FRACTION &&
	       row->type != SETTING_BOOL && row->type != SETTING_SWITCH;
}

bool
setting_is_number_quoted(const struct setting *row, int64_t number)
{
	if ((row->flags & SETTING_OR_UNLIMITED) != 0 && number == CONF_UNLIMITED)
		return true;
	return setting_is_quoted(row);
}

bool
setting_is_unset(const struct setting *row, const void *field)
{
	if (row->type == SETTING_TEXT)
		return *(char *const *)field == NULL;
	if ((row->flags & SETTING_OR_UNSET) == 0)
		return false;
	if (row->type == SETTING_TEXTS)
		return ((const struct conf_texts *)field)->items == NULL;
	return *(const int64_t *)field == CONF_UNSET;
}

/* With one decimal at least: "3.0" is seen to take a fraction. */
static void
setting_format_thousandths(int64_t number, char *buf, size_t size)
{
	int64_t whole = number / 1000, rest = number % 1000;
	const char *sign = number < 0 ? "-" : "";

	whole = whole < 0 ? -whole : whole;
	rest = rest < 0 ? -rest : rest;
	if (rest % 100 == 0)
		(void)snprintf(buf, size, "%s%" PRId64 ".%" PRId64, sign, whole, rest / 100);
	else if (rest % 10 == 0)
		(void)snprintf(buf, size, "%s%" PRId64 ".%02" PRId64, sign, whole, rest / 10);
	else
		(void)snprintf(buf, size, "%s%" PRId64 ".%03" PRId64, sign, whole, rest);
}

/* A number of the row as its text is read: "none" is the same for all. */
static int64_t
setting_as_parsed(const struct setting *row, int64_t number)
{
	return (row->flags & SETTING_OR_NONE) != 0 && number == row->none ? PARSE_NONE : number;
}

const char *
setting_format(const struct setting *row, int64_t number, char *buf, size_t size)
{
	if ((row->flags & SETTING_OR_UNLIMITED) != 0 && number == CONF_UNLIMITED) {
		(void)snprintf(buf, size, "unlimited");
		return buf;
	}
	switch (row->type) {
	case SETTING_DURATION:
		return parse_format_duration(setting_as_parsed(row, number), buf, size);
	case SETTING_SIZE:
		return parse_format_size((uint64_t)number, buf, size);
	case SETTING_BYTE_RATE:
		return parse_format_byte_rate(setting_as_parsed(row, number), buf, size);
	case SETTING_PERCENT:
		return parse_format_percent(setting_as_parsed(row, number), buf, size);
	case SETTING_RATE:
		return parse_format_rate(setting_as_parsed(row, number), buf, size);
	case SETTING_CHOICE:
		(void)snprintf(buf, size, "%s", row->choices[number - row->first_choice]);
		return buf;
	case SETTING_MODE:
		(void)snprintf(buf, size, "%04" PRIo64, (uint64_t)number);
		return buf;
	case SETTING_FRACTION:
		setting_format_thousandths(number, buf, size);
		return buf;
	default:
		(void)snprintf(buf, size, "%" PRId64, number);
		return buf;
	}
}
