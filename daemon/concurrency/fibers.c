/*
 * fibers.c - the control flow's side of concurrency "fibers": making the threads, draining them,
 * and hearing of them.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "concurrency/fiber_sanitizer.h"
#include "concurrency/fiber_thread.h"

/* Whether every thread is at it: has seen the pause, or accepts no more for good. */
static bool
fibers_are_all(const struct fibers *fibers, bool (*is_so)(const struct fiber_thread *thread))
{
	for (uint32_t i = 0; i < fibers->thread_count; i++) {
		if (!is_so(&fibers->threads[i]))
			return false;
	}
	return true;
}

static bool
fibers_is_quiet(const struct fiber_thread *thread)
{
	return atomic_load(&thread->is_quiet);
}

static bool
fibers_is_held(const struct fiber_thread *thread)
{
	return atomic_load(&thread->is_held) || atomic_load(&thread->is_quiet);
}

static bool
fibers_is_idle(const struct fiber_thread *thread)
{
	return atomic_load(&thread->active) == 0 && !atomic_load(&thread->has_more);
}

static void
fibers_on_notice(struct loop_source *source, uint32_t events)
{
	struct concurrency *mode = CONTAINER_OF(source, struct concurrency, notice);
	struct fibers *fibers = mode->state;
	bool is_quiet;

	(void)events;
	fd_clear_event(source->fd);
	is_quiet = fibers_are_all(fibers, fibers_is_quiet) && !atomic_load(&fibers->is_receiving);
	if (atomic_load(&mode->is_broken) && !is_quiet)
		mode->on_broken(mode);
	concurrency_look_at_rest(mode);
	fiber_watch_look(fibers);
	if (is_quiet)
		concurrency_report_quiet(mode);
	if (is_quiet && atomic_load(&fibers->running) == 0)
		concurrency_report_empty(mode);
}

static void
fibers_on_new_session(void *argument)
{
	struct fibers *fibers = argument;
	uint32_t turn = atomic_fetch_add(&fibers->next_turn, 1);
	struct fiber_thread *best = NULL;

	/* one that runs nothing, or with the fewest to run; those that are alike take turns */
	for (uint32_t i = 0; i < fibers->thread_count; i++) {
		struct fiber_thread *thread = &fibers->threads[(turn + i) % fibers->thread_count];
		bool is_free = atomic_load(&thread->current) == NULL;

		if (best == NULL || (is_free && atomic_load(&best->current) != NULL) ||
		    (is_free == (atomic_load(&best->current) == NULL) &&
		     atomic_load(&thread->active) < atomic_load(&best->active)))
			best = thread;
	}
	fiber_thread_call(best);
}

static void
fibers_on_receiver_over(void *argument)
{
	struct fibers *fibers = argument;

	atomic_store(&fibers->is_receiving, false);
	for (uint32_t i = 0; i < fibers->thread_count; i++)
		fiber_thread_call(&fibers->threads[i]);
	fd_raise_event(fibers->mode->notice_fd);
}

/* Of the thread that runs it, if it does: then that is where the handler hangs. */
static void
fibers_abort(struct hd_request *req)
{
	const struct fiber *fiber = req->watch.flow;

	if (atomic_load(&fiber->thread->current) == fiber)
		(void)pthread_kill(req->thread, SIGABRT);
	else
		(void)raise(SIGABRT);
}

static int
fibers_make_slots(struct fibers *fibers)
{
	fibers->free_slots = calloc(fibers->limit, sizeof(*fibers->free_slots));
	if (fibers->free_slots == NULL)
		return -ENOMEM;
	/* the lowest comes first: few pages of the scoreboard are ever touched */
	for (uint32_t i = 0; i < fibers->limit; i++)
		fibers->free_slots[i] = fibers->limit - 1 - i;
	fibers->free_slot_count = fibers->limit;
	return 0;
}

static int
fibers_start_threads(struct fibers *fibers)
{
	for (uint32_t i = 0; i < fibers->thread_count; i++) {
		int r;

		fibers->threads[i].fibers = fibers;
		r = fiber_thread_start(&fibers->threads[i]);
		if (r < 0)
			return r;
		(void)atomic_fetch_add(&fibers->running, 1);
	}
	return 0;
}

static int
fibers_prepare(struct concurrency *mode)
{
	struct fibers *fibers;
	int r;

	if (fiber_context_has_shadow_stack()) {
		log_error("'%s': fibers cannot run where the processor keeps a shadow stack; set "
			  "environment = { GLIBC_TUNABLES = \"glibc.cpu.x86_shstk=off\"; }, or use "
			  "concurrency = \"threading\"",
			  mode->server->name);
		return -EOPNOTSUPP;
	}
	fibers = calloc(1, sizeof(*fibers));
	if (fibers == NULL)
		return -ENOMEM;
	mode->state = fibers;
	fibers->mode = mode;
	fibers->limit = mode->is_once ? 1 : mode->limit;
	fibers->thread_count = mode->is_once ? 1 : mode->fiber_threads;
	fibers->stack_size = mode->stack_size * FIBER_STACK_FACTOR;
	fibers->timeouts.abort = fibers_abort;
	(void)pthread_mutex_init(&fibers->lock, NULL);
	offload_init(&fibers->offload);
	fibers->threads = calloc(fibers->thread_count, sizeof(*fibers->threads));
	r = fibers->threads == NULL ? -ENOMEM : fibers_make_slots(fibers);
	if (r >= 0)
		r = server_remember_requests(mode->server, fibers->limit);
	mode->notice = (struct loop_source){.fd = mode->notice_fd, .on_event = fibers_on_notice};
	if (r >= 0)
		r = loop_add(mode->loop, &mode->notice, EPOLLIN);
	if (r >= 0 && mode->session_timeout_ns > 0) {
		atomic_store(&fibers->is_receiving, true);
		r = sessions_open(mode, fibers_on_new_session, fibers_on_receiver_over, fibers,
				  &fibers->sessions);
	}
	if (r >= 0)
		r = fiber_watch_start(fibers);
	if (r >= 0)
		r = fibers_start_threads(fibers);
	if (r >= 0)
		r = requests_timeouts_start(&fibers->timeouts, mode);
	return r;
}

static void
fibers_drain(struct concurrency *mode)
{
	fd_raise_event(mode->drain_fd);
	fd_raise_event(mode->notice_fd);
}

static enum concurrency_rest
fibers_rest(struct concurrency *mode)
{
	struct fibers *fibers = mode->state;
	enum concurrency_rest other;

	if (!fibers_are_all(fibers, fibers_is_held))
		return CONCURRENCY_ACCEPTS;
	other = fibers->sessions != NULL ? sessions_rest(fibers->sessions) : CONCURRENCY_RESTS;
	return other == CONCURRENCY_RESTS && !fibers_are_all(fibers, fibers_is_idle)
		       ? CONCURRENCY_HOLDS
		       : other;
}

static void
fibers_service(struct concurrency *mode)
{
	struct fibers *fibers = mode->state;

	if ((mode->server->handler.descriptor.flags & HD_THREADS) != 0) {
		concurrency_service(mode);
		return;
	}
	/* only the thread that runs its fibers may call it */
	atomic_store(&fibers->is_service_due, true);
	fiber_thread_call(&fibers->threads[0]);
}

const struct concurrency_ops concurrency_fibers = {
	.waiter = &waiter_fibers,
	.prepare = fibers_prepare,
	.drain = fibers_drain,
	.rest = fibers_rest,
	.service = fibers_service,
};
