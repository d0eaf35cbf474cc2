/*
 * test_log.c - one call is one record, whatever the message holds and wherever it goes, and no call
 * waits for a reader.
 */
#include "base/log.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log_file.h"
#include "log_cases.h"
#include "unit.h"

#define MESSAGE_MOST 8192
#define RECORD_MOST (2 * MESSAGE_MOST)

static int ends[2];
static char got[256 * 1024];

static void
open_pipe(bool is_json)
{
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	log_open(LOG_TARGET_STDERR, ends[1], is_json, LOG_LEVEL_DEBUG, "handlerd");
}

static void
open_journal(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	log_open(LOG_TARGET_JOURNAL, ends[1], false, LOG_LEVEL_DEBUG, "handlerd-worker");
}

/* What was written since the last call, as a string. */
static size_t
take(void)
{
	size_t n = 0;
	ssize_t r;

	while (n < sizeof(got) - 1 && (r = read(ends[0], got + n, sizeof(got) - 1 - n)) > 0)
		n += (size_t)r;
	got[n] = '\0';
	return n;
}

static unsigned
count_lines(const char *text)
{
	unsigned lines = 0;

	for (; *text != '\0'; text++)
		lines += *text == '\n';
	return lines;
}

START_TEST(text_record_is_time_level_and_message)
{
	open_pipe(false);
	log_notice("it is %d", 42);
	(void)take();
	ck_assert_msg(is_time(got), "%s", got);
	ck_assert_str_eq(got + 24, " notice: it is 42\n");
}
END_TEST

START_TEST(stream_record_has_a_priority_and_no_time)
{
	open_pipe(false);
	log_open(LOG_TARGET_STREAM, ends[1], false, LOG_LEVEL_INFO, "handlerd");
	log_error("it is %s", "a\n<0>forged");
	log_event(LOG_EVENT_READY, NULL, "ready");
	(void)take();
	ck_assert_str_eq(got, "<3>it is a\\n<0>forged\n<5>ready\n");
}
END_TEST

START_TEST(text_record_of_a_request_names_listener_id_and_peer)
{
	struct log_context context = {
		.listener = "echo",
		.handler = "echo.so",
		.peer = "192.0.2.1:4711",
		.connection_id = 7,
		.generation = 3,
		.is_prefix = true,
	};

	open_pipe(false);
	log_write(LOG_LEVEL_WARNING, &context, "odd");
	(void)take();
	ck_assert_str_eq(got + 24, " warning: 'echo' #7 192.0.2.1:4711: odd\n");
	context.is_prefix = false;
	log_write(LOG_LEVEL_WARNING, &context, "odd");
	(void)take();
	ck_assert_str_eq(got + 24, " warning: odd\n");
}
END_TEST

START_TEST(json_record_has_a_field_for_everything_known)
{
	struct log_context context = {
		.listener = "echo",
		.handler = "a\"b",
		.peer = "192.0.2.1:4711",
		.connection_id = 7,
		.generation = 3,
		.is_prefix = true,
	};
	char expected[256];

	open_pipe(true);
	log_write(LOG_LEVEL_ERROR, &context, "say \"%s\"\n", "hi");
	(void)take();
	ck_assert_int_eq(strncmp(got, "{\"time\":\"", 9), 0);
	ck_assert(is_time(got + 9));
	(void)snprintf(expected, sizeof(expected),
		       "\",\"level\":\"error\",\"pid\":%d,\"listener\":\"echo\",\"handler\":"
		       "\"a\\\"b\",\"peer\":\"192.0.2.1:4711\",\"connection_id\":7,"
		       "\"generation\":3,\"message\":\"say \\\"hi\\\"\\n\"}\n",
		       (int)getpid());
	ck_assert_str_eq(got + 9 + 24, expected);
}
END_TEST

START_TEST(journal_record_is_one_datagram_of_fields)
{
	struct log_context context = {
		.listener = "echo",
		.handler = "echo.so",
		.peer = "192.0.2.1:4711",
		.connection_id = 7,
		.generation = 3,
		.is_prefix = true,
	};
	ssize_t n;

	open_journal();
	log_write(LOG_LEVEL_ERROR, &context, "broken\nMESSAGE=forged");
	n = recv(ends[0], got, sizeof(got) - 1, 0);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	ck_assert_str_eq(got, "PRIORITY=3\nSYSLOG_IDENTIFIER=handlerd-worker\n"
			      "HANDLERD_LISTENER=echo\nHANDLERD_HANDLER=echo.so\n"
			      "HANDLERD_PEER=192.0.2.1:4711\nHANDLERD_CONN_ID=7\n"
			      "HANDLERD_GENERATION=3\n"
			      "MESSAGE='echo' #7 192.0.2.1:4711: broken\\nMESSAGE=forged\n");
	ck_assert_int_eq(recv(ends[0], got, sizeof(got), 0), -1);
}
END_TEST

START_TEST(fields_are_members_in_json_and_fields_in_the_journal_and_forge_none)
{
	static const struct log_field fields[] = {
		{"reason", "REASON", "a\nMESSAGE=\"x", false},
		{"bytes_in", "BYTES_IN", "42", true},
	};
	struct log_context context = {.fields = fields, .field_count = UNIT_COUNT(fields)};
	ssize_t n;

	open_journal();
	ck_assert(log_has_fields());
	log_write(LOG_LEVEL_INFO, &context, "over");
	n = recv(ends[0], got, sizeof(got) - 1, 0);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	ck_assert_str_eq(got, "PRIORITY=6\nSYSLOG_IDENTIFIER=handlerd-worker\n"
			      "HANDLERD_REASON=a\\nMESSAGE=\"x\nHANDLERD_BYTES_IN=42\n"
			      "MESSAGE=over\n");
	open_pipe(true);
	ck_assert(log_has_fields());
	log_write(LOG_LEVEL_INFO, &context, "over");
	(void)take();
	ck_assert_ptr_nonnull(strstr(got, ",\"reason\":\"a\\nMESSAGE=\\\"x\",\"bytes_in\":42,"
					  "\"message\":\"over\"}\n"));
	open_pipe(false);
	ck_assert(!log_has_fields());
	log_write(LOG_LEVEL_INFO, &context, "over");
	(void)take();
	ck_assert_str_eq(got + 24, " info: over\n");
}
END_TEST

START_TEST(time_is_that_of_the_moment_whatever_was_asked_before)
{
	char text[LOG_TIME_SIZE];

	ck_assert_str_eq(log_format_time(0, text, sizeof(text)), "1970-01-01T00:00:00.000Z");
	ck_assert_str_eq(log_format_time(INT64_C(1704164645678999999), text, sizeof(text)),
			 "2024-01-02T03:04:05.678Z");
	ck_assert_str_eq(log_format_time(INT64_C(1704164645012000000), text, sizeof(text)),
			 "2024-01-02T03:04:05.012Z");
	ck_assert_str_eq(log_format_time(INT64_C(1704164646000000000), text, sizeof(text)),
			 "2024-01-02T03:04:06.000Z");
	ck_assert_str_eq(log_format_time(0, text, sizeof(text)), "1970-01-01T00:00:00.000Z");
}
END_TEST

START_TEST(event_has_its_id_in_the_journal_and_its_name_in_json)
{
	ssize_t n;

	open_journal();
	log_event(LOG_EVENT_READY, NULL, "ready");
	n = recv(ends[0], got, sizeof(got) - 1, 0);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	ck_assert_str_eq(got, "PRIORITY=5\nSYSLOG_IDENTIFIER=handlerd-worker\n"
			      "MESSAGE_ID=1301d2f4d37e4bca9d2c17ba5a3c9a77\nMESSAGE=ready\n");
	open_pipe(true);
	log_event(LOG_EVENT_WORKER_CRASHED, "echo", "gone");
	n = read(ends[0], got, sizeof(got) - 1);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	ck_assert_ptr_nonnull(strstr(got, "\"level\":\"error\""));
	ck_assert_ptr_nonnull(strstr(got, "\"event\":\"worker_crashed\",\"listener\":\"echo\""));
}
END_TEST

START_TEST(no_message_makes_a_second_record)
{
	static const char *const messages[] = {
		"\n<0>fake",  "a\r\nb",	  "\033[2J\033]0;x\007", "\302\205x", "\342\200\250x",
		"\xff\xfe\n", "\n\n\n\n",
	};

	for (int is_json = 0; is_json < 2; is_json++) {
		open_pipe(is_json != 0);
		for (int i = 0; i < UNIT_COUNT(messages); i++) {
			size_t n;

			log_info("%s", messages[i]);
			n = take();
			ck_assert_uint_eq(count_lines(got), 1);
			ck_assert_int_eq(got[n - 1], '\n');
			for (size_t j = 0; j + 1 < n; j++)
				ck_assert_uint_ge((unsigned char)got[j], 0x20);
			ck_assert_ptr_null(strstr(got, "\302\205"));
		}
		(void)close(ends[0]);
		(void)close(ends[1]);
	}
}
END_TEST

/* A message of `size` times the byte, in each form. */
static void
expect_cut(char byte, size_t size, bool is_json)
{
	char *message = malloc(size + 1);
	size_t n;

	ck_assert_ptr_nonnull(message);
	memset(message, byte, size);
	message[size] = '\0';
	open_pipe(is_json);
	log_error("%s", message);
	log_error("next");
	n = take();
	ck_assert_uint_eq(count_lines(got), 2);
	ck_assert_uint_le((size_t)(strchr(got, '\n') - got) + 1, RECORD_MOST);
	if (is_json) {
		/* however it was cut, the record is closed */
		ck_assert_int_eq(strncmp(strchr(got, '\n') - 2, "\"}", 2), 0);
		ck_assert_str_eq(got + n - 3, "\"}\n");
	}
	if (byte == 'a')
		ck_assert_uint_ge(n, PIPE_BUF - 8); /* a pipe takes so much whole */
	free(message);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

START_TEST(long_message_is_cut_and_its_record_is_whole)
{
	static const size_t sizes[] = {MESSAGE_MOST - 2, MESSAGE_MOST - 1, MESSAGE_MOST,
				       MESSAGE_MOST + 1, 1 << 20};
	static const char bytes[] = {'a', '"', '\n', '\x01', '\xff'};

	for (int i = 0; i < UNIT_COUNT(sizes); i++) {
		for (int j = 0; j < UNIT_COUNT(bytes); j++) {
			expect_cut(bytes[j], sizes[i], false);
			expect_cut(bytes[j], sizes[i], true);
		}
	}
}
END_TEST

/* A path may be this long, and each of its bytes becomes six. */
START_TEST(fields_longer_than_a_record_are_cut_too)
{
	char handler[4096];
	struct log_context context = {
		.listener = "echo",
		.handler = handler,
		.peer = "192.0.2.1:4711",
		.connection_id = 7,
		.generation = 3,
	};

	memset(handler, '\xff', sizeof(handler));
	for (size_t length = 2600; length < sizeof(handler); length += length < 2800 ? 1 : 500) {
		open_pipe(true);
		handler[length] = '\0';
		log_write(LOG_LEVEL_ERROR, &context, "message");
		ck_assert_uint_le(take(), RECORD_MOST);
		ck_assert_uint_eq(count_lines(got), 1);
		handler[length] = '\xff';
		(void)close(ends[0]);
		(void)close(ends[1]);
	}
}
END_TEST

START_TEST(full_pipe_drops_counts_and_tells_once_there_is_room)
{
	unsigned long long dropped;
	const char *told;
	unsigned written = 0;
	size_t before;

	open_pipe(false);
	ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
	/* the pipe is a blocking one: a call that waited would not come back */
	for (unsigned i = 0; i < 500; i++)
		log_error("record %u of many, none of which anybody reads", i);
	before = take();
	ck_assert_uint_le(before, 4096);
	ck_assert_int_eq(got[before - 1], '\n');
	written = count_lines(got);
	log_error("there is room again");
	(void)take();
	ck_assert_uint_eq(count_lines(got), 2);
	ck_assert_ptr_nonnull(strstr(got, "there is room again\n"));
	told = strstr(got, " warning: ");
	ck_assert_ptr_nonnull(told);
	dropped = strtoull(told + 10, NULL, 10);
	ck_assert_uint_eq(written + dropped, 500);
	log_error("once only");
	(void)take();
	ck_assert_uint_eq(count_lines(got), 1);
}
END_TEST

START_TEST(record_that_does_not_fit_is_dropped_whole)
{
	size_t n;

	open_pipe(false);
	ck_assert_int_eq(fcntl(ends[1], F_SETPIPE_SZ, 8192), 8192);
	/* one page is as good as full, the other is free: too little for the second record */
	log_error("%0*d", 4000, 0);
	log_error("%0*d", 6000, 0);
	n = take();
	ck_assert_uint_gt(n, 0);
	ck_assert_msg(got[n - 1] == '\n', "half a record was written: %zu bytes", n);
	log_error("second");
	(void)take();
	ck_assert_msg(is_time(got), "glued to half a record: %.60s", got);
}
END_TEST

START_TEST(full_stream_socket_never_holds_half_a_record)
{
	size_t n = 0, whole;
	ssize_t r;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	log_open(LOG_TARGET_STDERR, ends[1], false, LOG_LEVEL_DEBUG, "handlerd");
	for (unsigned i = 0; i < 3000; i++)
		log_error("record of middling length number %06u: %0*d", i, 3000, 0);
	/* each record that was taken is whole: what is read ends with one */
	while ((r = recv(ends[0], got, sizeof(got) - 1, MSG_DONTWAIT)) > 0)
		n = (size_t)r;
	ck_assert_uint_gt(n, 0);
	whole = n;
	ck_assert_int_eq(got[whole - 1], '\n');
}
END_TEST

START_TEST(full_journal_drops_and_never_waits)
{
	unsigned records = 0;

	open_journal();
	for (unsigned i = 0; i < 1000; i++)
		log_error("record %u", i);
	while (recv(ends[0], got, sizeof(got), 0) > 0)
		records++;
	ck_assert_uint_gt(records, 0);
	ck_assert_uint_lt(records, 1000);
	log_error("there is room again");
	ck_assert_int_gt(recv(ends[0], got, sizeof(got), 0), 0);
	ck_assert_int_gt(recv(ends[0], got, sizeof(got), 0), 0);
	ck_assert_ptr_nonnull(strstr(got, "records were dropped"));
}
END_TEST

START_TEST(level_decides_and_errno_stays)
{
	open_pipe(false);
	log_set_level(LOG_LEVEL_WARNING);
	ck_assert(log_is_enabled(LOG_LEVEL_WARNING));
	ck_assert(!log_is_enabled(LOG_LEVEL_NOTICE));
	log_notice("no");
	ck_assert_uint_eq(take(), 0);
	(void)close(ends[1]);
	errno = 1234;
	log_error("nobody is there");
	ck_assert_int_eq(errno, 1234);
}
END_TEST

START_TEST(auto_is_the_journal_only_if_standard_error_leads_there)
{
	struct stat st;
	char text[64];

	ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
	ck_assert_int_eq(log_target_auto(), LOG_TARGET_STDERR);
	ck_assert_int_eq(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	ck_assert_int_eq(log_target_auto(), LOG_TARGET_STDERR);
	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	ck_assert_int_eq(setenv("JOURNAL_STREAM", text, 1), 0);
	ck_assert_int_eq(log_target_auto(), LOG_TARGET_JOURNAL);
}
END_TEST

START_TEST(limiter_lets_some_through_and_tells_how_many_it_kept)
{
	struct log_limiter limiter = {0};
	uint64_t suppressed = 77;

	for (int i = 0; i < 3; i++) {
		ck_assert(log_limit(&limiter, 3, &suppressed));
		ck_assert_uint_eq(suppressed, 0);
	}
	suppressed = 77;
	for (int i = 0; i < 5; i++)
		ck_assert(!log_limit(&limiter, 3, &suppressed));
	ck_assert_uint_eq(suppressed, 77);
	/* ten seconds later */
	limiter.window_ns -= 10 * CLOCK_NS_PER_S;
	ck_assert(log_limit(&limiter, 3, &suppressed));
	ck_assert_uint_eq(suppressed, 5);
	ck_assert(log_limit(&limiter, 3, &suppressed));
	ck_assert_uint_eq(suppressed, 0);
}
END_TEST

/* One that ends right after its record was dropped leaves the telling to the others. */
START_TEST(forked_processes_count_what_is_dropped_in_the_same_place)
{
	struct log_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static struct log_shared other = {.dropped = 7};
	static struct log_spool spool;
	int status;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	open_pipe(false);
	log_share(shared);
	ck_assert_int_eq(shared->level, LOG_LEVEL_DEBUG);
	while (shared->dropped == 0)
		log_notice("fills the pipe");
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			log_notice("dropped");
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_uint_eq(shared->dropped, 4);
	(void)take();
	log_rescue(&spool, &other);
	ck_assert_uint_eq(other.dropped, 0);
	log_notice("there is room");
	(void)take();
	ck_assert_ptr_nonnull(strstr(got, " 11 log records were dropped"));
	ck_assert_uint_eq(shared->dropped, 0);
	/* the level is everybody's, too */
	log_set_level(LOG_LEVEL_WARNING);
	ck_assert_int_eq(shared->level, LOG_LEVEL_WARNING);
}
END_TEST

#define DROPPERS 4
#define DROPPER_RECORDS 3000

static void *
write_and_drop(void *arg)
{
	(void)arg;
	for (int i = 0; i < DROPPER_RECORDS; i++)
		log_notice("one of many that are more than a pipe takes: number %d", i);
	return NULL;
}

/* Adds what has come to what was written and what was told to be dropped. */
static void
count_taken(unsigned long *written, unsigned long *told)
{
	const char *line = got;

	(void)take();
	for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		unsigned long count;

		if (sscanf(line + 24, " warning: %lu log records were dropped", &count) == 1)
			*told += count;
		else
			++*written;
	}
	/* half a line has not been seen with a pipe that takes each whole */
	ck_assert_str_eq(line, "");
}

/* Whoever fails to tell the number puts it back, whatever the others do meanwhile. */
START_TEST(threads_count_each_record_that_is_dropped_once)
{
	unsigned long written = 0, told = 0, all = DROPPERS * DROPPER_RECORDS;
	pthread_t threads[DROPPERS];

	open_pipe(false);
	ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
	for (int i = 0; i < DROPPERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_and_drop, NULL), 0);
	for (int i = 0; i < 200; i++) {
		count_taken(&written, &told);
		(void)sched_yield();
	}
	for (int i = 0; i < DROPPERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	count_taken(&written, &told);
	/* with room for it, the next one brings the rest */
	log_notice("the last");
	count_taken(&written, &told);
	ck_assert_uint_gt(told, 0);
	ck_assert_uint_eq(written + told, all + 1);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("log");

	tcase_add_test(cases, text_record_is_time_level_and_message);
	tcase_add_test(cases, stream_record_has_a_priority_and_no_time);
	tcase_add_test(cases, text_record_of_a_request_names_listener_id_and_peer);
	tcase_add_test(cases, json_record_has_a_field_for_everything_known);
	tcase_add_test(cases, journal_record_is_one_datagram_of_fields);
	tcase_add_test(cases, fields_are_members_in_json_and_fields_in_the_journal_and_forge_none);
	tcase_add_test(cases, time_is_that_of_the_moment_whatever_was_asked_before);
	tcase_add_test(cases, event_has_its_id_in_the_journal_and_its_name_in_json);
	tcase_add_test(cases, no_message_makes_a_second_record);
	tcase_add_test(cases, long_message_is_cut_and_its_record_is_whole);
	tcase_add_test(cases, fields_longer_than_a_record_are_cut_too);
	tcase_add_test(cases, full_pipe_drops_counts_and_tells_once_there_is_room);
	tcase_add_test(cases, record_that_does_not_fit_is_dropped_whole);
	tcase_add_test(cases, full_stream_socket_never_holds_half_a_record);
	tcase_add_test(cases, full_journal_drops_and_never_waits);
	tcase_add_test(cases, level_decides_and_errno_stays);
	tcase_add_test(cases, auto_is_the_journal_only_if_standard_error_leads_there);
	tcase_add_test(cases, limiter_lets_some_through_and_tells_how_many_it_kept);
	tcase_add_test(cases, threads_count_each_record_that_is_dropped_once);
	tcase_add_test(cases, forked_processes_count_what_is_dropped_in_the_same_place);
	tcase_set_timeout(cases, 30);
	return unit_run("log", cases);
}
