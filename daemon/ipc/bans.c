/*
 * bans.c - an open hash table with linear probing: entries are moved together when one is removed,
 * so a search ends at the first empty slot.
 */
#include "ipc/bans.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* A change takes the writer a microsecond, unless it has to wait for its turn in the middle of it:
 * then readers let others run so often. After that, and when it has died over it, they take the
 * table as they find it. */
#define BANS_SPINS 100
#define BANS_TRIES 1000

#define BANS_MAPPED_LO (UINT64_C(0xffff) << 32)
#define BANS_LINK_LOCAL UINT64_C(0xfe80)

_Static_assert(BANS_MOST < BANS_SLOTS / 3 * 2, "searches stay short, and end");

bool
bans_address_to_words(const struct sockaddr_storage *address, socklen_t length, uint64_t *ret_hi,
		      uint64_t *ret_lo)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;
	uint64_t words[2];

	if (length >= sizeof(in) && address->ss_family == AF_INET) {
		memcpy(&in, address, sizeof(in));
		*ret_hi = 0;
		*ret_lo = BANS_MAPPED_LO | ntohl(in.sin_addr.s_addr);
		return true;
	}
	if (length < sizeof(in6) || address->ss_family != AF_INET6)
		return false;
	memcpy(&in6, address, sizeof(in6));
	memcpy(words, &in6.sin6_addr, sizeof(words));
	*ret_hi = be64toh(words[0]);
	*ret_lo = be64toh(words[1]);
	return true;
}

static bool
bans_is_ipv4(uint64_t hi, uint64_t lo)
{
	return hi == 0 && (lo & ~(uint64_t)UINT32_MAX) == BANS_MAPPED_LO;
}

static bool
bans_is_link_local(uint64_t hi)
{
	return (hi >> 48 & 0xffc0) == BANS_LINK_LOCAL;
}

bool
bans_key_of_words(uint64_t hi, uint64_t lo, struct bans_key *ret)
{
	bool is_ipv4 = bans_is_ipv4(hi, lo);

	if (is_ipv4 && (lo >> 24 & 0xff) == 127)
		return false;
	if (!is_ipv4 && hi == 0 && lo <= 1)
		return false;
	*ret = (struct bans_key){.hi = hi, .lo = is_ipv4 || bans_is_link_local(hi) ? lo : 0};
	return true;
}

bool
bans_key_of(const struct sockaddr_storage *address, socklen_t length, struct bans_key *ret)
{
	uint64_t hi, lo;

	return bans_address_to_words(address, length, &hi, &lo) && bans_key_of_words(hi, lo, ret);
}

const char *
bans_format_key(const struct bans_key *key, char *buf, size_t size)
{
	uint64_t words[2] = {htobe64(key->hi), htobe64(key->lo)};
	bool is_ipv4 = bans_is_ipv4(key->hi, key->lo);
	char host[INET6_ADDRSTRLEN];

	(void)inet_ntop(is_ipv4 ? AF_INET : AF_INET6,
			is_ipv4 ? (const char *)&words[1] + 4 : (const char *)words, host,
			sizeof(host));
	(void)snprintf(buf, size, "%s%s", host,
		       is_ipv4 || bans_is_link_local(key->hi) ? "" : "/64");
	return buf;
}

int
bans_reopen(int fd, struct bans_page **ret)
{
	void *page = NULL;
	int r = fd_map_shared(fd, sizeof(struct bans_page), &page);

	if (r >= 0)
		*ret = page;
	return r;
}

int
bans_open(struct bans_page **ret)
{
	CLEANUP_CLOSE int fd = fd_shared_memfd("handlerd-bans", sizeof(struct bans_page));
	struct siphash_key key;
	int r;

	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0 || getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return -errno;
	r = bans_reopen(fd, ret);
	if (r < 0)
		return r;
	(*ret)->hash_key = key;
	return take_fd(&fd);
}

const struct bans_page *
bans_map(int fd)
{
	void *page = mmap(NULL, sizeof(struct bans_page), PROT_READ, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

void
bans_close(struct bans_page *page)
{
	if (page != NULL)
		(void)munmap(page, sizeof(*page));
}

static size_t
bans_hash(const struct bans_page *page, uint64_t hi, uint64_t lo)
{
	uint64_t words[2] = {hi, lo};

	return siphash(&page->hash_key, words, sizeof(words)) % BANS_SLOTS;
}

/* Reads acquire and writes release: so what is read of a slot comes before the second look at the
 * sequence, and what is written after the sequence has become odd. No fence, which sanitizers do
 * not know. */
static uint64_t
bans_load(const _Atomic uint64_t *field)
{
	return atomic_load_explicit(field, memory_order_acquire);
}

static int64_t
bans_load_until(const struct bans_slot *slot)
{
	return atomic_load_explicit(&slot->until_ns, memory_order_acquire);
}

/* The slot of a key, or the empty one where it would be. */
static size_t
bans_search(const struct bans_page *page, const struct bans_key *key)
{
	size_t at = bans_hash(page, key->hi, key->lo);

	/* a reader may meet a table in the middle of a change, without an empty slot on its way */
	for (size_t i = 0; i < BANS_SLOTS; i++, at = (at + 1) % BANS_SLOTS) {
		const struct bans_slot *slot = &page->slots[at];

		if (bans_load_until(slot) == 0 ||
		    (bans_load(&slot->hi) == key->hi && bans_load(&slot->lo) == key->lo))
			break;
	}
	return at;
}

int64_t
bans_find(const struct bans_page *page, const struct bans_key *key)
{
	for (int i = 0; i < BANS_TRIES; i++) {
		uint32_t before = atomic_load_explicit(&page->sequence, memory_order_acquire);
		int64_t until_ns;

		if (i > BANS_SPINS)
			(void)sched_yield();
		if ((before & 1) != 0)
			continue;
		until_ns = bans_load_until(&page->slots[bans_search(page, key)]);
		if (atomic_load_explicit(&page->sequence, memory_order_relaxed) == before)
			return until_ns;
	}
	return bans_load_until(&page->slots[bans_search(page, key)]);
}

/* Around each change. */
static void
bans_begin_change(struct bans_page *page)
{
	(void)atomic_fetch_add_explicit(&page->sequence, 1, memory_order_relaxed);
}

static void
bans_end_change(struct bans_page *page)
{
	(void)atomic_fetch_add_explicit(&page->sequence, 1, memory_order_release);
}

static void
bans_fill(struct bans_slot *slot, const struct bans_entry *entry)
{
	atomic_store_explicit(&slot->hi, entry->key.hi, memory_order_release);
	atomic_store_explicit(&slot->lo, entry->key.lo, memory_order_release);
	atomic_store_explicit(&slot->reporter, entry->reporter, memory_order_release);
	atomic_store_explicit(&slot->until_ns, entry->until_ns, memory_order_release);
}

static void
bans_read(const struct bans_slot *slot, struct bans_entry *ret)
{
	*ret = (struct bans_entry){
		.key = {.hi = bans_load(&slot->hi), .lo = bans_load(&slot->lo)},
		.until_ns = bans_load_until(slot),
		.reporter = atomic_load_explicit(&slot->reporter, memory_order_relaxed),
	};
}

/* Empties a slot, and moves up those behind it that would not be found any more. */
static void
bans_empty(struct bans_page *page, size_t hole)
{
	static const struct bans_entry nothing;

	size_t at = (hole + 1) % BANS_SLOTS;

	bans_begin_change(page);
	/* once around: no table of ours is full, but it is not worth more than that */
	for (size_t i = 1; i < BANS_SLOTS && bans_load_until(&page->slots[at]) != 0;
	     i++, at = (at + 1) % BANS_SLOTS) {
		struct bans_entry entry;
		size_t home;

		bans_read(&page->slots[at], &entry);
		home = bans_hash(page, entry.key.hi, entry.key.lo);
		/* it stays where its own place lies behind the hole */
		if ((at - home) % BANS_SLOTS < (at - hole) % BANS_SLOTS)
			continue;
		bans_fill(&page->slots[hole], &entry);
		hole = at;
	}
	bans_fill(&page->slots[hole], &nothing);
	(void)atomic_fetch_sub_explicit(&page->count, 1, memory_order_relaxed);
	bans_end_change(page);
}

/* The one that ends first makes room. */
static void
bans_make_room(struct bans_page *page)
{
	size_t first = BANS_SLOTS;

	for (size_t i = 0; i < BANS_SLOTS; i++) {
		int64_t until_ns = bans_load_until(&page->slots[i]);

		if (until_ns != 0 &&
		    (first == BANS_SLOTS || until_ns < bans_load_until(&page->slots[first])))
			first = i;
	}
	if (first < BANS_SLOTS)
		bans_empty(page, first);
}

bool
bans_put(struct bans_page *page, const struct bans_entry *entry)
{
	size_t at = bans_search(page, &entry->key);
	int64_t until_ns = bans_load_until(&page->slots[at]);

	if (until_ns >= entry->until_ns)
		return false;
	if (until_ns == 0 && atomic_load(&page->count) >= BANS_MOST) {
		bans_make_room(page);
		at = bans_search(page, &entry->key);
	}
	bans_begin_change(page);
	bans_fill(&page->slots[at], entry);
	if (until_ns == 0)
		(void)atomic_fetch_add_explicit(&page->count, 1, memory_order_relaxed);
	bans_end_change(page);
	return true;
}

bool
bans_remove(struct bans_page *page, const struct bans_key *key)
{
	size_t at = bans_search(page, key);

	if (bans_load_until(&page->slots[at]) == 0)
		return false;
	bans_empty(page, at);
	return true;
}

size_t
bans_clear(struct bans_page *page)
{
	static const struct bans_entry nothing;
	size_t count = 0;

	bans_begin_change(page);
	for (size_t i = 0; i < BANS_SLOTS; i++) {
		if (bans_load_until(&page->slots[i]) == 0)
			continue;
		bans_fill(&page->slots[i], &nothing);
		count++;
	}
	atomic_store_explicit(&page->count, 0, memory_order_relaxed);
	bans_end_change(page);
	return count;
}

int64_t
bans_age(struct bans_page *page, int64_t now_ns)
{
	int64_t next_ns = 0;

	for (size_t i = 0; i < BANS_SLOTS; i++) {
		int64_t until_ns = bans_load_until(&page->slots[i]);

		/* another one may have moved to this place */
		while (until_ns != 0 && until_ns <= now_ns) {
			bans_empty(page, i);
			until_ns = bans_load_until(&page->slots[i]);
		}
		if (until_ns != 0 && (next_ns == 0 || until_ns < next_ns))
			next_ns = until_ns;
	}
	return next_ns;
}

bool
bans_next(const struct bans_page *page, size_t *at, struct bans_entry *ret)
{
	for (; *at < BANS_SLOTS; (*at)++) {
		if (bans_load_until(&page->slots[*at]) == 0)
			continue;
		bans_read(&page->slots[(*at)++], ret);
		return true;
	}
	return false;
}
