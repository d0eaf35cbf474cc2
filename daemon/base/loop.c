/*
 * loop.c - epoll and a sorted list of timers; a process here has a handful of timers at a time.
 */
#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOP_BATCH 32

int
loop_init(struct loop *loop)
{
	*loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	return loop->epoll_fd < 0 ? -errno : 0;
}

void
loop_close(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

int
loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return -errno;
	source->is_added = true;
	return 0;
}

void
loop_remove(struct loop *loop, struct loop_source *source)
{
	if (!source->is_added)
		return;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->is_added = false;
	for (int i = 0; i < loop->pending_count; i++) {
		if (loop->pending[i] == source)
			loop->pending[i] = NULL;
	}
}

void
loop_disarm(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->is_armed)
		return;
	for (struct loop_timer **slot = &loop->timers; *slot != NULL; slot = &(*slot)->next) {
		if (*slot == timer) {
			*slot = timer->next;
			break;
		}
	}
	timer->is_armed = false;
}

void
loop_arm(struct loop *loop, struct loop_timer *timer, int64_t when_ns)
{
	struct loop_timer **slot = &loop->timers;

	loop_disarm(loop, timer);
	timer->when_ns = when_ns;
	while (*slot != NULL && (*slot)->when_ns <= when_ns)
		slot = &(*slot)->next;
	timer->next = *slot;
	*slot = timer;
	timer->is_armed = true;
}

static void
loop_run_timers(struct loop *loop)
{
	int64_t now_ns = clock_now_ns();

	while (loop->timers != NULL && loop->timers->when_ns <= now_ns) {
		struct loop_timer *timer = loop->timers;

		loop_disarm(loop, timer);
		timer->on_timer(timer);
	}
}

int
loop_turn(struct loop *loop)
{
	struct epoll_event events[LOOP_BATCH];
	struct loop_source *pending[LOOP_BATCH];
	int timeout_ms = loop->timers != NULL ? clock_ms_until(loop->timers->when_ns) : -1;
	int n = epoll_wait(loop->epoll_fd, events, LOOP_BATCH, timeout_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++)
		pending[i] = events[i].data.ptr;
	loop->pending = pending;
	loop->pending_count = n < 0 ? 0 : n;
	for (int i = 0; i < n; i++) {
		struct loop_source *source = pending[i];

		if (source != NULL)
			source->on_event(source, events[i].events);
	}
	loop->pending = NULL;
	loop->pending_count = 0;
	loop_run_timers(loop);
	return 0;
}

int
loop_run(struct loop *loop)
{
	int r = 0;

	while (!loop->is_stopped && r == 0)
		r = loop_turn(loop);
	return r;
}

void
loop_stop(struct loop *loop)
{
	loop->is_stopped = true;
}
