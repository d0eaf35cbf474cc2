/*
 * access_lists.h - who may come to a listener: what its entry of the configuration and its file
 * say, in the memory that its workers read, and where each rule was written.
 */
#ifndef SUPERVISOR_ACCESS_LISTS_H
#define SUPERVISOR_ACCESS_LISTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/report.h"
#include "conf/config.h"
#include "policy/access_writer.h"

/* What a version of the file says, in short. */
struct access_said {
	size_t entries;
	bool allows;	 /* somebody, or all */
	bool allows_all; /* in so many words */
	bool is_closed;	 /* who is not named by it may not come in */
	bool is_empty;	 /* not even a comment is in it */
};

struct access_lists {
	struct access_writer writer;
	/* Of each entry of allow, then of deny: the number, where it is one of a user or group. */
	uint32_t *ids;
	size_t id_count;
	struct day_span spans[SCHEDULE_MOST_SPANS];
	size_t span_count;
	char *path; /* of its file; NULL: it has none */
	bool is_unix;

	/* What is published, in this order: allow, deny, the file. */
	struct access_rule *rules;
	size_t rule_count;
	size_t conf_count;    /* of them from the configuration */
	unsigned *file_lines; /* of the others */

	/* Of the version that holds; it survives an upgrade, which may find another one there. */
	struct access_said said;

	struct stat st; /* of the version of the file that was looked at last, good or not */
	bool has_st;	/* else there was none */
	bool is_gone;	/* which was told */
	bool is_being_written;
	char *told; /* what was wrong with the version before; owned */
};

/* Where a rule stands, for people; the text is the entry's. */
struct access_place {
	const char *file; /* NULL: not known (any more) */
	unsigned line;
	bool is_allow;
	char text[ACCESS_ENTRY_TEXT_SIZE];
};

/* Whether an entry has any rules at all. */
bool access_lists_are_wanted(const struct conf_listener *conf);

/* Makes and publishes the lists of an entry: looks up names, reads the file. NULL, told in the
 * report: that cannot be. */
struct access_lists *access_lists_new(const struct conf_listener *conf, struct report *report);
/* Lists of whose memory only the descriptor is known; for access_lists_resume. */
struct access_lists *access_lists_known(int fd);
/* Goes on with memory that another execution of this program has made. What was published stays
 * where the file cannot be read. 0, or a negative errno: the memory is of no use. */
int access_lists_resume(struct access_lists *lists, const struct conf_listener *conf);
/* Whether new lists may take the place of those that hold: a version of the same file that is not
 * believed while they hold is not believed then, either; which the report tells. Both may be NULL.
 */
bool access_lists_may_follow(const struct access_lists *lists, const struct access_lists *before,
			     struct report *report);
/* Accepts NULL. */
void access_lists_free(struct access_lists *lists);

/* Reads the file again if it has changed, or in any case (`is_forced`), and tells in the log what
 * came of it. */
void access_lists_look(struct access_lists *lists, const char *listener, bool is_forced);

/* Whether anything at all is in them, and whether anybody is allowed by name. */
bool access_lists_have_entries(const struct access_lists *lists);
bool access_lists_have_allow(const struct access_lists *lists);

/* Publishes the day to come. */
void access_lists_publish_times(struct access_lists *lists);

/* Where rule `number` (as struct access_answer has it) stands in that entry or its file. */
void access_lists_place(const struct access_lists *lists, const struct conf_listener *conf,
			uint32_t number, struct access_place *ret);
/* The first rule with the same prefix that says the opposite; 0: there is none. */
uint32_t access_lists_find_tie(const struct access_lists *lists, uint32_t number);

#endif
