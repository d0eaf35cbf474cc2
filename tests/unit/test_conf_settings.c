/*
 * test_conf_settings.c - walks the table of keys: every row is complete, its range holds, and it
 * is found in the manual page and in what -T writes.
 */
#include <inttypes.h>

#include "base/parse.h"
#include "conf/man.h"
#include "conf/settings.h"
#include "conf_cases.h"

/* The value of a row, as it would be written. */
static char *
written(const struct setting *row, int64_t number)
{
	const char *quote = setting_is_quoted(row) ? "\"" : "";
	char text[SETTING_NUMBER_SIZE];
	bool is_long = row->type == SETTING_INT && (number > INT32_MAX || number < INT32_MIN);

	return memory_format("%s%s%s%s", quote, setting_format(row, number, text, sizeof(text)),
			     is_long ? "L" : "", quote);
}

/* The key with this value, in the groups where it stands. */
static char *
key_with(const struct setting *row, const char *value)
{
	const char *group = row->group, *dot = strchr(group, '.');
	const char *burst = strstr(row->name, "_burst");

	if (*group == '\0')
		return memory_format("%s = %s;", row->name, value);
	if (strcmp(row->name, "spare_children") == 0)
		return memory_format("forking = { max_children = 10000; spare_children = %s; };",
				     value);
	/* of a rate, which must be there */
	if (burst != NULL)
		return memory_format("limits = { %.*s = \"1/s\"; %s = %s; };",
				     (int)(burst - row->name), row->name, row->name, value);
	if (dot != NULL)
		return memory_format("%.*s = { %s = { %s = %s; }; };", (int)(dot - group), group,
				     dot + 1, row->name, value);
	return memory_format("%s = { %s = %s; };", group, row->name, value);
}

/* A whole file in which this key has this value. */
static char *
file_with(const struct setting *row, const char *value)
{
	/* with limits that any number of threads and children fits into, and the other way round */
	bool is_forking = strcmp(row->group, "forking") == 0;
	bool is_ready = strcmp(row->name, "min_threads") == 0;
	bool is_limit = strcmp(row->name, "max_connections") == 0;
	const char *rest = is_forking ? "concurrency = \"forking\"; max_connections = 1000000; "
			   : is_ready ? "max_connections = 1000000; "
			   : is_limit ? "threading = { max_threads = 9; }; "
				      : "";
	/* and with a protocol that has the key */
	bool is_protocol = strcmp(row->name, "protocol") == 0;
	bool is_unix = (is_protocol && strstr(value, "unix") != NULL) ||
		       row->protocols == (SETTING_FOR(CONF_UNIX) | SETTING_FOR(CONF_UNIXGRAM));
	bool is_udp =
		row->protocols != 0 && (row->protocols & SETTING_FOR(CONF_TCP)) == 0 && !is_unix;
	const char *protocol = is_protocol ? ""
			       : is_unix   ? "protocol = \"unix\"; "
			       : is_udp	   ? "protocol = \"udp\"; "
					   : "";
	char *key = key_with(row, value), *file;

	if (row->scope == SETTING_TOP)
		file = memory_format("%s\nlisteners = ( " CASES_LISTENER " );\n", key);
	else
		file = memory_format("listeners = ( { name = \"a\"; address = \"%s\"; "
				     "handler = \"x\"; %s%s%s } );\n",
				     is_unix ? "/run/a" : "*:1", protocol, rest, key);
	free(key);
	return file;
}

static const void *
field_of(const struct setting *row, const struct config *config)
{
	const void *target = row->scope == SETTING_TOP ? (const void *)config
						       : (const void *)&config->listeners[0];

	return (const char *)target + row->offset;
}

/* The row of the group that a row stands in. */
static const struct setting *
group_of(const struct setting *row)
{
	const struct setting *found = NULL;
	char label[SETTING_LABEL_SIZE];

	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *group = &settings[i];
		bool is_group = group->type == SETTING_GROUP || group->type == SETTING_SWITCH;

		if (group->scope == row->scope && is_group &&
		    strcmp(setting_label(group, label, sizeof(label)), row->group) == 0)
			found = group;
	}
	ck_assert_ptr_nonnull(found);
	return found;
}

START_TEST(row_has_what_its_type_needs)
{
	const struct setting *row = &settings[_i];
	size_t length = strlen(row->help);

	ck_assert_uint_gt(length, 0);
	ck_assert_int_eq(row->help[length - 1], '.');
	ck_assert_ptr_null(strchr(row->help, '\n'));
	ck_assert((row->choices != NULL) == (row->type == SETTING_CHOICE));
	ck_assert(row->min <= row->max);
	ck_assert((row->max != 0) == setting_has_range(row) || row->type == SETTING_TEXT);
	if (setting_has_range(row) || row->type == SETTING_CHOICE || row->type == SETTING_BOOL ||
	    row->type == SETTING_SWITCH)
		ck_assert((row->default_text == NULL) == ((row->flags & SETTING_OR_UNSET) != 0));
	ck_assert(row->protocols <= SETTING_FOR(CONF_UNIXGRAM + 1) - 1);
	/* a default is true already that a group would set */
	if (row->type == SETTING_SWITCH)
		ck_assert_str_eq(row->default_text, "false");
	if ((row->flags & SETTING_OR_NONE) != 0)
		ck_assert(setting_has_range(row) && row->none < row->min);
	/* a group's own row stands before */
	if (*row->group != '\0')
		ck_assert(group_of(row) < row);
}
END_TEST

START_TEST(row_is_found_by_its_name_and_is_the_only_one)
{
	const struct setting *row = &settings[_i];

	ck_assert_ptr_eq(setting_find(row->scope, row->group, row->name), row);
	ck_assert_ptr_null(setting_find(row->scope, row->group, "no_such_key"));
	for (int i = 0; i < (int)setting_count; i++)
		ck_assert(i == _i || row->type == SETTING_GROUP || row->offset == 0 ||
			  settings[i].scope != row->scope || settings[i].offset != row->offset);
}
END_TEST

START_TEST(default_reads_as_what_a_new_configuration_has)
{
	const struct setting *row = &settings[_i];
	const char *quote = setting_is_quoted(row) ? "\"" : "";
	bool is_bool = row->type == SETTING_BOOL || row->type == SETTING_SWITCH;
	struct config *fresh, *config;
	char *value, *file;

	if (row->default_text == NULL || row->type == SETTING_TEXTS)
		return;
	value = memory_format("%s%s%s", quote, row->default_text, quote);
	file = file_with(row, value);
	config = cases_accept(file);
	fresh = config_new(CASES_HANDLERS);
	(void)config_add_listener(fresh, "a", "x");
	ck_assert_int_eq(memcmp(field_of(row, config), field_of(row, fresh),
				is_bool ? sizeof(bool) : sizeof(int64_t)),
			 0);
	free(value);
	free(file);
	config_free(config);
	config_free(fresh);
}
END_TEST

START_TEST(range_holds_at_its_ends_and_is_refused_beyond)
{
	const struct setting *row = &settings[_i];
	const int64_t inside[] = {row->min, row->max};
	const int64_t outside[] = {row->min - 1, row->max + 1};

	if (!setting_has_range(row))
		return;
	for (size_t i = 0; i < 2; i++) {
		char *value = written(row, inside[i]), *file = file_with(row, value);
		struct config *config = cases_accept(file);

		ck_assert_int_eq(*(const int64_t *)field_of(row, config), inside[i]);
		config_free(config);
		free(value);
		free(file);
	}
	for (size_t i = 0; i < 2; i++) {
		char label[SETTING_LABEL_SIZE];
		char *value = written(row, outside[i]), *file = file_with(row, value);
		char *words =
			memory_format("%s must be from ", setting_label(row, label, sizeof(label)));

		/* below 1, 0 may mean something else; modes and sizes have no sign */
		if (((row->flags & SETTING_OR_NONE) == 0 || outside[i] != row->none) &&
		    ((row->type != SETTING_MODE && row->type != SETTING_SIZE) || outside[i] > 0))
			cases_expect(file, 0, words);
		free(words);
		free(value);
		free(file);
	}
}
END_TEST

START_TEST(every_choice_is_taken_and_nothing_else)
{
	const struct setting *row = &settings[_i];

	for (int64_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++) {
		char *value = memory_format("\"%s\"", row->choices[i]);
		char *wrong = memory_format("\"%s-\"", row->choices[i]);
		char *file = file_with(row, value), *wrong_file = file_with(row, wrong);
		struct config *config = cases_accept(file);

		ck_assert_int_eq(*(const int64_t *)field_of(row, config), row->first_choice + i);
		config_free(config);
		cases_expect(wrong_file, 0, "did you mean");
		free(value);
		free(wrong);
		free(file);
		free(wrong_file);
	}
}
END_TEST

START_TEST(wrong_type_is_refused)
{
	static const char *const values[] = {"1",	  "1.5",   "true",
					     "\"\\x01\"", "[ 1 ]", "{ x = ( ); }"};
	const struct setting *row = &settings[_i];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char *file = file_with(row, values[i]);
		struct report report = {0};
		struct config *config;

		if ((row->type == SETTING_INT && i == 0) || (row->type == SETTING_BOOL && i == 2) ||
		    (row->type == SETTING_SWITCH && i == 2) ||
		    (row->type == SETTING_FRACTION && i <= 1) ||
		    ((row->flags & SETTING_OR_CONTROL) != 0 && i == 3) ||
		    (row->type == SETTING_OPTIONS && i == 5) || row->type == SETTING_ENTRIES) {
			free(file);
			continue;
		}
		config = cases_load_text(file, &report);
		ck_assert_msg(config == NULL, "accepted: %s", file);
		ck_assert_uint_gt(report.errors, 0);
		report_free(&report);
		free(file);
	}
}
END_TEST

START_TEST(row_is_in_the_manual_page)
{
	const struct setting *row = &settings[_i];
	char *page = NULL, *item = memory_format(".It Ic %s\n", row->name), *found;
	size_t size = 0;
	FILE *out = open_memstream(&page, &size);

	man_write_settings(row->scope, CASES_HANDLERS, out);
	ck_assert_int_eq(fclose(out), 0);
	found = strstr(page, item);
	ck_assert_ptr_nonnull(found);
	if (row->default_text != NULL)
		ck_assert_ptr_nonnull(strstr(found, row->default_text));
	free(page);
	free(item);
}
END_TEST

START_TEST(row_is_in_what_is_written_out)
{
	const struct setting *row = &settings[_i];
	struct config *config = cases_accept(
		"user = \"nobody\"; group = \"nogroup\"; defaults = { };\n"
		"control = \"/run/c\"; control_group = \"adm\";\n"
		"listeners = ( { name = \"a\"; address = \"*:1\"; handler = \"x\"; "
		"access = { file = \"/f\"; }; socket = { device = \"lo\"; congestion = \"cubic\"; "
		"keepalive = { }; }; "
		"limits = { banner = \"no\"; }; "
		"options = { a = 1; }; environment = { A = \"1\"; }; groups = [ ]; nice = 1; "
		"root_directory = \"/srv\"; "
		"cpu_affinity = \"0\"; oom_score_adj = 0; rlimits = { as = \"unlimited\"; core = "
		"\"0B\"; cpu = \"1s\"; data = \"1GiB\"; fsize = \"0B\"; memlock = \"0B\"; msgqueue "
		"= "
		"\"0B\"; nofile = 100; nproc = 100; sigpending = 100; stack = \"1MiB\"; }; "
		"sandbox = { filesystem = [ \"ro:/usr\" ]; }; },\n"
		"{ name = \"b\"; protocol = \"udp\"; address = \"*:1\"; handler = \"x\"; },\n"
		"{ name = \"c\"; protocol = \"unix\"; address = \"@c\"; handler = \"x\"; "
		"socket = { owner = \"nobody\"; group = \"nogroup\"; }; } );");
	char *text = cases_emit(config), *key = memory_format(" %s = ", row->name);
	char *top_key = memory_format("\n%s = ", row->name);
	bool is_there = strstr(text, key) != NULL || strstr(text, top_key) != NULL ||
			strncmp(text, top_key + 1, strlen(top_key + 1)) == 0;

	ck_assert_msg(is_there == (row->type != SETTING_DEFAULTS), "%s in\n%s", row->name, text);
	free(text);
	free(key);
	free(top_key);
	config_free(config);
}
END_TEST

START_TEST(listener_key_stands_in_defaults_unless_it_is_its_own)
{
	const struct setting *row = &settings[_i];
	const char *quote = setting_is_quoted(row) ? "\"" : "";
	char *file;

	if (row->scope != SETTING_LISTENER || *row->group != '\0' || row->default_text == NULL)
		return;
	ck_assert_uint_eq(row->flags & SETTING_NO_DEFAULTS, 0);
	file = memory_format("defaults = { %s = %s%s%s; };\nlisteners = ( " CASES_LISTENER " );",
			     row->name, quote, row->default_text, quote);
	config_free(cases_accept(file));
	free(file);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("settings");
	int count = (int)setting_count;

	tcase_add_loop_test(cases, row_has_what_its_type_needs, 0, count);
	tcase_add_loop_test(cases, row_is_found_by_its_name_and_is_the_only_one, 0, count);
	tcase_add_loop_test(cases, default_reads_as_what_a_new_configuration_has, 0, count);
	tcase_add_loop_test(cases, range_holds_at_its_ends_and_is_refused_beyond, 0, count);
	tcase_add_loop_test(cases, every_choice_is_taken_and_nothing_else, 0, count);
	tcase_add_loop_test(cases, wrong_type_is_refused, 0, count);
	tcase_add_loop_test(cases, row_is_in_the_manual_page, 0, count);
	tcase_add_loop_test(cases, row_is_in_what_is_written_out, 0, count);
	tcase_add_loop_test(cases, listener_key_stands_in_defaults_unless_it_is_its_own, 0, count);
	return cases_run(cases, "conf_settings");
}
