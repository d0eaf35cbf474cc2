/*
 * test_crash.c - what a crash has left is taken once, by whoever buries that process, and whatever
 * stands there is bounded; and what is made of it.
 */
#include "ipc/crash.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/elf_symbol.h"
#include "concurrency/crash.h"
#include "unit.h"

static struct crash_record record;
static struct crash_report report;
static const struct crash_files no_files = {-1, -1};

static void
fill_record(void)
{
	memset(&record, 0, sizeof(record));
	record.pid = 42;
	record.signal = SIGSEGV;
	record.code = SEGV_MAPERR;
	record.address = 0x10;
	record.connection_id = 17;
	record.frame_count = 2;
	record.frames[0].module = CRASH_MODULE_LIBRARY;
	record.frames[0].offset = 0x1234;
	memcpy(record.frames[0].name, "libc.so.6", 10);
	record.frames[1].offset = 0xdead;
}

static const char *
text_of_frames(uint32_t most)
{
	static char out[65536];
	struct buf text = {0};

	crash_add_frames(&report, &no_files, most, &text);
	ck_assert_uint_lt(text.length, sizeof(out));
	(void)snprintf(out, sizeof(out), "%.*s", (int)text.length, (char *)text.data);
	buf_free(&text);
	return out;
}

START_TEST(a_record_is_taken_once_by_who_buries_that_process)
{
	ck_assert(!crash_take(&record, 43, &report));
	ck_assert(!crash_take(&record, 0, &report));
	ck_assert_int_eq(record.pid, 42);
	ck_assert(crash_take(&record, 42, &report));
	ck_assert_int_eq(report.signal, SIGSEGV);
	ck_assert_uint_eq(report.connection_id, 17);
	ck_assert_str_eq(text_of_frames(99), "#0 libc.so.6+0x1234, #1 0xdead");
	ck_assert_str_eq(text_of_frames(1), "#0 libc.so.6+0x1234");
	/* free for the next */
	ck_assert_int_eq(record.pid, 0);
	ck_assert(!crash_take(&record, 42, &report));
	ck_assert(!crash_take(&record, 0, &report));
}
END_TEST

START_TEST(a_signal_that_is_no_crash_is_no_report_and_frees_the_record)
{
	record.signal = SIGTERM;
	ck_assert(!crash_take(&record, 42, &report));
	ck_assert_int_eq(record.pid, 0);
}
END_TEST

START_TEST(garbage_is_bounded_and_safe_to_print)
{
	memset(&record, 0xff, sizeof(record));
	record.pid = 42;
	record.signal = SIGBUS;
	ck_assert(crash_take(&record, 42, &report));
	ck_assert_uint_eq(report.frame_count, CRASH_MOST_FRAMES);
	ck_assert_ptr_nonnull(strstr(text_of_frames(99), "#31 0xffffffffffffffff"));
	/* a name without an end, and not fit to print */
	fill_record();
	memset(record.frames[0].name, 0x1b, CRASH_MODULE_SIZE);
	ck_assert(crash_take(&record, 42, &report));
	ck_assert_ptr_null(strchr(text_of_frames(1), 0x1b));
	ck_assert_int_eq(strncmp(text_of_frames(1), "#0 \\x1b\\x1b", 11), 0);
}
END_TEST

START_TEST(the_cause_is_told_where_it_says_more_than_the_signal)
{
	static const struct {
		int signal, code;
		const char *expected;
	} rows[] = {
		{SIGSEGV, SEGV_MAPERR, "address 0x10 is not mapped"},
		{SIGSEGV, SEGV_ACCERR, "address 0x10 may not be accessed so"},
		{SIGSEGV, SI_KERNEL, "an address that cannot be"},
		{SIGSEGV, SI_TKILL, "sent with kill or raise"},
		{SIGFPE, FPE_INTDIV, "integer division by zero"},
		{SIGABRT, SI_TKILL, ""},
		{SIGILL, ILL_ILLOPN, ""},
		{SIGSEGV, 12345, ""},
	};
	struct buf text = {0};

	record.signal = rows[_i].signal;
	record.code = rows[_i].code;
	ck_assert(crash_take(&record, 42, &report));
	ck_assert_int_eq(crash_add_cause(&report, &text), rows[_i].expected[0] != '\0');
	ck_assert_uint_eq(text.length, strlen(rows[_i].expected));
	ck_assert_int_eq(memcmp(text.length > 0 ? text.data : (unsigned char *)"",
				rows[_i].expected, text.length),
			 0);
	buf_free(&text);
}
END_TEST

START_TEST(what_calls_the_handler_is_left_out)
{
	for (uint32_t i = 0; i < 6; i++)
		record.frames[i] = (struct crash_frame){
			.module = i < 3 ? CRASH_MODULE_HANDLER : CRASH_MODULE_PROGRAM,
			.offset = i,
			.name = "m",
		};
	record.frame_count = 6;
	ck_assert(crash_take(&record, 42, &report));
	ck_assert_str_eq(text_of_frames(99), "#0 m+0x0, #1 m+0x1, #2 m+0x2, #3 m+0x3");
}
END_TEST

/* In a process of its own. */

static struct crash_record *shared;

static int __attribute__((noinline)) crash_deeper(int depth)
{
	volatile char room[1024];

	room[0] = (char)depth;
	return depth < 0 ? 0 : crash_deeper(depth + 1) + room[0];
}

static void *
crash_in_thread(void *argument)
{
	static struct scoreboard_slot slot = {.connection_id = 5};

	(void)argument;
	crash_begin_thread(&slot);
	(void)crash_deeper(1);
	crash_end_thread();
	return NULL;
}

static void *
end_at_once(void *argument)
{
	crash_begin_thread(NULL);
	crash_end_thread();
	return argument;
}

static int
run(void (*what)(void), pid_t *ret_pid)
{
	int status;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		/* those of the test framework */
		for (const int *number = crash_signals; *number != 0; number++)
			(void)signal(*number, SIG_DFL);
		what();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(*ret_pid, &status, 0), *ret_pid);
	return status;
}

static void
overflow_in_thread(void)
{
	pthread_t thread;

	crash_open(shared, "", "handler.so");
	/* one that ended leaves nothing */
	(void)pthread_create(&thread, NULL, end_at_once, NULL);
	(void)pthread_join(thread, NULL);
	(void)pthread_create(&thread, NULL, crash_in_thread, NULL);
	(void)pthread_join(thread, NULL);
}

START_TEST(a_stack_that_overflows_is_reported_with_its_connection)
{
	pid_t pid;
	int status = run(overflow_in_thread, &pid);

	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	ck_assert(crash_take(shared, pid, &report));
	ck_assert_int_eq(report.signal, SIGSEGV);
	ck_assert_uint_eq(report.connection_id, 5);
	ck_assert_uint_eq(report.frame_count, CRASH_MOST_FRAMES);
	ck_assert_int_ne(report.frames[3].module, CRASH_MODULE_UNKNOWN);
}
END_TEST

static void
abort_after_fork(void)
{
	crash_open(shared, "", "handler.so");
	if (fork() == 0)
		abort();
	(void)wait(NULL);
}

START_TEST(a_process_that_a_handler_forked_reports_nothing)
{
	pid_t pid;

	ck_assert_int_eq(run(abort_after_fork, &pid), 0);
	ck_assert_int_eq(shared->pid, 0);
}
END_TEST

static void
raise_everything(void)
{
	crash_open(shared, "", "handler.so");
	/* the record cannot be written: the signal is what counts */
	(void)mprotect(shared, 4096, PROT_READ);
	abort();
}

START_TEST(a_crash_while_reporting_keeps_the_first_signal)
{
	pid_t pid;
	int status = run(raise_everything, &pid);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

START_TEST(every_signal_ends_the_process_as_itself)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)signal(crash_signals[_i], SIG_DFL);
		crash_open(&record, "", "handler.so");
		memset(&record, 0, sizeof(record));
		(void)raise(crash_signals[_i]);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), crash_signals[_i]);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("crash");

	tcase_add_checked_fixture(cases, fill_record, NULL);
	tcase_add_test(cases, a_record_is_taken_once_by_who_buries_that_process);
	tcase_add_test(cases, a_signal_that_is_no_crash_is_no_report_and_frees_the_record);
	tcase_add_test(cases, garbage_is_bounded_and_safe_to_print);
	tcase_add_loop_test(cases, the_cause_is_told_where_it_says_more_than_the_signal, 0, 8);
	tcase_add_test(cases, what_calls_the_handler_is_left_out);
	/* a sanitizer ends processes in its own way */
	if (!UNIT_IS_SANITIZED) {
		tcase_add_test(cases, a_stack_that_overflows_is_reported_with_its_connection);
		tcase_add_test(cases, a_process_that_a_handler_forked_reports_nothing);
		tcase_add_test(cases, a_crash_while_reporting_keeps_the_first_signal);
		tcase_add_loop_test(cases, every_signal_ends_the_process_as_itself, 0, 6);
	}
	return unit_run("crash", cases);
}
