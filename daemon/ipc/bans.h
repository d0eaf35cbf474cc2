/*
 * bans.h - the clients that no listener takes for a while, as one piece of memory that every worker
 * of internet sockets reads: a hash table that the supervisor alone writes.
 *
 * Workers have a descriptor that is good for reading only, as with the page of ports. Who reads
 * sees by a sequence number whether the table was changed meanwhile, and looks again. Without any
 * ban it costs one load to know that.
 */
#ifndef IPC_BANS_H
#define IPC_BANS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/siphash.h"

/* One more, and the one that would end first goes. */
#define BANS_MOST 10240
#define BANS_SLOTS 16384

/* Who is banned: an IPv4 address (as an IPv6 one), the first 64 bits of an IPv6 address, or the
 * whole of a link-local one, as all links have the same 64 bits. */
struct bans_key {
	uint64_t hi, lo;
};

struct bans_slot {
	_Atomic uint64_t hi, lo;
	_Atomic int64_t until_ns;  /* on the monotonic clock; 0: the slot is empty */
	_Atomic uint32_t reporter; /* the supervisor's own number of a listener */
	_Atomic uint32_t reserved;
};

struct bans_page {
	_Atomic uint32_t count;	     /* of slots that are in use, also by bans that have ended */
	_Atomic uint32_t sequence;   /* odd while the table is written */
	struct siphash_key hash_key; /* chosen by chance when it was made */
	_Alignas(64) struct bans_slot slots[BANS_SLOTS];
};

/* One ban, copied. */
struct bans_entry {
	struct bans_key key;
	int64_t until_ns;
	uint32_t reporter;
};

/* The key of an address as peer_normalise leaves it; the same of its 16 bytes, IPv4 mapped. False:
 * it can have none. The loopback is never banned. */
bool bans_key_of(const struct sockaddr_storage *address, socklen_t length, struct bans_key *ret);
bool bans_key_of_words(uint64_t hi, uint64_t lo, struct bans_key *ret);

/* "192.0.2.1", "2001:db8:1:2::/64", "fe80::1"; returns buf. */
const char *bans_format_key(const struct bans_key *key, char *buf, size_t size);
#define BANS_KEY_TEXT_SIZE 56

/* The 16 bytes of an address as two numbers, IPv4 mapped. False: it is no IP address. */
bool bans_address_to_words(const struct sockaddr_storage *address, socklen_t length,
			   uint64_t *ret_hi, uint64_t *ret_lo);

/* For the reader. NULL: it cannot be had. */
const struct bans_page *bans_map(int fd);
/* When its ban ends, or has ended; 0: there is none. */
int64_t bans_find(const struct bans_page *page, const struct bans_key *key);

/* Whether anybody at all may be banned. */
static inline bool
bans_are_there(const struct bans_page *page)
{
	return page != NULL && atomic_load_explicit(&page->count, memory_order_relaxed) != 0;
}

/* For the writer. As in ports.h. */
int bans_open(struct bans_page **ret);
int bans_reopen(int fd, struct bans_page **ret);
void bans_close(struct bans_page *page);

/* Adds a ban, or makes one longer. False: there is one already that ends no sooner. */
bool bans_put(struct bans_page *page, const struct bans_entry *entry);
/* Whether there was one. */
bool bans_remove(struct bans_page *page, const struct bans_key *key);
/* Removes all. How many there were. */
size_t bans_clear(struct bans_page *page);
/* Removes those that have ended. When the next one does; 0: none is left. */
int64_t bans_age(struct bans_page *page, int64_t now_ns);
/* The first entry from slot *at on; *at moves behind it. False: there is none. */
bool bans_next(const struct bans_page *page, size_t *at, struct bans_entry *ret);

#endif
