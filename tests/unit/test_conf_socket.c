/*
 * test_conf_socket.c - which keys go with which protocol, and values that are more
 * than one number: modes, fractions, switches.
 */
#include <inttypes.h>

#include "base/parse.h"
#include "conf/settings.h"
#include "conf_cases.h"

#define TCP "{ name = \"x\"; handler = \"h\"; address = \"*:1\"; "
#define UDP "{ name = \"x\"; handler = \"h\"; address = \"*:1\"; protocol = \"udp\"; "
#define UNIX "{ name = \"x\"; handler = \"h\"; address = \"/run/x\"; protocol = \"unix\"; "
#define UNIXGRAM "{ name = \"x\"; handler = \"h\"; address = \"@x\"; protocol = \"unixgram\"; "
#define SYSTEMD "{ name = \"x\"; handler = \"h\"; address = \"systemd:x\"; "

struct refusal {
	const char *entry;
	const char *words;
};

static const struct refusal refusals[] = {
	{TCP "socket = { mode = \"0600\"; }; }",
	 "socket.mode is for protocol unix and unixgram, and listener 'x' has protocol tcp; "
	 "remove it"},
	{TCP "socket = { mode = \"0660\"; }; }", "socket.mode is for protocol unix and unixgram"},
	{TCP "socket = { owner = \"x\"; }; }", "socket.owner is for protocol unix and unixgram"},
	{UDP "socket = { group = \"x\"; }; }", "socket.group is for protocol unix and unixgram"},
	{UDP "socket = { defer_accept = \"5s\"; }; }", "socket.defer_accept is for protocol tcp,"},
	{UNIX "socket = { fast_open = 5; }; }", "socket.fast_open is for protocol tcp,"},
	{UNIX "socket = { congestion = \"bbr\"; }; }", "socket.congestion is for protocol tcp,"},
	{UDP "socket = { keepalive = true; }; }", "socket.keepalive is for protocol tcp,"},
	{UDP "socket = { keepalive = { idle = \"5s\"; }; }; }", "socket.keepalive is for protocol"},
	{UNIX "socket = { freebind = true; }; }", "socket.freebind is for protocol tcp and udp,"},
	{UNIX "socket = { transparent = false; }; }",
	 "socket.transparent is for protocol tcp and udp"},
	{UNIX "socket = { device = \"lo\"; }; }", "socket.device is for protocol tcp and udp"},
	{UNIXGRAM "socket = { mark = 1; }; }", "socket.mark is for protocol tcp and udp"},
	{UNIXGRAM "socket = { tos = 1; }; }", "socket.tos is for protocol tcp and udp"},
	{UNIX "socket = { reuse_port = 2; }; }", "socket.reuse_port is for protocol tcp and udp"},
	{TCP "max_datagram = \"1KiB\"; }",
	 "max_datagram is for protocol udp and unixgram, and listener 'x' has protocol tcp"},
	{UNIX "max_datagram = \"1KiB\"; }", "listener 'x' has protocol unix;"},
	{TCP "udp = { max_sessions = 1; }; }", "udp.max_sessions is for protocol udp,"},
	{UNIXGRAM "udp = { session_timeout = \"1s\"; }; }",
	 "udp.session_timeout is for protocol udp, and listener 'x' has protocol unixgram"},
	{UNIXGRAM "limits = { amplification = 2; }; }", "limits.amplification is for protocol udp"},
	{TCP "limits = { reply_to_low_ports = false; }; }",
	 "limits.reply_to_low_ports is for protocol udp"},

	{UDP "concurrency = \"forking\"; udp = { session_timeout = \"1s\"; }; }",
	 "udp.session_timeout needs concurrency threading"},
	{UDP "concurrency = \"serial\"; udp = { session_timeout = \"1s\"; }; }",
	 "needs concurrency threading or fibers; set concurrency of listener 'x' to one of"},

	{SYSTEMD "socket = { freebind = true; }; }",
	 "socket.freebind cannot be set for a socket that systemd has bound"},
	{SYSTEMD "socket = { transparent = true; }; }", "socket.transparent cannot be set for"},
	{SYSTEMD "socket = { device = \"lo\"; }; }", "set it in the socket unit"},
	{SYSTEMD "socket = { reuse_port = 2; }; }", "socket.reuse_port cannot be set for"},
	{SYSTEMD "protocol = \"unix\"; socket = { mode = \"0600\"; }; }",
	 "socket.mode cannot be set for a socket that systemd has bound"},
	{SYSTEMD "protocol = \"unix\"; socket = { owner = \"a\"; }; }", "socket.owner cannot"},
	{SYSTEMD "protocol = \"unixgram\"; socket = { group = \"a\"; }; }", "socket.group cannot"},
	{"{ name = \"x\"; handler = \"h\"; address = [ \"*:1\", \"systemd:x\" ]; "
	 "socket = { freebind = true; }; }",
	 "socket.freebind cannot be set for"},
	{"{ name = \"x\"; handler = \"h\"; address = [ \"*:1\", \"*:0\" ]; "
	 "socket = { reuse_port = 2; }; }",
	 "socket.reuse_port needs a port that is known, and address '*:0' has port 0"},

	{"{ name = \"x\"; handler = \"h\"; address = [ \"*:1-1000\", \"*:2001-2025\" ]; }",
	 "the addresses of listener 'x' make more than 1024 sockets; divide them"},
	{"{ name = \"x\"; handler = \"h\"; address = \"*:1-17\"; socket = { reuse_port = 64; }; }",
	 "make more than 1024 sockets, with socket.reuse_port = 64"},
	{TCP "socket = { device = \"a/b\"; }; }",
	 "socket.device = \"a/b\" is no name of a network interface"},
	{TCP "socket = { device = \"..\"; }; }", "is no name of a network interface"},
	{TCP "socket = { device = \"0123456789abcdef\"; }; }",
	 "socket.device = \"0123456789abcdef\" has more than 15 characters"},
	{TCP "socket = { congestion = \"0123456789abcdef\"; }; }", "has more than 15 characters"},

	{UNIX "socket = { mode = 660; }; }",
	 "socket.mode is a mode, and those are strings: write \"0660\""},
	{UNIX "socket = { mode = 384; }; }", "those are strings: write \"0660\""},
	{UNIX "socket = { mode = 600; }; }", "those are strings: write \"0600\""},
	{UNIX "socket = { mode = -1; }; }", "those are strings: write \"0660\""},
	{UNIX "socket = { mode = 0660; }; }", "a mode as a string (\"0660\")"},
	{UNIX "socket = { mode = \"1777\"; }; }",
	 "socket.mode must be from \"0000\" to \"0777\", not \"1777\""},
	{UNIX "socket = { mode = \"0668\"; }; }", "socket.mode = \"0668\" is no mode"},
	{UNIX "socket = { mode = \"u=rw\"; }; }", "three or four octal digits"},

	{UDP "limits = { amplification = 1000.001; }; }",
	 "limits.amplification must be from 0.0 to 1000.0, not 1000"},
	{UDP "limits = { amplification = -0.001; }; }", "must be from 0.0 to 1000.0, not -0.001"},
	{UDP "limits = { amplification = 1e300; }; }", "must be from 0.0 to 1000.0, not 1e+300"},
	{UDP "limits = { amplification = -1e300; }; }", "must be from 0.0 to 1000.0, not -1e+300"},
	{UDP "limits = { amplification = 1e400; }; }", "1e400 is too large a number"},
	{UDP "limits = { amplification = -1e400; }; }", "-1e400 is too large a number"},
	{UDP "limits = { amplification = 9223372036854775807L; }; }", "must be from 0.0 to 1000.0"},
	{UDP "limits = { amplification = 0.0004; }; }",
	 "limits.amplification = 0.0004 is too small; three decimals count"},
	{UDP "limits = { amplification = -0.0004; }; }", "is too small"},
	{UDP "limits = { amplification = \"3.0\"; }; }",
	 "limits.amplification must be a number, without quotes, not a string"},
	{UDP "limits = { amplification = nan; }; }", "syntax error"},
	{UDP "limits = { amplification = inf; }; }", "syntax error"},

	{TCP "socket = { keepalive = 1; }; }", "socket.keepalive must be true, false or a group, "
					       "keepalive = { ... }, not a whole number"},
	{TCP "socket = { keepalive = { idel = \"5s\"; }; }; }",
	 "unknown key 'idel' in the group 'socket.keepalive'; did you mean 'idle'?"},
	{TCP "socket = { keepalive = { idle = \"1500ms\"; }; }; }",
	 "socket.keepalive.idle must be whole seconds, not \"1500ms\""},
	{TCP "socket = { keepalive = { idle = \"10h\"; }; }; }",
	 "socket.keepalive.idle must be from \"1s\" to \"32767s\", or \"none\", not \"10h\""},
	{TCP "socket = { keepalive = { count = -1; }; }; }",
	 "socket.keepalive.count must be from 1 to 127, or 0, not -1"},
	{TCP "socket = { receive_buffer = \"1KiB\"; }; }",
	 "socket.receive_buffer must be from \"2KiB\" to \"1GiB\", or \"0B\", not \"1KiB\""},
	{TCP "keepalive = true; }", "'keepalive' cannot stand in a listener; it belongs into the "
				    "group 'socket'"},
	{TCP "socket = { idle = \"5s\"; }; }", "belongs into the group 'socket.keepalive'"},
	{"{ name = \"x\"; handler = \"h\"; address = \"[fe80::1]:1\"; }", "add %INTERFACE"},
	{"{ name = \"x\"; handler = \"h\"; protocol = \"unix\"; address = \"*:1\"; }",
	 "need protocol \"tcp\" or \"udp\""},
	/* not also that udp.max_sessions is for udp */
	{"{ name = \"x\"; handler = \"h\"; address = \"*:1\"; protocol = \"upd\"; "
	 "udp = { max_sessions = 5; }; }",
	 "did you mean \"udp\"?"},
};

START_TEST(what_does_not_fit_is_refused_where_it_stands)
{
	char *text = memory_format("listeners = (\n%s );", refusals[_i].entry);

	cases_expect(text, 2, refusals[_i].words);
	free(text);
}
END_TEST

static const char shared[] =
	"defaults = { max_datagram = \"1KiB\"; udp = { session_timeout = \"5s\"; max_sessions = 9; "
	"};\n"
	"  limits = { amplification = 1.5; reply_to_low_ports = false; };\n"
	"  socket = { freebind = true; transparent = true; device = \"lo\"; mark = 7; tos = 8;\n"
	"    keepalive = { idle = \"30s\"; }; receive_buffer = \"64KiB\"; defer_accept = \"5s\";\n"
	"    fast_open = 16; congestion = \"cubic\"; reuse_port = 2; mode = \"0600\";\n"
	"    owner = \"nobody\"; group = \"nogroup\"; }; };\n";

/* Loads the text with these defaults, and again as it is written out. */
static struct config *
load_shared(const char *entries)
{
	char *text = memory_format("%slisteners = ( %s );", shared, entries), *first, *second;
	struct config *config = cases_accept(text), *again;

	free(text);
	first = cases_emit(config);
	again = cases_accept(first);
	second = cases_emit(again);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	config_free(config);
	return again;
}

START_TEST(defaults_of_other_protocols_are_left_aside)
{
	struct config *config = load_shared(
		"{ name = \"t\"; handler = \"h\"; address = \"*:1\"; },\n"
		"{ name = \"u\"; handler = \"h\"; address = \"*:1\"; protocol = \"udp\"; },\n"
		"{ name = \"x\"; handler = \"h\"; address = \"/run/x\"; protocol = \"unix\"; },\n"
		"{ name = \"g\"; handler = \"h\"; address = \"@x\"; protocol = \"unixgram\"; }");
	const struct conf_listener *tcp = &config->listeners[0], *udp = &config->listeners[1];
	const struct conf_listener *stream = &config->listeners[2], *gram = &config->listeners[3];

	ck_assert(tcp->socket.freebind && tcp->socket.transparent && tcp->socket.keepalive);
	ck_assert_str_eq(tcp->socket.device, "lo");
	ck_assert_str_eq(tcp->socket.congestion, "cubic");
	ck_assert_int_eq(tcp->socket.keepalive_idle_ms, 30000);
	ck_assert_int_eq(tcp->socket.keepalive_interval_ms, 0);
	ck_assert_int_eq(tcp->socket.defer_accept_ms, 5000);
	ck_assert_int_eq(tcp->socket.mode, 0660);
	ck_assert_ptr_null(tcp->socket.owner);
	ck_assert_int_eq(tcp->max_datagram, 8192);
	ck_assert_int_eq(tcp->udp.session_timeout_ms, PARSE_NONE);
	ck_assert_int_eq(tcp->limits.amplification_thousandths, 3000);

	ck_assert(!udp->socket.keepalive);
	ck_assert_int_eq(udp->socket.keepalive_idle_ms, 0);
	ck_assert_int_eq(udp->socket.reuse_port, 2);
	ck_assert_int_eq(udp->socket.fast_open, 0);
	ck_assert_ptr_null(udp->socket.congestion);
	ck_assert_int_eq(udp->max_datagram, 1024);
	ck_assert_int_eq(udp->udp.session_timeout_ms, 5000);
	ck_assert_int_eq(udp->udp.max_sessions, 9);
	ck_assert_int_eq(udp->limits.amplification_thousandths, 1500);
	ck_assert(!udp->limits.reply_to_low_ports);

	ck_assert_int_eq(stream->socket.mode, 0600);
	ck_assert_str_eq(stream->socket.owner, "nobody");
	ck_assert_str_eq(stream->socket.group, "nogroup");
	ck_assert_ptr_null(stream->socket.device);
	ck_assert_int_eq(stream->socket.reuse_port, 0);
	ck_assert_int_eq(stream->socket.mark, 0);
	ck_assert_int_eq(stream->socket.receive_buffer, 0);
	ck_assert_int_eq(gram->socket.receive_buffer, 65536);
	ck_assert_int_eq(gram->max_datagram, 1024);
	ck_assert_int_eq(gram->udp.max_sessions, 4096);
	config_free(config);
}
END_TEST

START_TEST(defaults_are_left_aside_for_sockets_of_systemd)
{
	struct config *config = load_shared(
		"{ name = \"t\"; handler = \"h\"; address = \"systemd:t\"; },\n"
		"{ name = \"x\"; handler = \"h\"; address = \"systemd:x\"; protocol = \"unix\"; }");
	const struct conf_listener *tcp = &config->listeners[0], *stream = &config->listeners[1];

	ck_assert(!tcp->socket.freebind && !tcp->socket.transparent);
	ck_assert_ptr_null(tcp->socket.device);
	ck_assert_int_eq(tcp->socket.reuse_port, 0);
	ck_assert_int_eq(tcp->socket.mark, 7);
	ck_assert_int_eq(stream->socket.mode, 0660);
	ck_assert_ptr_null(stream->socket.owner);
	config_free(config);
}
END_TEST

START_TEST(shared_session_timeout_is_left_aside_without_threading)
{
	struct config *config = load_shared("{ name = \"u\"; handler = \"h\"; address = \"*:1\"; "
					    "protocol = \"udp\"; concurrency = \"serial\"; }");

	ck_assert_int_eq(config->listeners[0].udp.session_timeout_ms, PARSE_NONE);
	ck_assert_int_eq(config->listeners[0].udp.max_sessions, 9);
	config_free(config);
}
END_TEST

START_TEST(origin_tells_what_stands_in_defaults)
{
	struct config *config = cases_accept(
		"defaults = { backlog = 1; socket = { mark = 1; tos = 1; }; };\nlisteners = ( " TCP
		"socket = { mark = 2; }; } );");
	const struct conf_origin *origins = config->listeners[0].origins;
	const struct setting *backlog = setting_find(SETTING_LISTENER, "", "backlog");
	const struct setting *mark = setting_find(SETTING_LISTENER, "socket", "mark");
	const struct setting *tos = setting_find(SETTING_LISTENER, "socket", "tos");

	ck_assert(origins[backlog - settings].is_shared);
	ck_assert(!origins[mark - settings].is_shared);
	ck_assert_uint_eq(origins[mark - settings].line, 2);
	ck_assert(origins[tos - settings].is_shared);
	config_free(config);
}
END_TEST

struct fraction {
	const char *text;
	int64_t thousandths;
	const char *written;
};

static const struct fraction fractions[] = {
	{"3", 3000, "3.0"},	     {"3.0", 3000, "3.0"},
	{"3.", 3000, "3.0"},	     {"0", 0, "0.0"},
	{"0.0", 0, "0.0"},	     {"-0.0", 0, "0.0"},
	{"1000", 1000000, "1000.0"}, {"2.5", 2500, "2.5"},
	{"2.25", 2250, "2.25"},	     {"2.125", 2125, "2.125"},
	{"2.1254", 2125, "2.125"},   {"2.1256", 2126, "2.126"},
	{"0.001", 1, "0.001"},	     {"0.05", 50, "0.05"},
	{"0.29", 290, "0.29"},	     {"1e2", 100000, "100.0"},
	{"15e-1", 1500, "1.5"},
};

START_TEST(fraction_is_kept_in_thousandths)
{
	const struct fraction *fraction = &fractions[_i];
	char *text = memory_format("listeners = ( " UDP "limits = { amplification = %s; }; } );",
				   fraction->text);
	char *line = memory_format(" amplification = %s;\n", fraction->written);
	struct config *config = cases_accept(text);
	char *emitted = cases_emit(config);

	ck_assert_int_eq(config->listeners[0].limits.amplification_thousandths,
			 fraction->thousandths);
	ck_assert_msg(strstr(emitted, line) != NULL, "%s", emitted);
	config_free(config);
	free(emitted);
	free(line);
	free(text);
}
END_TEST

struct keepalive {
	const char *common; /* of defaults */
	const char *own;
	bool is_on;
	int64_t idle_ms;
	int64_t count;
};

static const struct keepalive keepalives[] = {
	{"", "", false, 0, 0},
	{"", "keepalive = true;", true, 0, 0},
	{"", "keepalive = false;", false, 0, 0},
	{"", "keepalive = { };", true, 0, 0},
	{"", "keepalive = { idle = \"2min\"; count = 3; };", true, 120000, 3},
	{"", "keepalive = { idle = \"none\"; count = 0; };", true, 0, 0},
	{"keepalive = true;", "", true, 0, 0},
	{"keepalive = true;", "keepalive = { count = 3; };", true, 0, 3},
	{"keepalive = { idle = \"60s\"; count = 5; };", "", true, 60000, 5},
	{"keepalive = { idle = \"60s\"; count = 5; };", "keepalive = true;", true, 60000, 5},
	{"keepalive = { idle = \"60s\"; count = 5; };", "keepalive = { count = 3; };", true, 60000,
	 3},
	{"keepalive = { idle = \"60s\"; count = 5; };", "keepalive = { idle = \"none\"; };", true,
	 0, 5},
	{"keepalive = { idle = \"60s\"; count = 5; };", "keepalive = false;", false, 0, 0},
};

START_TEST(keepalive_is_a_switch_or_a_group)
{
	const struct keepalive *keepalive = &keepalives[_i];
	char *text = memory_format("defaults = { socket = { %s }; }; listeners = ( " TCP
				   "socket = { %s }; } );",
				   keepalive->common, keepalive->own);
	struct config *config = cases_accept(text), *again;
	char *first = cases_emit(config), *second;
	const struct conf_socket *set = &config->listeners[0].socket;

	ck_assert_int_eq(set->keepalive, keepalive->is_on);
	ck_assert_int_eq(set->keepalive_idle_ms, keepalive->idle_ms);
	ck_assert_int_eq(set->keepalive_count, keepalive->count);
	again = cases_accept(first);
	second = cases_emit(again);
	ck_assert_str_eq(first, second);
	ck_assert_int_eq(again->listeners[0].socket.keepalive_idle_ms, keepalive->idle_ms);
	config_free(config);
	config_free(again);
	free(first);
	free(second);
	free(text);
}
END_TEST

START_TEST(mode_is_read_in_octal)
{
	struct config *config =
		cases_accept("listeners = ( " UNIX "socket = { mode = \"600\"; }; } );");
	char *text = cases_emit(config);

	ck_assert_int_eq(config->listeners[0].socket.mode, 0600);
	ck_assert_ptr_nonnull(strstr(text, "mode = \"0600\";"));
	free(text);
	config_free(config);
}
END_TEST

START_TEST(mark_takes_all_32_bits)
{
	struct config *config =
		cases_accept("listeners = ( " TCP "socket = { mark = 0xffffffffL; }; } );");
	char *text = cases_emit(config);

	ck_assert_int_eq(config->listeners[0].socket.mark, UINT32_MAX);
	ck_assert_ptr_nonnull(strstr(text, "mark = 4294967295L;"));
	config_free(config);
	config_free(cases_accept(text));
	free(text);
}
END_TEST

START_TEST(protocols_have_names_and_kinds)
{
	ck_assert_str_eq(conf_protocol_name(CONF_TCP), "tcp");
	ck_assert_str_eq(conf_protocol_name(CONF_UDP), "udp");
	ck_assert_str_eq(conf_protocol_name(CONF_UNIX), "unix");
	ck_assert_str_eq(conf_protocol_name(CONF_UNIXGRAM), "unixgram");
	ck_assert(!conf_protocol_is_datagram(CONF_TCP) && conf_protocol_is_datagram(CONF_UDP));
	ck_assert(!conf_protocol_is_datagram(CONF_UNIX) &&
		  conf_protocol_is_datagram(CONF_UNIXGRAM));
	ck_assert(!conf_protocol_is_unix(CONF_TCP) && !conf_protocol_is_unix(CONF_UDP));
	ck_assert(conf_protocol_is_unix(CONF_UNIX) && conf_protocol_is_unix(CONF_UNIXGRAM));
}
END_TEST

#define ADD_TABLE(test, table)                                                                     \
	tcase_add_loop_test(cases, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

int
main(void)
{
	TCase *cases = tcase_create("socket");

	ADD_TABLE(what_does_not_fit_is_refused_where_it_stands, refusals);
	tcase_add_test(cases, defaults_of_other_protocols_are_left_aside);
	tcase_add_test(cases, defaults_are_left_aside_for_sockets_of_systemd);
	tcase_add_test(cases, shared_session_timeout_is_left_aside_without_threading);
	tcase_add_test(cases, origin_tells_what_stands_in_defaults);
	ADD_TABLE(fraction_is_kept_in_thousandths, fractions);
	ADD_TABLE(keepalive_is_a_switch_or_a_group, keepalives);
	tcase_add_test(cases, mode_is_read_in_octal);
	tcase_add_test(cases, mark_takes_all_32_bits);
	tcase_add_test(cases, protocols_have_names_and_kinds);
	return cases_run(cases, "conf_socket");
}
