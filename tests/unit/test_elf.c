/*
 * test_elf.c - files as they are built, cut anywhere, and damaged anywhere: an answer, never a
 * signal.
 */
#include "base/elf.h"

#include "elf_cases.h"

static const char *
open_reason(const char *path, struct elf_file *elf, int *ret_result)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *reason = "untouched";

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	*ret_result = elf_open(elf, fd, &reason);
	if (*ret_result < 0)
		(void)close(fd);
	return reason;
}

/* Looks at everything an open file offers. */
static void
use(const struct elf_file *elf)
{
	uint64_t offset = 0, size = 0;
	char id[2 * ELF_BUILD_ID_SIZE + 1];

	for (size_t i = 0; i < elf->symbol_count; i++) {
		const char *name = elf_function_name(elf, i);

		if (name != NULL)
			ck_assert_uint_lt(strlen(name), elf->strings_size + 1);
	}
	(void)elf_find_data(elf, "hd_handler_v1", &offset, &size);
	(void)elf_find_data(elf, "", &offset, &size);
	(void)elf_format_build_id(elf->build_id, elf->build_id_size, id);
	if (elf->search_path != NULL)
		ck_assert_uint_lt(strlen(elf->search_path), elf->strings_size + 1);
}

static bool
has_function(const struct elf_file *elf, const char *wanted)
{
	for (size_t i = 0; i < elf->symbol_count; i++) {
		const char *name = elf_function_name(elf, i);

		if (name != NULL && strcmp(name, wanted) == 0)
			return true;
	}
	return false;
}

START_TEST(good_file_tells_its_symbols)
{
	struct elf_file elf;
	uint64_t offset, size;
	uint32_t magic = 0;
	int r;

	ck_assert_ptr_null(open_reason(elf_broken("good.so"), &elf, &r));
	ck_assert_int_eq(r, 0);
	ck_assert(has_function(&elf, "setup"));
	ck_assert(has_function(&elf, "handle"));
	ck_assert(has_function(&elf, "finish"));
	/* neither data, nor what it takes from elsewhere, nor what it keeps to itself */
	ck_assert(!has_function(&elf, "hd_handler_v1"));
	ck_assert(!has_function(&elf, "getenv"));
	ck_assert(!has_function(&elf, "marker_set"));
	ck_assert_int_eq(elf_find_data(&elf, "hd_handler_v1", &offset, &size), 0);
	ck_assert_uint_eq(size, 112);
	ck_assert_int_eq(pread(elf.fd, &magic, 4, (off_t)offset), 4);
	ck_assert_uint_eq(magic, 0x31524448);
	ck_assert_int_eq(elf_find_data(&elf, "handle", &offset, &size), -ENOENT);
	ck_assert_int_eq(elf_find_data(&elf, "hd_handler_v", &offset, &size), -ENOENT);
	ck_assert(!elf.has_executable_stack);
	ck_assert(!elf.has_text_relocations);
	ck_assert_ptr_null(elf.search_path);
	(void)close(elf.fd);
	elf_close(&elf);
	elf_close(&elf);
}
END_TEST

static void
expect_refusal(const char *path, const char *words)
{
	struct elf_file elf;
	int r;
	const char *reason = open_reason(path, &elf, &r);

	ck_assert_int_eq(r, -ENOEXEC);
	ck_assert_msg(strstr(reason, words) != NULL, "%s: %s", path, reason);
}

START_TEST(what_is_no_shared_object_is_told_apart)
{
	static const char text[] = "#!/bin/sh\necho hello # longer than a header is\n";
	struct elf_file elf;
	const char *reason;

	unit_make_directory();
	unit_write_file(unit_path("text"), text, sizeof(text) - 1);
	unit_write_file(unit_path("empty"), "", 0);
	expect_refusal(unit_path("text"), "is not an ELF file");
	expect_refusal(unit_path("empty"), "is not an ELF file");
	expect_refusal("/dev/null", "is not an ELF file");
	expect_refusal(elf_broken("executable"), "no shared object");
	/* what cannot be read is no verdict on its content */
	ck_assert_int_eq(elf_open(&elf, -1, &reason), -EBADF);
	unit_remove_directory();
}
END_TEST

/* Changes `size` bytes of good.so and opens it. */
static int
open_patched(size_t offset, const void *bytes, size_t size, const char **ret_reason)
{
	size_t length;
	char *data = unit_read_file(elf_broken("good.so"), &length);
	struct elf_file elf;
	int fd, r;

	memcpy(data + offset, bytes, size);
	fd = elf_memory_file(data, length);
	r = elf_open(&elf, fd, ret_reason);
	if (r >= 0)
		elf_close(&elf);
	(void)close(fd);
	free(data);
	return r;
}

START_TEST(file_of_another_machine_is_refused)
{
	static const struct {
		size_t offset;
		unsigned char bytes[2];
		size_t size;
		const char *words;
	} rows[] = {
		{offsetof(ElfW(Ehdr), e_machine), {EM_AVR, 0}, 2, "not for this kind of machine"},
		{EI_CLASS, {ELFCLASS32}, 1, "not for this kind of machine"},
		{offsetof(ElfW(Ehdr), e_type), {ET_REL, 0}, 2, "no shared object"},
		{offsetof(ElfW(Ehdr), e_type), {ET_CORE, 0}, 2, "no shared object"},
		{offsetof(ElfW(Ehdr), e_phentsize), {1, 0}, 2, "program headers"},
		{offsetof(ElfW(Ehdr), e_phnum), {0, 0}, 2, "program headers"},
		{offsetof(ElfW(Ehdr), e_phnum), {0xff, 0xff}, 2, "program headers"},
		{offsetof(ElfW(Ehdr), e_phoff) + 6, {0xff, 0xff}, 2, "program headers"},
		{1, {'e'}, 1, "is not an ELF file"},
	};

	for (int i = 0; i < UNIT_COUNT(rows); i++) {
		const char *reason = NULL;

		ck_assert_int_eq(open_patched(rows[i].offset, rows[i].bytes, rows[i].size, &reason),
				 -ENOEXEC);
		ck_assert_msg(strstr(reason, rows[i].words) != NULL, "row %d: %s", i, reason);
	}
}
END_TEST

START_TEST(file_cut_at_every_64_bytes_is_read_or_refused)
{
	size_t length;
	char *data = unit_read_file(elf_broken("good.so"), &length);
	unsigned refused = 0, opened = 0;

	for (size_t size = 0; size <= length; size += 64) {
		int fd = elf_memory_file(data, size);
		const char *reason = NULL;
		struct elf_file elf;
		int r = elf_open(&elf, fd, &reason);

		ck_assert_msg(r == 0 || r == -ENOEXEC, "%zu bytes: %d", size, r);
		if (r == 0) {
			use(&elf);
			elf_close(&elf);
			opened++;
		} else {
			ck_assert_ptr_nonnull(reason);
			refused++;
		}
		(void)close(fd);
	}
	/* only what follows the last loaded byte (section headers, debugging) can be missing */
	ck_assert_uint_gt(refused, 100);
	ck_assert_uint_gt(opened, 0);
	free(data);
}
END_TEST

START_TEST(file_that_shrinks_while_it_is_read_is_refused)
{
	size_t length;
	char *data = unit_read_file(elf_broken("good.so"), &length);

	for (size_t size = 0; size < length; size += 512) {
		int fd = elf_memory_file(data, length);
		const char *reason = NULL;
		struct elf_file elf;

		ck_assert_int_eq(elf_open(&elf, fd, &reason), 0);
		ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
		/* what was read stays; nothing of the file is mapped */
		use(&elf);
		elf_close(&elf);
		(void)close(fd);
	}
	free(data);
}
END_TEST

/* Sets each byte of the headers, the dynamic section and the tables in turn. */
START_TEST(no_single_damaged_byte_gives_a_signal)
{
	static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	size_t length, step;
	char *data = unit_read_file(elf_broken("good.so"), &length);
	int fd = elf_memory_file(data, length);

	/* every byte of the first 4 KiB, and a sample of the rest */
	for (size_t at = 0; at < length; at += step) {
		step = at < 4096 ? 1 : 37;
		for (int i = 0; i < UNIT_COUNT(values); i++) {
			const char *reason = NULL;
			struct elf_file elf;

			ck_assert_int_eq(pwrite(fd, &values[i], 1, (off_t)at), 1);
			if (elf_open(&elf, fd, &reason) >= 0) {
				use(&elf);
				elf_close(&elf);
			}
		}
		ck_assert_int_eq(pwrite(fd, data + at, 1, (off_t)at), 1);
	}
	(void)close(fd);
	free(data);
}
END_TEST

START_TEST(stack_relocations_and_search_path_are_seen)
{
	static const struct {
		const char *file;
		bool has_stack, has_text;
		const char *path;
	} rows[] = {
		{"executable_stack.so", true, false, NULL},
		{"text_relocations.so", false, true, NULL},
		{"runpath_relative.so", false, false, "lib"},
		{"runpath_origin.so", false, false, "$ORIGIN/lib"},
		{"rpath_origin.so", false, false, "$ORIGIN/lib"},
		{"runpath_system.so", false, false, "/usr/lib"},
	};

	for (int i = 0; i < UNIT_COUNT(rows); i++) {
		struct elf_file elf;
		int r;

		(void)open_reason(elf_broken(rows[i].file), &elf, &r);
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(elf.has_executable_stack, rows[i].has_stack);
		ck_assert_int_eq(elf.has_text_relocations, rows[i].has_text);
		if (rows[i].path == NULL)
			ck_assert_ptr_null(elf.search_path);
		else
			ck_assert_str_eq(elf.search_path, rows[i].path);
		(void)close(elf.fd);
		elf_close(&elf);
	}
}
END_TEST

START_TEST(file_without_a_stack_header_counts_as_executable_stack)
{
	size_t length;
	char *data = unit_read_file(elf_broken("good.so"), &length);
	ElfW(Ehdr) header;
	const char *reason;
	struct elf_file elf;
	int fd;

	memcpy(&header, data, sizeof(header));
	for (unsigned i = 0; i < header.e_phnum; i++) {
		ElfW(Phdr) *segment = (void *)(data + header.e_phoff + i * sizeof(*segment));

		if (segment->p_type == PT_GNU_STACK)
			segment->p_type = PT_NULL;
	}
	fd = elf_memory_file(data, length);
	ck_assert_int_eq(elf_open(&elf, fd, &reason), 0);
	ck_assert(elf.has_executable_stack);
	elf_close(&elf);
	(void)close(fd);
	free(data);
}
END_TEST

START_TEST(build_id_is_the_one_that_readelf_shows)
{
	char command[600], line[256], id[2 * ELF_BUILD_ID_SIZE + 1];
	char shown[2 * ELF_BUILD_ID_SIZE + 1] = "";
	struct elf_file elf;
	FILE *pipe;
	int r;

	(void)snprintf(command, sizeof(command), "readelf -n '%s' 2>/dev/null",
		       elf_broken("good.so"));
	pipe = popen(command, "re");
	ck_assert_ptr_nonnull(pipe);
	while (fgets(line, sizeof(line), pipe) != NULL) {
		const char *at = strstr(line, "Build ID: ");

		if (at != NULL)
			(void)sscanf(at, "Build ID: %40s", shown);
	}
	ck_assert_int_eq(pclose(pipe), 0);
	ck_assert_uint_eq(strlen(shown), 40);
	(void)open_reason(elf_broken("good.so"), &elf, &r);
	ck_assert_str_eq(elf_format_build_id(elf.build_id, elf.build_id_size, id), shown);
	(void)close(elf.fd);
	elf_close(&elf);
	(void)open_reason(elf_broken("no_build_id.so"), &elf, &r);
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(elf.build_id_size, 0);
	ck_assert_str_eq(elf_format_build_id(elf.build_id, elf.build_id_size, id), "");
	(void)close(elf.fd);
	elf_close(&elf);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("elf");

	tcase_add_test(cases, good_file_tells_its_symbols);
	tcase_add_test(cases, what_is_no_shared_object_is_told_apart);
	tcase_add_test(cases, file_of_another_machine_is_refused);
	tcase_add_test(cases, file_cut_at_every_64_bytes_is_read_or_refused);
	tcase_add_test(cases, file_that_shrinks_while_it_is_read_is_refused);
	tcase_add_test(cases, no_single_damaged_byte_gives_a_signal);
	tcase_add_test(cases, stack_relocations_and_search_path_are_seen);
	tcase_add_test(cases, file_without_a_stack_header_counts_as_executable_stack);
	tcase_add_test(cases, build_id_is_the_one_that_readelf_shows);
	return unit_run("elf", cases);
}
