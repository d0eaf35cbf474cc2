/*
 * test_elf_symbol.c - functions are found by address, static ones too; and files that are stripped,
 * cut or damaged give an answer, never a signal.
 */
#include "base/elf_symbol.h"

#include "elf_cases.h"

/* Addresses of this program's own functions, as in its file. */
static uint64_t
base_of_program(void)
{
	extern const char __ehdr_start[] __attribute__((visibility("hidden")));

	return (uint64_t)(uintptr_t)__ehdr_start;
}

static int __attribute__((noinline)) some_static_function(int a)
{
	return a * 3 + 1;
}

static int (*volatile some_function)(int) = some_static_function;

START_TEST(a_static_function_is_found_by_any_address_in_it)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t address = (uint64_t)(uintptr_t)some_function - base_of_program();
	struct elf_symbols symbols;
	uint64_t within = 77;

	ck_assert_int_eq(elf_symbols_open(&symbols, fd), 0);
	ck_assert_str_eq(elf_symbols_find(&symbols, address, &within), "some_static_function");
	ck_assert_uint_eq(within, 0);
	ck_assert_str_eq(elf_symbols_find(&symbols, address + 5, &within), "some_static_function");
	ck_assert_uint_eq(within, 5);
	elf_symbols_close(&symbols);
	/* the descriptor is the caller's */
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(an_address_that_is_no_function_is_unknown)
{
	int fd = open(elf_broken("good.so"), O_RDONLY | O_CLOEXEC);
	struct elf_symbols symbols;
	uint64_t within;

	ck_assert_int_eq(elf_symbols_open(&symbols, fd), 0);
	ck_assert_ptr_null(elf_symbols_find(&symbols, 0, &within));
	ck_assert_ptr_null(elf_symbols_find(&symbols, UINT64_MAX, &within));
	elf_symbols_close(&symbols);
	(void)close(fd);
}
END_TEST

/* Where a function of good.so stands. */
static uint64_t
find_handle(const char *data, size_t size)
{
	int fd = elf_memory_file(data, size);
	struct elf_symbols symbols;
	uint64_t address = 0;

	ck_assert_int_eq(elf_symbols_open(&symbols, fd), 0);
	for (size_t i = 0; i < symbols.count; i++) {
		if (strcmp(symbols.strings + symbols.symbols[i].st_name, "handle") == 0)
			address = symbols.symbols[i].st_value;
	}
	ck_assert_uint_ne(address, 0);
	elf_symbols_close(&symbols);
	(void)close(fd);
	return address;
}

START_TEST(a_stripped_file_still_tells_what_it_exports)
{
	size_t size;
	char *data = unit_read_file(elf_broken("good.so"), &size);
	uint64_t address = find_handle(data, size), within;
	ElfW(Ehdr) *header = (ElfW(Ehdr) *)(void *)data;
	struct elf_symbols symbols;
	int fd;

	header->e_shoff = 0;
	header->e_shnum = 0;
	fd = elf_memory_file(data, size);
	ck_assert_int_eq(elf_symbols_open(&symbols, fd), 0);
	ck_assert_ptr_null(symbols.own);
	ck_assert_str_eq(elf_symbols_find(&symbols, address + 1, &within), "handle");
	ck_assert_uint_eq(within, 1);
	elf_symbols_close(&symbols);
	(void)close(fd);
	free(data);
}
END_TEST

START_TEST(what_is_no_shared_object_is_refused)
{
	int fd = elf_memory_file("text", 4);
	struct elf_symbols symbols;

	ck_assert_int_lt(elf_symbols_open(&symbols, fd), 0);
	elf_symbols_close(&symbols);
	(void)close(fd);
}
END_TEST

/* Opens and asks for every place of it. */
static void
use(const void *data, size_t size)
{
	int fd = elf_memory_file(data, size);
	struct elf_symbols symbols;
	uint64_t within;

	if (elf_symbols_open(&symbols, fd) == 0) {
		for (uint64_t address = 0; address < 0x6000; address += 512) {
			const char *name = elf_symbols_find(&symbols, address, &within);

			if (name != NULL)
				ck_assert_uint_lt(strlen(name), symbols.strings_size + 1);
		}
		elf_symbols_close(&symbols);
	}
	(void)close(fd);
}

START_TEST(a_file_cut_anywhere_gives_an_answer)
{
	size_t size;
	char *data = unit_read_file(elf_broken("good.so"), &size);

	for (size_t cut = 0; cut < size; cut += 61)
		use(data, cut);
	for (size_t cut = size - 4096; cut < size; cut += 7)
		use(data, cut);
	free(data);
}
END_TEST

/* Each section header's bytes, and each symbol's, become something else in turn. */
START_TEST(damaged_sections_and_symbols_give_an_answer)
{
	static const unsigned char values[] = {0x00, 0xff, 0x7f, 0x80};
	size_t size;
	char *data = unit_read_file(elf_broken("good.so"), &size);
	const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)(const void *)data;
	size_t begin = (size_t)header->e_shoff;
	size_t end = begin + header->e_shnum * sizeof(ElfW(Shdr));

	ck_assert_uint_gt(begin, 0);
	ck_assert_uint_le(end, size);
	for (int i = 0; i < UNIT_COUNT(values); i++) {
		/* each byte gets half of the values: all would take long under a sanitizer */
		for (size_t at = begin + (size_t)i % 2; at < end; at += 2) {
			char before = data[at];

			data[at] = (char)values[i];
			use(data, size);
			data[at] = before;
		}
		for (size_t at = 40; at < sizeof(*header); at++) {
			char before = data[at];

			data[at] = (char)values[i];
			use(data, size);
			data[at] = before;
		}
	}
	free(data);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("elf_symbol");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, a_static_function_is_found_by_any_address_in_it);
	tcase_add_test(cases, an_address_that_is_no_function_is_unknown);
	tcase_add_test(cases, a_stripped_file_still_tells_what_it_exports);
	tcase_add_test(cases, what_is_no_shared_object_is_refused);
	tcase_add_test(cases, a_file_cut_anywhere_gives_an_answer);
	tcase_add_test(cases, damaged_sections_and_symbols_give_an_answer);
	return unit_run("elf_symbol", cases);
}
