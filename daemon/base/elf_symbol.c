/*
 * elf_symbol.c - a bounds-checked reader of .symtab, and the search for the function around an
 * address. What the section headers say is believed only as far as the file has the bytes.
 */
#include "base/elf_symbol.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Sections beyond these are not looked at. */
#define ELF_MOST_SECTIONS 4096

/* How far behind a symbol without a size an address may be. */
#define ELF_MOST_WITHIN 65536

static ElfW(Shdr) * elf_read_sections(const struct elf_file *elf, size_t *ret_count)
{
	ElfW(Ehdr) header;

	if (fd_pread_all(elf->fd, &header, sizeof(header), 0) < 0 ||
	    header.e_shentsize != sizeof(ElfW(Shdr)) || header.e_shoff == 0 ||
	    header.e_shnum == 0 || header.e_shnum > ELF_MOST_SECTIONS)
		return NULL;
	*ret_count = header.e_shnum;
	return elf_read(elf, header.e_shoff, (uint64_t)header.e_shnum * sizeof(ElfW(Shdr)));
}

/* The symbols that the linker has left for debuggers, if nobody has stripped them. */
static void
elf_read_own_symbols(struct elf_symbols *symbols)
{
	CLEANUP_FREE ElfW(Shdr) *sections = NULL;
	const ElfW(Shdr) *table = NULL, *names;
	size_t count = 0;

	sections = elf_read_sections(&symbols->elf, &count);
	for (size_t i = 0; sections != NULL && i < count && table == NULL; i++) {
		if (sections[i].sh_type == SHT_SYMTAB)
			table = &sections[i];
	}
	if (table == NULL || table->sh_entsize != sizeof(ElfW(Sym)) || table->sh_link >= count)
		return;
	names = &sections[table->sh_link];
	if (names->sh_type != SHT_STRTAB)
		return;
	symbols->own = elf_read(&symbols->elf, table->sh_offset, table->sh_size);
	symbols->own_strings = elf_read(&symbols->elf, names->sh_offset, names->sh_size);
	if (symbols->own == NULL || symbols->own_strings == NULL)
		return;
	symbols->symbols = symbols->own;
	symbols->count = (size_t)table->sh_size / sizeof(ElfW(Sym));
	symbols->strings = symbols->own_strings;
	symbols->strings_size = (size_t)names->sh_size;
}

int
elf_symbols_open(struct elf_symbols *symbols, int fd)
{
	const char *reason;
	int r;

	*symbols = (struct elf_symbols){0};
	r = elf_open(&symbols->elf, fd, &reason);
	if (r < 0)
		return r;
	symbols->symbols = symbols->elf.symbols;
	symbols->count = symbols->elf.symbol_count;
	symbols->strings = symbols->elf.strings;
	symbols->strings_size = symbols->elf.strings_size;
	elf_read_own_symbols(symbols);
	return 0;
}

void
elf_symbols_close(struct elf_symbols *symbols)
{
	elf_close(&symbols->elf);
	free(symbols->own);
	free(symbols->own_strings);
	*symbols = (struct elf_symbols){0};
}

static bool
elf_is_function(const ElfW(Sym) * symbol)
{
	unsigned type = symbol->st_info & 0xf;

	return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF;
}

/* Whether the address is in the symbol, and how far; one without a size ends somewhere. */
static bool
elf_has_address(const ElfW(Sym) * symbol, uint64_t address, uint64_t *ret_within)
{
	if (address < symbol->st_value)
		return false;
	*ret_within = address - symbol->st_value;
	return *ret_within < (symbol->st_size != 0 ? symbol->st_size : ELF_MOST_WITHIN);
}

const char *
elf_symbols_find(const struct elf_symbols *symbols, uint64_t address, uint64_t *ret_within)
{
	const ElfW(Sym) *best = NULL;

	for (size_t i = 0; i < symbols->count; i++) {
		const ElfW(Sym) *symbol = &symbols->symbols[i];
		uint64_t within;

		if (!elf_is_function(symbol) || symbol->st_name >= symbols->strings_size ||
		    symbols->strings[symbol->st_name] == '\0' ||
		    !elf_has_address(symbol, address, &within))
			continue;
		/* the nearest; of two names for the same function one that others see */
		if (best != NULL && (within > *ret_within ||
				     (within == *ret_within && symbol->st_info >> 4 == STB_LOCAL)))
			continue;
		best = symbol;
		*ret_within = within;
	}
	return best != NULL ? symbols->strings + best->st_name : NULL;
}
