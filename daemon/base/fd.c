/*
 * fd.c - small helpers around descriptors.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int
fd_pread_all(int fd, void *buf, size_t size, uint64_t offset)
{
	char *at = buf;

	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -ENODATA;
	while (size > 0) {
		ssize_t n = pread(fd, at, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		at += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int
fd_memfd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

int
fd_sealed_memfd(const char *name, const void *data, size_t size)
{
	CLEANUP_CLOSE int fd = fd_memfd(name);
	const char *at = data;

	if (fd < 0)
		return fd;
	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	return take_fd(&fd);
}

int
fd_shared_memfd(const char *name, size_t size)
{
	CLEANUP_CLOSE int fd = fd_memfd(name);

	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return take_fd(&fd);
}

int
fd_map_shared(int fd, size_t size, void **ret)
{
	struct stat st;
	void *memory;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (size_t)st.st_size != size)
		return -EBADF;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	*ret = memory;
	return 0;
}

int
fd_open_for_reading(int fd)
{
	char path[64];
	int reading_fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reading_fd = open(path, O_RDONLY | O_CLOEXEC);
	return reading_fd < 0 ? -errno : reading_fd;
}

void
fd_clear_event(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}
