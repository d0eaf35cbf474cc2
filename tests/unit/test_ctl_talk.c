/*
 * test_ctl_talk.c - lines from a socket, and how long they are waited for.
 */
#include "handlerctl/talk.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "handlerctl/ask.h"
#include "handlerctl/ctl.h"
#include "unit.h"

static int server = -1; /* listens */
static int peer = -1;	/* the other end of `talk` */
static struct talk talk;

/* Long enough for anything that comes at all. */
static int64_t
soon_ns(void)
{
	return clock_deadline_ns(10000);
}

static void
start(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	unit_make_directory();
	server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", unit_path("sock"));
	ck_assert_int_eq(bind(server, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(server, 1), 0);
	ck_assert_int_eq(talk_open(&talk, un.sun_path), 0);
	peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(peer, 0);
}

static void
end(void)
{
	talk_close(&talk);
	(void)close(peer);
	(void)close(server);
	unit_remove_directory();
}

static void
say(const char *text)
{
	ck_assert_int_eq(write(peer, text, strlen(text)), (int)strlen(text));
}

static void
assert_hears(const char *text)
{
	const char *line = NULL;
	size_t length = 0;

	ck_assert_int_eq(talk_hear(&talk, soon_ns(), &line, &length), 0);
	ck_assert_uint_eq(length, strlen(text));
	ck_assert_int_eq(strncmp(line, text, length), 0);
}

static int
hear_nothing(int64_t deadline_ns)
{
	const char *line = NULL;
	size_t length = 0;
	int r = talk_hear(&talk, deadline_ns, &line, &length);

	ck_assert_ptr_null(line);
	return r;
}

START_TEST(lines_that_come_together_are_heard_one_by_one)
{
	say("a\n\nbcd\ne");
	assert_hears("a");
	assert_hears("");
	assert_hears("bcd");
	say("f\n");
	assert_hears("ef");
}
END_TEST

START_TEST(half_a_line_at_the_end_is_none)
{
	say("a\nb");
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	assert_hears("a");
	ck_assert_int_eq(hear_nothing(soon_ns()), -ENODATA);
}
END_TEST

START_TEST(half_a_line_is_waited_for_until_the_deadline)
{
	int64_t deadline_ns = clock_now_ns() + 20 * CLOCK_NS_PER_MS;

	say("a");
	ck_assert_int_eq(hear_nothing(deadline_ns), -ETIMEDOUT);
	ck_assert_int_ge(clock_now_ns(), deadline_ns);
	say("b\n");
	assert_hears("ab");
}
END_TEST

START_TEST(what_is_said_is_one_line)
{
	char buf[8];

	ck_assert_int_eq(talk_say(&talk, "abc"), 0);
	ck_assert_int_eq(read(peer, buf, sizeof(buf)), 4);
	ck_assert_int_eq(strncmp(buf, "abc\n", 4), 0);
}
END_TEST

START_TEST(a_peer_that_has_gone_may_have_said_something)
{
	say("refused\n");
	(void)close(peer);
	peer = -1;
	ck_assert_int_eq(talk_say(&talk, "abc"), 0);
	assert_hears("refused");
	ck_assert_int_eq(hear_nothing(soon_ns()), -ENODATA);
}
END_TEST

static void
never_print(const struct ask *ask, const json_t *answer)
{
	(void)ask, (void)answer;
	ck_abort_msg("there was no answer");
}

START_TEST(a_daemon_that_does_not_answer_is_left)
{
	struct ask ask = {
		.line = {.control = unit_path("sock")},
		.request = json_object(),
		.print = never_print,
		.patience_ms = 20,
	};

	ck_assert_int_eq(ask_run(&ask), CTL_FAILED);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("talk");

	tcase_add_checked_fixture(cases, start, end);
	tcase_add_test(cases, lines_that_come_together_are_heard_one_by_one);
	tcase_add_test(cases, half_a_line_at_the_end_is_none);
	tcase_add_test(cases, half_a_line_is_waited_for_until_the_deadline);
	tcase_add_test(cases, what_is_said_is_one_line);
	tcase_add_test(cases, a_peer_that_has_gone_may_have_said_something);
	tcase_add_test(cases, a_daemon_that_does_not_answer_is_left);
	return unit_run("ctl_talk", cases);
}
