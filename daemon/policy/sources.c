/*
 * sources.c - the table.
 */
#include "policy/sources.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"
#include "ipc/scoreboard.h"

#define SOURCES_COUNT_BITS 20
#define SOURCES_TAG_BITS 44
/* A place that is being filled: no source has the tag 0. */
#define SOURCES_RESERVED UINT64_C(1)

/* Places for each connection that there may be: so many that a set is hardly ever full of them; and
 * at least so many sets, for who comes often and does not stay. */
#define SOURCES_PLACES_EACH 4
#define SOURCES_LEAST_SETS 256

_Static_assert(sizeof(struct sources_place) == 16, "four places are a cache line");
_Static_assert(offsetof(struct sources_shared, places) % 64 == 0, "sets begin on a cache line");
_Static_assert(SOURCES_MOST_CONNECTIONS == (1U << SOURCES_COUNT_BITS) - 1, "as many as fit");
_Static_assert(SCOREBOARD_MOST_SLOTS < SOURCES_MOST_CONNECTIONS, "no count overflows");

struct siphash_key
sources_derive_key(const struct siphash_key *key, const char *listener)
{
	struct siphash_key other = {{~key->words[0], ~key->words[1]}};
	size_t length = strlen(listener);

	return (struct siphash_key){
		{siphash(key, listener, length), siphash(&other, listener, length)},
	};
}

uint32_t
sources_count_sets(uint64_t connections)
{
	uint32_t sets = SOURCES_LEAST_SETS;

	while (sets < SOURCES_MOST_SETS &&
	       (uint64_t)sets * SOURCES_WAYS < connections * SOURCES_PLACES_EACH)
		sets *= 2;
	return sets;
}

size_t
sources_board_size(size_t slots, uint32_t sets)
{
	return scoreboard_size(slots) + sizeof(struct sources_shared) +
	       (size_t)sets * SOURCES_WAYS * sizeof(struct sources_place);
}

struct sources
sources_of_board(void *board, size_t slots, uint32_t sets)
{
	return (struct sources){
		.shared = (struct sources_shared *)((char *)board + scoreboard_size(slots)),
		.sets = sets,
	};
}

int
sources_init(const struct sources *sources)
{
	pthread_mutexattr_t attributes;
	int r = pthread_mutexattr_init(&attributes);

	if (r == 0)
		r = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	if (r == 0)
		r = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	for (size_t i = 0; i < SOURCES_LOCKS && r == 0; i++)
		r = pthread_mutex_init(&sources->shared->locks[i].mutex, &attributes);
	(void)pthread_mutexattr_destroy(&attributes);
	return -r;
}

void
sources_end(const struct sources *sources)
{
	if (sources->sets > 0)
		atomic_store(&sources->shared->is_over, true);
}

/* Keeps the first bits. */
static void
sources_mask(unsigned char *bytes, size_t size, unsigned bits)
{
	for (size_t i = 0; i < size; i++) {
		unsigned kept = bits > 8 * i ? bits - 8 * (unsigned)i : 0;

		if (kept < 8)
			bytes[i] &= (unsigned char)(0xff00U >> kept);
	}
}

bool
sources_identify(const struct sources_rules *rules, const struct sockaddr_storage *address,
		 const uid_t *uid, uint64_t *ret_hash)
{
	/* the family first, and how many bits count: what looks alike is not the same */
	unsigned char bytes[2 + sizeof(struct in6_addr)] = {0};
	size_t size = 2;
	unsigned bits;

	if (address->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		memcpy(bytes + 2, &in.sin_addr, sizeof(in.sin_addr));
		size += sizeof(in.sin_addr);
		bits = rules->prefix_ipv4;
	} else if (address->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		memcpy(bytes + 2, &in6.sin6_addr, sizeof(in6.sin6_addr));
		size += sizeof(in6.sin6_addr);
		bits = rules->prefix_ipv6;
	} else if (uid != NULL) {
		memcpy(bytes + 2, uid, sizeof(*uid));
		size += sizeof(*uid);
		bits = 8 * sizeof(*uid);
	} else {
		return false;
	}
	bytes[0] = (unsigned char)address->ss_family;
	bytes[1] = (unsigned char)bits;
	sources_mask(bytes + 2, size - 2, bits);
	*ret_hash = siphash(&rules->key, bytes, size);
	return true;
}

static uint64_t
sources_tag(uint64_t hash)
{
	uint64_t tag = hash & ((UINT64_C(1) << SOURCES_TAG_BITS) - 1);

	return tag != 0 ? tag : 1;
}

static uint32_t
sources_set(const struct sources *sources, uint64_t hash)
{
	return (uint32_t)(hash >> SOURCES_TAG_BITS) & (sources->sets - 1);
}

static struct sources_place *
sources_first(const struct sources *sources, uint64_t hash)
{
	return &sources->shared->places[(size_t)sources_set(sources, hash) * SOURCES_WAYS];
}

/* The place of a tag among those of a set, and what it holds; NULL: it has none. */
static struct sources_place *
sources_find(struct sources_place *set, uint64_t tag, uint64_t *ret_holder)
{
	for (size_t i = 0; i < SOURCES_WAYS; i++) {
		uint64_t holder = atomic_load_explicit(&set[i].holder, memory_order_acquire);

		if (holder >> SOURCES_COUNT_BITS == tag) {
			*ret_holder = holder;
			return &set[i];
		}
	}
	return NULL;
}

struct sources_view
sources_look(const struct sources *sources, uint64_t hash)
{
	struct sources_view view = {0};
	const struct sources_place *place;
	uint64_t holder;

	if (sources->sets == 0)
		return view;
	place = sources_find(sources_first(sources, hash), sources_tag(hash), &holder);
	if (place == NULL)
		return view;
	view.connections = (uint32_t)(holder & SOURCES_MOST_CONNECTIONS);
	view.full_ns = atomic_load_explicit(&place->full_ns, memory_order_relaxed);
	return view;
}

/* What older generations know: connections that they still serve, and how empty its bucket is. */
static struct sources_view
sources_look_older(const struct sources_older *older, uint64_t hash)
{
	bool is_over = older->count == 0 || atomic_load(older->is_over);
	struct sources_view sum = {0};

	for (size_t i = 0; i < older->count; i++) {
		struct sources_view view = sources_look(&older->tables[i], hash);

		if (!is_over && !atomic_load(&older->tables[i].shared->is_over))
			sum.connections += view.connections;
		if (view.full_ns > sum.full_ns)
			sum.full_ns = view.full_ns;
	}
	return sum;
}

/* Whoever held the lock has died: what it was filling is free. */
static void
sources_repair(const struct sources *sources, uint32_t lock)
{
	for (uint32_t set = lock; set < sources->sets; set += SOURCES_LOCKS) {
		struct sources_place *places = &sources->shared->places[(size_t)set * SOURCES_WAYS];

		for (size_t i = 0; i < SOURCES_WAYS; i++) {
			uint64_t reserved = SOURCES_RESERVED;

			(void)atomic_compare_exchange_strong(&places[i].holder, &reserved, 0);
		}
	}
}

/* Under the lock: reserves the place that is missed least. NULL: all have connections. */
static struct sources_place *
sources_reserve(struct sources_place *set)
{
	for (;;) {
		struct sources_place *best = NULL;
		uint64_t best_holder = 0;
		int64_t best_ns = INT64_MAX;

		for (size_t i = 0; i < SOURCES_WAYS; i++) {
			uint64_t holder = atomic_load(&set[i].holder);
			int64_t full_ns = holder == 0 ? INT64_MIN : atomic_load(&set[i].full_ns);

			if ((holder & SOURCES_MOST_CONNECTIONS) != 0 ||
			    (best != NULL && full_ns >= best_ns))
				continue;
			best = &set[i];
			best_holder = holder;
			best_ns = full_ns;
		}
		/* it may have come back this very moment */
		if (best == NULL ||
		    atomic_compare_exchange_strong(&best->holder, &best_holder, SOURCES_RESERVED))
			return best;
	}
}

/* A place for a source that has none, with one connection. NULL: there is none for it, or somebody
 * has just given it one: *ret_is_there. */
static struct sources_place *
sources_add(const struct sources *sources, uint64_t hash, int64_t full_ns, bool *ret_is_there)
{
	uint32_t lock = sources_set(sources, hash) % SOURCES_LOCKS;
	struct sources_place *set = sources_first(sources, hash);
	struct sources_place *place = NULL;
	pthread_mutex_t *mutex;
	uint64_t holder;
	int r;

	CHECK(sources->shared != NULL);
	mutex = &sources->shared->locks[lock].mutex;
	r = pthread_mutex_lock(mutex);
	*ret_is_there = false;
	if (r == EOWNERDEAD) {
		sources_repair(sources, lock);
		r = pthread_mutex_consistent(mutex);
	}
	if (r != 0)
		return NULL;
	*ret_is_there = sources_find(set, sources_tag(hash), &holder) != NULL;
	if (!*ret_is_there)
		place = sources_reserve(set);
	if (place != NULL) {
		atomic_store(&place->full_ns, full_ns);
		atomic_store(&place->holder, sources_tag(hash) << SOURCES_COUNT_BITS | 1);
	}
	(void)pthread_mutex_unlock(mutex);
	return place;
}

enum close_reason
sources_enter(const struct sources *sources, const struct sources_older *older, uint64_t hash,
	      uint32_t most, uint32_t *ret_place)
{
	struct sources_place *set = sources_first(sources, hash);
	struct sources_view before = {0};
	struct sources_place *place = NULL;
	bool is_there = true;
	uint64_t holder;

	*ret_place = 0;
	if (older->count > 0)
		before = sources_look_older(older, hash);
	if (most != 0 && before.connections >= most)
		return CLOSE_SOURCE_CONNECTIONS;
	while (is_there) {
		place = sources_find(set, sources_tag(hash), &holder);
		if (place == NULL) {
			place = sources_add(sources, hash, before.full_ns, &is_there);
			if (place != NULL)
				break;
			continue;
		}
		/* until it is counted, or another source has taken its place */
		for (;;) {
			uint64_t count = holder & SOURCES_MOST_CONNECTIONS;

			if (holder >> SOURCES_COUNT_BITS != sources_tag(hash))
				break;
			if ((most != 0 && count + before.connections >= most) ||
			    count == SOURCES_MOST_CONNECTIONS)
				return CLOSE_SOURCE_CONNECTIONS;
			if (!atomic_compare_exchange_weak(&place->holder, &holder, holder + 1))
				continue;
			*ret_place = (uint32_t)(place - sources->shared->places) + 1;
			return CLOSE_NONE;
		}
	}
	if (place != NULL)
		*ret_place = (uint32_t)(place - sources->shared->places) + 1;
	return CLOSE_NONE;
}

void
sources_leave(const struct sources *sources, uint32_t place)
{
	_Atomic uint64_t *word;
	uint64_t holder;

	if (place == 0 || place > sources->sets * SOURCES_WAYS)
		return;
	word = &sources->shared->places[place - 1].holder;
	holder = atomic_load(word);
	while ((holder & SOURCES_MOST_CONNECTIONS) != 0 &&
	       !atomic_compare_exchange_weak(word, &holder, holder - 1))
		;
}

_Atomic int64_t *
sources_bucket(const struct sources *sources, uint32_t place)
{
	return &sources->shared->places[place - 1].full_ns;
}

int64_t
sources_bound(int64_t full_ns, const struct bucket_rate *rate, int64_t now_ns)
{
	if (rate->interval_ns == 0 || full_ns <= now_ns)
		return 0;
	return full_ns - now_ns < rate->whole_ns ? full_ns : now_ns + rate->whole_ns;
}

/* In the place of its source, or else in the one that is full soonest, if that is sooner. Somebody
 * may look meanwhile: a place that changes hands is free in between. */
static void
sources_keep_one(struct sources_place *set, uint64_t tag, int64_t full_ns)
{
	struct sources_place *best = NULL;
	int64_t best_ns = full_ns;

	for (size_t i = 0; i < SOURCES_WAYS; i++) {
		uint64_t holder = atomic_load_explicit(&set[i].holder, memory_order_relaxed);
		int64_t other_ns = holder == 0 ? INT64_MIN : atomic_load(&set[i].full_ns);

		if (holder >> SOURCES_COUNT_BITS == tag) {
			if (full_ns > other_ns)
				atomic_store(&set[i].full_ns, full_ns);
			return;
		}
		if (other_ns < best_ns) {
			best = &set[i];
			best_ns = other_ns;
		}
	}
	if (best == NULL)
		return;
	atomic_store(&best->holder, 0);
	atomic_store(&best->full_ns, full_ns);
	atomic_store(&best->holder, tag << SOURCES_COUNT_BITS);
}

int64_t
sources_keep(const struct sources *kept, uint32_t first, const struct sources_place *places,
	     uint32_t count, const struct bucket_rate *rate, int64_t now_ns)
{
	struct sources_place *set = &kept->shared->places[(size_t)first * SOURCES_WAYS];
	int64_t last_ns = 0;

	for (size_t i = 0; i < (size_t)count * SOURCES_WAYS; i++) {
		uint64_t tag = atomic_load(&places[i].holder) >> SOURCES_COUNT_BITS;
		int64_t full_ns = sources_bound(atomic_load(&places[i].full_ns), rate, now_ns);

		/* one that is free, or was being filled, has no tag */
		if (tag == 0 || full_ns == 0)
			continue;
		sources_keep_one(set + (i - i % SOURCES_WAYS), tag, full_ns);
		last_ns = full_ns > last_ns ? full_ns : last_ns;
	}
	return last_ns;
}
