/*
 * test_supervisor_cmdline.c - command lines, good and wrong.
 */
#include "supervisor/cmdline.h"

#include "unit.h"

#define MOST 12

static struct cmdline cmdline;

static int
parse(const char *const *arguments)
{
	char *argv[MOST + 2] = {(char *)(uintptr_t) "handlerd"};
	int argc = 1;

	while (arguments[argc - 1] != NULL) {
		argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
		argc++;
	}
	return cmdline_parse(&cmdline, argc, argv);
}

static void
clean(void)
{
	cmdline_free(&cmdline);
}

static const struct good {
	const char *arguments[MOST];
	enum cmdline_command command;
} goods[] = {
	{{NULL}, CMDLINE_SERVE},
	{{"-c", "a.conf"}, CMDLINE_SERVE},
	{{"-ca.conf"}, CMDLINE_SERVE},
	{{"-t"}, CMDLINE_TEST},
	{{"-T"}, CMDLINE_TEST_DUMP},
	{{"-t", "-T"}, CMDLINE_TEST_DUMP},
	{{"-T", "-t"}, CMDLINE_TEST_DUMP},
	{{"-t", "-c", "a.conf"}, CMDLINE_TEST},
	{{"--listen", "tcp:*:1", "--handler", "echo"}, CMDLINE_SERVE},
	{{"--handler=echo", "--listen=tcp:*:1", "--once"}, CMDLINE_SERVE},
	{{"-t", "--listen", "tcp:*:1", "--handler", "echo"}, CMDLINE_TEST},
	{{"--listen", "tcp:*:1", "--handler", "echo", "--control", "c.sock"}, CMDLINE_SERVE},
	{{"-c", "a.conf", "--control="}, CMDLINE_SERVE},
	{{"-t", "--control", "/run/c.sock"}, CMDLINE_TEST},
	{{"--describe", "echo"}, CMDLINE_DESCRIBE},
	{{"--describe", "echo", "--json"}, CMDLINE_DESCRIBE},
	{{"--describe", "echo", "-c", "a.conf"}, CMDLINE_DESCRIBE},
	{{"--version"}, CMDLINE_VERSION},
	{{"--help"}, CMDLINE_HELP},
};

START_TEST(good_command_line_is_understood)
{
	ck_assert_int_eq(parse(goods[_i].arguments), 0);
	ck_assert_int_eq(cmdline.command, goods[_i].command);
}
END_TEST

static const char *const wrong[][MOST] = {
	{"-x"},
	{"-c"},
	{"--nonsense"},
	{"argument"},
	{"-t", "argument"},
	{"--", "argument"},
	{"--json"},
	{"-t", "--json"},
	{"--listen"},
	{"--listen", "tcp:*:1"},
	{"--handler", "echo"},
	{"--listen", "tcp:*:1", "--handler", "echo", "-c", "a.conf"},
	{"--describe"},
	{"--describe", "echo", "--listen", "tcp:*:1", "--handler", "echo"},
	{"--describe", "echo", "--handler", "echo"},
	{"--once"},
	{"--concurrency", "serial"},
	{"--option", "a=b"},
	{"--user", "nobody"},
	{"--group", "nogroup"},
	{"--control"},
	{"--inetd", "--handler", "echo", "--control", "/run/c.sock"},
	{"--describe", "echo", "--control", "/run/c.sock"},
	{"--once=1", "--listen", "tcp:*:1", "--handler", "echo"},
};

START_TEST(wrong_command_line_is_refused_in_words)
{
	char text[512] = "";
	int pipes[2], saved = dup(STDERR_FILENO), r;

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	(void)dup2(pipes[1], STDERR_FILENO);
	r = parse(wrong[_i]);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	ck_assert_int_eq(r, -EINVAL);
	ck_assert_int_gt(read(pipes[0], text, sizeof(text) - 1), 0);
	ck_assert_msg(strstr(text, "see handlerd --help") != NULL, "%s", text);
}
END_TEST

START_TEST(default_file_is_the_installed_one)
{
	static const char *const none[] = {NULL}, *const given[] = {"-c", "b.conf", NULL};
	size_t length;

	ck_assert_int_eq(parse(none), 0);
	length = strlen(cmdline.file);
	ck_assert_uint_gt(length, 14);
	ck_assert_str_eq(cmdline.file + length - 14, "/handlerd.conf");
	ck_assert(!cmdline.has_file);
	cmdline_free(&cmdline);
	optind = 0;
	ck_assert_int_eq(parse(given), 0);
	ck_assert_str_eq(cmdline.file, "b.conf");
	ck_assert(cmdline.has_file);
}
END_TEST

START_TEST(lists_keep_their_order_and_the_last_of_the_others_wins)
{
	static const char *const arguments[] = {"--listen",    "tcp:*:1",     "--listen", "tcp:*:2",
						"--handler=x", "--handler=y", "--option", "a=1",
						"--option",    "b=2=3",	      NULL};

	ck_assert_int_eq(parse(arguments), 0);
	ck_assert_uint_eq(cmdline.listen_count, 2);
	ck_assert_str_eq(cmdline.listen[0], "tcp:*:1");
	ck_assert_str_eq(cmdline.listen[1], "tcp:*:2");
	ck_assert_str_eq(cmdline.handler, "y");
	ck_assert_uint_eq(cmdline.option_count, 2);
	ck_assert_str_eq(cmdline.options[1], "b=2=3");
}
END_TEST

START_TEST(everything_given_is_there)
{
	static const char *const arguments[] = {
		"--listen=tcp:*:1", "--handler=x", "--once", "--concurrency=serial",
		"--user=u",	    "--group=g",   NULL};

	ck_assert_int_eq(parse(arguments), 0);
	ck_assert(cmdline.is_once);
	ck_assert_str_eq(cmdline.concurrency, "serial");
	ck_assert_str_eq(cmdline.user, "u");
	ck_assert_str_eq(cmdline.group, "g");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("cmdline");

	tcase_add_checked_fixture(cases, NULL, clean);
	tcase_add_loop_test(cases, good_command_line_is_understood, 0, UNIT_COUNT(goods));
	tcase_add_loop_test(cases, wrong_command_line_is_refused_in_words, 0, UNIT_COUNT(wrong));
	tcase_add_test(cases, default_file_is_the_installed_one);
	tcase_add_test(cases, lists_keep_their_order_and_the_last_of_the_others_wins);
	tcase_add_test(cases, everything_given_is_there);
	return unit_run("supervisor_cmdline", cases);
}
