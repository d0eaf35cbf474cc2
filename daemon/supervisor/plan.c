/*
 * plan.c - compares what serves with what is to.
 */
#include "supervisor/plan.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "supervisor/listener.h"

static const struct plan_name {
	unsigned change;
	const char *name;
} plan_names[] = {
	{PLAN_REMOVED, "removed"},	     {PLAN_ADDED, "added"},
	{PLAN_ADDRESS, "address changed"},   {PLAN_HANDLER, "handler changed"},
	{PLAN_SETTINGS, "settings changed"},
};

void
plan_add(struct plan *plan, const struct listener *running, const struct listener *next,
	 const struct conf_listener *conf)
{
	struct plan_row row = {
		.listener = memory_text(next != NULL ? next->name : running->name),
	};

	if (running == NULL)
		row.changes = PLAN_ADDED;
	else if (next == NULL)
		row.changes = PLAN_REMOVED;
	else if (running != next)
		row.changes = listener_compare(running, next);
	else if (!listener_is_entry_same(running, conf))
		row.changes = PLAN_SETTINGS; /* that only the supervisor goes by */
	if (running != NULL && row.changes != 0 && running != next)
		row.connections = listener_count_open(running);
	plan->rows = memory_grow(plan->rows, plan->count, sizeof(*plan->rows));
	plan->rows[plan->count++] = row;
}

const char *
plan_change_name(unsigned changes)
{
	for (size_t i = 0; i < COUNT_OF(plan_names); i++) {
		if ((changes & plan_names[i].change) != 0)
			return plan_names[i].name;
	}
	return "unchanged";
}

char *
plan_sentence(const struct plan_row *row)
{
	struct buf text = {0};
	const char *link = " ";
	char *sentence;

	buf_add_format(&text, "'%s'", row->listener);
	for (size_t i = 0; i < COUNT_OF(plan_names); i++) {
		if ((row->changes & plan_names[i].change) == 0)
			continue;
		buf_add_format(&text, "%s%s", link, plan_names[i].name);
		link = ", ";
	}
	if (row->changes == 0)
		buf_add_format(&text, " unchanged");
	if (row->connections > 0)
		buf_add_format(&text, " (drains %" PRIu64 " connection%s)", row->connections,
			       row->connections == 1 ? "" : "s");
	sentence = memory_format("%.*s", (int)text.length, (const char *)text.data);
	buf_free(&text);
	return sentence;
}

void
plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		free(plan->rows[i].listener);
	free(plan->rows);
	*plan = (struct plan){0};
}
