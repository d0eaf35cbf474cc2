/*
 * test_pause_forking.c - a forked child that accepts at the very moment of a pause.
 */
#include "mode_cases.h"

#include <sys/syscall.h>

#include "concurrency/forked.h"

/* eventfds: a child has accepted, may go on, and nobody accepts any more. */
static int accepted_fd, go_on_fd, held_fd;
static struct loop_source accepted;
static struct loop_timer look;

/* In place of the C library's: whoever accepts stays there until it may go on. */
int
accept4(int fd, struct sockaddr *addr, socklen_t *restrict length, int flags)
{
	int client = (int)syscall(SYS_accept4, fd, addr, length, flags);
	uint64_t count;

	if (client >= 0) {
		fd_raise_event(accepted_fd);
		ck_assert_int_eq(read(go_on_fd, &count, sizeof(count)), sizeof(count));
	}
	return client;
}

static uint32_t
count_held(void)
{
	uint32_t count = 0;

	for (int i = 0; i < LIMIT; i++)
		count += atomic_load(&board->slots[i].state) == FORKED_HELD;
	return count;
}

/* Goes on when the parent has heard of all others. */
static void
on_look(struct loop_timer *timer)
{
	struct pollfd row = {.fd = mode.notice_fd, .events = POLLIN};

	if (count_held() == mode.spare_children - 1 && poll(&row, 1, 0) == 0)
		fd_raise_event(go_on_fd);
	else
		loop_arm(&loop, timer, clock_now_ns() + CLOCK_NS_PER_MS);
}

static void
on_accepted(struct loop_source *source, uint32_t events)
{
	(void)events;
	loop_remove(&loop, source);
	concurrency_pause(&mode);
	loop_arm(&loop, &look, 0);
}

static void
on_held(struct concurrency *which)
{
	ck_assert_ptr_eq(which, &mode);
	fd_raise_event(held_fd);
}

static int
stay_while_paused(void)
{
	struct pollfd row = {.fd = held_fd, .events = POLLIN};
	int fd = dial();

	return fd >= 0 && says(fd, "hello") && poll(&row, 1, 5000) == 1 ? 0 : 1;
}

START_TEST(pause_is_complete_though_one_has_just_accepted)
{
	prepare();
	accepted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	go_on_fd = eventfd(0, EFD_CLOEXEC);
	held_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mode.on_held = on_held;
	look.on_timer = on_look;
	accepted = (struct loop_source){.fd = accepted_fd, .on_event = on_accepted};
	ck_assert_int_eq(loop_add(&loop, &accepted, EPOLLIN), 0);
	serve(&concurrency_forking, stay_while_paused, drain);
	ck_assert_int_eq(clients_status, 0);
	check_totals(1, 0);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("pause_forking");

	tcase_set_timeout(cases, 20);
	tcase_add_test(cases, pause_is_complete_though_one_has_just_accepted);
	return unit_run("pause_forking", cases);
}
