/*
 * test_pause.c - flows of every mode that are told to pause, to retire, and to accept again, while
 * a client looks on.
 */
#include "mode_cases.h"

#include "concurrency/acceptor.h"

/* The client process and the control flow take turns. */
static int turn_fds[2];
static struct loop_source turns;
static void (*const *next_turn)(void);
static int idles, helds;
static struct loop_timer idle_look;

/* In the client: lets the control flow act, and waits until it has. */
static bool
yield(void)
{
	char byte = 'x';

	return send(turn_fds[1], &byte, 1, MSG_NOSIGNAL) == 1 &&
	       recv(turn_fds[1], &byte, 1, 0) == 1;
}

static void
end_turn(void)
{
	char byte = 'x';

	ck_assert_int_eq(send(turn_fds[0], &byte, 1, MSG_NOSIGNAL), 1);
}

static void
on_turn(struct loop_source *source, uint32_t events)
{
	char byte;

	(void)events;
	if (recv(source->fd, &byte, 1, 0) != 1) {
		loop_remove(&loop, source);
		return;
	}
	ck_assert_ptr_nonnull(*next_turn);
	(*next_turn++)();
}

static void
on_idle(struct concurrency *which)
{
	ck_assert_ptr_eq(which, &mode);
	idles++;
}

static void
on_held(struct concurrency *which)
{
	ck_assert_ptr_eq(which, &mode);
	helds++;
}

static void
prepare_turns(int type)
{
	prepare_on(type, INADDR_LOOPBACK);
	mode.on_idle = on_idle;
	mode.on_held = on_held;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, turn_fds), 0);
	turns = (struct loop_source){.fd = turn_fds[0], .on_event = on_turn};
	ck_assert_int_eq(loop_add(&loop, &turns, EPOLLIN), 0);
}

static void
pause_flows(void)
{
	concurrency_pause(&mode);
	end_turn();
}

static void
on_held_end_turn(struct concurrency *which)
{
	on_held(which);
	end_turn();
}

/* Goes on when no flow accepts any more, whatever is served. */
static void
pause_until_held(void)
{
	mode.on_held = on_held_end_turn;
	concurrency_pause(&mode);
}

static void
resume_flows(void)
{
	concurrency_accept(&mode);
	end_turn();
}

/* Before any flow can have seen the pause. */
static void
pause_and_resume(void)
{
	concurrency_pause(&mode);
	concurrency_accept(&mode);
	end_turn();
}

/* Goes on when all flows have seen it: nothing else looks at rest for a mode that does not retire.
 */
static void
on_idle_look(struct loop_timer *timer)
{
	if (mode.ops->rest(&mode) == CONCURRENCY_RESTS)
		end_turn();
	else
		loop_arm(&loop, timer, clock_now_ns() + CLOCK_NS_PER_MS);
}

static void
pause_until_at_rest(void)
{
	concurrency_pause(&mode);
	idle_look.on_timer = on_idle_look;
	loop_arm(&loop, &idle_look, 0);
}

static void
on_idle_end_turn(struct concurrency *which)
{
	on_idle(which);
	end_turn();
}

static void
retire(void)
{
	mode.on_idle = on_idle_end_turn;
	concurrency_retire(&mode);
}

static void
retire_and_go_on(void)
{
	concurrency_retire(&mode);
	end_turn();
}

static void
drain_now(void)
{
	drain();
	end_turn();
}

static int64_t paused_cpu_ns;

static int64_t
cpu_ns(void)
{
	struct timespec cpu;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	return cpu.tv_sec * CLOCK_NS_PER_S + cpu.tv_nsec;
}

static void
pause_and_measure(void)
{
	paused_cpu_ns = cpu_ns();
	pause_until_held();
}

static void
check_cpu_and_resume(void)
{
	ck_assert_int_lt(cpu_ns() - paused_cpu_ns, 50 * CLOCK_NS_PER_MS);
	resume_flows();
}

static void
serve_turns(const struct concurrency_ops *ops, void (*const *steps)(void), int (*run_clients)(void),
	    void (*done)(void))
{
	next_turn = steps;
	serve(ops, run_clients, done);
	ck_assert_int_eq(clients_status, 0);
}

static bool
is_silent(int fd)
{
	struct pollfd row = {.fd = fd, .events = POLLIN};

	return poll(&row, 1, 200) == 0;
}

static bool
asks(int fd)
{
	return send(fd, "late", 4, MSG_NOSIGNAL) == 4;
}

static bool
hears_late(int fd)
{
	char back[4];

	return recv(fd, back, 4, MSG_WAITALL) == 4 && memcmp(back, "late", 4) == 0;
}

static int
go_through_a_pause(void)
{
	int before = dial(), late[3];

	if (!says(before, "hello") || !yield())
		return 1;
	for (int i = 0; i < 3; i++) {
		late[i] = dial();
		if (late[i] < 0 || !asks(late[i]))
			return 2;
	}
	/* what is served goes on, the others wait */
	if (!says(before, "again") || !is_silent(late[0]) || !yield())
		return 3;
	(void)close(before);
	for (int i = 0; i < 3; i++) {
		if (!hears_late(late[i]))
			return 5;
		(void)close(late[i]);
	}
	return 0;
}

START_TEST(clients_wait_while_paused_and_are_served_after)
{
	static void (*const steps[])(void) = {pause_and_measure, check_cpu_and_resume, NULL};
	struct rusage usage;

	prepare_turns(SOCK_STREAM);
	serve_turns(modes[_i], steps, go_through_a_pause, drain);
	check_totals(4, 0);
	ck_assert_int_eq(helds, 1);
	/* of the children, the client process among them */
	ck_assert_int_eq(getrusage(RUSAGE_CHILDREN, &usage), 0);
	ck_assert_int_eq(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec, 0);
	ck_assert_int_lt(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec, 150 * 1000);
}
END_TEST

static int
come_between(void)
{
	for (int i = 0; i < 200; i++) {
		int fd = dial();

		/* woken for it, or not, it must be served after the last resume */
		if (!yield() || !says(fd, "hello"))
			return 1;
		(void)close(fd);
	}
	return 0;
}

START_TEST(no_wake_up_is_lost_between_pause_and_resume)
{
	static void (*steps[201])(void);

	for (int i = 0; i < 200; i++)
		steps[i] = pause_and_resume;
	prepare_turns(SOCK_STREAM);
	serve_turns(modes[_i], steps, come_between, drain);
	check_totals(200, 0);
}
END_TEST

static int
come_while_all_pause(void)
{
	for (int i = 0; i < 20; i++) {
		int fd;

		if (!yield())
			return 1;
		fd = dial();
		if (!yield() || !says(fd, "hello"))
			return 2;
		(void)close(fd);
	}
	return 0;
}

START_TEST(connection_that_came_while_all_paused_is_served_at_resume)
{
	static void (*steps[41])(void);

	for (int i = 0; i < 40; i += 2) {
		steps[i] = pause_until_at_rest;
		steps[i + 1] = resume_flows;
	}
	prepare_turns(SOCK_STREAM);
	serve_turns(modes[_i], steps, come_while_all_pause, drain);
	check_totals(20, 0);
}
END_TEST

static int
come_and_be_left(void)
{
	int late;

	if (!yield())
		return 1;
	late = dial();
	return asks(late) && yield() ? 0 : 2;
}

START_TEST(draining_while_paused_takes_nothing)
{
	static void (*const steps[])(void) = {pause_flows, drain_now, NULL};

	prepare_turns(SOCK_STREAM);
	serve_turns(modes[_i], steps, come_and_be_left, do_nothing);
	check_totals(0, 0);
	/* it waits for another worker */
	ck_assert_int_ge(accept4(listener, NULL, NULL, SOCK_CLOEXEC), 0);
}
END_TEST

static int
come_once(void)
{
	int fd = dial();

	return says(fd, "hello") ? 0 : 1;
}

START_TEST(pause_before_the_first_accept_changes_nothing)
{
	prepare_turns(SOCK_STREAM);
	concurrency_pause(&mode);
	serve_turns(modes[_i], (void (*const[])(void)){NULL}, come_once, drain);
	check_totals(1, 0);
}
END_TEST

START_TEST(worker_that_was_never_told_to_accept_is_idle)
{
	prepare_turns(SOCK_STREAM);
	concurrency_retire(&mode);
	ck_assert_int_eq(idles, 1);
}
END_TEST

static int
see_it_retire(void)
{
	int late;

	if (!yield())
		return 1;
	late = dial();
	if (!asks(late) || !is_silent(late) || !yield())
		return 2;
	return hears_late(late) ? 0 : 3;
}

START_TEST(worker_with_nothing_to_serve_says_idle_and_accepts_nothing)
{
	static void (*const steps[])(void) = {retire, resume_flows, NULL};

	prepare_turns(SOCK_STREAM);
	serve_turns(modes[_i], steps, see_it_retire, drain);
	ck_assert_int_eq(idles, 1);
	check_totals(1, 0);
}
END_TEST

static int
be_served_while_it_retires(void)
{
	int fd = dial(), other;

	if (!says(fd, "hello") || !yield())
		return 1;
	/* it was not idle: others are accepted again by itself */
	other = dial();
	return says(other, "hello") && says(fd, "again") ? 0 : 2;
}

START_TEST(worker_that_serves_does_not_retire)
{
	static void (*const steps[])(void) = {retire_and_go_on, NULL};

	/* serial has no flow for the other one */
	if (modes[_i] == &concurrency_serial)
		return;
	prepare_turns(SOCK_STREAM);
	serve_turns(modes[_i], steps, be_served_while_it_retires, drain);
	ck_assert_int_eq(idles, 0);
	check_totals(2, 0);
}
END_TEST

static int
send_while_paused(void)
{
	int fd = call("127.0.0.1");

	if (!ask(fd, "one") || !hears(fd, "one") || !yield())
		return 1;
	if (!ask(fd, "two") || !is_silent(fd) || !yield() || !hears(fd, "two"))
		return 2;
	return 0;
}

START_TEST(datagram_waits_while_paused_and_is_served_after)
{
	static void (*const steps[])(void) = {pause_until_at_rest, resume_flows, NULL};

	prepare_turns(SOCK_DGRAM);
	serve_turns(modes[_i], steps, send_while_paused, drain);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).accepted, 2);
}
END_TEST

START_TEST(retired_worker_leaves_the_next_datagram)
{
	static void (*const steps[])(void) = {retire, resume_flows, NULL};

	prepare_turns(SOCK_DGRAM);
	serve_turns(modes[_i], steps, send_while_paused, drain);
	ck_assert_int_eq(idles, 1);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).accepted, 2);
}
END_TEST

/* Its session is open all the time, so it is never at rest. */
static int
talk_while_paused(void)
{
	int fd = call("127.0.0.1");

	if (!ask(fd, "one") || !hears(fd, "one") || !yield())
		return 1;
	if (!ask(fd, "two") || !is_silent(fd) || !yield() || !hears(fd, "two"))
		return 2;
	return 0;
}

START_TEST(sessions_receive_nothing_while_paused)
{
	static void (*const steps[])(void) = {pause_until_held, resume_flows, NULL};

	prepare_turns(SOCK_DGRAM);
	mode.session_timeout_ns = 10 * CLOCK_NS_PER_S;
	serve_turns(&concurrency_threading, steps, talk_while_paused, drain);
	ck_assert_uint_eq(scoreboard_sum(board, LIMIT).accepted, 1);
}
END_TEST

static int
talk_after_retiring(void)
{
	int fd = call("127.0.0.1");

	if (!yield())
		return 1;
	if (!ask(fd, "one") || !is_silent(fd) || !yield() || !hears(fd, "one"))
		return 2;
	return 0;
}

START_TEST(worker_without_sessions_retires)
{
	static void (*const steps[])(void) = {retire, resume_flows, NULL};

	prepare_turns(SOCK_DGRAM);
	mode.session_timeout_ns = 10 * CLOCK_NS_PER_S;
	serve_turns(&concurrency_threading, steps, talk_after_retiring, drain);
	ck_assert_int_eq(idles, 1);
}
END_TEST

static void *
be_woken(void *argument)
{
	ck_assert_int_eq(acceptor_wait(argument, -1), 1);
	return NULL;
}

/* Until the only other thread waits in the kernel. */
static void
await_sleep(void)
{
	char path[64], state = 'R';
	struct dirent *entry;
	DIR *tasks;

	while (state != 'S') {
		tasks = opendir("/proc/self/task");
		ck_assert_ptr_nonnull(tasks);
		while ((entry = readdir(tasks)) != NULL) {
			FILE *file;

			if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
				continue;
			(void)snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat",
				       entry->d_name);
			file = fopen(path, "re");
			if (file != NULL && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
				state = 'R';
			if (file != NULL)
				(void)fclose(file);
		}
		(void)closedir(tasks);
	}
}

/* One generation is woken for a connection and then told to leave it; the wake-up was its alone. */
START_TEST(worker_finds_what_an_older_one_was_woken_for_and_left)
{
	struct acceptor older, younger;
	struct sockaddr_storage client;
	struct concurrency next = mode;
	socklen_t length;
	pthread_t thread;
	int fd;

	prepare_turns(SOCK_STREAM);
	next = mode;
	ck_assert_int_eq(concurrency_init(&next), 0);
	ck_assert_int_eq(acceptor_open(&older, &mode), 0);
	ck_assert_int_eq(acceptor_open(&younger, &next), 0);
	older.is_unsure = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, be_woken, &older), 0);
	await_sleep();
	fd = dial();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(acceptor_wait(&younger, 0), 1);
	ck_assert_int_ge(acceptor_take(&younger, &client, &length), 0);
	ck_assert_int_eq(acceptor_take(&younger, &client, &length), -EAGAIN);
	ck_assert_int_eq(acceptor_wait(&younger, 0), 0);
	(void)close(fd);
}
END_TEST

/* What is left of it then shows in no epoll of the younger one. */
START_TEST(worker_that_cannot_accept_it_yet_still_finds_it)
{
	struct rlimit files, none;
	struct acceptor older, younger;
	struct sockaddr_storage client;
	struct concurrency next;
	socklen_t length;
	pthread_t thread;
	int fd;

	prepare_turns(SOCK_STREAM);
	next = mode;
	ck_assert_int_eq(concurrency_init(&next), 0);
	ck_assert_int_eq(acceptor_open(&older, &mode), 0);
	ck_assert_int_eq(acceptor_open(&younger, &next), 0);
	older.is_unsure = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, be_woken, &older), 0);
	await_sleep();
	fd = dial();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = files.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(acceptor_take(&younger, &client, &length), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	ck_assert_int_eq(acceptor_wait(&younger, 0), 1);
	ck_assert_int_ge(acceptor_take(&younger, &client, &length), 0);
	(void)close(fd);
}
END_TEST

START_TEST(draining_is_seen_by_who_is_unsure)
{
	struct acceptor acceptor;

	prepare_turns(SOCK_STREAM);
	ck_assert_int_eq(acceptor_open(&acceptor, &mode), 0);
	ck_assert_int_eq(acceptor_wait(&acceptor, -1), 1);
	fd_raise_event(mode.drain_fd);
	ck_assert_int_eq(acceptor_wait(&acceptor, -1), -ECANCELED);
	acceptor_close(&acceptor);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("pause");

	tcase_set_timeout(cases, 20);
	tcase_add_loop_test(cases, clients_wait_while_paused_and_are_served_after, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, no_wake_up_is_lost_between_pause_and_resume, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, connection_that_came_while_all_paused_is_served_at_resume, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, draining_while_paused_takes_nothing, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, pause_before_the_first_accept_changes_nothing, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, worker_with_nothing_to_serve_says_idle_and_accepts_nothing, 0,
			    UNIT_COUNT(modes));
	tcase_add_test(cases, worker_that_was_never_told_to_accept_is_idle);
	tcase_add_loop_test(cases, worker_that_serves_does_not_retire, 0, UNIT_COUNT(modes));
	tcase_add_loop_test(cases, datagram_waits_while_paused_and_is_served_after, 0,
			    UNIT_COUNT(modes));
	tcase_add_loop_test(cases, retired_worker_leaves_the_next_datagram, 0, UNIT_COUNT(modes));
	tcase_add_test(cases, sessions_receive_nothing_while_paused);
	tcase_add_test(cases, worker_without_sessions_retires);
	tcase_add_test(cases, worker_finds_what_an_older_one_was_woken_for_and_left);
	tcase_add_test(cases, worker_that_cannot_accept_it_yet_still_finds_it);
	tcase_add_test(cases, draining_is_seen_by_who_is_unsure);
	return unit_run("pause", cases);
}
