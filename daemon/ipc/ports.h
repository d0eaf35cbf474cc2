/*
 * ports.h - the UDP ports that the daemon itself serves, as one page that every UDP worker reads:
 * an answer to one of them on this machine could be answered in turn, for ever.
 *
 * The supervisor writes it; a seal keeps everybody else from it.
 */
#ifndef IPC_PORTS_H
#define IPC_PORTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PORTS_WORDS 1024

struct port_page {
	_Atomic uint64_t words[PORTS_WORDS]; /* a bit for each port */
};

/* A page without ports, writable here and nowhere else. Returns its descriptor, close-on-exec, or a
 * negative errno. */
int ports_open(struct port_page **ret);
/* A page of the supervisor's; NULL when it cannot be had. */
const struct port_page *ports_map(int fd);
void ports_close(struct port_page *page);

/* The page holds these bits from now on; no port of both the old and the new is ever missing. */
void ports_replace(struct port_page *page, const uint64_t words[PORTS_WORDS]);

static inline void
ports_add(uint64_t words[PORTS_WORDS], uint16_t port)
{
	words[port / 64] |= UINT64_C(1) << (port % 64);
}

static inline bool
ports_has(const struct port_page *page, uint16_t port)
{
	uint64_t word = atomic_load_explicit(&page->words[port / 64], memory_order_relaxed);

	return (word >> (port % 64) & 1) != 0;
}

#endif
