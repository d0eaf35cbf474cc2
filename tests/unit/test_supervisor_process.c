/*
 * test_supervisor_process.c - the supervisor and one process: neither what it says nor how it ends
 * holds the supervisor up.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "supervisor/process.h"
#include "unit.h"

/* So many messages are more than any honest worker has to say at once. */
#define FLOOD 100000

static struct loop loop;
static struct process process;
static int other_end;
static int heard, deaths;

/* One that never stops talking: each message that is heard is followed by another. */
static void
on_message(struct process *which, struct channel_message *message)
{
	ck_assert_ptr_eq(which, &process);
	ck_assert_int_eq(message->type, PROTOCOL_QUIET);
	if (++heard < FLOOD)
		ck_assert_int_eq(channel_send(other_end, 1, PROTOCOL_QUIET, NULL), 0);
}

static void
on_confined(struct process *which, struct channel_message *message)
{
	ck_assert_ptr_eq(which, &process);
	ck_assert_int_eq(message->type, PROTOCOL_CONFINED);
	heard++;
}

static void
on_death(struct process *which, int status)
{
	ck_assert_ptr_eq(which, &process);
	ck_assert(WIFSIGNALED(status));
	deaths++;
}

/* What is to be done as soon as the supervisor has looked and seen nothing. */
static void (*on_nothing)(void);

/* In the place of the C library's. */
ssize_t
recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = syscall(SYS_recvmsg, fd, message, flags);
	void (*then)(void) = on_nothing;
	int error = errno;

	if (n < 0 && error == EAGAIN && then != NULL) {
		on_nothing = NULL;
		then();
	}
	errno = error;
	return n;
}

static void
prepare(void)
{
	int ends[2];
	pid_t pid;

	ck_assert_int_eq(loop_init(&loop), 0);
	ck_assert_int_eq(channel_open(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)setpgid(0, 0);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	(void)setpgid(pid, pid);
	other_end = ends[1];
	heard = deaths = 0;
	process = (struct process){
		.pid = pid,
		.last_pid = pid,
		.generation = 1,
		.protocol = PROTOCOL_VERSION,
		.channel = {.fd = ends[0]},
		.refusals = REFUSALS_NONE,
		.on_message = on_message,
		.on_death = on_death,
	};
	ck_assert_int_eq(process_attach(&process, &loop), 0);
}

static void
clean(void)
{
	process_destroy(&process);
	(void)close(other_end);
	loop_close(&loop);
}

START_TEST(one_that_never_stops_talking_leaves_time_for_others)
{
	ck_assert_int_eq(channel_send(other_end, 1, PROTOCOL_QUIET, NULL), 0);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_ge(heard, 1);
	ck_assert_int_lt(heard, 1000);
	/* the rest is heard later */
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_lt(heard, 2000);
}
END_TEST

START_TEST(what_it_said_last_is_heard_but_no_endless_talk_of_its_heirs)
{
	ck_assert_int_eq(channel_send(other_end, 1, PROTOCOL_QUIET, NULL), 0);
	loop_remove(&loop, &process.channel);
	process_kill(&process);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_eq(deaths, 1);
	ck_assert_int_ge(heard, 1);
	ck_assert_int_lt(heard, 10000);
}
END_TEST

/* As one says it whose handler runs already, or who makes it up. */
static void
say_confined(int fd)
{
	struct buf payload = {0};

	buf_add_u32(&payload, PROTOCOL_REPORTED);
	buf_add_u32(&payload, 0);
	ck_assert_int_eq(channel_send_fd(other_end, 1, PROTOCOL_CONFINED, &payload, fd), 0);
	buf_free(&payload);
}

static int
next_fd(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	return fd;
}

START_TEST(no_descriptor_is_kept_but_one_of_refused_calls)
{
	int free_fd = next_fd();

	process.on_message = on_confined;
	say_confined(STDERR_FILENO);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_eq(heard, 1);
	ck_assert(process.is_confined);
	ck_assert_int_eq(process.refusals.source.fd, -1);
	ck_assert_int_eq(next_fd(), free_fd);
}
END_TEST

START_TEST(a_sandbox_is_told_of_once)
{
	int free_fd = next_fd();

	process.on_message = on_confined;
	for (int i = 0; i < 10; i++)
		say_confined(STDERR_FILENO);
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_eq(heard, 1);
	ck_assert_int_eq(next_fd(), free_fd);
}
END_TEST

static int late_ends[2];

static void
send_late(void)
{
	say_confined(late_ends[1]);
	(void)close(late_ends[1]);
}

/* Whoever has received a descriptor must close it, and that may take as long as its owner likes. */
START_TEST(a_descriptor_that_comes_between_look_and_receive_is_not_received)
{
	char byte;

	ck_assert_int_eq(pipe2(late_ends, O_CLOEXEC | O_NONBLOCK), 0);
	process.is_confined = true;
	on_nothing = send_late;
	ck_assert_int_eq(channel_send(other_end, 1, PROTOCOL_QUIET, NULL), 0);
	heard = FLOOD; /* it is said once */
	ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_eq(heard, FLOOD + 1);
	ck_assert_ptr_null(on_nothing);
	/* the message has it, and nobody has closed it */
	ck_assert_int_eq(read(late_ends[0], &byte, 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(channel_look(process.channel.fd), CHANNEL_FDS);
	/* and who sends such is killed */
	while (deaths == 0)
		ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert_int_eq(process.pid, 0);
	(void)close(late_ends[0]);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("supervisor_process");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, one_that_never_stops_talking_leaves_time_for_others);
	tcase_add_test(cases, what_it_said_last_is_heard_but_no_endless_talk_of_its_heirs);
	tcase_add_test(cases, no_descriptor_is_kept_but_one_of_refused_calls);
	tcase_add_test(cases, a_sandbox_is_told_of_once);
	tcase_add_test(cases, a_descriptor_that_comes_between_look_and_receive_is_not_received);
	return unit_run("supervisor_process", cases);
}
