/*
 * access.h - who may come to a listener, and when: a table that the supervisor writes, and that its
 * workers, their children and all generations read in shared memory.
 *
 * The memory has two areas. A new table is written into the one that is not in use, and then
 * published by a number; who reads sees by the numbers whether what he read was being overwritten,
 * and reads again. The file never shrinks, and readers have a descriptor that cannot write.
 *
 * The longest prefix wins; where it is both allowed and denied, it is denied. Of a Unix peer, what
 * is said of the user goes before what is said of a group; of several groups, a denied one decides.
 * Who is not named may come in, unless anybody is allowed by name.
 */
#ifndef POLICY_ACCESS_H
#define POLICY_ACCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/access_entry.h"
#include "policy/prefix_table.h"
#include "policy/schedule.h"

enum access_family {
	ACCESS_IPV4,
	ACCESS_IPV6,
	ACCESS_UIDS,
	ACCESS_GIDS,
	ACCESS_FAMILIES,
};

/* One table of an area: where its arrays are in it. */
struct access_level {
	uint64_t keys_at, cells_at, items_at;
	uint32_t count, item_count;
};

struct access_area {
	struct access_level levels[ACCESS_FAMILIES];
	uint32_t has_allow; /* somebody is allowed: all others are denied */
	uint32_t all_value; /* what is said of every Unix peer; 0: nothing */
};

struct access_page {
	_Atomic uint64_t begun, published; /* tables; their lowest bit is the area */
	_Atomic uint64_t schedule_begun, schedule_published;
	uint64_t area_size;
	struct access_area areas[2];
	struct schedule schedules[2];
};

/* Where the first area begins. */
#define ACCESS_HEADER_SIZE 4096
_Static_assert(sizeof(struct access_page) <= ACCESS_HEADER_SIZE, "the header has a page");

/* The memory, mapped for reading. */
struct access {
	const struct access_page *page; /* NULL: there are no rules */
	size_t size;
};

/* Who asks, as far as the kernel tells. */
struct access_who {
	bool is_known;
	bool is_unix;
	bool is_ipv6;
	uint64_t hi, lo; /* of an address, left-aligned */
	uid_t uid;
	const gid_t *gids;
	size_t gid_count;
};

struct access_answer {
	bool is_allowed;
	uint32_t rule; /* 1 + the index of the rule that decides; 0: none does */
};

/* Maps it; 0 or a negative errno. */
int access_map(int fd, struct access *ret);
void access_unmap(struct access *access);

/* An IP address as peer_normalise leaves it. */
void access_who_is(const struct sockaddr_storage *address, socklen_t length,
		   struct access_who *ret);

struct access_answer access_judge(const struct access *access, const struct access_who *who);

/* Whether the listener is open at this moment, in seconds since 1970. */
bool access_is_open(const struct access *access, int64_t now_s);
/* All that is known of the day to come. */
void access_read_schedule(const struct access *access, struct schedule *ret);

/* The clock that goes with it: cheap, and late by a few milliseconds at most. */
int64_t access_now_s(void);

#endif
