/*
 * elf.h - reads what must be known of a shared object before it is loaded: loading runs its
 * constructors and may change the process (an executable stack). Every offset in the file is
 * checked; a file that is truncated while it is read gives an error, not a signal.
 */
#ifndef BASE_ELF_H
#define BASE_ELF_H

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_BUILD_ID_SIZE 20

struct elf_file {
	int fd; /* not owned */
	uint64_t size;
	ElfW(Phdr) * segments;
	size_t segment_count;
	ElfW(Sym) * symbols;
	size_t symbol_count;
	char *strings; /* NUL-terminated */
	size_t strings_size;

	bool has_executable_stack;
	bool has_text_relocations;
	const char *search_path; /* DT_RUNPATH or DT_RPATH; NULL if there is none */
	unsigned char build_id[ELF_BUILD_ID_SIZE];
	size_t build_id_size; /* 0: the file has none */
};

/* Reads a shared object of this machine. 0; -ENOEXEC for anything else, with a static sentence part
 * in *ret_reason ("is not an ELF file"); a negative errno if reading fails. */
int elf_open(struct elf_file *elf, int fd, const char **ret_reason);
void elf_close(struct elf_file *elf);

/* Reads `size` bytes at a file offset into new memory, with one NUL behind them; the caller frees
 * it. NULL if they are not there, or more than a table may have. */
void *elf_read(const struct elf_file *elf, uint64_t offset, uint64_t size);

/* Where the bytes of a defined, exported data symbol stand in the file. 0, -ENOENT. */
int elf_find_data(const struct elf_file *elf, const char *name, uint64_t *ret_offset,
		  uint64_t *ret_size);

/* The name of the i-th symbol if it is an exported function defined here, else NULL. */
const char *elf_function_name(const struct elf_file *elf, size_t i);

/* The build id in hexadecimal, "" without one; returns buf, which holds 41 bytes. */
const char *elf_format_build_id(const unsigned char *id, size_t size, char *buf);

#endif
