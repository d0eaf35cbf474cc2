/*
 * access_lists.c - made, read again, explained.
 */
#include "supervisor/access_lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "conf/access_file.h"
#include "conf/settings.h"
#include "supervisor/names.h"

bool
access_lists_are_wanted(const struct conf_listener *conf)
{
	const struct conf_access *access = &conf->access;

	return access->allow.count > 0 || access->deny.count > 0 || access->times.count > 0 ||
	       access->file != NULL;
}

/* Where an entry of the configuration was written. */
static struct conf_origin
access_lists_origin(const struct conf_listener *conf, const char *key,
		    const struct conf_texts *texts, size_t at)
{
	const struct setting *row = setting_find(SETTING_LISTENER, "access", key);
	struct conf_origin origin = conf->origin;

	if (conf->origins != NULL && conf->origins[row - settings].file != NULL)
		origin = conf->origins[row - settings];
	if (texts->lines != NULL && texts->lines[at] > 0)
		origin.line = texts->lines[at];
	return origin;
}

/* The number of a name; false, told in the report: there is none. */
static bool
access_lists_find_id(const struct conf_listener *conf, const char *key,
		     const struct conf_texts *texts, size_t at, struct access_entry *entry,
		     struct report *report)
{
	struct conf_origin origin = access_lists_origin(conf, key, texts, at);
	bool is_group = entry->kind == ACCESS_GID;
	int r = names_find_id(is_group, entry->name, &entry->id);

	if (r >= 0)
		return true;
	if (r == -ENOENT)
		report_error(report, origin.file, origin.line, "access.%s: there is no %s '%s'",
			     key, is_group ? "group" : "user", entry->name);
	else
		report_error(report, origin.file, origin.line,
			     "access.%s: %s '%s' cannot be looked up: %s", key,
			     is_group ? "group" : "user", entry->name, strerror(-r));
	return false;
}

static void
access_lists_add_rule(struct access_lists *lists, const struct access_entry *entry, bool is_allow)
{
	struct access_rule *rule;

	lists->rules = memory_grow(lists->rules, lists->rule_count, sizeof(*lists->rules));
	rule = &lists->rules[lists->rule_count++];
	*rule = (struct access_rule){.entry = *entry, .is_allow = is_allow};
	rule->entry.name = NULL;
}

/* Adds allow or deny of the configuration. Numbers that are known are not looked up. */
static bool
access_lists_add_texts(struct access_lists *lists, const struct conf_listener *conf,
		       const char *key, const struct conf_texts *texts, bool is_allow,
		       bool are_known, struct report *report)
{
	bool is_good = true;

	for (size_t i = 0; i < texts->count; i++) {
		size_t number = lists->rule_count;
		CLEANUP_FREE char *reason = NULL;
		struct access_entry entry;

		/* what config_check has let through */
		if (access_entry_parse(texts->items[i], &entry, &reason) < 0)
			return false;
		if (entry.name != NULL && are_known && number < lists->id_count)
			entry.id = lists->ids[number];
		else if (entry.name != NULL)
			is_good &= access_lists_find_id(conf, key, texts, i, &entry, report);
		if (!are_known) {
			lists->ids = memory_grow(lists->ids, number, sizeof(*lists->ids));
			lists->ids[number] = entry.id;
			lists->id_count = number + 1;
		}
		access_lists_add_rule(lists, &entry, is_allow);
	}
	return is_good;
}

static bool
access_lists_add_conf(struct access_lists *lists, const struct conf_listener *conf, bool are_known,
		      struct report *report)
{
	const struct conf_access *access = &conf->access;
	bool is_good;

	lists->is_unix = conf_protocol_is_unix(conf->protocol);
	lists->path = memory_text(access->file);
	for (size_t i = 0; i < access->times.count && i < SCHEDULE_MOST_SPANS; i++) {
		CLEANUP_FREE char *reason = NULL;

		if (day_span_parse(access->times.items[i], &lists->spans[lists->span_count],
				   &reason) >= 0)
			lists->span_count++;
	}
	is_good = access_lists_add_texts(lists, conf, "allow", &access->allow, true, are_known,
					 report);
	is_good &= access_lists_add_texts(lists, conf, "deny", &access->deny, false, are_known,
					  report);
	lists->conf_count = lists->rule_count;
	return is_good;
}

static struct access_said
access_lists_sum_up(const struct access_file *file)
{
	struct access_said said = {.entries = file->count, .is_empty = file->st.st_size == 0};
	bool denies_all = false;

	for (size_t i = 0; i < file->count; i++) {
		const struct access_file_entry *entry = &file->entries[i];
		bool is_all = entry->entry.kind == ACCESS_ALL;

		said.allows |= entry->is_allow;
		said.allows_all |= is_all && entry->is_allow;
		denies_all |= is_all && !entry->is_allow;
	}
	said.is_closed = denies_all || (said.allows && !said.allows_all);
	return said;
}

/* Puts a file's entries behind those of the configuration, and publishes all. What was is left
 * where that fails. */
static int
access_lists_publish(struct access_lists *lists, const struct access_file *file)
{
	size_t count = lists->conf_count + file->count;
	struct access_rule *rules = memory_zero(count, sizeof(*rules));
	unsigned *lines = memory_zero(file->count, sizeof(*lines));
	int r;

	if (lists->conf_count > 0)
		memcpy(rules, lists->rules, lists->conf_count * sizeof(*rules));
	for (size_t i = 0; i < file->count; i++) {
		rules[lists->conf_count + i] = (struct access_rule){
			.entry = file->entries[i].entry, .is_allow = file->entries[i].is_allow};
		lines[i] = file->entries[i].line;
	}
	r = access_writer_publish(&lists->writer, rules, count);
	if (r < 0) {
		free(rules);
		free(lines);
		return r;
	}
	free(lists->rules);
	free(lists->file_lines);
	lists->rules = rules;
	lists->file_lines = lines;
	lists->rule_count = count;
	lists->said = access_lists_sum_up(file);
	return 0;
}

void
access_lists_publish_times(struct access_lists *lists)
{
	struct schedule schedule;

	if (lists->span_count == 0)
		return;
	schedule_make(lists->spans, lists->span_count, (int64_t)time(NULL), &schedule);
	access_writer_publish_schedule(&lists->writer, &schedule);
}

/* Whether the configuration says by itself what holds for those that the file does not name. */
static bool
access_lists_conf_decides(const struct access_lists *lists)
{
	for (size_t i = 0; i < lists->conf_count; i++) {
		if (lists->rules[i].is_allow || lists->rules[i].entry.kind == ACCESS_ALL)
			return true;
	}
	return false;
}

/*
 * Whether a version is what somebody meant: one that lost everything lets in whom the one before
 * has kept out, and that is what a write leaves for which there was no room. Who means it can say
 * so. What was cut at the end of a line, and is not all, cannot be told from what was meant.
 */
static bool
access_lists_believe(const struct access_lists *lists, const struct access_said *before,
		     const struct access_said *now, struct report *report)
{
	if (before->entries > 0 && now->is_empty) {
		report_error(report, lists->path, 0,
			     "is empty, and the version before it has %zu entr%s; write a comment "
			     "into it if nobody is to stand there",
			     before->entries, before->entries == 1 ? "y" : "ies");
		return false;
	}
	if (!before->is_closed || now->is_closed || now->allows_all ||
	    access_lists_conf_decides(lists))
		return true;
	report_error(
		report, lists->path, 0,
		"allows nobody any more, and so would let everybody in; write 'allow all' into "
		"it if that is meant, else 'deny all'");
	return false;
}

bool
access_lists_may_follow(const struct access_lists *lists, const struct access_lists *before,
			struct report *report)
{
	if (lists == NULL || before == NULL || lists->path == NULL || before->path == NULL ||
	    strcmp(lists->path, before->path) != 0)
		return true;
	return access_lists_believe(lists, &before->said, &lists->said, report);
}

/* Reads the file that there is now. As access_file_read; -EINVAL, too: it is not believed. */
static int
access_lists_read(const struct access_lists *lists, struct access_file *ret, struct report *report)
{
	int r = access_file_read(lists->path, lists->is_unix, ret, report);
	struct access_said said;

	if (r < 0)
		return r;
	said = access_lists_sum_up(ret);
	return access_lists_believe(lists, &lists->said, &said, report) ? 0 : -EINVAL;
}

static void
access_lists_note_version(struct access_lists *lists, const struct stat *st)
{
	lists->st = *st;
	lists->has_st = true;
}

struct access_lists *
access_lists_new(const struct conf_listener *conf, struct report *report)
{
	struct access_lists *lists = access_lists_known(-1);
	struct access_file file = {.count = 0};
	int r = 0;

	if (!access_lists_add_conf(lists, conf, false, report) ||
	    (lists->path != NULL && access_lists_read(lists, &file, report) < 0)) {
		access_lists_free(lists);
		return NULL;
	}
	if (lists->path != NULL)
		access_lists_note_version(lists, &file.st);
	/* a file has room to grow */
	r = access_writer_open(&lists->writer,
			       lists->path != NULL ? ACCESS_MOST_RULES : lists->conf_count);
	if (r >= 0)
		r = access_lists_publish(lists, &file);
	access_file_free(&file);
	if (r < 0) {
		report_error(report, conf->origin.file, conf->origin.line,
			     "listener '%s': the access lists cannot be made: %s", conf->name,
			     strerror(-r));
		access_lists_free(lists);
		return NULL;
	}
	access_lists_publish_times(lists);
	return lists;
}

struct access_lists *
access_lists_known(int fd)
{
	struct access_lists *lists = memory_zero(1, sizeof(*lists));

	lists->writer = ACCESS_WRITER_NONE;
	lists->writer.fd = fd;
	return lists;
}

int
access_lists_resume(struct access_lists *lists, const struct conf_listener *conf)
{
	struct report report = {0};
	struct access_file file = {.count = 0};
	int r = access_writer_reopen(&lists->writer, lists->writer.fd);

	if (r < 0)
		return r;
	(void)access_lists_add_conf(lists, conf, true, &report);
	if (lists->path == NULL || access_lists_read(lists, &file, &report) >= 0) {
		if (lists->path != NULL)
			access_lists_note_version(lists, &file.st);
		(void)access_lists_publish(lists, &file);
	}
	access_file_free(&file);
	report_free(&report);
	access_lists_publish_times(lists);
	return 0;
}

void
access_lists_free(struct access_lists *lists)
{
	if (lists == NULL)
		return;
	access_writer_close(&lists->writer);
	free(lists->ids);
	free(lists->path);
	free(lists->rules);
	free(lists->file_lines);
	free(lists->told);
	free(lists);
}

/* What is wrong with the version that is there, once. */
static void
access_lists_tell_broken(struct access_lists *lists, const char *listener,
			 const struct report *report)
{
	char *first = report_sentence(&report->entries[0]);

	if (lists->told != NULL && strcmp(lists->told, first) == 0) {
		free(first);
		return;
	}
	free(lists->told);
	lists->told = first;
	for (size_t i = 0; i < report->count; i++) {
		CLEANUP_FREE char *sentence = report_sentence(&report->entries[i]);

		log_event(LOG_EVENT_ACCESS_FILE_BROKEN, listener, "%s", sentence);
	}
	log_event(LOG_EVENT_ACCESS_FILE_BROKEN, listener,
		  "'%s': the new version of access file '%s' is not taken; the one before stays",
		  listener, lists->path);
}

/* Whether there is a version to be read: any, if it is forced; else one that was not looked at. */
static bool
access_lists_has_version(struct access_lists *lists, const char *listener, bool is_forced)
{
	struct stat st;

	if (stat(lists->path, &st) >= 0)
		return is_forced || !lists->has_st || !access_file_is_same(&st, &lists->st);
	if (!lists->is_gone)
		log_event(LOG_EVENT_ACCESS_FILE_GONE, listener,
			  "'%s': access file '%s' cannot be found any more: %s; what it said last "
			  "stays",
			  listener, lists->path, strerror(errno));
	lists->is_gone = true;
	lists->has_st = false;
	/* whatever comes back is news */
	free(take_pointer(&lists->told));
	return false;
}

void
access_lists_look(struct access_lists *lists, const char *listener, bool is_forced)
{
	struct report report = {0};
	struct access_file file = {.count = 0};
	int r;

	if (lists->path == NULL || !access_lists_has_version(lists, listener, is_forced))
		return;
	r = access_lists_read(lists, &file, &report);
	lists->is_being_written = r == -EAGAIN;
	/* of one that cannot be opened, nothing is known */
	if (r >= 0 || r == -EINVAL)
		access_lists_note_version(lists, &file.st);
	if (r >= 0) {
		r = access_lists_publish(lists, &file);
		if (r < 0)
			report_error(&report, lists->path, 0, "cannot be published: %s",
				     strerror(-r));
	}
	if (r >= 0) {
		log_event(LOG_EVENT_ACCESS_FILE_READ, listener,
			  "'%s': access file '%s' was read: %zu entr%s", listener, lists->path,
			  file.count, file.count == 1 ? "y" : "ies");
		free(take_pointer(&lists->told));
		lists->is_gone = false;
	} else if (!lists->is_being_written) {
		access_lists_tell_broken(lists, listener, &report);
	}
	access_file_free(&file);
	report_free(&report);
}

bool
access_lists_have_entries(const struct access_lists *lists)
{
	return lists->conf_count > 0 || lists->said.entries > 0;
}

bool
access_lists_have_allow(const struct access_lists *lists)
{
	for (size_t i = 0; i < lists->conf_count; i++) {
		if (lists->rules[i].is_allow)
			return true;
	}
	return lists->said.allows;
}

void
access_lists_place(const struct access_lists *lists, const struct conf_listener *conf,
		   uint32_t number, struct access_place *ret)
{
	const struct conf_access *access = &conf->access;
	size_t at = number - 1;
	struct conf_origin origin;

	*ret = (struct access_place){.file = NULL};
	if (number == 0 || at >= lists->rule_count)
		return;
	ret->is_allow = lists->rules[at].is_allow;
	(void)access_entry_format(&lists->rules[at].entry, ret->text, sizeof(ret->text));
	if (at >= lists->conf_count) {
		ret->file = lists->path;
		ret->line = lists->file_lines[at - lists->conf_count];
		return;
	}
	if (at < access->allow.count)
		origin = access_lists_origin(conf, "allow", &access->allow, at);
	else if (at - access->allow.count < access->deny.count)
		origin = access_lists_origin(conf, "deny", &access->deny, at - access->allow.count);
	else
		return;
	ret->file = origin.file;
	ret->line = origin.line;
}

static bool
access_lists_are_same(const struct access_entry *a, const struct access_entry *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == ACCESS_PREFIX)
		return a->prefix.is_ipv6 == b->prefix.is_ipv6 &&
		       a->prefix.length == b->prefix.length &&
		       memcmp(a->prefix.bytes, b->prefix.bytes, a->prefix.is_ipv6 ? 16 : 4) == 0;
	return a->kind == ACCESS_ALL || a->id == b->id;
}

uint32_t
access_lists_find_tie(const struct access_lists *lists, uint32_t number)
{
	const struct access_rule *rule;

	if (number == 0 || number > lists->rule_count)
		return 0;
	rule = &lists->rules[number - 1];
	for (size_t i = 0; i < lists->rule_count; i++) {
		if (lists->rules[i].is_allow != rule->is_allow &&
		    access_lists_are_same(&lists->rules[i].entry, &rule->entry))
			return (uint32_t)(i + 1);
	}
	return 0;
}
