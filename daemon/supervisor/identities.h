/*
 * identities.h - who the workers of each listener are: the rules of who may be whom.
 */
#ifndef SUPERVISOR_IDENTITIES_H
#define SUPERVISOR_IDENTITIES_H

#include "supervisor/names.h"

/* Who the workers of each listener are. Listeners that ask for the same names share a row. */
struct identities_row {
	const char *user; /* as asked for, of the configuration; NULL: not given */
	const char *group;
	const struct conf_texts *groups; /* items NULL: not given */
	const char *listener; /* the first that has asked by itself; NULL: the top level */
	int result;	      /* of the look-up */
	uint32_t missing;     /* of `groups`, where the result says so */
	struct identity identity;
};

struct identities {
	struct identities_row *rows;
	size_t count;
};

/* The identities that a configuration asks for, at its top level and for its listeners; errors and
 * warnings go into the report. Waits up to 10 s for each. Returns whether all are known. */
bool identities_look_up(const struct config *config, struct identities *ret, struct report *report);

/* The same for one listener only. */
bool identities_look_up_one(const struct config *config, const struct conf_listener *listener,
			    struct identities *ret, struct report *report);

/* Of a listener that was looked up. */
const struct identity *identities_find(const struct identities *identities,
				       const struct config *config,
				       const struct conf_listener *listener);

/* The group of control_group, which may be none of any workers' (as identities_look_up has found
 * them). Returns whether all is good; if not, the report tells. */
bool identities_look_up_control(const struct config *config, const struct identities *workers,
				bool *ret_is_given, gid_t *ret_gid, struct report *report);

void identities_free(struct identities *identities);

#endif
