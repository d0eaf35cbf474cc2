/*
 * test_supervisor_pin.c - which file a handler's name stands for, and whether it is still the same.
 */
#include "supervisor/pin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "elf_cases.h"

static struct conf_texts directories;
static const struct conf_origin origin = {.file = "a.conf", .line = 3};
static struct report report;
static struct pin pin;

static void
prepare(void)
{
	unit_make_directory();
	for (int i = 0; i < 3; i++) {
		const char *name = i == 0 ? "first" : i == 1 ? "second" : "absent";

		if (i < 2)
			ck_assert_int_eq(mkdir(unit_path(name), 0755), 0);
		conf_texts_add(&directories, unit_path(name));
	}
}

static void
clean(void)
{
	pin_close(&pin);
	report_free(&report);
	conf_texts_free(&directories);
	unit_remove_directory();
}

static void
copy_handler(const char *to)
{
	size_t size;
	char *data = unit_read_file(elf_broken("good.so"), &size);

	unit_write_file(unit_path(to), data, size);
	free(data);
}

static bool
open_pin(const char *handler)
{
	return pin_open(&pin, handler, &directories, &origin, &report);
}

static void
expect_error(const char *words)
{
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_str_eq(report.entries[0].file, "a.conf");
	ck_assert_uint_eq(report.entries[0].line, 3);
	ck_assert_msg(strstr(report.entries[0].text, words) != NULL, "expected: %s\nfound: %s",
		      words, report.entries[0].text);
	ck_assert_int_eq(pin.fd, -1);
}

START_TEST(first_directory_that_has_the_name_wins)
{
	copy_handler("second/echo.so");
	ck_assert(open_pin("echo"));
	ck_assert_str_eq(pin.path, unit_path("second/echo.so"));
	ck_assert_int_eq(fcntl(pin.fd, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(pin.build_id_size, 20);
	pin_close(&pin);
	copy_handler("first/echo.so");
	ck_assert(open_pin("echo"));
	ck_assert_str_eq(pin.path, unit_path("first/echo.so"));
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(path_is_taken_as_it_is)
{
	copy_handler("h.so");
	ck_assert(open_pin(unit_path("h.so")));
	ck_assert_str_eq(pin.path, unit_path("h.so"));
	pin_close(&pin);
	ck_assert(!open_pin(unit_path("none.so")));
	expect_error("there is no handler file");
}
END_TEST

START_TEST(name_that_is_nowhere_lists_the_directories_and_the_nearest)
{
	char expected[400];

	copy_handler("first/yourmsg.so");
	copy_handler("second/echo.so");
	unit_write_file(unit_path("second/ehco.txt"), "", 0);
	ck_assert(!open_pin("ecko"));
	(void)snprintf(expected, sizeof(expected),
		       "there is no handler 'ecko': no ecko.so in %s, %s, %s; did you mean 'echo'?",
		       unit_path("first"), unit_path("second"), unit_path("absent"));
	expect_error(expected);
	report_free(&report);
	ck_assert(!open_pin("something"));
	ck_assert_ptr_null(strstr(report.entries[0].text, "did you mean"));
}
END_TEST

START_TEST(file_others_can_write_is_refused_and_not_passed_over)
{
	copy_handler("first/echo.so");
	copy_handler("second/echo.so");
	ck_assert_int_eq(chmod(unit_path("first/echo.so"), 0666), 0);
	ck_assert(!open_pin("echo"));
	expect_error("can be written by others (mode 0666)");
}
END_TEST

START_TEST(directory_others_can_write_is_refused)
{
	copy_handler("first/echo.so");
	ck_assert_int_eq(chmod(unit_path("first"), 0777), 0);
	ck_assert(!open_pin("echo"));
	expect_error("can be written by others (mode 0777)");
}
END_TEST

START_TEST(what_is_no_handler_is_pinned_for_the_worker_to_refuse)
{
	unit_write_file(unit_path("first/echo.so"), "text", 4);
	ck_assert(open_pin("echo"));
	ck_assert_uint_eq(pin.build_id_size, 0);
}
END_TEST

START_TEST(same_file_is_equal_and_a_new_one_is_not)
{
	struct pin other;

	copy_handler("first/echo.so");
	ck_assert(open_pin("echo"));
	ck_assert(pin_open(&other, "echo", &directories, &origin, &report));
	ck_assert(pin_equal(&pin, &other));
	ck_assert(pin_equal(&pin, &pin));
	pin_close(&other);
	/* installed by rename: the same bytes, but another file */
	copy_handler("first/new");
	ck_assert_int_eq(rename(unit_path("first/new"), unit_path("first/echo.so")), 0);
	ck_assert(pin_open(&other, "echo", &directories, &origin, &report));
	ck_assert(!pin_equal(&pin, &other));
	ck_assert(!pin_was_overwritten(&pin));
	pin_close(&other);
}
END_TEST

static _Atomic bool are_swaps_over;

/* What stands at the path is a good file and one that others can write, by turns. */
static void *
swap_files(void *argument)
{
	char path[256], good[256], bad[256];

	(void)snprintf(path, sizeof(path), "%s", unit_path("first/a.so"));
	(void)snprintf(good, sizeof(good), "%s", unit_path("good"));
	(void)snprintf(bad, sizeof(bad), "%s", unit_path("bad"));
	while (!atomic_load(&are_swaps_over)) {
		if (unlink(path) < 0 || link(bad, path) < 0 || rename(good, path) < 0 ||
		    link(path, good) < 0)
			break;
	}
	return argument;
}

START_TEST(file_that_is_swapped_while_it_is_checked_is_never_taken)
{
	CLEANUP_FREE char *from = NULL;
	struct stat good, taken;
	pthread_t swapper;
	int pinned = 0;

	copy_handler("good");
	copy_handler("bad");
	ck_assert_int_eq(chmod(unit_path("good"), 0644), 0);
	ck_assert_int_eq(chmod(unit_path("bad"), 0666), 0);
	ck_assert_int_eq(stat(unit_path("good"), &good), 0);
	from = strdup(unit_path("good"));
	ck_assert_int_eq(link(from, unit_path("first/a.so")), 0);
	ck_assert_int_eq(pthread_create(&swapper, NULL, swap_files, NULL), 0);
	for (int i = 0; i < 2000 || pinned == 0; i++) {
		if (open_pin("a")) {
			/* the file that was looked at is the one that is held */
			ck_assert_int_eq(fstat(pin.fd, &taken), 0);
			ck_assert_uint_eq(taken.st_mode & 022, 0);
			ck_assert_uint_eq(taken.st_ino, good.st_ino);
			pinned++;
		}
		pin_close(&pin);
		report_free(&report);
	}
	atomic_store(&are_swaps_over, true);
	ck_assert_int_eq(pthread_join(swapper, NULL), 0);
}
END_TEST

START_TEST(file_written_in_place_is_noticed)
{
	int fd;

	copy_handler("first/echo.so");
	ck_assert(open_pin("echo"));
	ck_assert(!pin_was_overwritten(&pin));
	fd = open(unit_path("first/echo.so"), O_WRONLY | O_APPEND | O_CLOEXEC);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	(void)close(fd);
	ck_assert(pin_was_overwritten(&pin));
	ck_assert_int_eq(unlink(unit_path("first/echo.so")), 0);
	ck_assert(pin_was_overwritten(&pin));
}
END_TEST

START_TEST(closing_twice_and_nothing_is_fine)
{
	pin = PIN_NONE;
	pin_close(&pin);
	pin_close(&pin);
	ck_assert_int_eq(pin.fd, -1);
	ck_assert(!pin_was_overwritten(&pin));
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("pin");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, first_directory_that_has_the_name_wins);
	tcase_add_test(cases, path_is_taken_as_it_is);
	tcase_add_test(cases, name_that_is_nowhere_lists_the_directories_and_the_nearest);
	tcase_add_test(cases, file_others_can_write_is_refused_and_not_passed_over);
	tcase_add_test(cases, directory_others_can_write_is_refused);
	tcase_add_test(cases, what_is_no_handler_is_pinned_for_the_worker_to_refuse);
	tcase_add_test(cases, same_file_is_equal_and_a_new_one_is_not);
	tcase_add_test(cases, file_that_is_swapped_while_it_is_checked_is_never_taken);
	tcase_add_test(cases, file_written_in_place_is_noticed);
	tcase_add_test(cases, closing_twice_and_nothing_is_fine);
	return unit_run("supervisor_pin", cases);
}
