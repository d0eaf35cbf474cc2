/*
 * test_conf_check.c - values that are refused, and with which words.
 */
#include <netinet/in.h>

#include "conf_cases.h"

struct refusal {
	const char *text; /* of the keys of a listener that is whole otherwise */
	const char *words;
};

/* Put at the top level. */
static const struct refusal top_refusals[] = {
	{"usr = \"x\";", "unknown key 'usr' at the top level; did you mean 'user'?"},
	{"qwertyuiop = 1;", "unknown key 'qwertyuiop' at the top level"},
	{"address = \"x\";", "'address' cannot stand at the top level; it belongs in a listener"},
	{"min_threads = 1;", "it belongs into the group 'threading' in a listener"},
	{"level = \"info\";", "it belongs into the group 'log' at the top level"},
	{"log = { levl = \"info\"; };",
	 "unknown key 'levl' in the group 'log'; did you mean 'level'"},
	{"log = \"info\";", "log must be a group, log = { ... }, not a string"},
	{"log = { level = \"inf\"; };", "log.level = \"inf\" is not one of \"error\", \"warning\", "
					"\"notice\", \"info\", \"debug\"; did you mean \"info\"?"},
	{"log = { target = \"syslog-ng\"; };", "is not one of \"auto\", \"stderr\", \"journal\""},
	{"log = { format = 1; };",
	 "log.format must be a string, in double quotes, not a whole number"},
	{"start_timeout = 30;", "start_timeout must have its unit, as a string: write \"30s\""},
	{"start_timeout = \"30\";", "write \"30s\""},
	{"start_timeout = \"30 s\";", "start_timeout = \"30 s\" is no duration"},
	{"start_timeout = \"1.5s\";", "is no duration"},
	{"start_timeout = \"none\";",
	 "start_timeout must be from \"100ms\" to \"1h\", not \"none\""},
	{"start_timeout = \"2h\";", "from \"100ms\" to \"1h\", not \"2h\""},
	{"start_timeout = \"99999999999999999999s\";", "is too long"},
	{"start_timeout = 1.5;",
	 "must be a string, in double quotes, not a number with a fraction"},
	{"start_timeout = true;", "not true or false"},
	{"max_generations = \"3\";", "max_generations is a whole number; write 3 without quotes"},
	{"max_generations = \"three\";", "must be a whole number, not a string"},
	{"max_generations = 3.0;", "must be a whole number, not a number with a fraction"},
	{"max_generations = 0;", "max_generations must be from 1 to 100, not 0"},
	{"max_generations = 5000000000L;", "must be from 1 to 100, not 5000000000"},
	{"max_generations = [ 3 ];", "must be a whole number, not a list"},
	{"user = \"\";", "user must not be empty"},
	{"user = \"a\\nb\";", "user has a control character or a line end in it"},
	{"user = 0;", "user must be a string"},
	{"control = \"run/c\";", "control: 'run/c' must be an absolute path"},
	{"control = \"@name\";", "control: '@name' must be an absolute path"},
	{"control_group = \"\";", "control_group must not be empty"},
	{"handler_path = \"lib\";", "handler_path: 'lib' must be an absolute path"},
	{"handler_path = [ \"/a\", \"\" ];", "handler_path must not be empty"},
	{"handler_path = [ 1 ];", "handler_path must be a string"},
	{"handler_path = { };", "handler_path must be a string or a list of strings, not a group"},
	{"defaults = ( );", "defaults must be a group"},
	{"defaults = { name = \"x\"; };", "'name' cannot stand in 'defaults'"},
	{"defaults = { address = \"x\"; };", "'address' cannot stand in 'defaults'"},
	{"defaults = { handler = \"x\"; };", "'handler' cannot stand in 'defaults'"},
	{"defaults = { baklog = 1; };",
	 "unknown key 'baklog' in 'defaults'; did you mean 'backlog'?"},
};

START_TEST(top_level_value_is_refused)
{
	char *text = memory_format("%s\nlisteners = ( " CASES_LISTENER ", { name = \"b\"; "
				   "address = \"*:0\"; handler = \"x\"; } );",
				   top_refusals[_i].text);

	/* once, though there are two listeners */
	cases_expect(text, 1, top_refusals[_i].words);
	free(text);
}
END_TEST

static const struct refusal listener_refusals[] = {
	{"bcklog = 3;", "unknown key 'bcklog' in a listener; did you mean 'backlog'?"},
	{"max_threads = 3;", "'max_threads' cannot stand in a listener; it belongs into the group "
			     "'threading' in a listener"},
	{"forking = { max_threads = 1; };", "belongs into the group 'threading'"},
	{"threading = { max_thread = 1; };",
	 "in the group 'threading'; did you mean 'max_threads'?"},
	{"protocol = \"sctp\";",
	 "protocol = \"sctp\" is not one of \"tcp\", \"udp\", \"unix\", \"unixgram\""},
	{"protocol = \"TCP\";", "did you mean \"tcp\"?"},
	{"concurrency = \"tasks\";", "concurrency = \"tasks\" is not one of \"threading\", "
				     "\"forking\", \"serial\", \"fibers\""},
	{"concurrency = \"fork\";", "is not one of"},
	{"concurrency = \"fibers\"; max_connections = 0;",
	 "concurrency \"fibers\" has no bound of its own"},
	{"fibers = { stack_size = \"1KiB\"; };", "fibers.stack_size must be from"},
	{"fibers = { threads = 0; };", "fibers.threads must be from 1"},
	{"fibers = { warn_after = 1; };", "warn_after"},
	{"enabled = 1;", "enabled must be true or false, without quotes, not a whole number"},
	{"enabled = \"true\";", "enabled must be true or false, without quotes, not a string"},
	{"backlog = -1;", "backlog must be from 0 to 65535, not -1"},
	{"backlog = 65536;", "backlog must be from 0 to 65535, not 65536"},
	{"threading = { stack_size = 65536; };",
	 "threading.stack_size must have its unit, as a string: write \"64KiB\""},
	{"threading = { stack_size = \"65536\"; };", "write \"64KiB\""},
	{"threading = { stack_size = \"64kb\"; };", "is no size"},
	{"threading = { stack_size = \"1B\"; };",
	 "must be from \"64KiB\" to \"256MiB\", not \"1B\""},
	{"threading = { stack_size = \"99999999999TiB\"; };", "is too large"},
	{"threading = { min_threads = 3; max_threads = 2; };",
	 "threading.min_threads (3) is above the limit of listener 'x', 2, which is the smaller of "
	 "max_connections and threading.max_threads"},
	{"max_connections = 2; threading = { min_threads = 3; };", "is above the limit"},
	{"max_connections = 0;",
	 "max_connections and threading.max_threads of listener 'x' are both 0"},
	{"concurrency = \"forking\"; forking = { max_children = 2; spare_children = 3; };",
	 "forking.spare_children (3) is above the limit of listener 'x', 2"},
	{"options = 5;", "options must be a group, options = { ... }, not a whole number"},
	{"options = { a = 1.5; };",
	 "options.a is a number with a fraction; an option is a whole number"},
	{"options = { a = { }; };", "options.a is a group"},
	{"options = { a = [ 1 ]; };", "the list options.a may hold strings only"},
	{"options = { a = ( \"x\", ( ) ); };", "the list options.a may hold strings only"},
	{"environment = [ ];", "environment must be a group"},
	{"environment = { A = 1; };", "environment.A must be a string"},
	{"environment = { LD_PRELOAD = \"x\"; };", "names that begin with LD_ are refused"},
	{"environment = { A-B = \"x\"; };", "'A-B' is no name of a variable"},
	{"environment = { A* = \"x\"; };", "'A*' is no name of a variable"},
	{"user = \"\";", "user must not be empty"},
	{"groups = [ \"a\", \"\" ];", "groups must not be empty"},
	{"groups = 5;", "groups must be a string or a list of strings, not a whole number"},
	{"umask = 77;", "umask is a mode, and those are strings: write \"0077\""},
	{"umask = \"1777\";", "umask must be from \"0000\" to \"0777\", not \"1777\""},
	{"umask = \"0o77\";", "umask = \"0o77\" is no mode"},
	{"root_directory = \"srv\";", "root_directory: 'srv' must be an absolute path"},
	{"root_directory = \"//\";", "root_directory: '//' is the root that there is"},
	{"rlimits = 5;", "rlimits must be a group"},
	{"rlimits = { nofiles = 5; };", "did you mean 'nofile'?"},
	{"rlimits = { nofile = \"100\"; };", "rlimits.nofile is a whole number; write 100"},
	{"rlimits = { nofile = 5; };",
	 "rlimits.nofile must be from 64 to 1073741816, or \"unlimited\", not 5"},
	{"rlimits = { nofile = \"infinity\"; };", "rlimits.nofile must be a whole number"},
	{"rlimits = { core = 0; };", "rlimits.core must have its unit"},
	{"rlimits = { core = \"many\"; };", "rlimits.core = \"many\" is no size"},
	{"rlimits = { as = \"1MiB\"; };",
	 "rlimits.as must be from \"16MiB\" to \"1024TiB\", or \"unlimited\", not \"1MiB\""},
	{"rlimits = { cpu = \"1500ms\"; };", "rlimits.cpu must be whole seconds"},
	{"nice = -21;", "nice must be from -20 to 19, not -21"},
	{"nice = \"low\";", "nice must be a whole number, not a string"},
	{"nice = \"unlimited\";", "nice must be a whole number, not a string"},
	{"oom_score_adj = 1001;", "oom_score_adj must be from -1000 to 1000, not 1001"},
	{"cpu_affinity = 3;", "cpu_affinity must be a string or a list of strings"},
	{"cpu_affinity = [ \"0-1\", \"3-2\" ];",
	 "cpu_affinity: '3-2' is no processor; write a number or a range, such as \"6\" or "
	 "\"0-3\""},
	{"cpu_affinity = \"8192\";", "'8192': no processor has a number above 8191"},
	{"limits = { rate_burst = 5; };",
	 "limits.rate_burst of listener 'x' has no effect without limits.rate; set that, too, or "
	 "remove limits.rate_burst"},
	{"limits = { rate = \"1/s\"; rate_per_source_burst = 5; };",
	 "limits.rate_per_source_burst of listener 'x' has no effect without "
	 "limits.rate_per_source"},
	{"access = { sensor_except = \"10.0.0.0/8\"; };",
	 "access.sensor_except of listener 'x' has no effect without access.sensor"},
	{"protocol = \"udp\"; limits = { on_limit = \"reset\"; };",
	 "limits.on_limit = \"reset\" is for protocol tcp, and listener 'x' has protocol udp; its "
	 "clients cannot be sent a reset, write \"close\""},
	{"protocol = \"udp\"; limits = { on_source_limit = \"reset\"; };",
	 "limits.on_source_limit = \"reset\" is for protocol tcp"},
};

START_TEST(listener_value_is_refused)
{
	char *text = memory_format("listeners = ( {\nname = \"x\"; address = \"*:7001\"; "
				   "handler = \"echo\";\n%s\n} );",
				   listener_refusals[_i].text);

	cases_expect(text, 0, listener_refusals[_i].words);
	free(text);
}
END_TEST

/* Whole entries of the list. */
static const struct refusal entry_refusals[] = {
	{"{ name = \"x\"; address = \"*:1\"; }", "listener 'x' has no 'handler'"},
	{"{ name = \"x\"; handler = \"h\"; }", "listener 'x' has no 'address'"},
	{"{ address = \"*:1\"; handler = \"h\"; }", "this listener has no 'name'"},
	{"{ nam = \"x\"; address = \"*:1\"; handler = \"h\"; }", "did you mean 'name'?"},
	{"{ name = \"x\"; adress = \"*:1\"; handler = \"h\"; }", "did you mean 'address'?"},
	{"{ name = \"x\"; address = 7; handler = \"h\"; }",
	 "address must be a string or a list of strings, not a whole number"},
	{"{ name = \"x\"; address = [ ]; handler = \"h\"; }", "address must not be an empty list"},
	{"{ name = \"x\"; address = [ 1 ]; handler = \"h\"; }", "address must be a string"},
	{"{ name = \"a b\"; address = \"*:1\"; handler = \"h\"; }", "name 'a b' must be 1 to 64"},
	{"{ name = \"a/b\"; address = \"*:1\"; handler = \"h\"; }", "must be 1 to 64 letters"},
	{"{ name = \"x234567890123456789012345678901234567890123456789012345678901234x\"; "
	 "address = \"*:1\"; handler = \"h\"; }",
	 "must be 1 to 64 letters"},
	{"{ name = \"x\"; address = \"*:1\"; handler = \"echo.so\"; }",
	 "write \"echo\", or an absolute"},
	{"{ name = \"x\"; address = \"*:1\"; handler = \"./echo\"; }",
	 "must be a name of letters, digits, _ and -, or an absolute path"},
	{"{ name = \"x\"; address = \"*:1\"; handler = \"lib/echo.so\"; }", "or an absolute path"},
	{"{ name = \"x\"; address = \"localhost:1\"; handler = \"h\"; }",
	 "address 'localhost:1': a host is written as a number"},
	{"{ name = \"x\"; address = \"127.0.0.1\"; handler = \"h\"; }", "the port is missing"},
	{"{ name = \"x\"; address = \"/run/x\"; handler = \"h\"; }",
	 "address '/run/x': a path or an abstract name needs protocol \"unix\""},
	{"{ name = \"x\"; address = [ \"*:1\", \"[::1]:1\" ]; handler = \"h\"; }",
	 "address '[::1]:1' overlaps '*:1' of the same listener"},
	{"5", "an entry of listeners must be a group, { ... }, not a whole number"},
	{"\"x\", " CASES_LISTENER, "must be a group, { ... }, not a string"},
};

START_TEST(entry_is_refused)
{
	char *text = memory_format("listeners = (\n%s\n);", entry_refusals[_i].text);

	cases_expect(text, 2, entry_refusals[_i].words);
	free(text);
}
END_TEST

START_TEST(listeners_that_are_no_list_are_refused)
{
	cases_expect("listeners = { name = \"x\"; };", 1, "listeners must be a list of groups");
	cases_expect("listeners = \"x\";", 1, "listeners must be a list of groups");
	cases_expect("listeners = [ 1 ];", 1, "must be a group");
}
END_TEST

START_TEST(second_use_of_a_name_tells_the_first)
{
	struct report report = {0};
	char *expected =
		memory_format("the name 'a' is taken by another listener (%s:2)", cases_main);

	ck_assert_ptr_null(
		cases_load_text("listeners = (\n" CASES_LISTENER ",\n"
				"{\n  handler = \"x\"; address = \"*:9\";\n  name = \"a\"; } );",
				&report));
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_uint_eq(report.entries[0].line, 5);
	ck_assert_str_eq(report.entries[0].text, expected);
	free(expected);
	report_free(&report);
}
END_TEST

START_TEST(overlapping_address_tells_the_first)
{
	struct report report = {0};
	char *expected = memory_format("address '*:7001' overlaps '127.0.0.1:7001' of listener 'a' "
				       "(%s:2)",
				       cases_main);

	ck_assert_ptr_null(cases_load_text(
		"listeners = (\n" CASES_LISTENER ",\n"
		"{ name = \"b\"; handler = \"x\";\n  address = [ \"*:7002\", \"*:7001\" ]; } );",
		&report));
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_uint_eq(report.entries[0].line, 4);
	ck_assert_str_eq(report.entries[0].text, expected);
	free(expected);
	report_free(&report);
}
END_TEST

START_TEST(overlap_between_files_is_found)
{
	struct report report = {0};

	cases_make_directory("listeners.d");
	cases_write("listeners.d/a.conf", "listeners = ( " CASES_LISTENER " );");
	ck_assert_ptr_null(cases_load_text("listeners = ( " CASES_LISTENER " );", &report));
	/* name and address */
	ck_assert_uint_eq(report.errors, 2);
	ck_assert_str_eq(report.entries[0].file, cases_path("listeners.d/a.conf"));
	report_free(&report);
}
END_TEST

START_TEST(port_zero_and_switched_off_listeners_never_overlap)
{
	config_free(
		cases_accept("listeners = ( " CASES_LISTENER ",\n"
			     "{ name = \"b\"; address = \"127.0.0.1:7001\"; handler = \"x\"; "
			     "enabled = false; },\n"
			     "{ name = \"c\"; address = [ \"*:0\", \"*:0\" ]; handler = \"x\"; },\n"
			     "{ name = \"d\"; address = \"*:0\"; handler = \"x\"; } );"));
}
END_TEST

START_TEST(defaults_merge_key_by_key)
{
	struct config *config = cases_accept(
		"defaults = { backlog = 5; max_connections = 50; concurrency = \"serial\";\n"
		"  threading = { min_threads = 2; max_threads = 20; };\n"
		"  options = { a = 1; b = \"two\"; c = [ \"x\" ]; };\n"
		"  environment = { A = \"1\"; B = \"2\"; }; };\n"
		"listeners = ( " CASES_LISTENER ",\n"
		"{ name = \"b\"; address = \"*:7002\"; handler = \"x\"; backlog = 6;\n"
		"  threading = { max_threads = 30; };\n"
		"  options = { c = 3; d = true; };\n"
		"  environment = { B = \"3\"; C = \"4\"; }; } );");
	const struct conf_listener *a = &config->listeners[0], *b = &config->listeners[1];

	ck_assert_int_eq(a->backlog, 5);
	ck_assert_int_eq(a->concurrency, CONF_SERIAL);
	ck_assert_int_eq(a->threading.max_threads, 20);
	ck_assert_uint_eq(a->option_count, 3);
	ck_assert_int_eq((int)a->options[2].type, CONF_VALUE_LIST);
	ck_assert_int_eq(b->backlog, 6);
	ck_assert_int_eq(b->max_connections, 50);
	ck_assert_int_eq(b->threading.min_threads, 2);
	ck_assert_int_eq(b->threading.max_threads, 30);
	ck_assert_int_eq(b->threading.idle_timeout_ms, 10000);
	ck_assert_uint_eq(b->option_count, 4);
	ck_assert_str_eq(b->options[1].text, "two");
	ck_assert_uint_eq(b->options[1].origin.line, 3);
	ck_assert_str_eq(b->options[2].name, "c");
	ck_assert_int_eq((int)b->options[2].type, CONF_VALUE_INT);
	ck_assert_int_eq(b->options[2].number, 3);
	ck_assert_uint_eq(b->options[2].list.count, 0);
	ck_assert_uint_eq(b->options[2].origin.line, 8);
	ck_assert_int_eq((int)b->options[3].type, CONF_VALUE_BOOL);
	ck_assert_uint_eq(b->environment_count, 3);
	ck_assert_str_eq(b->environment[0].value, "1");
	ck_assert_str_eq(b->environment[1].value, "3");
	config_free(config);
}
END_TEST

START_TEST(unix_clients_cannot_be_reset)
{
	static const char *const protocols[] = {"unix", "unixgram"};

	for (size_t i = 0; i < 2; i++) {
		char *text = memory_format("listeners = (\n{ name = \"x\"; address = \"@x\"; "
					   "handler = \"h\"; protocol = \"%s\";\n"
					   "limits = { on_limit = \"reset\"; }; } );",
					   protocols[i]);

		cases_expect(text, 3, "limits.on_limit = \"reset\" is for protocol tcp");
		free(text);
	}
}
END_TEST

START_TEST(what_defaults_say_of_other_listeners_is_no_error)
{
	struct config *config = cases_accept(
		"defaults = { limits = { on_limit = \"reset\"; on_source_limit = \"reset\"; "
		"rate_burst = 5; rate_per_source_burst = 6; };\n"
		"access = { sensor_except = \"10.0.0.0/8\"; }; };\n"
		"listeners = ( " CASES_LISTENER ",\n"
		"{ name = \"b\"; protocol = \"unix\"; address = \"@b\"; handler = \"x\"; } );");

	ck_assert_int_eq(config->listeners[0].limits.on_limit, CONF_LIMIT_RESET);
	ck_assert_int_eq(config->listeners[0].limits.on_source_limit, CONF_LIMIT_RESET);
	/* what comes nearest */
	ck_assert_int_eq(config->listeners[1].limits.on_limit, CONF_LIMIT_CLOSE);
	ck_assert_int_eq(config->listeners[1].limits.on_source_limit, CONF_LIMIT_CLOSE);
	config_free(config);
}
END_TEST

START_TEST(what_is_switched_off_may_keep_its_details)
{
	config_free(cases_accept(
		"listeners = ( { name = \"a\"; address = \"*:1\"; handler = \"x\";\n"
		"limits = { rate = \"none\"; rate_burst = 5; rate_per_source_burst = 0; };\n"
		"access = { sensor = \"none\"; sensor_except = \"10.0.0.0/8\"; }; } );"));
}
END_TEST

START_TEST(unset_ready_counts_give_way_to_a_lower_limit)
{
	struct config *config = cases_accept(
		"listeners = ( { name = \"a\"; address = \"*:1\"; handler = \"x\"; "
		"threading = { max_threads = 2; }; },\n"
		"{ name = \"b\"; address = \"*:2\"; handler = \"x\"; max_connections = 1; "
		"concurrency = \"forking\"; } );");

	ck_assert_int_eq(config->listeners[0].threading.min_threads, 2);
	ck_assert_int_eq(config->listeners[1].forking.spare_children, 1);
	config_free(config);
}
END_TEST

START_TEST(limit_is_the_smaller_of_both)
{
	struct conf_listener listener = {
		.concurrency = CONF_THREADING,
		.max_connections = 100,
		.threading.max_threads = 0,
		.forking.max_children = 40,
	};

	ck_assert_int_eq(conf_listener_limit(&listener), 100);
	listener.threading.max_threads = 30;
	ck_assert_int_eq(conf_listener_limit(&listener), 30);
	listener.threading.max_threads = 300;
	ck_assert_int_eq(conf_listener_limit(&listener), 100);
	listener.max_connections = 0;
	ck_assert_int_eq(conf_listener_limit(&listener), 300);
	listener.concurrency = CONF_FORKING;
	ck_assert_int_eq(conf_listener_limit(&listener), 40);
	listener.max_connections = 10;
	ck_assert_int_eq(conf_listener_limit(&listener), 10);
	listener.concurrency = CONF_SERIAL;
	ck_assert_int_eq(conf_listener_limit(&listener), 1);
}
END_TEST

START_TEST(ten_errors_are_told_in_one_run_in_the_order_of_the_lines)
{
	static const char text[] = "usr = \"nobody\";\n"				 /* 1 */
				   "start_timeout = 30;\n"				 /* 2 */
				   "max_generations = 4294967299;\n"			 /* 3 */
				   "log = { level = \"verbose\"; };\n"			 /* 4 */
				   "defaults = { protocol = \"upd\"; };\n"		 /* 5 */
				   "listeners = (\n"					 /* 6 */
				   "  { name = \"a\"; handler = \"echo.so\";\n"		 /* 7 */
				   "    address = \"localhost:7001\";\n"		 /* 8 */
				   "    backlog = -1;\n"				 /* 9 */
				   "    threading = { stack_size = 65536; }; },\n"	 /* 10 */
				   "  { name = \"a\"; handler = \"echo\"; adress = 1;\n" /* 11 */
				   "    environment = { LD_PRELOAD = \"x\"; }; }\n"	 /* 12 */
				   ");\n";
	static const unsigned lines[] = {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 11, 12};
	struct report report = {0};
	char *all;

	ck_assert_ptr_null(cases_load_text(text, &report));
	all = cases_text(&report);
	ck_assert_msg(report.errors == sizeof(lines) / sizeof(lines[0]), "%s", all);
	for (size_t i = 0; i < report.count; i++) {
		ck_assert_msg(report.entries[i].line == lines[i], "%zu: %s", i, all);
		ck_assert_ptr_nonnull(report.entries[i].source);
	}
	free(all);
	report_free(&report);
}
END_TEST

START_TEST(entries_of_the_report_from_before_stay_first)
{
	struct report report = {0};

	report_error(&report, NULL, 0, "first");
	ck_assert_ptr_null(cases_load_text("usr = 1; listeners = ( );", &report));
	ck_assert_uint_eq(report.count, 2);
	ck_assert_str_eq(report.entries[0].text, "first");
	report_free(&report);
}
END_TEST

START_TEST(listener_from_the_command_line_is_checked)
{
	struct config *config = config_new(CASES_HANDLERS);
	struct conf_listener *listener = config_add_listener(config, "a", "echo");
	struct report report = {0};

	conf_texts_add(&listener->address_texts, "127.0.0.1:7001");
	config_check(config, &report);
	ck_assert_uint_eq(report.count, 0);
	ck_assert_uint_eq(config->listeners[0].addresses[0].length, sizeof(struct sockaddr_in));
	ck_assert_int_eq(config->listeners[0].max_connections, 1024);

	listener = config_add_listener(config, "a", "echo");
	conf_texts_add(&listener->address_texts, "7001");
	config_check(config, &report);
	ck_assert_uint_eq(report.errors, 2);
	ck_assert_ptr_null(report.entries[0].file);
	report_free(&report);
	config_free(config);
}
END_TEST

START_TEST(where_things_were_written_is_known)
{
	struct config *config = cases_accept("user = \"nobody\";\ngroup = \"x\";\n"
					     "listeners = (\n{\nname = \"a\";\nhandler = \"h\";\n"
					     "address = \"*:1\";\n} );");
	const struct conf_listener *listener = &config->listeners[0];

	ck_assert_uint_eq(config->user_origin.line, 1);
	ck_assert_uint_eq(config->group_origin.line, 2);
	ck_assert_ptr_null(config->handler_path_origin.file);
	ck_assert_ptr_eq(config->user_origin.file, config->files[0]);
	ck_assert_uint_eq(listener->origin.line, 4);
	ck_assert_uint_eq(listener->handler_origin.line, 6);
	ck_assert_uint_eq(listener->address_origin.line, 7);
	config_free(config);
}
END_TEST

#define ADD_TABLE(test, table)                                                                     \
	tcase_add_loop_test(cases, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

int
main(void)
{
	TCase *cases = tcase_create("check");

	ADD_TABLE(top_level_value_is_refused, top_refusals);
	ADD_TABLE(listener_value_is_refused, listener_refusals);
	ADD_TABLE(entry_is_refused, entry_refusals);
	tcase_add_test(cases, listeners_that_are_no_list_are_refused);
	tcase_add_test(cases, second_use_of_a_name_tells_the_first);
	tcase_add_test(cases, overlapping_address_tells_the_first);
	tcase_add_test(cases, overlap_between_files_is_found);
	tcase_add_test(cases, port_zero_and_switched_off_listeners_never_overlap);
	tcase_add_test(cases, defaults_merge_key_by_key);
	tcase_add_test(cases, unix_clients_cannot_be_reset);
	tcase_add_test(cases, what_defaults_say_of_other_listeners_is_no_error);
	tcase_add_test(cases, what_is_switched_off_may_keep_its_details);
	tcase_add_test(cases, unset_ready_counts_give_way_to_a_lower_limit);
	tcase_add_test(cases, limit_is_the_smaller_of_both);
	tcase_add_test(cases, ten_errors_are_told_in_one_run_in_the_order_of_the_lines);
	tcase_add_test(cases, entries_of_the_report_from_before_stay_first);
	tcase_add_test(cases, listener_from_the_command_line_is_checked);
	tcase_add_test(cases, where_things_were_written_is_known);
	return cases_run(cases, "conf_check");
}
