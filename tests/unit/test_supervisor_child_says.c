/*
 * test_supervisor_child_says.c - what a worker says on its channel, and what is made of it.
 */
#include <signal.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/child.h"
#include "supervisor/listener.h"
#include "unit.h"

static struct loop loop;
static struct child child;

static int
on_start(struct child *which, uint32_t generation)
{
	(void)which, (void)generation;
	return 0;
}

static void
on_change(struct child *which)
{
	(void)which;
}

static void
on_end(struct child *which, bool was_asked)
{
	(void)which, (void)was_asked;
}

static uint64_t killed;

static void
on_killed(struct child *which, uint64_t id)
{
	ck_assert_ptr_eq(which, &child);
	killed = id;
}

static const struct child_owner owner = {
	.start = on_start,
	.on_change = on_change,
	.on_end = on_end,
	.on_killed = on_killed,
};

static void
prepare(void)
{
	ck_assert_int_eq(loop_init(&loop), 0);
	log_set_level(0);
	child = (struct child){
		.owner = &owner,
		.name = "front",
		.handler = "echo",
		.loop = &loop,
		.start_timeout_ms = 10000,
		.handler_fd = -1,
		.program_fd = -1,
	};
	child_start(&child, 7);
}

static void
clean(void)
{
	report_free(&child.failures);
	death_free(&child.death);
	free(child.version);
	loop_close(&loop);
}

/* The worker sends one message. */
static void
say(enum protocol_type type, const struct buf *payload)
{
	static struct channel_message message;

	message = (struct channel_message){.type = type, .generation = 7};
	if (payload != NULL) {
		memcpy(message.bytes, payload->data, payload->length);
		message.payload = (struct buf_reader){
			.data = message.bytes,
			.length = payload->length,
		};
	}
	child.process.on_message(&child.process, &message);
}

static void
say_ready(const char *version)
{
	struct buf payload = {0};

	buf_add_text(&payload, version);
	say(PROTOCOL_READY, &payload);
	buf_free(&payload);
}

START_TEST(ready_brings_the_version_of_the_handler)
{
	say_ready("1.2.3");
	ck_assert_int_eq(child.state, CHILD_READY);
	ck_assert_str_eq(child.version, "1.2.3");
	/* the next process is another handler file's, perhaps */
	say_ready(NULL);
	ck_assert_ptr_null(child.version);
}
END_TEST

START_TEST(version_is_bounded_and_safe_to_print)
{
	char longest[10000];

	memset(longest, 'v', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	memcpy(longest, "1\n\x1b[2J", 6);
	say_ready(longest);
	ck_assert_int_eq(strncmp(child.version, "1\\n\\x1b[2Jvvv", 13), 0);
	ck_assert_uint_lt(strlen(child.version), 64);
}
END_TEST

START_TEST(ready_without_a_version_is_ready)
{
	say(PROTOCOL_READY, NULL);
	ck_assert_int_eq(child.state, CHILD_READY);
	ck_assert_ptr_null(child.version);
}
END_TEST

START_TEST(a_connection_that_was_ended_is_told_whatever_the_state)
{
	struct buf payload = {0};

	buf_add_u64(&payload, 3 * SCOREBOARD_IDS_PER_WORKER + 17);
	say(PROTOCOL_KILLED, &payload);
	buf_free(&payload);
	ck_assert_uint_eq(killed, 3 * SCOREBOARD_IDS_PER_WORKER + 17);
	ck_assert_int_eq(child.state, CHILD_STARTING);
	/* without a number it is nobody's */
	say(PROTOCOL_KILLED, NULL);
	ck_assert_uint_eq(killed, 0);
}
END_TEST

static void
say_failed(const char *file, uint32_t line, const char *text)
{
	struct buf payload = {0};

	buf_add_u32(&payload, PROTOCOL_STAGE_OPTION);
	buf_add_text(&payload, file);
	buf_add_u32(&payload, line);
	buf_add_text(&payload, text);
	say(PROTOCOL_FAILED, &payload);
	buf_free(&payload);
}

/* The worker was told of the lines 3 and 5. */
START_TEST(failure_is_about_a_place_only_that_the_worker_was_told_of)
{
	struct conf_option option = {.origin = {.file = "a.conf", .line = 5}};
	struct conf_listener conf = {
		.handler_origin = {.file = "a.conf", .line = 3},
		.options = &option,
		.option_count = 1,
		.origin = {.file = "a.conf", .line = 1},
	};
	struct listener listener = {.conf = &conf};
	const struct report_entry *entry = NULL;

	child.owner_data = &listener;
	for (uint32_t line = 2; line <= 6; line++) {
		say_failed("a.conf", line, "no such option");
		entry = &child.failures.entries[child.failures.count - 1];
		if (line == 3 || line == 5) {
			ck_assert_str_eq(entry->file, "a.conf");
			ck_assert_uint_eq(entry->line, line);
			ck_assert_str_eq(entry->text, "no such option");
		} else {
			ck_assert_ptr_null(entry->file);
			ck_assert_str_eq(entry->text,
					 "worker of 'front' (handler 'echo'): no such option");
		}
	}
	say_failed("b.conf", 3, "no such option");
	ck_assert_ptr_null(child.failures.entries[5].file);
	ck_assert(child.is_refusal);
	child.owner_data = NULL;
}
END_TEST

START_TEST(failures_are_bounded_and_the_rest_is_told_of)
{
	char text[10000];
	size_t length = 0;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 1000; i++)
		say_failed(NULL, 0, text);
	for (size_t i = 0; i < child.failures.count; i++)
		length += strlen(child.failures.entries[i].text);
	ck_assert_uint_le(length, 20000);
	ck_assert_ptr_nonnull(strstr(child.failures.entries[child.failures.count - 1].text,
				     "it says more, which is left out"));
	report_free(&child.failures);
	for (int i = 0; i < 1000; i++)
		say_failed(NULL, 0, "");
	ck_assert_uint_eq(child.failures.count, 101);
}
END_TEST

/* A worker that is ready cannot fail to become so: its handler says it. */
START_TEST(failure_of_one_that_was_ready_is_not_heard)
{
	say_ready("1");
	say_failed(NULL, 0, "ready");
	child_handle(&child, CHILD_COMMIT);
	say_failed(NULL, 0, "serving");
	child_drain(&child, clock_now_ns() + CLOCK_NS_PER_S);
	ck_assert_int_eq(child.state, CHILD_DRAINING);
	say_failed(NULL, 0, "draining");
	ck_assert_uint_eq(child.failures.count, 0);
	ck_assert(!child.is_refusal);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("child_says");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, ready_brings_the_version_of_the_handler);
	tcase_add_test(cases, version_is_bounded_and_safe_to_print);
	tcase_add_test(cases, ready_without_a_version_is_ready);
	tcase_add_test(cases, failure_is_about_a_place_only_that_the_worker_was_told_of);
	tcase_add_test(cases, failures_are_bounded_and_the_rest_is_told_of);
	tcase_add_test(cases, failure_of_one_that_was_ready_is_not_heard);
	tcase_add_test(cases, a_connection_that_was_ended_is_told_whatever_the_state);
	return unit_run("supervisor_child_says", cases);
}
