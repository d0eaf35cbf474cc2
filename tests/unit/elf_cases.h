/*
 * elf_cases.h - handler files as tests need them: whole, cut, and with bytes of them changed.
 */
#ifndef TESTS_ELF_CASES_H
#define TESTS_ELF_CASES_H

#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include "unit.h"

#define BROKEN TEST_BUILD_DIR "/tests/handlers/broken/"

/* The path of a handler that is broken on purpose. */
static inline const char *
elf_broken(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), BROKEN "%s", name);
	return path;
}

/* A file in memory with these bytes. */
static inline int
elf_memory_file(const void *data, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	return fd;
}

#endif
