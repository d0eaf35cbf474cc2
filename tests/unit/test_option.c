/*
 * test_option.c - a listener's options against the rows of its handler.
 */
#include "api/option.h"

#include <sys/resource.h>

#include "api/server.h"
#include "unit.h"

#define TEXT(text) ((char *)(uintptr_t)(text))

static const struct hd_option rows[] = {
	HD_OPTION_INT("depth", 3, -5, 100, "how deep"),
	HD_OPTION_BOOL("loud", 1, "whether"),
	HD_OPTION_STRING("greeting", "hello", "what"),
	HD_OPTION_STRING("farewell", NULL, "what else"),
	HD_OPTION_STRING("secret", HD_REQUIRED, "must be"),
	HD_OPTION_PATH("root", "/srv", "where"),
	HD_OPTION_SIZE("room", 4096, 1024, 1 << 20, "how much"),
	HD_OPTION_DURATION("patience", 1500, 0, 60000, "how long"),
	HD_OPTION_DURATION("pause", -1, -1, 60000, "how long, or none"),
	HD_OPTION_LIST("names", "who"),
	HD_OPTION_END,
};

static struct worker_settings settings;
static struct hd_server server;
static struct report report;
static struct worker_option secret = {
	.name = TEXT("secret"), .type = WORKER_OPTION_STRING, .text = TEXT("s")};

static void
fill(const struct hd_option *from, size_t row_size, struct worker_option *given, uint32_t count)
{
	settings = (struct worker_settings){
		.listener = TEXT("front"),
		.handler = TEXT("thing"),
		.handler_file = TEXT("a.conf"),
		.handler_line = 5,
		.options = given,
		.option_count = count,
	};
	option_store_fill(&server.options, from, row_size, &settings, &report);
}

static void
clean(void)
{
	option_store_free(&server.options);
	report_free(&report);
}

START_TEST(defaults_hold_where_nothing_is_given)
{
	fill(rows, sizeof(rows[0]), &secret, 1);
	ck_assert_uint_eq(report.count, 0);
	ck_assert_int_eq(hd_option_int(&server, "depth"), 3);
	ck_assert_int_eq(hd_option_bool(&server, "loud"), 1);
	ck_assert_str_eq(hd_option_string(&server, "greeting"), "hello");
	ck_assert_ptr_null(hd_option_string(&server, "farewell"));
	ck_assert_str_eq(hd_option_string(&server, "secret"), "s");
	ck_assert_str_eq(hd_option_string(&server, "root"), "/srv");
	ck_assert_uint_eq(hd_option_size(&server, "room"), 4096);
	ck_assert_int_eq(hd_option_ms(&server, "patience"), 1500);
	ck_assert_int_eq(hd_option_ms(&server, "pause"), -1);
	ck_assert_uint_eq(hd_option_count(&server, "names"), 0);
	ck_assert_ptr_null(hd_option_item(&server, "names", 0));
}
END_TEST

START_TEST(given_values_replace_the_defaults)
{
	static char *items[] = {TEXT("a"), TEXT("b")};
	struct worker_option given[] = {
		secret,
		{.name = TEXT("depth"), .type = WORKER_OPTION_INT, .number = -5},
		{.name = TEXT("loud"), .type = WORKER_OPTION_BOOL, .number = 0},
		{.name = TEXT("greeting"), .type = WORKER_OPTION_STRING, .text = TEXT("")},
		{.name = TEXT("farewell"), .type = WORKER_OPTION_STRING, .text = TEXT("bye")},
		{.name = TEXT("root"), .type = WORKER_OPTION_STRING, .text = TEXT("/x/../y")},
		{.name = TEXT("room"), .type = WORKER_OPTION_STRING, .text = TEXT("1MiB")},
		{.name = TEXT("patience"), .type = WORKER_OPTION_STRING, .text = TEXT("1min")},
		{.name = TEXT("pause"), .type = WORKER_OPTION_STRING, .text = TEXT("5s")},
		{.name = TEXT("names"),
		 .type = WORKER_OPTION_LIST,
		 .items = items,
		 .item_count = 2},
	};

	fill(rows, sizeof(rows[0]), given, UNIT_COUNT(given));
	ck_assert_uint_eq(report.count, 0);
	ck_assert_int_eq(hd_option_int(&server, "depth"), -5);
	ck_assert_int_eq(hd_option_bool(&server, "loud"), 0);
	ck_assert_str_eq(hd_option_string(&server, "greeting"), "");
	ck_assert_str_eq(hd_option_string(&server, "farewell"), "bye");
	ck_assert_str_eq(hd_option_string(&server, "root"), "/x/../y");
	ck_assert_uint_eq(hd_option_size(&server, "room"), 1 << 20);
	ck_assert_int_eq(hd_option_ms(&server, "patience"), 60000);
	ck_assert_int_eq(hd_option_ms(&server, "pause"), 5000);
	ck_assert_uint_eq(hd_option_count(&server, "names"), 2);
	ck_assert_str_eq(hd_option_item(&server, "names", 1), "b");
	ck_assert_ptr_null(hd_option_item(&server, "names", 2));
	ck_assert_ptr_null(hd_option_item(&server, "names", UINT32_MAX));
}
END_TEST

static const struct refusal {
	struct worker_option option;
	const char *words;
} refusals[] = {
#define GIVEN_INT(name_, value)                                                                    \
	{                                                                                          \
		.name = TEXT(name_), .type = WORKER_OPTION_INT, .number = (value)                  \
	}
#define GIVEN_BOOL(name_)                                                                          \
	{                                                                                          \
		.name = TEXT(name_), .type = WORKER_OPTION_BOOL, .number = 1                       \
	}
#define GIVEN_TEXT(name_, value)                                                                   \
	{                                                                                          \
		.name = TEXT(name_), .type = WORKER_OPTION_STRING, .text = TEXT(value)             \
	}
#define GIVEN_LIST(name_)                                                                          \
	{                                                                                          \
		.name = TEXT(name_), .type = WORKER_OPTION_LIST                                    \
	}
	{GIVEN_INT("depth", 101), "'depth' of handler 'thing' must be between -5 and 100, not 101"},
	{GIVEN_INT("depth", -6), "must be between -5 and 100, not -6"},
	{GIVEN_INT("depth", INT64_MAX), "must be between -5 and 100"},
	{GIVEN_TEXT("depth", "7"), "must be a whole number"},
	{GIVEN_BOOL("depth"), "must be a whole number"},
	{GIVEN_LIST("depth"), "must be a whole number"},
	{GIVEN_INT("loud", 1), "must be true or false"},
	{GIVEN_TEXT("loud", "true"), "must be true or false"},
	{GIVEN_INT("greeting", 1), "must be a string"},
	{GIVEN_LIST("greeting"), "must be a string"},
	{GIVEN_INT("secret", 1), "'secret' of handler 'thing' must be a string"},
	{GIVEN_BOOL("root"), "must be a string"},
	{GIVEN_TEXT("root", "srv"), "must be an absolute path, not \"srv\""},
	{GIVEN_TEXT("root", ""), "must be an absolute path"},
	{GIVEN_TEXT("room", "1023B"), "must be between 1KiB and 1MiB, not 1023B"},
	{GIVEN_TEXT("room", "2MiB"), "must be between 1KiB and 1MiB, not 2MiB"},
	{GIVEN_TEXT("room", "4096"), "must be a size with its unit, such as \"64KiB\""},
	{GIVEN_INT("room", 4096), "must be a size with its unit"},
	{GIVEN_TEXT("patience", "61s"), "must be between 0s and 1min, not 61s"},
	{GIVEN_TEXT("patience", "none"), "cannot be \"none\""},
	{GIVEN_TEXT("patience", "5"), "must be a duration with its unit, such as \"30s\""},
	{GIVEN_INT("patience", 5), "must be a duration with its unit"},
	{GIVEN_TEXT("names", "a"), "must be a list of strings"},
	{GIVEN_TEXT("dept", "x"), "handler 'thing' has no option 'dept'; did you mean 'depth'?"},
	{GIVEN_TEXT("completely", "x"), "handler 'thing' has no option 'completely'"},
};

START_TEST(value_that_does_not_fit_is_refused_with_its_place)
{
	struct worker_option given[2] = {secret, refusals[_i].option};
	bool is_secret = strcmp(given[1].name, "secret") == 0;

	given[1].file = TEXT("b.conf");
	given[1].line = 9;
	fill(rows, sizeof(rows[0]), is_secret ? given + 1 : given, is_secret ? 1 : 2);
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_str_eq(report.entries[0].file, "b.conf");
	ck_assert_uint_eq(report.entries[0].line, 9);
	ck_assert_msg(strstr(report.entries[0].text, refusals[_i].words) != NULL, "%s\n%s",
		      refusals[_i].words, report.entries[0].text);
}
END_TEST

START_TEST(every_error_is_told_in_one_run)
{
	struct worker_option given[UNIT_COUNT(refusals)];
	size_t expected = 1; /* what is required and missing */

	for (int i = 0; i < UNIT_COUNT(refusals); i++) {
		given[i] = refusals[i].option;
		if (strcmp(given[i].name, "secret") == 0)
			given[i] = (struct worker_option)GIVEN_INT("depth", 1000);
		expected++;
	}
	fill(rows, sizeof(rows[0]), given, UNIT_COUNT(given));
	ck_assert_uint_eq(report.errors, expected);
	ck_assert_str_eq(report.entries[expected - 1].file, "a.conf");
	ck_assert_uint_eq(report.entries[expected - 1].line, 5);
	ck_assert_str_eq(report.entries[expected - 1].text,
			 "listener 'front' must give option 'secret' (string): handler 'thing' "
			 "needs it");
}
END_TEST

START_TEST(handler_without_rows_has_no_options)
{
	fill(NULL, sizeof(rows[0]), &secret, 1);
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_str_eq(report.entries[0].text, "handler 'thing' has no option 'secret'");
}
END_TEST

START_TEST(broken_rows_are_the_handlers_fault_and_told_so)
{
	static const struct hd_option broken[] = {
		HD_OPTION_INT("a", 1, 0, 9, ""),
		{NULL, "", HD_OPTION_TYPE_INT, 0, 0, 0, 0, NULL},
		{"b", "", 8, 0, 0, 0, 0, NULL},
		{"b", "", UINT32_MAX, 0, 0, 0, 0, NULL},
		HD_OPTION_BOOL("a", 0, ""),
		HD_OPTION_INT("c", 7, 0, 9, ""),
		HD_OPTION_END,
	};
	static const char *const words[] = {"row 2 has no name",
					    "row 3 has a type that this handlerd does not know",
					    "row 4 has a type that this handlerd does not know",
					    "row 5 has a name that was used before"};

	fill(broken, sizeof(broken[0]), NULL, 0);
	ck_assert_uint_eq(report.errors, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_msg(strstr(report.entries[i].text, words[i]) != NULL, "%s",
			      report.entries[i].text);
	ck_assert_int_eq(hd_option_int(&server, "a"), 1);
	ck_assert_int_eq(hd_option_int(&server, "c"), 7);
}
END_TEST

START_TEST(longer_rows_of_a_newer_header_are_walked_by_their_size)
{
	static const struct {
		struct hd_option known;
		const char *added;
	} longer[] = {
		{HD_OPTION_INT("a", 1, 0, 9, ""), "x"},
		{HD_OPTION_INT("b", 2, 0, 9, ""), "y"},
		{HD_OPTION_END, NULL},
	};

	fill(&longer[0].known, sizeof(longer[0]), NULL, 0);
	ck_assert_uint_eq(report.count, 0);
	ck_assert_int_eq(hd_option_int(&server, "a"), 1);
	ck_assert_int_eq(hd_option_int(&server, "b"), 2);
}
END_TEST

START_TEST(asking_for_what_is_not_declared_ends_the_process)
{
	static const struct rlimit none = {0};

	(void)setrlimit(RLIMIT_CORE, &none);
	log_set_level(0);
	fill(rows, sizeof(rows[0]), &secret, 1);
	if (_i == 0)
		(void)hd_option_int(&server, "dept");
	else
		(void)hd_option_int(&server, "loud");
}
END_TEST

START_TEST(defaults_are_written_as_the_configuration_would)
{
	static const struct {
		const char *type, *text;
	} expected[] = {
		{"int", "3"},	      {"bool", "true"}, {"string", "hello"}, {"string", NULL},
		{"string", NULL},     {"path", "/srv"}, {"size", "4KiB"},    {"duration", "1500ms"},
		{"duration", "none"}, {"list", NULL},
	};
	char text[32];

	for (int i = 0; i < UNIT_COUNT(expected); i++) {
		const char *value = option_default_text(&rows[i], text, sizeof(text));

		ck_assert_str_eq(option_type_name(&rows[i]), expected[i].type);
		ck_assert_int_eq(value == NULL, expected[i].text == NULL);
		if (value != NULL)
			ck_assert_str_eq(value, expected[i].text);
	}
	ck_assert_str_eq(option_type_name(&(struct hd_option){.type = 99}), "?");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("option");

	tcase_add_checked_fixture(cases, NULL, clean);
	tcase_add_test(cases, defaults_hold_where_nothing_is_given);
	tcase_add_test(cases, given_values_replace_the_defaults);
	tcase_add_loop_test(cases, value_that_does_not_fit_is_refused_with_its_place, 0,
			    UNIT_COUNT(refusals));
	tcase_add_test(cases, every_error_is_told_in_one_run);
	tcase_add_test(cases, handler_without_rows_has_no_options);
	tcase_add_test(cases, broken_rows_are_the_handlers_fault_and_told_so);
	tcase_add_test(cases, longer_rows_of_a_newer_header_are_walked_by_their_size);
	tcase_add_loop_test_raise_signal(cases, asking_for_what_is_not_declared_ends_the_process, 6,
					 0, 2);
	tcase_add_test(cases, defaults_are_written_as_the_configuration_would);
	return unit_run("option", cases);
}
