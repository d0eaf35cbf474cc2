/*
 * identities.c - a listener is who it says, else who the top level says, else handlerd or nobody;
 * or, not started by root, who this process is.
 */
#include "supervisor/identities.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "conf/settings.h"

#define IDENTITIES_MOST_GROUPS 1024

/* Listeners that have their names from `defaults` would tell the same again. */
static bool
identities_is_told(const struct report *report, const struct conf_origin *origin, const char *text)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct report_entry *entry = &report->entries[i];
		bool is_same_file = entry->file == NULL || origin->file == NULL
					    ? entry->file == origin->file
					    : strcmp(entry->file, origin->file) == 0;

		if (is_same_file && entry->line == origin->line && strcmp(entry->text, text) == 0)
			return true;
	}
	return false;
}

static void identities_tell(struct report *report, bool is_warning, struct conf_origin origin,
			    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void
identities_tell(struct report *report, bool is_warning, struct conf_origin origin,
		const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	if (!identities_is_told(report, &origin, text))
		report_add(report, is_warning, origin.file, origin.line, NULL, text);
}

/* What a listener, or the top level (NULL), asks for, and where. */
struct identities_want {
	struct names_question question;
	const char *listener; /* that asks by itself */
	struct conf_origin user_origin;
	struct conf_origin group_origin;
	struct conf_origin groups_origin;
};

static struct conf_origin
identities_origin(const struct conf_listener *listener, const char *name)
{
	const struct setting *row = setting_find(SETTING_LISTENER, "", name);

	if (listener->origins == NULL || listener->origins[row - settings].file == NULL)
		return listener->origin;
	return listener->origins[row - settings];
}

/* The group of the top level goes with its user: of another user nothing was said there. */
static struct identities_want
identities_want(const struct config *config, const struct conf_listener *listener)
{
	struct identities_want want = {
		.question = {.user = config->user, .group = config->group},
		.user_origin = config->user_origin,
		.group_origin = config->group_origin,
	};

	if (listener == NULL)
		return want;
	if (listener->user != NULL) {
		want.question.user = listener->user;
		want.question.group = NULL;
		want.user_origin = identities_origin(listener, "user");
	}
	if (listener->group != NULL) {
		want.question.group = listener->group;
		want.group_origin = identities_origin(listener, "group");
	}
	if (names_has_groups(&listener->groups)) {
		want.question.groups = &listener->groups;
		want.groups_origin = identities_origin(listener, "groups");
	}
	if (listener->user != NULL || listener->group != NULL || want.question.groups != NULL)
		want.listener = listener->name;
	return want;
}

/* Why a look-up has failed, with the line that asked for it. */
static void
identities_complain(const struct identities_want *want, int error, uint32_t missing,
		    struct report *report)
{
	const struct names_question *question = &want->question;
	const char *user = question->user != NULL ? question->user : "nobody";
	const struct conf_origin *origin =
		question->user != NULL ? &want->user_origin : &want->group_origin;

	if (error == -ENOENT)
		identities_tell(report, false, want->user_origin, "there is no user '%s'", user);
	else if (error == -ESRCH)
		identities_tell(report, false, want->group_origin, "there is no group '%s'",
				question->group);
	else if (error == -ENODATA && question->groups != NULL && missing < question->groups->count)
		identities_tell(report, false, want->groups_origin,
				"groups: there is no group '%s'", question->groups->items[missing]);
	else if (error == -EPERM)
		identities_tell(report, false, *origin,
				"only root can run workers as another user or group than its own "
				"(in a systemd unit, User= and Group= are what it runs as)");
	else if (error == -EACCES)
		identities_tell(report, false, want->groups_origin,
				"groups: only root can run workers with other supplementary groups "
				"than its own (in a systemd unit, SupplementaryGroups= are what it "
				"has)");
	else
		identities_tell(report, false, want->user_origin, "cannot look up user '%s': %s",
				user, strerror(-error));
}

/* Whether these are the supplementary groups that this process has. */
static bool
identities_are_own_groups(const struct identity *asked)
{
	gid_t own[IDENTITIES_MOST_GROUPS];
	int count = getgroups(IDENTITIES_MOST_GROUPS, own);

	if (count < 0)
		return false;
	for (uint32_t i = 0; i < asked->group_count; i++) {
		bool is_own = false;

		for (int k = 0; k < count; k++)
			is_own = is_own || own[k] == asked->groups[i];
		if (!is_own)
			return false;
	}
	for (int k = 0; k < count; k++) {
		bool is_asked = false;

		for (uint32_t i = 0; i < asked->group_count; i++)
			is_asked = is_asked || own[k] == asked->groups[i];
		if (!is_asked)
			return false;
	}
	return true;
}

/* Started by an ordinary user: workers are that user. -EPERM: another user or group; -EACCES: other
 * supplementary groups. */
static int
identities_look_up_own(const struct names_question *question, struct identity *ret,
		       uint32_t *ret_missing)
{
	struct identity asked = {0};
	int r = names_ask(&(struct names_question){.user = NULL}, ret, NULL);

	if (r < 0 ||
	    (question->user == NULL && question->group == NULL && question->groups == NULL))
		return r;
	r = names_ask(question, &asked, ret_missing);
	if (r >= 0 &&
	    (asked.uid != geteuid() || (question->group != NULL && asked.gid != getegid())))
		r = -EPERM;
	else if (r >= 0 && question->groups != NULL && !identities_are_own_groups(&asked))
		r = -EACCES;
	identity_free(&asked);
	return r;
}

static int
identities_look_up_any(const struct names_question *question, struct identity *ret,
		       uint32_t *ret_missing, struct report *report)
{
	struct names_question asked = *question;
	int r;

	if (geteuid() != 0)
		return identities_look_up_own(question, ret, ret_missing);
	ret->is_dropped = true;
	if (question->user == NULL)
		asked.user = "handlerd";
	r = names_ask(&asked, ret, ret_missing);
	if (r != -ENOENT || question->user != NULL)
		return r;
	identities_tell(report, true, (struct conf_origin){.file = NULL},
			"there is no account 'handlerd'; workers run as 'nobody' (create it, or "
			"set user in the configuration)");
	asked.user = "nobody";
	return names_ask(&asked, ret, ret_missing);
}

/* Each listener that says so itself is warned of. */
static void
identities_warn_root(const struct identities_want *want, struct report *report)
{
	static const char text[] =
		"workers run as root: a mistake in a handler is a mistake of root's";

	if (want->listener != NULL && !want->user_origin.is_shared)
		identities_tell(report, true, want->user_origin, "listener '%s': %s",
				want->listener, text);
	else
		identities_tell(report, true, want->user_origin, "%s", text);
}

static bool
identities_is_text_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
identities_is_list_same(const struct conf_texts *a, const struct conf_texts *b)
{
	bool has_a = a != NULL && a->items != NULL, has_b = b != NULL && b->items != NULL;

	if (!has_a || !has_b)
		return has_a == has_b;
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	}
	return true;
}

static struct identities_row *
identities_find_row(const struct identities *identities, const struct names_question *question)
{
	for (size_t i = 0; i < identities->count; i++) {
		struct identities_row *row = &identities->rows[i];

		if (identities_is_text_same(row->user, question->user) &&
		    identities_is_text_same(row->group, question->group) &&
		    identities_is_list_same(row->groups, question->groups))
			return row;
	}
	return NULL;
}

/* Looks up what nobody has asked for yet; complains to everybody who asks for what there is not. */
static void
identities_add(struct identities *identities, const struct identities_want *want,
	       struct report *report)
{
	const struct names_question *question = &want->question;
	struct identities_row *row = identities_find_row(identities, question);

	if (row == NULL) {
		identities->rows =
			memory_grow(identities->rows, identities->count, sizeof(*identities->rows));
		row = &identities->rows[identities->count++];
		*row = (struct identities_row){
			.user = question->user,
			.group = question->group,
			.groups = question->groups,
			.listener = want->listener,
		};
		row->result =
			identities_look_up_any(question, &row->identity, &row->missing, report);
	}
	if (row->result < 0)
		identities_complain(want, row->result, row->missing, report);
	else if (row->identity.is_dropped && row->identity.uid == 0)
		identities_warn_root(want, report);
}

static bool
identities_is_member(const struct identity *identity, gid_t gid)
{
	for (uint32_t i = 0; i < identity->group_count; i++) {
		if (identity->groups[i] == gid)
			return true;
	}
	return identity->gid == gid;
}

/* The workers that have the group, or NULL. Those that are who we are may ask anything, whatever
 * their groups. */
static const struct identities_row *
identities_find_member(const struct identities *workers, gid_t gid)
{
	for (size_t i = 0; i < workers->count; i++) {
		const struct identity *identity = &workers->rows[i].identity;

		if (identity->is_dropped && identity->uid != 0 &&
		    identities_is_member(identity, gid))
			return &workers->rows[i];
	}
	return NULL;
}

bool
identities_look_up_control(const struct config *config, const struct identities *workers,
			   bool *ret_is_given, gid_t *ret_gid, struct report *report)
{
	const struct conf_origin *origin = &config->control_group_origin;
	const struct identities_row *member;
	struct identity found = {0};
	size_t errors = report->errors;
	int r;

	*ret_is_given = config->control_group != NULL;
	if (config->control_group == NULL)
		return true;
	r = names_ask(&(struct names_question){.group = config->control_group}, &found, NULL);
	*ret_gid = found.gid;
	identity_free(&found);
	member = identities_find_member(workers, *ret_gid);
	if (r == -ESRCH)
		report_error(report, origin->file, origin->line,
			     "control_group: there is no group '%s'", config->control_group);
	else if (r < 0)
		report_error(report, origin->file, origin->line,
			     "control_group: '%s' cannot be looked up: %s", config->control_group,
			     strerror(-r));
	else if (member != NULL)
		report_error(report, origin->file, origin->line,
			     "control_group: '%s' is a group of the workers%s%s%s (user '%s'): "
			     "handlers could look at everybody's connections; take a group of its "
			     "own",
			     config->control_group,
			     member->listener != NULL ? " of listener '" : "",
			     member->listener != NULL ? member->listener : "",
			     member->listener != NULL ? "'" : "",
			     member->identity.user != NULL ? member->identity.user : "");
	return report->errors == errors;
}

bool
identities_look_up(const struct config *config, struct identities *ret, struct report *report)
{
	struct identities_want top = identities_want(config, NULL);
	size_t errors = report->errors;
	/* a name that is written must be known; a default that nobody takes is of no account */
	bool is_taken =
		config->user != NULL || config->group != NULL || config->listener_count == 0;

	*ret = (struct identities){0};
	for (size_t i = 0; i < config->listener_count; i++)
		is_taken =
			is_taken || identities_want(config, &config->listeners[i]).listener == NULL;
	if (is_taken)
		identities_add(ret, &top, report);
	for (size_t i = 0; i < config->listener_count; i++) {
		struct identities_want want = identities_want(config, &config->listeners[i]);

		if (want.listener != NULL)
			identities_add(ret, &want, report);
	}
	return report->errors == errors;
}

bool
identities_look_up_one(const struct config *config, const struct conf_listener *listener,
		       struct identities *ret, struct report *report)
{
	struct identities_want want = identities_want(config, listener);
	size_t errors = report->errors;

	*ret = (struct identities){0};
	identities_add(ret, &want, report);
	return report->errors == errors;
}

const struct identity *
identities_find(const struct identities *identities, const struct config *config,
		const struct conf_listener *listener)
{
	struct identities_want want = identities_want(config, listener);
	const struct identities_row *row = identities_find_row(identities, &want.question);

	CHECK(row != NULL);
	return &row->identity;
}

void
identities_free(struct identities *identities)
{
	for (size_t i = 0; i < identities->count; i++)
		identity_free(&identities->rows[i].identity);
	free(identities->rows);
	*identities = (struct identities){0};
}
