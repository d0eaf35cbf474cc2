/*
 * elf_symbol.h - which function of a shared object an address belongs to, static ones included if
 * the file was not stripped. Every offset in the file is checked.
 */
#ifndef BASE_ELF_SYMBOL_H
#define BASE_ELF_SYMBOL_H

#include <stdbool.h>

#include "base/elf.h"

struct elf_symbols {
	struct elf_file elf;
	ElfW(Sym) * own; /* of .symtab; NULL: the file has none */
	char *own_strings;
	const ElfW(Sym) * symbols; /* those that are looked at */
	size_t count;
	const char *strings;
	size_t strings_size;
};

/* Opens the file behind the descriptor, which stays the caller's. 0 or a negative errno, also when
 * it is no shared object of this machine. */
int elf_symbols_open(struct elf_symbols *symbols, int fd);
void elf_symbols_close(struct elf_symbols *symbols);

/* The name of the function around this address (as in the file, without the base at which it is
 * loaded), and how far in it is. NULL: unknown. The name is as the file has it: bytes to be
 * escaped.
 */
const char *elf_symbols_find(const struct elf_symbols *symbols, uint64_t address,
			     uint64_t *ret_within);

#endif
