/*
 * access.c - the reader's side of the table.
 */
#include "policy/access.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fence.h"

/* So often a reader may meet one that is being replaced. More is no table that our writer has
 * written: nobody comes in. */
#define ACCESS_TRIES 1000

int
access_map(int fd, struct access *ret)
{
	struct stat st;
	void *page;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < ACCESS_HEADER_SIZE)
		return -EBADF;
	page = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	*ret = (struct access){.page = page, .size = (size_t)st.st_size};
	return 0;
}

void
access_unmap(struct access *access)
{
	if (access->page != NULL)
		(void)munmap((void *)access->page, access->size);
	*access = (struct access){.page = NULL};
}

void
access_who_is(const struct sockaddr_storage *address, socklen_t length, struct access_who *ret)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;
	uint64_t words[2];

	*ret = (struct access_who){.is_known = false};
	if (length >= sizeof(in) && address->ss_family == AF_INET) {
		memcpy(&in, address, sizeof(in));
		ret->is_known = true;
		ret->hi = (uint64_t)ntohl(in.sin_addr.s_addr) << 32;
	} else if (length >= sizeof(in6) && address->ss_family == AF_INET6) {
		memcpy(&in6, address, sizeof(in6));
		memcpy(words, &in6.sin6_addr, sizeof(words));
		ret->is_known = ret->is_ipv6 = true;
		ret->hi = be64toh(words[0]);
		ret->lo = be64toh(words[1]);
	}
}

/* Whether what was read since `sequence` was published is whole. The area is written again only
 * after the next but one was begun. */
static inline bool
access_is_whole(const _Atomic uint64_t *begun, uint64_t sequence)
{
	FENCE(memory_order_acquire);
	return atomic_load_explicit(begun, memory_order_relaxed) - sequence <= 1;
}

/* Whether an array lies within its area. The writer has it so; who reads follows nothing else. */
static inline bool
access_has_array(uint64_t area_size, uint64_t at, uint64_t count, size_t size)
{
	return at % sizeof(uint64_t) == 0 && at <= area_size && count <= (area_size - at) / size;
}

static inline bool
access_has_level(uint64_t area_size, const struct access_level *level)
{
	uint64_t slots = (uint64_t)level->count + 1;

	return access_has_array(area_size, level->keys_at, slots, sizeof(uint64_t)) &&
	       access_has_array(area_size, level->cells_at, slots, sizeof(struct prefix_cell)) &&
	       access_has_array(area_size, level->items_at, level->item_count,
				sizeof(struct prefix_item));
}

/* What is said of one key; false: the area is being written anew. */
static inline bool
access_find(const struct access *access, uint64_t sequence, enum access_family family, uint64_t hi,
	    uint64_t lo, uint32_t *ret_value)
{
	const struct access_page *page = access->page;
	struct access_level level = page->areas[sequence & 1].levels[family];
	/* as it is mapped, whatever the page says */
	uint64_t area_size = (access->size - ACCESS_HEADER_SIZE) / 2;
	const char *area = (const char *)page + ACCESS_HEADER_SIZE + (sequence & 1) * area_size;
	struct prefix_table table;

	/* before anything is looked for by these numbers */
	if (!access_is_whole(&page->begun, sequence) ||
	    (level.count > 0 && !access_has_level(area_size, &level)))
		return false;
	table = (struct prefix_table){
		.keys = (const uint64_t *)(const void *)(area + level.keys_at),
		.cells = (const struct prefix_cell *)(const void *)(area + level.cells_at),
		.items = (const struct prefix_item *)(const void *)(area + level.items_at),
		.count = level.count,
		.item_count = level.item_count,
	};
	*ret_value = table.count > 0 ? prefix_table_find(&table, hi, lo) : 0;
	return true;
}

/* Of a Unix peer: its user, then its groups, then everybody. */
static bool
access_find_unix(const struct access *access, uint64_t sequence, const struct access_who *who,
		 uint32_t *ret_value)
{
	const struct access_area *area = &access->page->areas[sequence & 1];
	uint32_t found;

	if (!access_find(access, sequence, ACCESS_UIDS, (uint64_t)who->uid << 32, 0, ret_value))
		return false;
	if (*ret_value != 0)
		return true;
	for (size_t i = 0; i < who->gid_count; i++) {
		if (!access_find(access, sequence, ACCESS_GIDS, (uint64_t)who->gids[i] << 32, 0,
				 &found))
			return false;
		if (found != 0)
			*ret_value = found;
		if (found != 0 && (found & 1) == 0)
			break;
	}
	if (*ret_value == 0)
		*ret_value = area->all_value;
	return true;
}

struct access_answer
access_judge(const struct access *access, const struct access_who *who)
{
	const struct access_page *page = access->page;
	uint32_t value = 0, has_allow = 0;
	uint64_t sequence;
	bool is_found;
	int tries = 0;

	if (page == NULL)
		return (struct access_answer){.is_allowed = true};
	if (!who->is_known)
		return (struct access_answer){.is_allowed = false};
	do {
		if (tries++ == ACCESS_TRIES)
			return (struct access_answer){.is_allowed = false};
		sequence = atomic_load_explicit(&page->published, memory_order_acquire);
		if (who->is_unix)
			is_found = access_find_unix(access, sequence, who, &value);
		else
			is_found = access_find(access, sequence,
					       who->is_ipv6 ? ACCESS_IPV6 : ACCESS_IPV4, who->hi,
					       who->lo, &value);
		has_allow = page->areas[sequence & 1].has_allow;
	} while (!is_found || !access_is_whole(&page->begun, sequence));
	if (value == 0)
		return (struct access_answer){.is_allowed = has_allow == 0};
	return (struct access_answer){.is_allowed = (value & 1) != 0, .rule = value >> 1};
}

bool
access_is_open(const struct access *access, int64_t now_s)
{
	const struct access_page *page = access->page;
	uint64_t sequence;
	bool is_open;
	int tries = 0;

	if (page == NULL)
		return true;
	do {
		if (tries++ == ACCESS_TRIES)
			return false;
		sequence = atomic_load_explicit(&page->schedule_published, memory_order_acquire);
		is_open = schedule_is_open(&page->schedules[sequence & 1], now_s);
	} while (!access_is_whole(&page->schedule_begun, sequence));
	return is_open;
}

void
access_read_schedule(const struct access *access, struct schedule *ret)
{
	const struct access_page *page = access->page;
	uint64_t sequence;
	int tries = 0;

	*ret = (struct schedule){.has_times = 0};
	if (page == NULL)
		return;
	do {
		sequence = atomic_load_explicit(&page->schedule_published, memory_order_acquire);
		*ret = page->schedules[sequence & 1];
	} while (!access_is_whole(&page->schedule_begun, sequence) && tries++ < ACCESS_TRIES);
	if (ret->count > SCHEDULE_MOST_TURNS)
		ret->count = SCHEDULE_MOST_TURNS;
}

int64_t
access_now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec;
}
