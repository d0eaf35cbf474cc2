/*
 * admission.c - the order of the rules: what costs least and concerns most comes first.
 */
#include "policy/admission.h"

#include <errno.h>
#include <stdlib.h>

#include "net/peer.h"

/* Groups of a Unix client for which nothing is allocated. */
#define ADMISSION_FEW_GROUPS 64
/* The kernel's own limit, and the primary one. */
#define ADMISSION_MOST_GROUPS (65536 + 1)

/* A Unix client by what the kernel says of it. Of a datagram's sender it tells no other groups than
 * the primary one. More groups than there is room for: -ERANGE. */
static int
admission_read_unix(const struct admission_peer *peer, gid_t *groups, size_t room,
		    struct access_who *ret)
{
	int count = 0;

	ret->is_unix = true;
	ret->gids = groups;
	ret->gid_count = 1;
	if (peer->credentials != NULL) {
		ret->uid = peer->credentials->uid;
		groups[0] = peer->credentials->gid;
	} else if (peer->fd < 0 || peer_credentials(peer->fd, NULL, &ret->uid, &groups[0]) < 0) {
		return 0;
	}
	if (peer->fd >= 0)
		count = peer_groups(peer->fd, groups + 1, room - 1);
	if (count < 0)
		return count;
	for (size_t i = 0; i < peer->group_count && ret->gid_count < room; i++)
		groups[ret->gid_count++] = peer->groups[i];
	ret->gid_count += (size_t)count;
	ret->is_known = true;
	return 0;
}

static enum close_reason
admission_ask_unix(const struct access *access, const struct admission_peer *peer,
		   struct access_answer *ret)
{
	gid_t few[ADMISSION_FEW_GROUPS];
	struct access_who who = {.is_unix = true};
	gid_t *many = NULL;

	if (admission_read_unix(peer, few, ADMISSION_FEW_GROUPS, &who) == -ERANGE) {
		many = calloc(ADMISSION_MOST_GROUPS, sizeof(*many));
		if (many != NULL)
			(void)admission_read_unix(peer, many, ADMISSION_MOST_GROUPS, &who);
	}
	*ret = access_judge(access, &who);
	free(many);
	return ret->is_allowed ? CLOSE_NONE : CLOSE_ACCESS;
}

static enum close_reason
admission_ask_access(const struct access *access, const struct admission_peer *peer,
		     struct access_answer *ret)
{
	struct access_who who;

	if (peer->credentials != NULL ||
	    (peer->length >= sizeof(sa_family_t) && peer->address->ss_family == AF_UNIX))
		return admission_ask_unix(access, peer, ret);
	access_who_is(peer->address, peer->length, &who);
	*ret = access_judge(access, &who);
	return ret->is_allowed ? CLOSE_NONE : CLOSE_ACCESS;
}

enum close_reason
admission_ask(const struct admission *admission, enum admission_step step,
	      const struct admission_peer *peer, uint32_t *ret_rule)
{
	const struct scoreboard *board = admission->board;
	struct access_answer answer = {.rule = 0};
	enum close_reason reason = CLOSE_NONE;

	switch (step) {
	case ADMISSION_OVERLOAD:
		if (board != NULL &&
		    atomic_load_explicit(&board->is_shedding, memory_order_relaxed) != 0)
			reason = CLOSE_OVERLOAD;
		break;
	case ADMISSION_ACCESS:
		if (admission->access.page != NULL)
			reason = admission_ask_access(&admission->access, peer, &answer);
		break;
	case ADMISSION_TIMES:
		if (admission->access.page != NULL &&
		    !access_is_open(&admission->access, access_now_s()))
			reason = CLOSE_TIME;
		break;
	case ADMISSION_STEPS:
		break;
	}
	*ret_rule = answer.rule;
	return reason;
}

enum close_reason
admission_judge(struct admission *admission, const struct admission_peer *peer,
		uint32_t *ret_source)
{
	uint32_t rule;

	*ret_source = ADMISSION_NO_SOURCE;
	for (enum admission_step step = 0; step < ADMISSION_STEPS; step++) {
		enum close_reason reason = admission_ask(admission, step, peer, &rule);

		if (reason != CLOSE_NONE)
			return reason;
	}
	return CLOSE_NONE;
}

void
admission_leave(struct admission *admission, uint32_t source)
{
	(void)admission;
	(void)source;
}
