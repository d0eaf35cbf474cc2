/*
 * sources.h - who is connected how often, and who comes how often: a table of sources in the memory
 * of a worker's scoreboard, behind the slots, so that forked children share it, a younger
 * generation counts what an older one still serves, and the supervisor can look.
 *
 * A source is an IPv4 address or a prefix of IPv6 (as the listener says), or the user of a Unix
 * client. It is known by its hash alone, under a key that clients do not know: 20 bits of it choose
 * a set of 16 places, 44 bits tell it from the others there.
 *
 * A place is two words, each changed by compare and swap alone: tag and connections; and the bucket
 * of its rate. One without connections and with a full bucket says nothing that is not also said by
 * its absence, so the place that is full soonest goes first; one with connections never goes. Who
 * adds a source does it under the lock of the set; whoever dies with it leaves at most one place
 * reserved, which the next one finds and frees.
 */
#ifndef POLICY_SOURCES_H
#define POLICY_SOURCES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/siphash.h"
#include "ipc/close_reason.h"
#include "policy/bucket.h"

#define SOURCES_WAYS 16U
#define SOURCES_LOCKS 16U
#define SOURCES_MOST_SETS (UINT32_C(1) << 18)
/* The most connections that a place counts. */
#define SOURCES_MOST_CONNECTIONS 0xfffffU

struct sources_place {
	_Atomic uint64_t holder; /* tag << 20 | connections; 0: free */
	_Atomic int64_t full_ns; /* its bucket */
};

struct sources_lock {
	_Alignas(64) pthread_mutex_t mutex;
};

/* What lies behind the slots of a scoreboard. */
struct sources_shared {
	_Alignas(64) _Atomic int64_t full_ns; /* the bucket of the whole listener */
	_Atomic int64_t waits_until_ns;	      /* for a token: clients wait that long */
	_Atomic bool is_over;		      /* its worker is gone, and with it whom it served */
	struct sources_lock locks[SOURCES_LOCKS];
	struct sources_place places[];
};

/* One table as a process sees it. */
struct sources {
	struct sources_shared *shared; /* not owned */
	uint32_t sets;		       /* a power of two, or 0: it has no places */
};

/* Those of older generations, which are mapped to be read. */
struct sources_older {
	const struct sources *tables; /* not owned */
	size_t count;
	const _Atomic bool *is_over; /* none of them serves any more */
};

/* What makes two clients the same source. */
struct sources_rules {
	struct siphash_key key;
	unsigned prefix_ipv4, prefix_ipv6; /* bits */
};

/* A key of the listener's own, out of the daemon's: what one worker knows tells nothing of the
 * tables of others. */
struct siphash_key sources_derive_key(const struct siphash_key *key, const char *listener);

/* How many sets are enough for so many connections at once. */
uint32_t sources_count_sets(uint64_t connections);

/* The size of a scoreboard with so many slots and sets, and the table in it. */
size_t sources_board_size(size_t slots, uint32_t sets);
struct sources sources_of_board(void *board, size_t slots, uint32_t sets);

/* Once, before anybody else has it: makes the locks. 0 or a negative errno. */
int sources_init(const struct sources *sources);

/* The worker is gone: who was connected to it is so no more. */
void sources_end(const struct sources *sources);

/* The number of a source. False: nobody can tell who it is. A Unix client is its user; else `uid`
 * is NULL. */
bool sources_identify(const struct sources_rules *rules, const struct sockaddr_storage *address,
		      const uid_t *uid, uint64_t *ret_hash);

/* One more connection of this source, if it then has at most `most` (0: any number), those that
 * older generations serve included. CLOSE_NONE: *ret_place is its place, for what follows; it is 0
 * if every place of its set has connections: then it is not counted. Or
 * CLOSE_SOURCE_CONNECTIONS. */
enum close_reason sources_enter(const struct sources *sources, const struct sources_older *older,
				uint64_t hash, uint32_t most, uint32_t *ret_place);
/* It has ended. */
void sources_leave(const struct sources *sources, uint32_t place);
/* The bucket of a place. */
_Atomic int64_t *sources_bucket(const struct sources *sources, uint32_t place);

/* What is known of a source. */
struct sources_view {
	uint32_t connections;
	int64_t full_ns;
};

/* Looks a source up and changes nothing: for a table that a worker may have filled with anything.
 */
struct sources_view sources_look(const struct sources *sources, uint64_t hash);

/* A bucket as it may be kept when its worker is gone, whatever that has left: full, or at most
 * empty. 0: full. */
int64_t sources_bound(int64_t full_ns, const struct bucket_rate *rate, int64_t now_ns);

/* Puts the buckets that are not full, of `count` sets of a table from set `first` on, of which
 * these are the places, into another of the same size, which the caller alone writes to: of two
 * buckets of one source, the emptier one. Connections are left out. When the last of them is full;
 * 0: all are. */
int64_t sources_keep(const struct sources *kept, uint32_t first, const struct sources_place *places,
		     uint32_t count, const struct bucket_rate *rate, int64_t now_ns);

#endif
