/*
 * test_ctl_table.c - columns as wide as what they hold, and colours.
 */
#include "handlerctl/table.h"

#include <locale.h>

#include "base/cleanup.h"
#include "unit.h"

static const struct table_column columns[] = {
	{.title = "NAME"},
	{.title = "TOTAL", .is_number = true},
	{.title = "STATE"},
};

static struct table
make_table(void)
{
	return (struct table){.columns = columns, .column_count = COUNT_OF(columns)};
}

static void
add(struct table *table, const char *name, const char *total, const char *state)
{
	table_add_row(table);
	table_set(table, 0, SCREEN_PLAIN, "%s", name);
	table_set(table, 1, SCREEN_PLAIN, "%s", total);
	table_set(table, 2, SCREEN_PLAIN, "%s", state);
}

static void
assert_prints(struct table *table, bool is_colored, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	table_print(table, is_colored, out);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_str_eq(text, expected);
	free(text);
	table_free(table);
}

START_TEST(columns_are_as_wide_as_their_widest_cell)
{
	struct table table = make_table();

	add(&table, "a", "1234567", "serving");
	add(&table, "longer", "1", "x");
	assert_prints(&table, false,
		      "NAME      TOTAL  STATE\n"
		      "a       1234567  serving\n"
		      "longer        1  x\n");
}
END_TEST

START_TEST(titles_are_wide_enough_for_themselves)
{
	struct table table = make_table();

	add(&table, "a", "1", "b");
	assert_prints(&table, false,
		      "NAME  TOTAL  STATE\n"
		      "a         1  b\n");
}
END_TEST

START_TEST(without_rows_there_are_titles)
{
	struct table table = make_table();

	assert_prints(&table, false, "NAME  TOTAL  STATE\n");
}
END_TEST

START_TEST(empty_cells_leave_no_blanks_at_the_end)
{
	struct table table = make_table();

	add(&table, "a", "1", "b");
	table_add_row(&table);
	table_set(&table, 0, SCREEN_PLAIN, "only");
	add(&table, "", "", "last");
	assert_prints(&table, false,
		      "NAME  TOTAL  STATE\n"
		      "a         1  b\n"
		      "only\n"
		      "             last\n");
}
END_TEST

START_TEST(a_note_keeps_to_no_column)
{
	struct table table = make_table();

	add(&table, "a", "1", "b");
	table_add_note(&table, "a note that is %s than everything", "longer");
	add(&table, "c", "2", "d");
	assert_prints(&table, false,
		      "NAME  TOTAL  STATE\n"
		      "a         1  b\n"
		      "a note that is longer than everything\n"
		      "c         2  d\n");
}
END_TEST

START_TEST(a_cell_may_be_set_twice)
{
	struct table table = make_table();

	add(&table, "a", "1", "b");
	table_set(&table, 2, SCREEN_PLAIN, "again");
	assert_prints(&table, false,
		      "NAME  TOTAL  STATE\n"
		      "a         1  again\n");
}
END_TEST

START_TEST(colours_take_no_room)
{
	struct table table = make_table();

	table_add_row(&table);
	table_set(&table, 0, SCREEN_GREEN, "a");
	table_set(&table, 1, SCREEN_RED, "1");
	table_set(&table, 2, SCREEN_YELLOW, "b");
	assert_prints(&table, true,
		      "\033[1mNAME\033[0m  \033[1mTOTAL\033[0m  \033[1mSTATE\033[0m\n"
		      "\033[32ma\033[0m         \033[31m1\033[0m  \033[33mb\033[0m\n");
}
END_TEST

START_TEST(characters_of_several_bytes_take_one_column)
{
	struct table table = make_table();

	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
	ck_assert_str_eq(screen_branch(), "└");
	add(&table, "/run/ä", "1", "b");
	add(&table, "/run/ab", "1", "b");
	add(&table, "bad\xff", "1", "b");
	assert_prints(&table, false,
		      "NAME     TOTAL  STATE\n"
		      "/run/ä       1  b\n"
		      "/run/ab      1  b\n"
		      "bad\xff         1  b\n");
}
END_TEST

START_TEST(without_utf8_nothing_but_ascii_is_drawn)
{
	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C"));
	ck_assert_str_eq(screen_branch(), "\\");
}
END_TEST

/* The slave of a new terminal. */
static int
open_terminal(int *ret_master)
{
	int fd;

	*ret_master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(*ret_master, 0);
	ck_assert_int_eq(grantpt(*ret_master), 0);
	ck_assert_int_eq(unlockpt(*ret_master), 0);
	fd = open(ptsname(*ret_master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(only_a_terminal_that_wants_colours_gets_them)
{
	int master, terminal = open_terminal(&master), pipe_fds[2];

	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	(void)unsetenv("NO_COLOR");
	(void)setenv("TERM", "xterm", 1);
	ck_assert(screen_wants_color(terminal));
	ck_assert(!screen_wants_color(pipe_fds[1]));
	(void)setenv("NO_COLOR", "1", 1);
	ck_assert(!screen_wants_color(terminal));
	(void)setenv("NO_COLOR", "", 1);
	ck_assert(screen_wants_color(terminal));
	(void)setenv("TERM", "dumb", 1);
	ck_assert(!screen_wants_color(terminal));
	(void)unsetenv("TERM");
	ck_assert(!screen_wants_color(terminal));
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	(void)close(terminal);
	(void)close(master);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("table");

	tcase_add_test(cases, columns_are_as_wide_as_their_widest_cell);
	tcase_add_test(cases, titles_are_wide_enough_for_themselves);
	tcase_add_test(cases, without_rows_there_are_titles);
	tcase_add_test(cases, empty_cells_leave_no_blanks_at_the_end);
	tcase_add_test(cases, a_note_keeps_to_no_column);
	tcase_add_test(cases, a_cell_may_be_set_twice);
	tcase_add_test(cases, colours_take_no_room);
	tcase_add_test(cases, characters_of_several_bytes_take_one_column);
	tcase_add_test(cases, without_utf8_nothing_but_ascii_is_drawn);
	tcase_add_test(cases, only_a_terminal_that_wants_colours_gets_them);
	return unit_run("ctl_table", cases);
}
