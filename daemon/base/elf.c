/*
 * elf.c - a bounds-checked reader of dynamic symbols, program headers and the build id.
 */
#include "base/elf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Far above any real handler; keeps a broken file from asking for gigabytes. */
#define ELF_MOST_SEGMENTS 256
#define ELF_MOST_TABLE (64U << 20)

#if defined(__x86_64__)
#define ELF_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define ELF_MACHINE EM_AARCH64
#elif defined(__riscv)
#define ELF_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define ELF_MACHINE EM_PPC64
#elif defined(__s390x__)
#define ELF_MACHINE EM_S390
#elif defined(__i386__)
#define ELF_MACHINE EM_386
#elif defined(__arm__)
#define ELF_MACHINE EM_ARM
#else
#error "add this machine's ELF number"
#endif

#define ELF_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

/* What the dynamic section says; addresses as in the file, 0 where absent. */
struct elf_dynamic {
	uint64_t strings, strings_size, symbols, hash, gnu_hash;
	uint64_t runpath, rpath; /* offsets into the strings */
	bool has_runpath, has_rpath;
};

void *
elf_read(const struct elf_file *elf, uint64_t offset, uint64_t size)
{
	CLEANUP_FREE char *data = NULL;

	if (size > ELF_MOST_TABLE || offset > elf->size || size > elf->size - offset)
		return NULL;
	data = malloc((size_t)size + 1);
	if (data == NULL || fd_pread_all(elf->fd, data, (size_t)size, offset) < 0)
		return NULL;
	data[size] = '\0';
	return take_pointer(&data);
}

/* The file offset of `size` bytes at a virtual address. */
static int
elf_offset_of(const struct elf_file *elf, uint64_t address, uint64_t size, uint64_t *ret)
{
	for (size_t i = 0; i < elf->segment_count; i++) {
		const ElfW(Phdr) *segment = &elf->segments[i];

		if (segment->p_type != PT_LOAD || address < segment->p_vaddr ||
		    address - segment->p_vaddr > segment->p_filesz ||
		    size > segment->p_filesz - (address - segment->p_vaddr))
			continue;
		return __builtin_add_overflow(segment->p_offset, address - segment->p_vaddr, ret)
			       ? -ENOEXEC
			       : 0;
	}
	return -ENOENT;
}

static int
elf_read_header(struct elf_file *elf, const char **ret_reason)
{
	ElfW(Ehdr) header;
	int r;

	*ret_reason = "is not an ELF file";
	r = fd_pread_all(elf->fd, &header, sizeof(header), 0);
	if (r < 0)
		return r == -ENODATA ? -ENOEXEC : r;
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	*ret_reason = "is not for this kind of machine";
	if (header.e_ident[EI_CLASS] != ELF_CLASS || header.e_machine != ELF_MACHINE)
		return -ENOEXEC;
	*ret_reason = "is an ELF file, but no shared object (link it with -shared)";
	if (header.e_type != ET_DYN)
		return -ENOEXEC;
	*ret_reason = "is damaged or truncated (program headers)";
	if (header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phnum == 0 ||
	    header.e_phnum > ELF_MOST_SEGMENTS)
		return -ENOEXEC;
	elf->segments =
		elf_read(elf, header.e_phoff, (uint64_t)header.e_phnum * sizeof(ElfW(Phdr)));
	if (elf->segments == NULL)
		return -ENOEXEC;
	elf->segment_count = header.e_phnum;
	return 0;
}

/* Every loadable byte must be there: mapping a truncated file gives SIGBUS later. */
static int
elf_check_segments(struct elf_file *elf)
{
	bool has_stack = false;

	for (size_t i = 0; i < elf->segment_count; i++) {
		const ElfW(Phdr) *segment = &elf->segments[i];

		if (segment->p_type == PT_LOAD &&
		    (segment->p_offset > elf->size ||
		     segment->p_filesz > elf->size - segment->p_offset))
			return -ENOEXEC;
		if (segment->p_type == PT_GNU_STACK) {
			has_stack = true;
			elf->has_executable_stack = (segment->p_flags & PF_X) != 0;
		}
	}
	/* without the header the dynamic linker assumes that the stack must be executable */
	if (!has_stack)
		elf->has_executable_stack = true;
	return 0;
}

static void
elf_note_dynamic(struct elf_file *elf, struct elf_dynamic *dynamic, const ElfW(Dyn) * entry)
{
	uint64_t value = entry->d_un.d_val;

	switch (entry->d_tag) {
	case DT_STRTAB:
		dynamic->strings = value;
		break;
	case DT_STRSZ:
		dynamic->strings_size = value;
		break;
	case DT_SYMTAB:
		dynamic->symbols = value;
		break;
	case DT_HASH:
		dynamic->hash = value;
		break;
	case DT_GNU_HASH:
		dynamic->gnu_hash = value;
		break;
	case DT_TEXTREL:
		elf->has_text_relocations = true;
		break;
	case DT_FLAGS:
		elf->has_text_relocations |= (value & DF_TEXTREL) != 0;
		break;
	case DT_RUNPATH:
		dynamic->runpath = value;
		dynamic->has_runpath = true;
		break;
	case DT_RPATH:
		dynamic->rpath = value;
		dynamic->has_rpath = true;
		break;
	default:
		break;
	}
}

static int
elf_read_dynamic(struct elf_file *elf, struct elf_dynamic *dynamic)
{
	for (size_t i = 0; i < elf->segment_count; i++) {
		const ElfW(Phdr) *segment = &elf->segments[i];
		CLEANUP_FREE ElfW(Dyn) *entries = NULL;
		size_t count;

		if (segment->p_type != PT_DYNAMIC)
			continue;
		entries = elf_read(elf, segment->p_offset, segment->p_filesz);
		if (entries == NULL)
			return -ENOEXEC;
		count = (size_t)segment->p_filesz / sizeof(*entries);
		for (size_t j = 0; j < count && entries[j].d_tag != DT_NULL; j++)
			elf_note_dynamic(elf, dynamic, &entries[j]);
		return 0;
	}
	return -ENOEXEC;
}

/* The number of symbols as the GNU hash table implies it: one past the end of the last chain. */
static int
elf_count_gnu(const struct elf_file *elf, uint64_t address, uint64_t *ret_count)
{
	CLEANUP_FREE uint32_t *head = NULL;
	CLEANUP_FREE uint32_t *buckets = NULL;
	uint64_t offset, at, last = 0;

	if (elf_offset_of(elf, address, 16, &offset) < 0)
		return -ENOEXEC;
	head = elf_read(elf, offset, 16);
	if (head == NULL)
		return -ENOEXEC;
	at = offset + 16 + (uint64_t)head[2] * sizeof(ElfW(Addr));
	buckets = elf_read(elf, at, (uint64_t)head[0] * 4);
	if (buckets == NULL)
		return -ENOEXEC;
	for (uint32_t i = 0; i < head[0]; i++)
		last = buckets[i] > last ? buckets[i] : last;
	*ret_count = head[1];
	if (last < head[1])
		return 0;
	at += (uint64_t)head[0] * 4 + (last - head[1]) * 4;
	for (;; last++, at += 4) {
		uint32_t hash;

		if (fd_pread_all(elf->fd, &hash, sizeof(hash), at) < 0)
			return -ENOEXEC;
		if ((hash & 1) != 0)
			break;
	}
	*ret_count = last + 1;
	return 0;
}

static int
elf_count_symbols(const struct elf_file *elf, const struct elf_dynamic *dynamic,
		  uint64_t *ret_count)
{
	uint32_t head[2];
	uint64_t offset;

	if (dynamic->gnu_hash != 0)
		return elf_count_gnu(elf, dynamic->gnu_hash, ret_count);
	if (dynamic->hash == 0 || elf_offset_of(elf, dynamic->hash, sizeof(head), &offset) < 0 ||
	    fd_pread_all(elf->fd, head, sizeof(head), offset) < 0)
		return -ENOEXEC;
	*ret_count = head[1];
	return 0;
}

static int
elf_read_tables(struct elf_file *elf, const struct elf_dynamic *dynamic)
{
	uint64_t offset, count = 0;

	if (elf_offset_of(elf, dynamic->strings, dynamic->strings_size, &offset) < 0)
		return -ENOEXEC;
	elf->strings = elf_read(elf, offset, dynamic->strings_size);
	if (elf->strings == NULL)
		return -ENOEXEC;
	elf->strings_size = (size_t)dynamic->strings_size;
	if (elf_count_symbols(elf, dynamic, &count) < 0 ||
	    count > ELF_MOST_TABLE / sizeof(ElfW(Sym)) ||
	    elf_offset_of(elf, dynamic->symbols, count * sizeof(ElfW(Sym)), &offset) < 0)
		return -ENOEXEC;
	elf->symbols = elf_read(elf, offset, count * sizeof(ElfW(Sym)));
	if (elf->symbols == NULL)
		return -ENOEXEC;
	elf->symbol_count = (size_t)count;
	if (dynamic->has_runpath && dynamic->runpath < elf->strings_size)
		elf->search_path = elf->strings + dynamic->runpath;
	else if (dynamic->has_rpath && dynamic->rpath < elf->strings_size)
		elf->search_path = elf->strings + dynamic->rpath;
	return 0;
}

/* Looks for NT_GNU_BUILD_ID in one PT_NOTE segment. */
static void
elf_read_notes(struct elf_file *elf, const ElfW(Phdr) * segment)
{
	CLEANUP_FREE unsigned char *notes = elf_read(elf, segment->p_offset, segment->p_filesz);
	uint64_t at = 0;

	if (notes == NULL)
		return;
	while (at + sizeof(ElfW(Nhdr)) <= segment->p_filesz) {
		ElfW(Nhdr) note;
		uint64_t name, data, end;

		memcpy(&note, notes + at, sizeof(note));
		name = at + sizeof(note);
		data = name + ((uint64_t)note.n_namesz + 3) / 4 * 4;
		end = data + ((uint64_t)note.n_descsz + 3) / 4 * 4;
		if (end > segment->p_filesz)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(notes + name, "GNU", 4) == 0 && note.n_descsz <= ELF_BUILD_ID_SIZE) {
			memcpy(elf->build_id, notes + data, note.n_descsz);
			elf->build_id_size = note.n_descsz;
			return;
		}
		at = end;
	}
}

int
elf_open(struct elf_file *elf, int fd, const char **ret_reason)
{
	struct elf_dynamic dynamic = {0};
	struct stat st;
	int r;

	*elf = (struct elf_file){.fd = fd};
	*ret_reason = "cannot be read";
	if (fstat(fd, &st) < 0)
		return -errno;
	elf->size = (uint64_t)st.st_size;
	r = elf_read_header(elf, ret_reason);
	if (r < 0)
		goto fail;
	*ret_reason = "is damaged or truncated";
	r = elf_check_segments(elf);
	if (r < 0)
		goto fail;
	r = elf_read_dynamic(elf, &dynamic);
	if (r < 0)
		goto fail;
	r = elf_read_tables(elf, &dynamic);
	if (r < 0)
		goto fail;
	for (size_t i = 0; i < elf->segment_count && elf->build_id_size == 0; i++) {
		if (elf->segments[i].p_type == PT_NOTE)
			elf_read_notes(elf, &elf->segments[i]);
	}
	*ret_reason = NULL;
	return 0;
fail:
	elf_close(elf);
	return r;
}

void
elf_close(struct elf_file *elf)
{
	free(elf->segments);
	free(elf->symbols);
	free(elf->strings);
	*elf = (struct elf_file){.fd = -1};
}

/* The name of a symbol that is defined in this file and visible to others, else NULL. */
static const char *
elf_exported_name(const struct elf_file *elf, const ElfW(Sym) * symbol)
{
	unsigned bind = symbol->st_info >> 4;

	if (symbol->st_shndx == SHN_UNDEF || (bind != STB_GLOBAL && bind != STB_WEAK) ||
	    symbol->st_name >= elf->strings_size)
		return NULL;
	return elf->strings + symbol->st_name;
}

int
elf_find_data(const struct elf_file *elf, const char *name, uint64_t *ret_offset,
	      uint64_t *ret_size)
{
	for (size_t i = 0; i < elf->symbol_count; i++) {
		const ElfW(Sym) *symbol = &elf->symbols[i];
		const char *symbol_name = elf_exported_name(elf, symbol);

		if (symbol_name == NULL || strcmp(symbol_name, name) != 0 ||
		    (symbol->st_info & 0xf) != STT_OBJECT)
			continue;
		if (elf_offset_of(elf, symbol->st_value, symbol->st_size, ret_offset) < 0)
			return -ENOENT;
		*ret_size = symbol->st_size;
		return 0;
	}
	return -ENOENT;
}

const char *
elf_function_name(const struct elf_file *elf, size_t i)
{
	const ElfW(Sym) *symbol = &elf->symbols[i];

	if ((symbol->st_info & 0xf) != STT_FUNC)
		return NULL;
	return elf_exported_name(elf, symbol);
}

const char *
elf_format_build_id(const unsigned char *id, size_t size, char *buf)
{
	buf[0] = '\0';
	for (size_t i = 0; i < size && i < ELF_BUILD_ID_SIZE; i++)
		(void)snprintf(buf + 2 * i, 3, "%02x", id[i]);
	return buf;
}
