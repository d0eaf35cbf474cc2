/*
 * test_torture.c - each allocation fails in turn, while a mode is made ready and while it serves:
 * nothing crashes, a mode that cannot be had says so, and no client is lost.
 */
#include "mode_cases.h"

#if !UNIT_IS_SANITIZED
/* Shared with forked children. */
static struct torture {
	_Atomic bool is_on;
	_Atomic long passed; /* allocations since it is on */
	long first, count;   /* which of them fail, and how many from there on */
	_Atomic bool has_failed;
} * torture;

static bool
fails(void)
{
	long number;

	if (torture == NULL || !torture->is_on)
		return false;
	number = atomic_fetch_add(&torture->passed, 1) + 1;
	if (number < torture->first || number >= torture->first + torture->count)
		return false;
	torture->has_failed = true;
	return true;
}

static void
begin_torture(long first, long count)
{
	torture->first = first;
	torture->count = count;
	torture->is_on = true;
}

/* The whole process uses these in place of the C library's, which do the work. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);

void *
malloc(size_t size)
{
	return fails() ? (errno = ENOMEM, NULL) : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return fails() ? (errno = ENOMEM, NULL) : __libc_calloc(count, size);
}

void *
realloc(void *p, size_t size)
{
	return fails() ? (errno = ENOMEM, NULL) : __libc_realloc(p, size);
}

/* What a process of its own finds. */
enum finding {
	FINDING_NONE = 40, /* there is no such allocation any more */
	FINDING_REFUSED,   /* the mode could not be had, and said so */
	FINDING_SERVED,
};

static int
end_of(pid_t pid)
{
	int status = 0;

	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "it died of signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

/* One after the other, then several at once: more flows than there are at the start. A serial
 * worker has one. */
static int
meet_clients(void)
{
	int fds[6], most = mode.ops == &concurrency_serial ? 1 : 6;

	for (int i = 0; i < 3; i++) {
		int fd = dial();

		if (fd < 0 || !says(fd, "one"))
			return 1;
		(void)close(fd);
	}
	for (int i = 0; i < most; i++)
		fds[i] = dial();
	for (int i = 0; i < most; i++) {
		if (fds[i] < 0 || !says(fds[i], "many"))
			return 2;
	}
	return 0;
}

static void
prepare_torture(int i)
{
	prepare();
	torture = mmap(NULL, sizeof(*torture), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	ck_assert_ptr_ne(torture, MAP_FAILED);
	mode.ops = modes[i];
	server.waiter = mode.ops->waiter;
}

static void
try_to_prepare(int i, long number)
{
	int r;

	prepare_torture(i);
	begin_torture(number, 1);
	r = mode.ops->prepare(&mode);
	torture->is_on = false;
	if (!torture->has_failed)
		_exit(FINDING_NONE);
	if (r < 0)
		_exit(r == -ENOMEM || r == -EAGAIN ? FINDING_REFUSED : 1);
	/* what failed was nothing that it needs */
	concurrency_stop(&mode);
	_exit(FINDING_SERVED);
}

START_TEST(a_mode_that_gets_no_memory_is_refused)
{
	int finding = FINDING_SERVED, refused = 0;

	for (long number = 1; finding != FINDING_NONE && number < 1000; number++) {
		pid_t pid = fork();

		if (pid == 0)
			try_to_prepare(_i, number);
		finding = end_of(pid);
		refused += finding == FINDING_REFUSED;
		ck_assert_msg(finding >= FINDING_NONE, "allocation %ld: %d", number, finding);
	}
	ck_assert_int_eq(finding, FINDING_NONE);
	/* children of a forking worker share what was there before */
	ck_assert(refused > 0 || modes[_i] == &concurrency_forking);
}
END_TEST

/* Check allocates whenever it looks at something: here it does not. */
static void
on_torture_over(struct loop_source *source, uint32_t events)
{
	siginfo_t info = {0};

	(void)events;
	torture->is_on = false;
	(void)waitid(P_PIDFD, (id_t)source->fd, &info, WEXITED);
	clients_status = info.si_status;
	loop_remove(&loop, source);
	drain();
}

static void
try_to_serve(int i, long number)
{
	uint64_t value;
	int begin_fd;
	pid_t pid;

	prepare_torture(i);
	mode.min_threads = mode.spare_children = 1;
	ck_assert_int_eq(mode.ops->prepare(&mode), 0);
	begin_fd = eventfd(0, EFD_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		torture = NULL;
		_exit(read(begin_fd, &value, sizeof(value)) == sizeof(value) ? meet_clients() : 3);
	}
	ck_assert_int_ge(pid, 0);
	clients = (struct loop_source){.fd = pidfd_open(pid, 0), .on_event = on_torture_over};
	ck_assert_int_eq(loop_add(&loop, &clients, EPOLLIN), 0);
	begin_torture(number, 3);
	concurrency_accept(&mode);
	fd_raise_event(begin_fd);
	if (loop_run(&loop) < 0)
		_exit(4);
	_exit(clients_status != 0   ? clients_status
	      : torture->has_failed ? FINDING_SERVED
				    : FINDING_NONE);
}

START_TEST(no_client_is_lost_for_want_of_memory)
{
	int finding = FINDING_SERVED;

	for (long number = 1; finding != FINDING_NONE && number < 200; number++) {
		pid_t pid = fork();

		if (pid == 0)
			try_to_serve(_i, number);
		finding = end_of(pid);
		ck_assert_msg(finding >= FINDING_NONE, "allocation %ld: %d", number, finding);
	}
	ck_assert_int_eq(finding, FINDING_NONE);
}
END_TEST
#endif

int
main(void)
{
	TCase *cases = tcase_create("torture");

	tcase_set_timeout(cases, 60);
#if !UNIT_IS_SANITIZED
	tcase_add_loop_test(cases, a_mode_that_gets_no_memory_is_refused, 0, COUNT_OF(modes));
	tcase_add_loop_test(cases, no_client_is_lost_for_want_of_memory, 0, COUNT_OF(modes));
#endif
	return unit_run("torture", cases);
}
