/*
 * ports.c - the page: made, sealed, mapped.
 */
#include "ipc/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

int
ports_open(struct port_page **ret)
{
	CLEANUP_CLOSE int fd = memfd_create("handlerd-ports", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *page;

	if (fd < 0 || ftruncate(fd, sizeof(struct port_page)) < 0)
		return -errno;
	page = mmap(NULL, sizeof(struct port_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	/* this mapping stays writable, no other can be made */
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
		int r = -errno;

		(void)munmap(page, sizeof(struct port_page));
		return r;
	}
	*ret = page;
	return take_fd(&fd);
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
ports_replace(struct port_page *page, const uint64_t words[PORTS_WORDS])
{
	for (uint32_t i = 0; i < PORTS_WORDS; i++)
		atomic_store_explicit(&page->words[i], words[i], memory_order_relaxed);
}
