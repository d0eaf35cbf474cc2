/*
 * check_access.c - lists of who may come in, and when. What is written in `defaults` is told once,
 * however many listeners take it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/access_entry.h"
#include "base/cleanup.h"
#include "base/day_span.h"
#include "base/memory.h"
#include "conf/check.h"

/* The most parts of a day that anybody has named; a schedule has room for so many. */
#define CHECK_MOST_TIMES 32

static bool
check_access_is_told(const struct report *report, const char *file, unsigned line, const char *text)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct report_entry *entry = &report->entries[i];

		if (entry->line == line && strcmp(entry->text, text) == 0 && entry->file != NULL &&
		    file != NULL && strcmp(entry->file, file) == 0)
			return true;
	}
	return false;
}

/* About one entry of a list, or about the key (`texts` NULL). */
static void
check_access_error(const struct conf_listener *listener, const char *key,
		   const struct conf_texts *texts, size_t at, const char *reason,
		   struct report *report)
{
	struct conf_origin origin = check_origin(listener, "access", key);
	CLEANUP_FREE char *text = memory_format("access.%s: %s", key, reason);

	if (texts != NULL && texts->lines != NULL && texts->lines[at] > 0)
		origin.line = texts->lines[at];
	if (!check_access_is_told(report, origin.file, origin.line, text))
		check_error(report, origin, "%s", text);
}

static void
check_access_remove(struct conf_texts *texts, size_t at)
{
	free(texts->items[at]);
	texts->count--;
	memmove(texts->items + at, texts->items + at + 1,
		(texts->count - at) * sizeof(*texts->items));
	memmove(texts->lines + at, texts->lines + at + 1,
		(texts->count - at) * sizeof(*texts->lines));
}

static char *
check_access_explain_kind(const struct conf_listener *listener, const char *entry)
{
	if (conf_protocol_is_unix(listener->protocol))
		return memory_format("'%s' is about addresses, which clients of protocol %s do not "
				     "have; write uid:, gid:, user:, group: or \"all\"",
				     entry, conf_protocol_name(listener->protocol));
	return memory_format("'%s' is about clients of Unix sockets, and the protocol is %s; write "
			     "addresses, prefixes or \"all\"",
			     entry, conf_protocol_name(listener->protocol));
}

static void
check_access_list(struct conf_listener *listener, const char *key, struct conf_texts *texts,
		  struct report *report)
{
	bool is_unix = conf_protocol_is_unix(listener->protocol);
	bool is_shared = check_origin(listener, "access", key).is_shared;

	for (size_t i = 0; i < texts->count; i++) {
		CLEANUP_FREE char *reason = NULL;
		struct access_entry entry;

		if (access_entry_parse(texts->items[i], &entry, &reason) < 0) {
			check_access_error(listener, key, texts, i, reason, report);
			continue;
		}
		if (is_unix ? access_entry_is_for_unix(&entry) : access_entry_is_for_ip(&entry))
			continue;
		if (is_shared) {
			check_access_remove(texts, i--);
			continue;
		}
		reason = check_access_explain_kind(listener, texts->items[i]);
		check_access_error(listener, key, texts, i, reason, report);
	}
}

static void
check_access_times(const struct conf_listener *listener, struct report *report)
{
	const struct conf_texts *texts = &listener->access.times;

	for (size_t i = 0; i < texts->count; i++) {
		CLEANUP_FREE char *reason = NULL;
		struct day_span span;

		if (day_span_parse(texts->items[i], &span, &reason) < 0)
			check_access_error(listener, "times", texts, i, reason, report);
	}
	if (texts->count > CHECK_MOST_TIMES)
		check_access_error(listener, "times", NULL, 0,
				   "there are more than 32 parts of a day; join those that touch",
				   report);
}

static void
check_access_excepts(const struct conf_listener *listener, struct report *report)
{
	const struct conf_texts *texts = &listener->access.sensor_except;

	for (size_t i = 0; i < texts->count; i++) {
		CLEANUP_FREE char *reason = NULL;
		struct prefix prefix;

		if (prefix_parse(texts->items[i], &prefix, &reason) < 0)
			check_access_error(listener, "sensor_except", texts, i, reason, report);
	}
}

void
check_access(struct conf_listener *listener, struct report *report)
{
	struct conf_access *access = &listener->access;
	CLEANUP_FREE char *reason = NULL;

	check_access_list(listener, "allow", &access->allow, report);
	check_access_list(listener, "deny", &access->deny, report);
	check_access_times(listener, report);
	check_access_excepts(listener, report);
	if (access->file == NULL || access->file[0] == '/')
		return;
	reason = memory_format("'%s' must be an absolute path, beginning with /", access->file);
	check_access_error(listener, "file", NULL, 0, reason, report);
}
