/*
 * option.c - a handler's options: rows against values, and the getters.
 */
#include "api/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/server.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/suggest.h"

/* A value with the place where it was written, for messages. */
struct option_given {
	const struct worker_option *option;
	const struct hd_option *row;
	const char *handler;
	struct report *report;
};

const struct hd_option *
option_row(const struct hd_option *rows, size_t row_size, size_t i)
{
	const struct hd_option *row;

	if (rows == NULL)
		return NULL;
	row = (const struct hd_option *)(const void *)((const char *)rows + i * row_size);
	return row->type == HD_OPTION_TYPE_END ? NULL : row;
}

const char *
option_type_name(const struct hd_option *row)
{
	static const char *const names[] = {
		[HD_OPTION_TYPE_INT] = "int",	    [HD_OPTION_TYPE_BOOL] = "bool",
		[HD_OPTION_TYPE_STRING] = "string", [HD_OPTION_TYPE_PATH] = "path",
		[HD_OPTION_TYPE_SIZE] = "size",	    [HD_OPTION_TYPE_DURATION] = "duration",
		[HD_OPTION_TYPE_LIST] = "list",
	};

	return row->type < COUNT_OF(names) && names[row->type] != NULL ? names[row->type] : "?";
}

/* A number as this row's type writes it. */
static const char *
option_format(const struct hd_option *row, int64_t number, char *buf, size_t size)
{
	switch (row->type) {
	case HD_OPTION_TYPE_SIZE:
		return parse_format_size((uint64_t)number, buf, size);
	case HD_OPTION_TYPE_DURATION:
		return parse_format_duration(number, buf, size);
	case HD_OPTION_TYPE_BOOL:
		return number != 0 ? "true" : "false";
	default:
		(void)snprintf(buf, size, "%" PRId64, number);
		return buf;
	}
}

const char *
option_default_text(const struct hd_option *row, char *buf, size_t size)
{
	switch (row->type) {
	case HD_OPTION_TYPE_STRING:
	case HD_OPTION_TYPE_PATH:
		return row->text == HD_REQUIRED ? NULL : row->text;
	case HD_OPTION_TYPE_LIST:
		return NULL;
	default:
		return option_format(row, row->number, buf, size);
	}
}

static void option_complain(const struct option_given *given, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
option_complain(const struct option_given *given, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	report_error(given->report, given->option->file, given->option->line,
		     "option '%s' of handler '%s' %s", given->option->name, given->handler, text);
}

static void
option_check_range(const struct option_given *given, struct option_value *value, int64_t number)
{
	const struct hd_option *row = given->row;
	char low[32], high[32], is[32];

	if (number < row->min || number > row->max) {
		option_complain(given, "must be between %s and %s, not %s",
				option_format(row, row->min, low, sizeof(low)),
				option_format(row, row->max, high, sizeof(high)),
				option_format(row, number, is, sizeof(is)));
		return;
	}
	value->number = number;
}

static void
option_take_size(const struct option_given *given, struct option_value *value)
{
	uint64_t bytes;

	if (given->option->type != WORKER_OPTION_STRING ||
	    parse_size(given->option->text, &bytes) < 0)
		option_complain(given, "must be a size with its unit, such as \"64KiB\"");
	else
		option_check_range(given, value, (int64_t)bytes);
}

static void
option_take_duration(const struct option_given *given, struct option_value *value)
{
	int64_t ms;

	if (given->option->type != WORKER_OPTION_STRING ||
	    parse_duration(given->option->text, &ms) < 0)
		option_complain(given, "must be a duration with its unit, such as \"30s\"");
	else if (ms == PARSE_NONE && given->row->min >= 0)
		option_complain(given, "cannot be \"none\"");
	else if (ms == PARSE_NONE)
		value->number = PARSE_NONE;
	else
		option_check_range(given, value, ms);
}

/* Takes one value as its row's type wants it. */
static void
option_take(const struct option_given *given, struct option_value *value)
{
	const struct worker_option *option = given->option;

	switch (given->row->type) {
	case HD_OPTION_TYPE_INT:
		if (option->type != WORKER_OPTION_INT)
			option_complain(given, "must be a whole number");
		else
			option_check_range(given, value, option->number);
		break;
	case HD_OPTION_TYPE_BOOL:
		if (option->type != WORKER_OPTION_BOOL)
			option_complain(given, "must be true or false");
		else
			value->number = option->number;
		break;
	case HD_OPTION_TYPE_STRING:
	case HD_OPTION_TYPE_PATH:
		if (option->type != WORKER_OPTION_STRING)
			option_complain(given, "must be a string");
		else if (given->row->type == HD_OPTION_TYPE_PATH && option->text[0] != '/')
			option_complain(given, "must be an absolute path, not \"%s\"",
					option->text);
		else
			value->text = option->text;
		break;
	case HD_OPTION_TYPE_SIZE:
		option_take_size(given, value);
		break;
	case HD_OPTION_TYPE_DURATION:
		option_take_duration(given, value);
		break;
	default:
		if (option->type != WORKER_OPTION_LIST) {
			option_complain(given,
					"must be a list of strings, such as [ \"a\", \"b\" ]");
			break;
		}
		value->items = option->items;
		value->item_count = option->item_count;
		break;
	}
}

static struct option_value *
option_find(const struct option_store *store, const char *name)
{
	for (size_t i = 0; i < store->count; i++) {
		if (strcmp(store->values[i].row->name, name) == 0)
			return &store->values[i];
	}
	return NULL;
}

static void
option_complain_unknown(const struct option_store *store, const struct option_given *given)
{
	struct suggest suggest = {.word = given->option->name};

	for (size_t i = 0; i < store->count; i++)
		suggest_offer(&suggest, store->values[i].row->name);
	report_error(given->report, given->option->file, given->option->line,
		     "handler '%s' has no option '%s'%s%s%s", given->handler, given->option->name,
		     suggest.nearest != NULL ? "; did you mean '" : "",
		     suggest.nearest != NULL ? suggest.nearest : "",
		     suggest.nearest != NULL ? "'?" : "");
}

/* Copies the defaults; refuses rows that no handler should have been built with. */
static void
option_take_rows(struct option_store *store, const struct hd_option *rows, size_t row_size,
		 const char *handler, struct report *report)
{
	const struct hd_option *row;
	size_t count = 0;

	while (option_row(rows, row_size, count) != NULL)
		count++;
	store->values = memory_zero(count, sizeof(*store->values));
	for (size_t i = 0; (row = option_row(rows, row_size, i)) != NULL; i++) {
		if (row->name == NULL || row->type > HD_OPTION_TYPE_LIST ||
		    option_find(store, row->name) != NULL) {
			report_error(report, NULL, 0,
				     "handler '%s' declares a broken option: row %zu has %s",
				     handler, i + 1,
				     row->name == NULL ? "no name"
				     : row->type > HD_OPTION_TYPE_LIST
					     ? "a type that this handlerd does not know"
					     : "a name that was used before");
			continue;
		}
		store->values[store->count++] = (struct option_value){
			.row = row,
			.number = row->number,
			.text = row->text,
		};
	}
}

void
option_store_fill(struct option_store *store, const struct hd_option *rows, size_t row_size,
		  const struct worker_settings *settings, struct report *report)
{
	*store = (struct option_store){0};
	option_take_rows(store, rows, row_size, settings->handler, report);
	for (uint32_t i = 0; i < settings->option_count; i++) {
		struct option_given given = {
			.option = &settings->options[i],
			.handler = settings->handler,
			.report = report,
		};
		struct option_value *value = option_find(store, given.option->name);

		if (value == NULL) {
			option_complain_unknown(store, &given);
			continue;
		}
		given.row = value->row;
		/* whatever was given, it is not missing */
		if (value->text == HD_REQUIRED)
			value->text = NULL;
		option_take(&given, value);
	}
	for (size_t i = 0; i < store->count; i++) {
		if (store->values[i].text != HD_REQUIRED)
			continue;
		report_error(report, settings->handler_file, settings->handler_line,
			     "listener '%s' must give option '%s' (%s): handler '%s' needs it",
			     settings->listener, store->values[i].row->name,
			     option_type_name(store->values[i].row), settings->handler);
	}
}

void
option_store_free(struct option_store *store)
{
	free(store->values);
	*store = (struct option_store){0};
}

/* Asking for what no row declares is a programming error of the handler. */
static const struct option_value *
option_get(const struct hd_server *server, const char *name, uint32_t type, uint32_t or_type)
{
	const struct option_value *value = option_find(&server->options, name);

	if (value != NULL && (value->row->type == type || value->row->type == or_type))
		return value;
	log_error("handler '%s' asks for option '%s', which it does not declare%s",
		  server->handler.name, name, value != NULL ? " with that type" : "");
	abort();
}

int64_t
hd_option_int(const struct hd_server *server, const char *name)
{
	return option_get(server, name, HD_OPTION_TYPE_INT, HD_OPTION_TYPE_INT)->number;
}

int
hd_option_bool(const struct hd_server *server, const char *name)
{
	return option_get(server, name, HD_OPTION_TYPE_BOOL, HD_OPTION_TYPE_BOOL)->number != 0;
}

const char *
hd_option_string(const struct hd_server *server, const char *name)
{
	return option_get(server, name, HD_OPTION_TYPE_STRING, HD_OPTION_TYPE_PATH)->text;
}

uint64_t
hd_option_size(const struct hd_server *server, const char *name)
{
	return (uint64_t)option_get(server, name, HD_OPTION_TYPE_SIZE, HD_OPTION_TYPE_SIZE)->number;
}

int64_t
hd_option_ms(const struct hd_server *server, const char *name)
{
	return option_get(server, name, HD_OPTION_TYPE_DURATION, HD_OPTION_TYPE_DURATION)->number;
}

unsigned
hd_option_count(const struct hd_server *server, const char *name)
{
	return option_get(server, name, HD_OPTION_TYPE_LIST, HD_OPTION_TYPE_LIST)->item_count;
}

const char *
hd_option_item(const struct hd_server *server, const char *name, unsigned index)
{
	const struct option_value *value =
		option_get(server, name, HD_OPTION_TYPE_LIST, HD_OPTION_TYPE_LIST);

	return index < value->item_count ? value->items[index] : NULL;
}
