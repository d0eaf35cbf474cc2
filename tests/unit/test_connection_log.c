/*
 * test_connection_log.c - the record of a connection in each of its forms, against the same made
 * with printf().
 */
#include "ipc/connection_log.h"

#include <inttypes.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/text.h"
#include "unit.h"

#define TIME_LENGTH 24

static int ends[2];
static char got[32 * 1024];

static const struct row {
	struct log_context context;
	struct connection_end end;
	uint64_t left_out;
	const char *words; /* what the message begins with */
} rows[] = {
	{{.listener = "echo",
	  .handler = "echo",
	  .peer = "127.0.0.1:1",
	  .connection_id = 1,
	  .generation = 1,
	  .is_prefix = true},
	 {CONNECTION_STREAM, CLOSE_BY_CLIENT, 0, 5, 5, NULL},
	 0,
	 "connection ended: closed by the client"},
	{{.listener = "l",
	  .handler = "/usr/lib/h.so",
	  .peer = "[2001:db8::1%eth0]:65535",
	  .connection_id = UINT64_MAX,
	  .generation = UINT32_MAX,
	  .is_prefix = true},
	 {CONNECTION_SESSION, CLOSE_DONE, 0, UINT64_MAX, UINT64_MAX, NULL},
	 UINT64_MAX,
	 "session ended: done"},
	{{.listener = "l",
	  .handler = "a\"b\\c'd",
	  .peer = "@\\x00\\x0a",
	  .generation = 0,
	  .is_prefix = true},
	 {CONNECTION_DATAGRAM, CLOSE_ACCESS, 0, 0, 0, NULL},
	 1,
	 "refused: access"},
	{{.listener = "l",
	  .handler = "h",
	  .peer = "unix pid 1 uid 0",
	  .connection_id = 10,
	  .generation = 2,
	  .is_prefix = true},
	 {CONNECTION_STREAM, CLOSE_VERIFY, 0, 0, 0, "by the handler's verify: no\nline \033[2J"},
	 0,
	 "refused by the handler's verify: no\nline \033[2J"},
};

/* The message as it was when printf() made it; the times are taken from what was got. */
static void
make_message(const struct row *row, const char *taken_ms, const char *start, char *buf, size_t size)
{
	char more[64] = "";

	if (row->left_out > 0)
		(void)snprintf(more, sizeof(more),
			       "; %" PRIu64 " before it were left out of the log", row->left_out);
	(void)snprintf(buf, size,
		       "%s; %" PRIu64 " bytes in, %" PRIu64 " bytes out, %s ms, since %.*s; "
		       "handler '%s', generation %" PRIu32 "%s",
		       row->words, row->end.bytes_in, row->end.bytes_out, taken_ms, TIME_LENGTH,
		       start, row->context.handler, row->context.generation, more);
}

static void
take(void)
{
	ssize_t n = recv(ends[0], got, sizeof(got) - 1, MSG_DONTWAIT);

	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void
write_row(const struct row *row, enum log_target target, bool is_json)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	log_open(target, ends[1], is_json, LOG_LEVEL_INFO, "handlerd");
	connection_log_write(&row->context, &row->end, row->left_out);
	take();
}

static const char *
find(const char *name)
{
	const char *at = strstr(got, name);

	ck_assert_msg(at != NULL, "%s is not in %s", name, got);
	return at + strlen(name);
}

START_TEST(text_is_what_printf_made)
{
	const struct row *row = &rows[_i];
	char message[1024], escaped[2048], expected[4096], number[32] = "";

	write_row(row, LOG_TARGET_STDERR, false);
	make_message(row, "0.000", find("since "), message, sizeof(message));
	(void)text_escape(message, strlen(message), escaped, sizeof(escaped));
	if (row->context.connection_id != 0)
		(void)snprintf(number, sizeof(number), "#%" PRIu64 " ", row->context.connection_id);
	(void)snprintf(expected, sizeof(expected), "%.*s info: '%s' %s%s: %s\n", TIME_LENGTH, got,
		       row->context.listener, number, row->context.peer, escaped);
	ck_assert_str_eq(got, expected);
}
END_TEST

START_TEST(json_is_what_printf_made)
{
	const struct row *row = &rows[_i];
	char message[1024], escaped[2048], expected[4096], handler[64], peer[64];
	char id[64] = "", generation[64] = "", left_out[64] = "";

	write_row(row, LOG_TARGET_STDERR, true);
	make_message(row, "0.000", find("since "), message, sizeof(message));
	(void)text_escape_json(message, strlen(message), escaped, sizeof(escaped));
	(void)text_escape_json(row->context.handler, strlen(row->context.handler), handler,
			       sizeof(handler));
	(void)text_escape_json(row->context.peer, strlen(row->context.peer), peer, sizeof(peer));
	if (row->context.connection_id != 0)
		(void)snprintf(id, sizeof(id), ",\"connection_id\":%" PRIu64,
			       row->context.connection_id);
	if (row->context.generation != 0)
		(void)snprintf(generation, sizeof(generation), ",\"generation\":%" PRIu32,
			       row->context.generation);
	if (row->left_out > 0)
		(void)snprintf(left_out, sizeof(left_out), ",\"left_out\":%" PRIu64, row->left_out);
	(void)snprintf(
		expected, sizeof(expected),
		"{\"time\":\"%.*s\",\"level\":\"info\",\"pid\":%d,\"event\":\"%s\",\"listener\":"
		"\"%s\",\"handler\":\"%s\",\"peer\":\"%s\"%s%s,\"kind\":\"%s\",\"reason\":\"%s\","
		"\"start\":\"%.*s\",\"duration_seconds\":0.000000,\"bytes_in\":%" PRIu64
		",\"bytes_out\":%" PRIu64 "%s,\"message\":\"%s\"}\n",
		TIME_LENGTH, find("\"time\":\""), (int)getpid(),
		row->words[0] == 'r' ? "refused" : "connection_ended", row->context.listener,
		handler, peer, id, generation,
		row->end.kind == CONNECTION_STREAM     ? "connection"
		: row->end.kind == CONNECTION_DATAGRAM ? "datagram"
						       : "session",
		close_reason_name(row->end.reason), TIME_LENGTH, find("\"start\":\""),
		row->end.bytes_in, row->end.bytes_out, left_out, escaped);
	ck_assert_str_eq(got, expected);
}
END_TEST

START_TEST(journal_has_the_fields_and_forges_none)
{
	const struct row *row = &rows[_i];
	char expected[256];

	write_row(row, LOG_TARGET_JOURNAL, false);
	(void)snprintf(expected, sizeof(expected),
		       "\nHANDLERD_DURATION_SECONDS=0.000000\nHANDLERD_BYTES_IN=%" PRIu64
		       "\nHANDLERD_BYTES_OUT=%" PRIu64 "\n",
		       row->end.bytes_in, row->end.bytes_out);
	(void)find(expected);
	ck_assert_int_eq(strstr(got, "HANDLERD_LEFT_OUT=") != NULL, row->left_out > 0);
	/* every line has a name of ours */
	for (const char *at = got; *at != '\0'; at = strchr(at, '\n') + 1)
		ck_assert_msg(strncmp(at, "HANDLERD_", 9) == 0 || strncmp(at, "MESSAGE", 7) == 0 ||
				      strncmp(at, "PRIORITY=", 9) == 0 ||
				      strncmp(at, "SYSLOG_IDENTIFIER=", 18) == 0,
			      "%s", at);
}
END_TEST

/* The scoreboard may hold anything where a process has died. */
START_TEST(no_duration_is_negative_and_a_long_one_is_whole)
{
	static const struct {
		int64_t opened_ns; /* before now; 0: the number itself */
		int64_t number;
		const char *ms, *seconds;
	} durations[] = {
		{0, -1, "0.000 ms", ":0.000000,"},
		{0, INT64_MIN, "0.000 ms", ":0.000000,"},
		{0, INT64_MAX, "0.000 ms", ":0.000000,"},
		{-1000 * CLOCK_NS_PER_S, 0, "0.000 ms", ":0.000000,"},
	};
	struct row row = rows[0];
	int64_t now_ns = clock_now_ns();
	uint64_t us, lowest_us, highest_us;

	for (int i = 0; i < UNIT_COUNT(durations); i++) {
		row.end.opened_ns = durations[i].opened_ns != 0 ? now_ns - durations[i].opened_ns
								: durations[i].number;
		write_row(&row, LOG_TARGET_STDERR, true);
		(void)find(durations[i].ms);
		(void)find(durations[i].seconds);
	}
	/* the longest that can be: since the machine began */
	row.end.opened_ns = 1;
	lowest_us = (uint64_t)(clock_now_ns() - 1) / 1000;
	write_row(&row, LOG_TARGET_STDERR, true);
	highest_us = (uint64_t)clock_now_ns() / 1000;
	us = (uint64_t)(strtod(find("\"duration_seconds\":"), NULL) * 1e6 + 0.5);
	ck_assert_uint_ge(us, lowest_us);
	ck_assert_uint_le(us, highest_us);
	/* both forms, to the last digit */
	ck_assert_uint_eq((uint64_t)(strtod(find("bytes out, "), NULL) * 1e3 + 0.5), us);
}
END_TEST

START_TEST(what_is_too_long_is_cut_and_closed)
{
	static char handler[16 * 1024];
	struct row row = rows[0];

	memset(handler, 'h', sizeof(handler) - 1);
	row.context.handler = handler;
	write_row(&row, LOG_TARGET_STDERR, false);
	ck_assert_int_eq(got[strlen(got) - 1], '\n');
	ck_assert_uint_gt(strlen(got), 8000);
	write_row(&row, LOG_TARGET_STDERR, true);
	ck_assert_str_eq(got + strlen(got) - 3, "\"}\n");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("connection_log");

	tcase_add_loop_test(cases, text_is_what_printf_made, 0, UNIT_COUNT(rows));
	tcase_add_loop_test(cases, json_is_what_printf_made, 0, UNIT_COUNT(rows));
	tcase_add_loop_test(cases, journal_has_the_fields_and_forges_none, 0, UNIT_COUNT(rows));
	tcase_add_test(cases, no_duration_is_negative_and_a_long_one_is_whole);
	tcase_add_test(cases, what_is_too_long_is_cut_and_closed);
	return unit_run("connection_log", cases);
}
