/*
 * admission.c - the order of the rules: what costs least and concerns most comes first.
 */
#include "policy/admission.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
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

static bool
admission_is_caught(const struct admission *admission, const struct admission_peer *peer)
{
	uint64_t hi, lo;

	return admission->sensor.ban_ns > 0 &&
	       bans_address_to_words(peer->address, peer->length, &hi, &lo) &&
	       sensor_catches(&admission->sensor, hi, lo);
}

static bool
admission_is_banned(const struct admission *admission, const struct admission_peer *peer)
{
	struct bans_key key;

	return bans_key_of(peer->address, peer->length, &key) &&
	       bans_find(admission->bans, &key) > clock_now_ns();
}

enum close_reason
admission_ask(const struct admission *admission, enum admission_step step,
	      const struct admission_peer *peer, uint32_t *ret_rule)
{
	const struct scoreboard *board = admission->board;
	struct access_answer answer = {.rule = 0};
	enum close_reason reason = CLOSE_NONE;

	switch (step) {
	case ADMISSION_SENSOR:
		if (admission_is_caught(admission, peer))
			reason = CLOSE_BANNED;
		break;
	case ADMISSION_BANS:
		if (bans_are_there(admission->bans) && admission_is_banned(admission, peer))
			reason = CLOSE_BANNED;
		break;
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

/* The user at the other end of a Unix socket; NULL: there is none, or nobody knows. */
static const uid_t *
admission_find_user(const struct admission_peer *peer, struct ucred *room)
{
	socklen_t length = sizeof(*room);

	if (peer->credentials != NULL)
		return &peer->credentials->uid;
	if (peer->fd < 0 || peer->address->ss_family == AF_INET ||
	    peer->address->ss_family == AF_INET6 ||
	    getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, room, &length) < 0)
		return NULL;
	return &room->uid;
}

/* Counts the client's source, and takes a token of it. */
static enum close_reason
admission_judge_source(struct admission *admission, const struct admission_peer *peer,
		       int64_t now_ns, uint32_t *ret_place)
{
	enum close_reason reason;
	struct ucred credentials;
	int64_t until_ns;
	uint64_t hash;

	if (!sources_identify(&admission->source_rules, peer->address,
			      admission_find_user(peer, &credentials), &hash))
		return CLOSE_NONE;
	reason = sources_enter(&admission->sources, &admission->older, hash,
			       admission->connections_per_source, ret_place);
	if (reason != CLOSE_NONE || *ret_place == 0 || admission->source_rate.interval_ns == 0)
		return reason;
	if (bucket_take(sources_bucket(&admission->sources, *ret_place), &admission->source_rate,
			now_ns, 0, &until_ns))
		return CLOSE_NONE;
	sources_leave(&admission->sources, *ret_place);
	*ret_place = ADMISSION_NO_SOURCE;
	return CLOSE_SOURCE_RATE;
}

/* What older generations have left of the bucket of all. */
static int64_t
admission_find_older(const struct admission *admission)
{
	int64_t full_ns = 0;

	for (size_t i = 0; i < admission->older.count; i++) {
		int64_t other_ns = atomic_load_explicit(&admission->older.tables[i].shared->full_ns,
							memory_order_relaxed);

		full_ns = other_ns > full_ns ? other_ns : full_ns;
	}
	return full_ns;
}

static bool
admission_take(struct admission *admission, int64_t now_ns, int64_t *ret_until_ns)
{
	return bucket_take(&admission->sources.shared->full_ns, &admission->rate, now_ns,
			   admission_find_older(admission), ret_until_ns);
}

/* What a client uses up: its source's connections and tokens, and the tokens of all. */
static enum close_reason
admission_judge_limits(struct admission *admission, const struct admission_peer *peer,
		       uint32_t *ret_source)
{
	bool is_rated = admission->rate.interval_ns != 0 && !admission->waits_for_rate;
	enum close_reason reason = CLOSE_NONE;
	int64_t now_ns, until_ns;

	if (!admission->has_sources && !is_rated)
		return CLOSE_NONE;
	now_ns = is_rated || admission->source_rate.interval_ns != 0 ? clock_now_ns() : 0;
	if (admission->has_sources)
		reason = admission_judge_source(admission, peer, now_ns, ret_source);
	if (reason != CLOSE_NONE || !is_rated || admission_take(admission, now_ns, &until_ns))
		return reason;
	/* its source has not had what was taken from it */
	if (*ret_source != ADMISSION_NO_SOURCE && admission->source_rate.interval_ns != 0)
		bucket_give_back(sources_bucket(&admission->sources, *ret_source),
				 &admission->source_rate);
	admission_leave(admission, *ret_source);
	*ret_source = ADMISSION_NO_SOURCE;
	return CLOSE_RATE;
}

static void
admission_report(const struct admission *admission, const struct admission_peer *peer)
{
	uint64_t hi, lo;

	if (admission->bans != NULL && bans_address_to_words(peer->address, peer->length, &hi, &lo))
		sensor_report(&admission->sensor, admission->bans, admission->board, hi, lo);
}

enum close_reason
admission_judge_rules(const struct admission *admission, const struct admission_peer *peer)
{
	uint32_t rule;

	for (enum admission_step step = 0; step < ADMISSION_STEPS; step++) {
		enum close_reason reason = admission_ask(admission, step, peer, &rule);

		if (reason != CLOSE_NONE && step == ADMISSION_SENSOR)
			admission_report(admission, peer);
		if (reason != CLOSE_NONE)
			return reason;
	}
	return CLOSE_NONE;
}

enum close_reason
admission_judge(struct admission *admission, const struct admission_peer *peer,
		uint32_t *ret_source)
{
	enum close_reason reason = admission_judge_rules(admission, peer);

	*ret_source = ADMISSION_NO_SOURCE;
	return reason != CLOSE_NONE ? reason : admission_judge_limits(admission, peer, ret_source);
}

bool
admission_reserve(struct admission *admission, int64_t *ret_until_ns)
{
	if (admission_take(admission, clock_now_ns(), ret_until_ns))
		return true;
	atomic_store_explicit(&admission->sources.shared->waits_until_ns, *ret_until_ns,
			      memory_order_relaxed);
	return false;
}

void
admission_give_back(struct admission *admission)
{
	bucket_give_back(&admission->sources.shared->full_ns, &admission->rate);
}

void
admission_leave(struct admission *admission, uint32_t source)
{
	if (source != ADMISSION_NO_SOURCE)
		sources_leave(&admission->sources, source);
}
