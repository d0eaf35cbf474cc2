/*
 * fuzz_elf.c - any file may be configured as a handler: reading it gives an answer.
 */
#include "base/elf.h"
#include "base/elf_symbol.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A report of a crash looks up functions. */
static size_t
find_functions(int fd, size_t size)
{
	struct elf_symbols symbols;
	size_t names = 0;
	uint64_t within;

	if (elf_symbols_open(&symbols, fd) < 0)
		return 0;
	for (uint64_t address = 0; address < size; address += 256) {
		const char *name = elf_symbols_find(&symbols, address, &within);

		names += name != NULL ? strlen(name) : 0;
	}
	elf_symbols_close(&symbols);
	return names;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct elf_file elf;
	const char *reason = NULL;
	char id[2 * ELF_BUILD_ID_SIZE + 1];
	uint64_t offset, length;
	size_t names = 0;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if (elf_open(&elf, fd, &reason) < 0) {
		/* every refusal has its words */
		if (reason == NULL || reason[0] == '\0')
			abort();
		return 0;
	}
	for (size_t i = 0; i < elf.symbol_count; i++) {
		const char *name = elf_function_name(&elf, i);

		names += name != NULL ? strlen(name) : 0;
	}
	if (elf_find_data(&elf, "hd_handler_v1", &offset, &length) >= 0 &&
	    (offset > size || length > size - offset))
		abort();
	names += elf.search_path != NULL ? strlen(elf.search_path) : 0;
	if (strlen(elf_format_build_id(elf.build_id, elf.build_id_size, id)) !=
	    2 * elf.build_id_size)
		abort();
	elf_close(&elf);
	names += find_functions(fd, size);
	return names == SIZE_MAX ? 1 : 0;
}
