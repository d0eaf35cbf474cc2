/*
 * control_explain_limits.c - what is left of the limits of a listener. What workers have counted is
 * read from their scoreboards, whatever stands there.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/parse.h"
#include "conf/settings.h"
#include "policy/sources.h"
#include "supervisor/control_explain.h"

/* Where a key of `limits` was written. */
static void
explain_set_place(const struct listener *listener, const char *key, struct explain_row *ret)
{
	const struct setting *row = setting_find(SETTING_LISTENER, "limits", key);
	const struct conf_listener *conf = listener->conf;

	if (conf->origins == NULL || conf->origins[row - settings].file == NULL)
		return;
	ret->file = conf->origins[row - settings].file;
	ret->line = conf->origins[row - settings].line;
}

/* What becomes of who is beyond a limit that clients may wait at. Sessions of UDP are received
 * first, whatever on_limit says: for a place they always wait, and for a token never, since the
 * datagrams of others' sessions may stand behind. */
static void
explain_beyond(const struct listener *listener, enum close_reason reason, struct explain_row *ret)
{
	bool waits = listener->has_sessions ? reason == CLOSE_LIMIT
					    : listener->conf->limits.on_limit == CONF_LIMIT_WAIT;

	ret->says = waits ? EXPLAIN_WAITS : EXPLAIN_REFUSES;
	ret->reason = waits ? CLOSE_NONE : reason;
}

/* Of what several say of one bucket, the emptiest counts. */
static void
explain_add_full(int64_t full_ns, int64_t *sum_ns)
{
	if (full_ns > *sum_ns)
		*sum_ns = full_ns;
}

static void
explain_add_all(const struct child *child, int64_t *sum_ns)
{
	struct sources sources;

	if (child == NULL || child->board == NULL)
		return;
	sources = sources_of_board(child->board, child->board_slots, child->board_sets);
	explain_add_full(atomic_load(&sources.shared->full_ns), sum_ns);
}

/* Adds what one worker knows of a source. */
static void
explain_add_view(const struct child *child, uint64_t hash, struct sources_view *sum)
{
	struct sources sources;
	struct sources_view view;

	if (child == NULL || child->board == NULL)
		return;
	sources = sources_of_board(child->board, child->board_slots, child->board_sets);
	view = sources_look(&sources, hash);
	sum->connections += view.connections;
	explain_add_full(view.full_ns, &sum->full_ns);
}

static struct sources_view
explain_look(const struct listener *listener, const struct admission_peer *peer)
{
	const struct conf_limits *limits = &listener->conf->limits;
	const int64_t *key = listener->world->source_key;
	struct siphash_key whole = {{(uint64_t)key[0], (uint64_t)key[1]}};
	struct sources_rules rules = {
		.key = sources_derive_key(&whole, listener->name),
		.prefix_ipv4 = (unsigned)limits->source_prefix_ipv4,
		.prefix_ipv6 = (unsigned)limits->source_prefix_ipv6,
	};
	struct sources_view sum = {0};
	uint64_t hash;

	if (!sources_identify(&rules, peer->address,
			      peer->credentials != NULL ? &peer->credentials->uid : NULL, &hash))
		return sum;
	explain_add_view(listener->current, hash, &sum);
	for (const struct child *old = listener->old; old != NULL; old = old->next)
		explain_add_view(old, hash, &sum);
	explain_add_full(buckets_look(&listener->buckets, hash), &sum.full_ns);
	return sum;
}

/* The bucket of all clients together, which each worker has begun where those before it stood. */
static int64_t
explain_look_all(const struct listener *listener)
{
	int64_t full_ns = buckets_look_all(&listener->buckets);

	explain_add_all(listener->current, &full_ns);
	for (const struct child *old = listener->old; old != NULL; old = old->next)
		explain_add_all(old, &full_ns);
	return full_ns;
}

/* The tokens that are left of so many. */
static bool
explain_tokens(int64_t per_hour, int64_t burst, int64_t full_ns, const char *whose,
	       struct explain_row *ret)
{
	struct bucket_rate rate = bucket_rate_of((uint64_t)per_hour, (uint64_t)burst);
	uint64_t left = bucket_count(full_ns, &rate, clock_now_ns());
	char text[SETTING_NUMBER_SIZE];

	ret->text = memory_format("%s has %" PRIu64 " of %" PRId64 " left, and gets %s", whose,
				  left, rate.whole_ns / rate.interval_ns,
				  parse_format_rate(per_hour, text, sizeof(text)));
	return left > 0;
}

void
explain_source_connections(const struct listener *listener, const struct admission_peer *peer,
			   struct explain_row *ret)
{
	int64_t most = listener->conf->limits.connections_per_source;
	struct sources_view view;

	if (most == 0) {
		ret->text = memory_text("there is no limit");
		return;
	}
	view = explain_look(listener, peer);
	ret->text = memory_format("its source has %" PRIu32 " of %" PRId64 " connections",
				  view.connections, most);
	explain_set_place(listener, "connections_per_source", ret);
	if (view.connections < most)
		return;
	ret->says = EXPLAIN_REFUSES;
	ret->reason = CLOSE_SOURCE_CONNECTIONS;
}

void
explain_source_rate(const struct listener *listener, const struct admission_peer *peer,
		    struct explain_row *ret)
{
	const struct conf_limits *limits = &listener->conf->limits;

	if (limits->rate_per_source == 0) {
		ret->text = memory_text("there is no limit");
		return;
	}
	explain_set_place(listener, "rate_per_source", ret);
	if (explain_tokens(limits->rate_per_source, limits->rate_per_source_burst,
			   explain_look(listener, peer).full_ns, "its source", ret))
		return;
	ret->says = EXPLAIN_REFUSES;
	ret->reason = CLOSE_SOURCE_RATE;
}

void
explain_rate(const struct listener *listener, struct explain_row *ret)
{
	const struct conf_limits *limits = &listener->conf->limits;

	if (limits->rate == 0) {
		ret->text = memory_text("there is no limit");
		return;
	}
	explain_set_place(listener, "rate", ret);
	if (!explain_tokens(limits->rate, limits->rate_burst, explain_look_all(listener),
			    "the listener", ret))
		explain_beyond(listener, CLOSE_RATE, ret);
}

void
explain_max_connections(const struct listener *listener, struct explain_row *ret)
{
	uint64_t open = listener_count_open(listener);
	int64_t limit = listener->limit;

	ret->text = memory_format("%" PRIu64 " of %" PRId64 " connections are open", open, limit);
	if (limit > 0 && open >= (uint64_t)limit)
		explain_beyond(listener, CLOSE_LIMIT, ret);
}
