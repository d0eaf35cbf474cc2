/*
 * names.h - user and group names into numbers. Looking them up may load libraries and wait for a
 * network, so a forked child does it, bounded in time.
 */
#ifndef SUPERVISOR_NAMES_H
#define SUPERVISOR_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/report.h"
#include "conf/config.h"

/* Who a worker is. */
struct identity {
	bool is_dropped; /* else they stay who the supervisor is */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	uint32_t group_count;
	char *user;
	char *home;
};

/* What is asked for. */
struct names_question {
	const char *user;		 /* NULL: the user of this process */
	const char *group;		 /* NULL: the user's own */
	const struct conf_texts *groups; /* NULL, or items NULL: the user's own */
};

/* Waits up to 10 s. 0; -ENOENT: no such user; -ESRCH: no such group; -ENODATA: no such group of the
 * list, whose index is in *ret_missing (which may be NULL without a list); another negative errno.
 */
int names_ask(const struct names_question *question, struct identity *ret, uint32_t *ret_missing);

/* Whether a list is there, which may be empty. */
bool names_has_groups(const struct conf_texts *groups);

/* The number of a user or a group. 0; -ENOENT: there is none; another negative errno. */
int names_find_id(bool is_group, const char *name, uint32_t *ret);

/* Who owns the file of a listener's Unix socket; this process's own user and group where the
 * configuration does not say. Returns whether it is known; if not, the report tells. */
bool names_look_up_socket(const struct conf_listener *listener, uid_t *ret_uid, gid_t *ret_gid,
			  struct report *report);

void identity_free(struct identity *identity);

#endif
