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

/* Who the workers are. */
struct identity {
	bool is_dropped; /* else they stay who the supervisor is */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	uint32_t group_count;
	char *user;
	char *home;
};

/* The identity that a configuration asks for; errors and warnings go into the report. Waits up to
 * 10 s. Returns whether it is known. */
bool names_look_up(const struct config *config, struct identity *ret, struct report *report);

/* Who owns the file of a listener's Unix socket; this process's own user and group where the
 * configuration does not say. Returns whether it is known; if not, the report tells. */
bool names_look_up_socket(const struct conf_listener *listener, uid_t *ret_uid, gid_t *ret_gid,
			  struct report *report);

/* The group of control_group, which may be none of the workers' (as names_look_up has found them).
 * Returns whether all is good; if not, the report tells. */
bool names_look_up_control(const struct config *config, const struct identity *workers,
			   bool *ret_is_given, gid_t *ret_gid, struct report *report);

void identity_free(struct identity *identity);

#endif
