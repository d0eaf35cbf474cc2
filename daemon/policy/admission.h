/*
 * admission.h - whether a client may come in: the rules and limits of a listener, asked in one
 * order, in front of every handler, whatever the protocol and the concurrency.
 *
 * Who is turned away costs no request: it is counted by its reason, and forgotten. Any flow may
 * ask, forked children included: what changes stands in memory that they share.
 */
#ifndef POLICY_ADMISSION_H
#define POLICY_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ipc/bans.h"
#include "ipc/close_reason.h"
#include "ipc/scoreboard.h"
#include "policy/access.h"
#include "policy/sensor.h"
#include "policy/sources.h"

/* Who asks. */
struct admission_peer {
	const struct sockaddr_storage *address; /* as peer_normalise leaves it; not owned */
	socklen_t length;
	int fd;				 /* of a connection; -1 */
	const struct ucred *credentials; /* of a Unix datagram's sender; NULL: not known */
	const gid_t *groups; /* beside those of the credentials, of one who is only asked about */
	size_t group_count;
};

/* The rules of one listener in one worker: written while that starts, read-only afterwards. */
struct admission {
	bool is_asked;		      /* there is anything to ask at all */
	bool has_rules;		      /* and not of limits alone */
	struct scoreboard *board;     /* not owned */
	struct access access;	      /* who may come in, and when */
	const struct bans_page *bans; /* NULL: they do not concern it; not owned */
	struct sensor sensor;

	/* limits: of sources, and of all together */
	bool has_sources;
	bool waits_for_rate;		 /* limits.rate is asked before a client is taken */
	uint32_t connections_per_source; /* 0: any number */
	struct bucket_rate rate, source_rate;
	struct sources_rules source_rules;
	struct sources sources;
	struct sources_older older; /* nothing in it: there are none */
};

/* The rules that a client cannot use up, in the order in which they are asked. */
enum admission_step {
	ADMISSION_SENSOR,   /* access.sensor, of this listener */
	ADMISSION_BANS,	    /* access.sensor, of any */
	ADMISSION_OVERLOAD, /* limits.overload */
	ADMISSION_ACCESS,   /* access.allow, access.deny, access.file */
	ADMISSION_TIMES,    /* access.times */
	ADMISSION_STEPS,
};

/* No source is counted for this client. */
#define ADMISSION_NO_SOURCE 0U

/* What one of them says of a client, and changes nothing: CLOSE_NONE, or why it may not come in.
 * *ret_rule is that of struct access_answer, of ADMISSION_ACCESS; else 0. */
enum close_reason admission_ask(const struct admission *admission, enum admission_step step,
				const struct admission_peer *peer, uint32_t *ret_rule);

/* Whether the rules may keep anybody out, before what a client uses up is looked at. */
static inline bool
admission_has_rules(const struct admission *admission)
{
	return admission->has_rules || bans_are_there(admission->bans) ||
	       atomic_load_explicit(&admission->board->is_shedding, memory_order_relaxed) != 0;
}

/* Whether anybody has to be asked; three loads where nobody has. */
static inline bool
admission_is_needed(const struct admission *admission)
{
	return admission->is_asked || admission_has_rules(admission);
}

/* Judges a client that was just taken. CLOSE_NONE: it may come in, and *ret_source is to be given
 * back with admission_leave when it has left. */
enum close_reason admission_judge(struct admission *admission, const struct admission_peer *peer,
				  uint32_t *ret_source);
/* The rules alone, for a client that does not come in whatever they say: nothing is counted and
 * nothing used up. */
enum close_reason admission_judge_rules(const struct admission *admission,
					const struct admission_peer *peer);

/* Under waits_for_rate, before a client is taken: a token for it. False: there is none before
 * *ret_until_ns, and the supervisor can see that nobody is accepted till then. */
bool admission_reserve(struct admission *admission, int64_t *ret_until_ns);
/* The token was not needed: nobody was there, or he may not come in. */
void admission_give_back(struct admission *admission);

/* A client that came in has left, or the process that served it has. */
void admission_leave(struct admission *admission, uint32_t source);

#endif
