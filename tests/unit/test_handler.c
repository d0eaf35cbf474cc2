/*
 * test_handler.c - the loader: every refusal has its own sentence, and no line of a refused file
 * runs. Each test is a process of its own, whose descriptor 6 is the handler file.
 */
#include "worker/handler.h"

#include <dlfcn.h>

#include "base/cleanup.h"
#include "elf_cases.h"
#include "ipc/protocol.h"

static struct worker_settings settings;
static struct server_handler handler;
static struct report report;

static void
prepare(void)
{
	unit_make_directory();
	settings = (struct worker_settings){
		.supervisor_uid = geteuid(),
		.listener = (char *)(uintptr_t) "front",
		.handler = (char *)(uintptr_t) "thing",
		.handler_path = (char *)(uintptr_t) "/h/thing.so",
		.handler_file = (char *)(uintptr_t) "a.conf",
		.handler_line = 7,
		.concurrency = WORKER_THREADING,
	};
	ck_assert_int_eq(setenv("HANDLERD_TEST_MARKER", unit_path("marker"), 1), 0);
}

static bool
has_run(void)
{
	return access(unit_path("marker"), F_OK) == 0;
}

static bool
load_fd(int fd)
{
	ck_assert_int_eq(dup2(fd, WORKER_FD_HANDLER), WORKER_FD_HANDLER);
	return handler_load(&settings, true, &handler, &report);
}

static bool
load(const char *name)
{
	CLEANUP_CLOSE int fd = open(elf_broken(name), O_RDONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "%s: %s", elf_broken(name), strerror(errno));
	return load_fd(fd);
}

/* Exactly one error, with its place and these words. */
static void
expect_one_error(const char *words)
{
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_uint_eq(report.count, 1);
	ck_assert_str_eq(report.entries[0].file, "a.conf");
	ck_assert_uint_eq(report.entries[0].line, 7);
	ck_assert_msg(strstr(report.entries[0].text, words) != NULL, "expected: %s\nfound: %s",
		      words, report.entries[0].text);
	ck_assert_msg(strncmp(report.entries[0].text, "handler 'thing' (/h/thing.so) ", 30) == 0,
		      "%s", report.entries[0].text);
}

START_TEST(good_handler_is_loaded_with_all_it_has)
{
	ck_assert(load("good.so"));
	ck_assert_uint_eq(report.count, 0);
	ck_assert(has_run());
	ck_assert_str_eq(handler.name, "thing");
	ck_assert_str_eq(handler.descriptor.name, "good");
	ck_assert_str_eq(handler.descriptor.version, "1.2.3");
	ck_assert_uint_eq(handler.descriptor.flags, HD_STREAM | HD_THREADS);
	ck_assert_int_eq(handler.setup(NULL), 1);
	ck_assert_int_eq(handler.handle(NULL), 2);
	ck_assert_ptr_nonnull(handler.finish);
	ck_assert(handler_check_mode(&settings, &handler, &report));
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

/* Refused by what stands in the file: not a line of it runs. */
static const struct refusal {
	const char *file;
	const char *words;
} refused_unopened[] = {
	{"executable", "is an ELF file, but no shared object (link it with -shared)"},
	{"no_descriptor.so", "is not a handlerd handler: it has no descriptor (HD_HANDLER)"},
	{"bad_magic.so", "is not a handlerd handler: it has no descriptor (HD_HANDLER)"},
	{"abi_2.so", "was built for handler ABI 2, this is 1; build it anew"},
	{"abi_0.so", "was built for handler ABI 0, this is 1; build it anew"},
	{"abi_1_3.so", "needs handler ABI 1.3, this is 1.0; upgrade handlerd"},
	{"size_0.so", "has a damaged descriptor: size 0, option size 56"},
	{"size_large.so", "has a damaged descriptor: size 113, option size 56"},
	{"option_size_0.so", "has a damaged descriptor: size 112, option size 0"},
	{"executable_stack.so", "asks for an executable stack; link it with -z noexecstack"},
	{"text_relocations.so", "has text relocations; compile it with -fPIC"},
	{"runpath_relative.so", "looks for libraries in 'lib' (RPATH or RUNPATH)"},
	{"runpath_origin.so", "looks for libraries in '$ORIGIN/lib' (RPATH or RUNPATH)"},
	{"rpath_origin.so", "looks for libraries in '$ORIGIN/lib' (RPATH or RUNPATH)"},
	{"runpath_empty_part.so", "looks for libraries in '' (RPATH or RUNPATH)"},
	/* others may put libraries there, now or later */
	{"runpath_tmp.so", "looks for libraries in '/tmp' (RPATH or RUNPATH)"},
	{"runpath_absent_in_tmp.so", "looks for libraries in '/tmp/handlerd-not-there'"},
};

START_TEST(refused_from_the_file_alone_and_nothing_of_it_runs)
{
	const struct refusal *row = &refused_unopened[_i];

	ck_assert_msg(!load(row->file), "%s was loaded", row->file);
	expect_one_error(row->words);
	ck_assert_msg(!has_run(), "a constructor of %s has run", row->file);
}
END_TEST

/* Known only once it is open. */
static const struct refusal refused_opened[] = {
	{"unknown_flags.so", "has flags that this handlerd does not know: 0x100"},
	{"no_flags.so", "serves nothing: neither HD_STREAM nor HD_DGRAM is set"},
	{"no_name.so", "does not tell its name; write HD_HANDLER(.name = \"...\")"},
	{"empty_name.so", "does not tell its name; write HD_HANDLER(.name = \"...\")"},
	{"no_handle.so", "has no function 'handle'"},
	{"undefined.so", "cannot be opened: "},
	{"missing_library.so", "cannot be opened: libhandlerd-absent.so.1"},
};

START_TEST(refused_after_opening_with_a_sentence_of_its_own)
{
	const struct refusal *row = &refused_opened[_i];

	ck_assert_msg(!load(row->file), "%s was loaded", row->file);
	expect_one_error(row->words);
}
END_TEST

START_TEST(no_two_causes_share_a_sentence)
{
	for (int i = 0; i < UNIT_COUNT(refused_unopened); i++) {
		for (int j = 0; j < UNIT_COUNT(refused_opened); j++)
			ck_assert_str_ne(refused_unopened[i].words, refused_opened[j].words);
	}
}
END_TEST

START_TEST(undefined_function_is_named)
{
	ck_assert(!load("undefined.so"));
	expect_one_error("hd_function_of_tomorrow");
}
END_TEST

START_TEST(text_file_and_foreign_machine_are_refused)
{
	static const char text[] = "int handle(void) { return 0; } /* longer than a header is */\n";
	size_t length;
	char *data = unit_read_file(elf_broken("good.so"), &length);

	ck_assert(!load_fd(elf_memory_file(text, sizeof(text) - 1)));
	expect_one_error("is not an ELF file");
	report_free(&report);
	data[offsetof(ElfW(Ehdr), e_machine)] = EM_AVR;
	data[offsetof(ElfW(Ehdr), e_machine) + 1] = 0;
	ck_assert(!load_fd(elf_memory_file(data, length)));
	expect_one_error("is not for this kind of machine");
	ck_assert(!has_run());
	free(data);
}
END_TEST

START_TEST(file_cut_anywhere_is_refused_without_a_signal)
{
	size_t length;
	char *data = unit_read_file(elf_broken("good.so"), &length);

	/* a file that is opened once stays mapped: the whole one comes last */
	for (size_t size = 0; size < length; size += 64) {
		int fd = elf_memory_file(data, size);

		if (!load_fd(fd))
			ck_assert_uint_eq(report.errors, 1);
		else
			ck_assert_int_eq(handler.handle(NULL), 2);
		(void)close(fd);
		report_free(&report);
	}
	free(data);
}
END_TEST

/* A library is found by its name once it is there. */
static void
open_elsewhere(void)
{
	ck_assert_ptr_nonnull(dlopen(BROKEN "libhandlerd-elsewhere.so", RTLD_NOW | RTLD_LOCAL));
}

START_TEST(handle_of_a_linked_library_counts_as_absent)
{
	open_elsewhere();
	ck_assert(!load("handle_elsewhere.so"));
	expect_one_error("has no function 'handle'");
}
END_TEST

START_TEST(setup_of_a_linked_library_counts_as_absent)
{
	open_elsewhere();
	ck_assert(load("setup_elsewhere.so"));
	ck_assert_uint_eq(report.count, 0);
	ck_assert_ptr_null(handler.setup);
	ck_assert_int_eq(handler.handle(NULL), 42);
}
END_TEST

START_TEST(misspelt_functions_draw_warnings_where_they_are_wanted)
{
	ck_assert(load("misspelt.so"));
	ck_assert_uint_eq(report.errors, 0);
	ck_assert_uint_eq(report.count, 2);
	ck_assert(report.entries[0].is_warning);
	ck_assert_msg(strstr(report.entries[0].text, "no function 'setup', but one named 'setpu'"),
		      "%s", report.entries[0].text);
	ck_assert_msg(strstr(report.entries[1].text, "no function 'finish', but one named 'finsh'"),
		      "%s", report.entries[1].text);
	report_free(&report);
	ck_assert(handler_load(&settings, false, &handler, &report));
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(misspelt_handle_is_pointed_at_too)
{
	bool is_named = false;

	ck_assert(!load("misspelt_handle.so"));
	ck_assert_uint_eq(report.errors, 1);
	for (size_t i = 0; i < report.count; i++)
		is_named = is_named || strstr(report.entries[i].text, "hanlde") != NULL;
	ck_assert_msg(is_named, "only: %s", report.entries[0].text);
}
END_TEST

START_TEST(absolute_trusted_search_path_is_allowed)
{
	ck_assert(load("runpath_system.so"));
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(longer_descriptor_of_the_same_version_is_cut_to_what_is_known)
{
	ck_assert(load("newer_fields.so"));
	ck_assert_uint_eq(report.count, 0);
	ck_assert_uint_eq(handler.descriptor.size, sizeof(struct hd_handler) + 4 * sizeof(char *));
	ck_assert_uint_eq(handler.descriptor.option_size,
			  sizeof(struct hd_option) + sizeof(char *));
	ck_assert_str_eq(
		option_row(handler.descriptor.options, handler.descriptor.option_size, 1)->name,
		"second");
	ck_assert_ptr_null(
		option_row(handler.descriptor.options, handler.descriptor.option_size, 2));
}
END_TEST

START_TEST(listener_that_asks_for_more_than_the_handler_bears_is_refused)
{
	ck_assert(load("not_thread_safe.so"));
	ck_assert(!handler_check_mode(&settings, &handler, &report));
	expect_one_error("is not thread-safe (HD_THREADS), but listener 'front' says threading");
	report_free(&report);
	settings.concurrency = WORKER_FORKING;
	ck_assert(handler_check_mode(&settings, &handler, &report));
	settings.concurrency = WORKER_SERIAL;
	ck_assert(handler_check_mode(&settings, &handler, &report));
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(datagram_only_handler_is_refused_for_tcp_in_every_mode)
{
	static const uint32_t modes[] = {WORKER_THREADING, WORKER_FORKING, WORKER_SERIAL,
					 WORKER_FIBERS};

	ck_assert(load("datagrams_only.so"));
	settings.concurrency = modes[_i];
	ck_assert(!handler_check_mode(&settings, &handler, &report));
	expect_one_error("does not serve connections, but listener 'front' is tcp");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("handler");

	/* Check's own files stay clear of the worker's numbers */
	while (open("/dev/null", O_RDONLY) <= WORKER_FD_SOCKETS)
		;
	tcase_add_checked_fixture(cases, prepare, unit_remove_directory);
	tcase_add_test(cases, good_handler_is_loaded_with_all_it_has);
	tcase_add_loop_test(cases, refused_from_the_file_alone_and_nothing_of_it_runs, 0,
			    UNIT_COUNT(refused_unopened));
	tcase_add_loop_test(cases, refused_after_opening_with_a_sentence_of_its_own, 0,
			    UNIT_COUNT(refused_opened));
	tcase_add_test(cases, no_two_causes_share_a_sentence);
	tcase_add_test(cases, undefined_function_is_named);
	tcase_add_test(cases, text_file_and_foreign_machine_are_refused);
	tcase_add_test(cases, file_cut_anywhere_is_refused_without_a_signal);
	tcase_add_test(cases, handle_of_a_linked_library_counts_as_absent);
	tcase_add_test(cases, setup_of_a_linked_library_counts_as_absent);
	tcase_add_test(cases, misspelt_functions_draw_warnings_where_they_are_wanted);
	tcase_add_test(cases, misspelt_handle_is_pointed_at_too);
	tcase_add_test(cases, absolute_trusted_search_path_is_allowed);
	tcase_add_test(cases, longer_descriptor_of_the_same_version_is_cut_to_what_is_known);
	tcase_add_test(cases, listener_that_asks_for_more_than_the_handler_bears_is_refused);
	tcase_add_loop_test(cases, datagram_only_handler_is_refused_for_tcp_in_every_mode, 0, 3);
	return unit_run("handler", cases);
}
