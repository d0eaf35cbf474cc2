/*
 * equal.c - whether a listener means the same before and after a reload. Where it was written does
 * not matter, nor does the order of options and variables.
 */
#include <string.h>

#include "conf/config.h"

static bool
equal_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool
equal_texts(const struct conf_texts *a, const struct conf_texts *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	}
	return true;
}

static bool
equal_option(const struct conf_option *a, const struct conf_option *b)
{
	return strcmp(a->name, b->name) == 0 && a->type == b->type && a->number == b->number &&
	       equal_text(a->text, b->text) && equal_texts(&a->list, &b->list);
}

/* Names are unique: equal counts, and each of one in the other, make the sets equal. */
static bool
equal_options(const struct conf_listener *a, const struct conf_listener *b)
{
	if (a->option_count != b->option_count)
		return false;
	for (size_t i = 0; i < a->option_count; i++) {
		bool is_found = false;

		for (size_t k = 0; k < b->option_count && !is_found; k++)
			is_found = equal_option(&a->options[i], &b->options[k]);
		if (!is_found)
			return false;
	}
	return true;
}

static bool
equal_environment(const struct conf_listener *a, const struct conf_listener *b)
{
	if (a->environment_count != b->environment_count)
		return false;
	for (size_t i = 0; i < a->environment_count; i++) {
		bool is_found = false;

		for (size_t k = 0; k < b->environment_count && !is_found; k++)
			is_found = strcmp(a->environment[i].name, b->environment[k].name) == 0 &&
				   strcmp(a->environment[i].value, b->environment[k].value) == 0;
		if (!is_found)
			return false;
	}
	return true;
}

static bool
equal_threading(const struct conf_threading *a, const struct conf_threading *b)
{
	return a->min_threads == b->min_threads && a->max_threads == b->max_threads &&
	       a->idle_timeout_ms == b->idle_timeout_ms && a->stack_size == b->stack_size;
}

static bool
equal_forking(const struct conf_forking *a, const struct conf_forking *b)
{
	return a->max_children == b->max_children && a->spare_children == b->spare_children &&
	       a->connections_per_child == b->connections_per_child;
}

bool
conf_listener_equal(const struct conf_listener *a, const struct conf_listener *b)
{
	return equal_text(a->name, b->name) && a->protocol == b->protocol &&
	       equal_texts(&a->address_texts, &b->address_texts) &&
	       equal_text(a->handler, b->handler) && a->concurrency == b->concurrency &&
	       equal_options(a, b) && a->is_enabled == b->is_enabled && a->backlog == b->backlog &&
	       a->max_connections == b->max_connections &&
	       equal_threading(&a->threading, &b->threading) &&
	       equal_forking(&a->forking, &b->forking) && equal_environment(a, b);
}
