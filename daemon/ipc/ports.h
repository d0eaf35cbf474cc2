/*
 * ports.h - the UDP ports and the names of Unix datagram sockets that the daemon itself serves, as
 * one piece of memory that every worker of such sockets reads: an answer to one of them on this
 * machine could be answered in turn, for ever.
 *
 * The supervisor writes it. Workers have a descriptor that is good for reading only, and the file's
 * mode keeps other users from opening it anew; a seal would keep out the supervisor itself, once it
 * has replaced its program.
 */
#ifndef IPC_PORTS_H
#define IPC_PORTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define PORTS_WORDS 1024
#define PORTS_NAMES 1024

struct port_page {
	_Atomic uint64_t words[PORTS_WORDS]; /* a bit for each port */
	_Atomic uint64_t names[PORTS_NAMES]; /* hashes; 0 ends them */
};

/* A page without ports, for the one who writes it. Returns its descriptor, close-on-exec, or a
 * negative errno. */
int ports_open(struct port_page **ret);
/* The page of a descriptor that ports_open has given to another execution of this program. 0 or a
 * negative errno. */
int ports_reopen(int fd, struct port_page **ret);
/* A page of the supervisor's; NULL when it cannot be had. */
const struct port_page *ports_map(int fd);
void ports_close(struct port_page *page);

/* What a page shows. */
struct port_list {
	uint64_t words[PORTS_WORDS];
	uint64_t names[PORTS_NAMES];
	uint32_t name_count;
};

/* The page shows this list from now on; no port of both the old and the new is ever missing. */
void ports_replace(struct port_page *page, const struct port_list *list);

/* Of an address of a Unix socket; never 0. Who finds another name with the same hash is not
 * answered there; nothing else comes of it. */
uint64_t ports_hash_name(const struct sockaddr *addr, socklen_t length);
bool ports_has_name(const struct port_page *page, uint64_t hash);
void ports_add_name(struct port_list *list, uint64_t hash);

static inline void
ports_add(struct port_list *list, uint16_t port)
{
	list->words[port / 64] |= UINT64_C(1) << (port % 64);
}

static inline bool
ports_has(const struct port_page *page, uint16_t port)
{
	uint64_t word = atomic_load_explicit(&page->words[port / 64], memory_order_relaxed);

	return (word >> (port % 64) & 1) != 0;
}

#endif
