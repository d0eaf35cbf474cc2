/*
 * ports.c - the page: made, sealed, mapped.
 */
#include "ipc/ports.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/fd.h"

int
ports_reopen(int fd, struct port_page **ret)
{
	void *page = NULL;
	int r = fd_map_shared(fd, sizeof(struct port_page), &page);

	if (r >= 0)
		*ret = page;
	return r;
}

int
ports_open(struct port_page **ret)
{
	CLEANUP_CLOSE int fd = fd_shared_memfd("handlerd-ports", sizeof(struct port_page));
	int r;

	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0)
		return -errno;
	r = ports_reopen(fd, ret);
	return r < 0 ? r : take_fd(&fd);
}

const struct port_page *
ports_map(int fd)
{
	void *page = mmap(NULL, sizeof(struct port_page), PROT_READ, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

void
ports_close(struct port_page *page)
{
	if (page != NULL)
		(void)munmap(page, sizeof(*page));
}

void
ports_replace(struct port_page *page, const struct port_list *list)
{
	for (uint32_t i = 0; i < PORTS_WORDS; i++)
		atomic_store_explicit(&page->words[i], list->words[i], memory_order_relaxed);
	for (uint32_t i = 0; i < PORTS_NAMES; i++)
		atomic_store_explicit(&page->names[i], list->names[i], memory_order_relaxed);
}

/* FNV-1a, 64 bits. */
uint64_t
ports_hash_name(const struct sockaddr *addr, socklen_t length)
{
	const unsigned char *bytes = (const unsigned char *)addr;
	size_t first = offsetof(struct sockaddr_un, sun_path), end = length;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	/* a path ends where its text does, an abstract name where its length says */
	if (end > first && bytes[first] != '\0')
		end = first + strnlen((const char *)bytes + first, end - first);
	for (size_t i = first; i < end; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash != 0 ? hash : 1;
}

bool
ports_has_name(const struct port_page *page, uint64_t hash)
{
	for (uint32_t i = 0; i < PORTS_NAMES; i++) {
		uint64_t name = atomic_load_explicit(&page->names[i], memory_order_relaxed);

		if (name == 0 || name == hash)
			return name != 0;
	}
	return false;
}

void
ports_add_name(struct port_list *list, uint64_t hash)
{
	if (list->name_count < PORTS_NAMES)
		list->names[list->name_count++] = hash;
}
