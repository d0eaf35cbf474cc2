/*
 * test_conf_emit.c - what -T writes reads back as the same.
 */
#include "conf_cases.h"

static const char full[] =
	"handler_path = ( \"/srv/one\", \"/srv/t\\\"w\\\\o\" );\n"
	"user = \"nobody\"; group = \"nogroup\"; start_timeout = \"90s\"; drain_timeout = \"0s\";\n"
	"max_generations = 7;\n"
	"log = { target = \"stderr\"; level = \"debug\"; format = \"json\"; connections = \"all\"; "
	"};\n"
	"defaults = { backlog = 12; options = { common = \"x\"; }; environment = { A = \"1\"; }; "
	"};\n"
	"listeners = (\n"
	"  { name = \"a\"; address = \"127.0.0.1:7001\"; handler = \"echo\"; enabled = false;\n"
	"    threading = { stack_size = \"1000kB\"; idle_timeout = \"1min30s\"; }; },\n"
	"  { name = \"b\"; address = [ \"*:7002\", \"*:0\" ]; handler = \"/srv/b.so\";\n"
	"    concurrency = \"forking\"; max_connections = 0;\n"
	"    forking = { max_children = 9; spare_children = 0; connections_per_child = 0; };\n"
	"    options = { n = -5; big = 5000000000L; low = -9223372036854775808L; hex = 0xff;\n"
	"      yes = true; no = false; empty = \"\"; none = [ ]; some = [ \"p\", \"q\\n\" ];\n"
	"      text = \"tab\\t quote\\\" back\\\\ slash\\\\x00 \\x01\\x7f\\f\\r\\n \xc3\xa9 // /* "
	"#\"; };\n"
	"    user = \"daemon\"; group = \"adm\"; groups = [ ]; umask = \"0027\"; nice = -5;\n"
	"    rlimits = { nofile = 5000; core = \"0B\"; as = \"unlimited\"; cpu = \"2min\"; };\n"
	"    cpu_affinity = [ \"0-3\", \"6\" ]; oom_score_adj = -1000;\n"
	"    environment = { B = \"two\\nlines\"; C = \"\"; }; } );\n";

static struct config *
load_emitted(const char *text)
{
	cases_write("handlerd.conf", text);
	return cases_accept(text);
}

static void
emit_twice(const char *text)
{
	struct config *config = cases_accept(text), *again;
	char *first = cases_emit(config), *second;

	again = load_emitted(first);
	second = cases_emit(again);
	ck_assert_str_eq(first, second);
	ck_assert_uint_eq(config->listener_count, again->listener_count);
	free(first);
	free(second);
	config_free(config);
	config_free(again);
}

START_TEST(output_reads_back_and_writes_the_same_bytes)
{
	emit_twice(full);
	emit_twice("listeners = ( );");
	emit_twice("handler_path = [ ]; listeners = ( " CASES_LISTENER " );");
}
END_TEST

START_TEST(values_survive_writing_and_reading)
{
	struct config *config = cases_accept(full), *again;
	char *text = cases_emit(config);
	const struct conf_listener *b;

	again = load_emitted(text);
	b = &again->listeners[1];
	ck_assert_str_eq(again->handler_path.items[1], "/srv/t\"w\\o");
	ck_assert_int_eq(again->start_timeout_ms, 90000);
	ck_assert_int_eq(again->drain_timeout_ms, 0);
	ck_assert_int_eq(again->log_level, 7);
	ck_assert_int_eq(again->log_format, CONF_LOG_JSON);
	ck_assert_int_eq(again->listeners[0].threading.stack_size, 1000000);
	ck_assert_int_eq(again->listeners[0].threading.idle_timeout_ms, 90000);
	ck_assert(!again->listeners[0].is_enabled);
	ck_assert_int_eq(b->backlog, 12);
	ck_assert_uint_eq(b->option_count, 11);
	ck_assert_int_eq(b->options[1].number, -5);
	ck_assert_int_eq(b->options[2].number, INT64_C(5000000000));
	ck_assert_int_eq(b->options[3].number, INT64_MIN);
	ck_assert_int_eq(b->options[4].number, 255);
	ck_assert_str_eq(b->options[9].list.items[1], "q\n");
	ck_assert_str_eq(b->options[10].text,
			 "tab\t quote\" back\\ slash\\x00 \x01\x7f\f\r\n \xc3\xa9 // /* #");
	ck_assert_str_eq(b->environment[1].value, "two\nlines");
	ck_assert_str_eq(b->user, "daemon");
	ck_assert_str_eq(b->group, "adm");
	/* none is not the same as those of the user */
	ck_assert_uint_eq(b->groups.count, 0);
	ck_assert_ptr_nonnull(b->groups.items);
	ck_assert_int_eq(b->umask, 0027);
	ck_assert_int_eq(b->nice, -5);
	ck_assert_int_eq(b->oom_score_adj, -1000);
	ck_assert_uint_eq(b->cpu_affinity.count, 2);
	ck_assert_int_eq(b->rlimits.nofile, 5000);
	ck_assert_int_eq(b->rlimits.core, 0);
	ck_assert_int_eq(b->rlimits.as, CONF_UNLIMITED);
	ck_assert_int_eq(b->rlimits.cpu_ms, 120000);
	ck_assert_int_eq(b->rlimits.stack, CONF_UNSET);
	ck_assert_ptr_null(again->listeners[0].user);
	ck_assert_ptr_null(again->listeners[0].groups.items);
	ck_assert_int_eq(again->listeners[0].nice, CONF_UNSET);
	free(text);
	config_free(config);
	config_free(again);
}
END_TEST

START_TEST(output_has_defaults_filled_in_and_no_group_defaults)
{
	struct config *config =
		cases_accept("defaults = { backlog = 77; }; listeners = ( " CASES_LISTENER " );");
	char *text = cases_emit(config);

	ck_assert_ptr_null(strstr(text, "defaults"));
	ck_assert_ptr_nonnull(strstr(text, "backlog = 77;"));
	ck_assert_ptr_nonnull(strstr(text, "max_connections = 1024;"));
	ck_assert_ptr_nonnull(strstr(text, "stack_size = \"256KiB\";"));
	ck_assert_ptr_nonnull(strstr(text, "drain_timeout = \"30s\";"));
	ck_assert_ptr_nonnull(strstr(
		text, "handler_path = [ \"/usr/local/lib/handlerd\", \"" CASES_HANDLERS "\" ];"));
	free(text);
	config_free(config);
}
END_TEST

START_TEST(listeners_of_all_files_are_in_the_output)
{
	struct config *config, *again;
	char *text;

	cases_make_directory("listeners.d");
	cases_write("listeners.d/b.conf", "listeners = ( { name = \"b\"; address = \"*:7002\"; "
					  "handler = \"x\"; } );");
	config = cases_accept("listeners = ( " CASES_LISTENER " );");
	text = cases_emit(config);
	ck_assert_int_eq(remove(cases_path("listeners.d/b.conf")), 0);
	again = load_emitted(text);
	ck_assert_uint_eq(again->listener_count, 2);
	free(text);
	config_free(config);
	config_free(again);
}
END_TEST

START_TEST(output_cut_at_any_byte_is_refused_or_means_the_same)
{
	struct config *config = cases_accept(full);
	char *text = cases_emit(config);

	config_free(config);
	for (size_t length = 0; length < strlen(text); length++) {
		struct report report = {0};

		cases_write_bytes("handlerd.conf", text, length);
		config = cases_load(&report);
		/* the last bracket, ';' and the end of the line */
		ck_assert_msg((config != NULL) == (length >= strlen(text) - 2), "%zu", length);
		config_free(config);
		report_free(&report);
	}
	free(text);
}
END_TEST

/* Every kind of listener, with keys that only some of them take. */
static const char kinds[] =
	"user = \"nobody\"; log = { level = \"debug\"; };\n"
	"defaults = { limits = { amplification = 2.5; }; socket = { keepalive = { idle = \"5s\"; "
	"};\n"
	"  tos = 8; receive_buffer = \"64KiB\"; mode = \"0600\"; }; max_datagram = \"1KiB\";\n"
	"  options = { common = \"x\\xff\"; }; };\n"
	"listeners = (\n"
	"  { name = \"tcp\"; address = [ \"*:7001\", \"[::1]:7100-7103\" ]; handler = \"echo\";\n"
	"    concurrency = \"serial\"; socket = { keepalive = false; reuse_port = 3;\n"
	"    device = \"lo\"; congestion = \"reno\"; defer_accept = \"2s\"; }; },\n"
	"  { name = \"udp\"; protocol = \"udp\"; address = \"*:7002\"; handler = \"echo\";\n"
	"    udp = { session_timeout = \"250ms\"; max_sessions = 3; }; start = \"on_demand\"; },\n"
	"  { name = \"unix\"; protocol = \"unix\"; address = \"/run/x\"; handler = \"echo\";\n"
	"    socket = { owner = \"nobody\"; group = \"nogroup\"; }; enabled = false;\n"
	"    timeouts = { handler = \"2s\"; }; rollback = { crashes = 0; within = \"1h\"; }; },\n"
	"  { name = \"gram\"; protocol = \"unixgram\"; address = [ \"@a\", \"/run/y\" ];\n"
	"    handler = \"/srv/x.so\"; concurrency = \"forking\"; },\n"
	"  { name = \"given\"; address = [ \"systemd:a\", \"systemd:b\" ]; handler = \"echo\"; } "
	");\n";

START_TEST(parts_read_back_as_the_whole)
{
	struct config *config = cases_accept(_i == 0 ? full : kinds), *again;
	struct conf_part parts[8] = {{.name = "top"}};
	char *texts[8], *first = cases_emit(config), *second;
	struct report report = {0};
	size_t count = config->listener_count + 1, size;
	FILE *out = open_memstream(&texts[0], &size);

	config_emit_top(config, out);
	ck_assert_int_eq(fclose(out), 0);
	for (size_t i = 1; i < count; i++) {
		out = open_memstream(&texts[i], &size);
		config_emit_part(&config->listeners[i - 1], out);
		ck_assert_int_eq(fclose(out), 0);
		parts[i].name = config->listeners[i - 1].name;
	}
	for (size_t i = 0; i < count; i++)
		parts[i].text = texts[i];
	again = config_load_parts(parts, count, "/other", &report);
	ck_assert_msg(again != NULL, "%s", report.count > 0 ? report.entries[0].text : "");
	second = cases_emit(again);
	ck_assert_str_eq(first, second);
	ck_assert_uint_eq(again->listener_count, config->listener_count);
	/* whatever is compared besides what is written */
	for (size_t i = 0; i < again->listener_count; i++) {
		struct conf_socket a = config->listeners[i].socket, b = again->listeners[i].socket;

		ck_assert_int_eq(a.keepalive_idle_ms, b.keepalive_idle_ms);
		ck_assert_int_eq(a.mode, b.mode);
		ck_assert_int_eq(config->listeners[i].limits.amplification_thousandths,
				 again->listeners[i].limits.amplification_thousandths);
		ck_assert_int_eq(config->listeners[i].max_datagram,
				 again->listeners[i].max_datagram);
	}
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(first);
	free(second);
	config_free(config);
	config_free(again);
	report_free(&report);
}
END_TEST

START_TEST(part_that_is_wrong_is_refused_by_its_name)
{
	static const struct conf_part parts[] = {
		{.name = "top", .text = "listeners = ( );"},
		{.name = "part", .text = "listeners = ( { name = \"a\"; nosuch = 1; } );"},
	};
	struct report report = {0};

	ck_assert_ptr_null(config_load_parts(parts, 2, "/x", &report));
	ck_assert_uint_gt(report.errors, 0);
	ck_assert_str_eq(report.entries[0].file, "part");
	report_free(&report);
	ck_assert_ptr_null(config_load_parts(parts + 1, 1, "/x", &report));
	report_free(&report);
}
END_TEST

START_TEST(nothing_is_freed_for_no_configuration)
{
	config_free(NULL);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("emit");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, output_reads_back_and_writes_the_same_bytes);
	tcase_add_test(cases, values_survive_writing_and_reading);
	tcase_add_test(cases, output_has_defaults_filled_in_and_no_group_defaults);
	tcase_add_test(cases, listeners_of_all_files_are_in_the_output);
	tcase_add_test(cases, output_cut_at_any_byte_is_refused_or_means_the_same);
	tcase_add_loop_test(cases, parts_read_back_as_the_whole, 0, 2);
	tcase_add_test(cases, part_that_is_wrong_is_refused_by_its_name);
	tcase_add_test(cases, nothing_is_freed_for_no_configuration);
	return cases_run(cases, "conf_emit");
}
