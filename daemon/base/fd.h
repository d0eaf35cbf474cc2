/*
 * fd.h - small helpers around descriptors. All of them try again after EINTR.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

/* Reads exactly size bytes at offset. 0, -ENODATA at the end of the file, or a negative errno. */
int fd_pread_all(int fd, void *buf, size_t size, uint64_t offset);

/* A memory file with this content, sealed against every change, close-on-exec. */
int fd_sealed_memfd(const char *name, const void *data, size_t size);

/* A zeroed shared memory file whose size is sealed (its content is not), close-on-exec. */
int fd_shared_memfd(const char *name, size_t size);

/* Maps one to read and write, as a whole. -EBADF: it has another size; what is shorter would be a
 * SIGBUS. 0 or another negative errno. */
int fd_map_shared(int fd, size_t size, void **ret);

/* A second descriptor of a memory file, which can only be read, for workers; close-on-exec. Or a
 * negative errno. */
int fd_open_for_reading(int fd);

/* Adds 1 to an eventfd; never waits. Here, as a function elsewhere is one more page of code for
 * each forked child. */
static inline void
fd_raise_event(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Takes what an eventfd holds; never waits. */
void fd_clear_event(int fd);

#endif
