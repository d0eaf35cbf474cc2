/*
 * forking.c - a process for each connection.
 *
 * The worker stays single-threaded and forks; spare children wait in accept themselves, so that no
 * client waits for a fork. A child tells the parent when it is no longer spare, and the parent
 * forks the next. Parent and children share the scoreboard: each child has a slot with its state.
 *
 *	WAITING --accept--> BUSY --session over, more to serve--> WAITING
 *	   |                  |
 *	   +----- LEAVING ----+    draining, or served its share, or too many wait
 */
#include <alloca.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "concurrency/acceptor.h"
#include "concurrency/concurrency.h"
#include "concurrency/forked.h"
#include "concurrency/forking.h"

/* While enough children wait, the dead are reaped in batches: each for itself would wake the parent
 * between a client and the child that is to serve it. */
#define FORKING_BATCH_NS (5 * CLOCK_NS_PER_MS)

/* As long as datagrams are taken, those who take them are enough, however few wait. */
#define FORKING_RUN_NS CLOCK_NS_PER_MS

static int
forking_spawn(struct forking *forking)
{
	struct concurrency *mode = forking->mode;
	int deaths_fd = forking->deaths.fd;
	uint32_t slot = 0;
	pid_t pid;

	while (slot < mode->limit && forking->pids[slot] != 0)
		slot++;
	if (slot == mode->limit)
		return -EAGAIN;
	scoreboard_use_slot(mode->board, slot);
	atomic_store(&mode->board->slots[slot].state, FORKED_WAITING);
	(void)atomic_fetch_add(&mode->board->waiting_children, 1);
	pid = fork();
	if (pid < 0) {
		atomic_store(&mode->board->slots[slot].state, FORKED_FREE);
		(void)atomic_fetch_sub(&mode->board->waiting_children, 1);
		return -errno;
	}
	if (pid == 0) {
		(void)close(deaths_fd);
		forked_run(slot);
	}
	forking->pids[slot] = pid;
	forking->child_count++;
	return 0;
}

/* Whether children go on taking datagrams, though all may be busy with one; if so, it is looked at
 * again when that may be over. */
static bool
forking_is_in_run(struct forking *forking)
{
	struct concurrency *mode = forking->mode;
	int64_t until_ns = atomic_load(&mode->board->last_datagram_ns) + FORKING_RUN_NS;

	if (!mode->takes_in_runs || until_ns <= clock_now_ns())
		return false;
	loop_arm(mode->loop, &forking->run, until_ns);
	return true;
}

/* Forks until so many children wait. */
static __attribute__((noinline)) void
forking_spawn_missing(struct forking *forking, uint32_t waiting)
{
	struct concurrency *mode = forking->mode;

	while (waiting < mode->spare_children && forking->child_count < mode->limit) {
		uint64_t suppressed = 0;
		int r = forking_spawn(forking);

		if (r == 0) {
			waiting++;
			continue;
		}
		if (log_limit(&mode->server->limiters->spawns, 1, &suppressed))
			log_event(LOG_EVENT_SHORTAGE, mode->server->name,
				  "'%s' cannot fork: %s; %" PRIu32 " children serve, trying again "
				  "every 100 ms (%" PRIu64 " attempts failed before)",
				  mode->server->name, strerror(-r), forking->child_count,
				  suppressed);
		loop_arm(mode->loop, &forking->retry, clock_now_ns() + FORKING_RETRY_NS);
		return;
	}
}

/* Forks until enough children wait; not for each that is missing, but when few are left: so most
 * clients find the machine free of forks. */
static void
forking_fill(struct forking *forking)
{
	struct concurrency *mode = forking->mode;
	uintptr_t here = (uintptr_t)alloca(1);
	const void *rest_of_page;
	uint32_t waiting;

	if (forking->is_draining || forking->is_once_over || forking->retry.is_armed)
		return;
	waiting = atomic_load(&mode->board->waiting_children);
	if (waiting > forked_few(mode) || forking_is_in_run(forking))
		return;
	/* The frames of who forks, and of the child from there on, begin a page of the stack: what
	 * they write there is copied once. */
	rest_of_page = alloca(here % forking->page_size);
	__asm__ volatile("" : : "r"(rest_of_page));
	forking_spawn_missing(forking, waiting);
}

/* Children that cannot serve may have got the listening sockets as they are here. */
static void
forking_resolve_doubt(struct forking *forking)
{
	bool is_in_doubt = forking->is_in_doubt && !forking->is_draining;

	forking->is_in_doubt = false;
	if (is_in_doubt && acceptor_is_broken(forking->mode))
		forking->mode->on_broken(forking->mode);
}

static void
forking_look(struct forking *forking)
{
	struct concurrency *mode = forking->mode;

	forking_resolve_doubt(forking);
	concurrency_look_at_rest(mode);
	if (!forking->is_draining && !forking->is_once_over) {
		forking_fill(forking);
		refuser_look(&forking->refuser);
		return;
	}
	if (atomic_load(&mode->board->waiting_children) == 0)
		concurrency_report_quiet(mode);
	if (forking->child_count == 0)
		concurrency_report_empty(mode);
}

static void
forking_signal_children(struct forking *forking, int signal_number)
{
	for (uint32_t i = 0; i < forking->mode->limit; i++) {
		if (forking->pids[i] != 0)
			(void)kill(forking->pids[i], signal_number);
	}
}

/* Whether one of the children has counted the end of its connection, and is about to wait for the
 * next: the kernel may have taken the processor from it, and the client that comes now is its. */
static bool
forking_is_passing(const struct forking *forking)
{
	const struct concurrency *mode = forking->mode;

	for (uint32_t i = 0; i < mode->limit; i++) {
		if (forking->pids[i] != 0 && !forking_is_open(&mode->board->slots[i]))
			return true;
	}
	return false;
}

/* Whether all children that there may be serve. The dead are buried before anybody is refused. */
static bool
forking_begin_refusing(struct concurrency *mode)
{
	struct forking *forking = mode->state;

	if (forking->child_count < mode->limit || forking->is_draining ||
	    atomic_load(&mode->board->waiting_children) > 0)
		return false;
	forking_reap_all(forking);
	forking_fill(forking);
	if (forking->child_count < mode->limit || atomic_load(&mode->board->waiting_children) > 0)
		return false;
	if (!forking_is_passing(forking))
		return true;
	/* who has taken a client and not shown it yet is looked at again, too */
	loop_arm(mode->loop, &forking->run, clock_now_ns() + FORKING_RUN_NS);
	return false;
}

static void
forking_end_refusing(struct concurrency *mode)
{
	(void)mode;
}

static void
forking_on_death(struct loop_source *source, uint32_t events)
{
	struct forking *forking = CONTAINER_OF(source, struct forking, deaths);
	struct concurrency *mode = forking->mode;
	struct signalfd_siginfo info;

	(void)events;
	if (!forking->is_draining && !mode->is_once &&
	    atomic_load(&mode->board->waiting_children) > forked_few(mode)) {
		loop_remove(mode->loop, source);
		loop_arm(mode->loop, &forking->batch, clock_now_ns() + FORKING_BATCH_NS);
		return;
	}
	while (read(source->fd, &info, sizeof(info)) > 0)
		;
	forking_reap_all(forking);
	forking_look(forking);
}

static void
forking_end_batch(struct forking *forking)
{
	loop_disarm(forking->mode->loop, &forking->batch);
	/* without room in the epoll the dead are looked for in batches */
	if (!forking->deaths.is_added &&
	    loop_add(forking->mode->loop, &forking->deaths, EPOLLIN) < 0)
		loop_arm(forking->mode->loop, &forking->batch, clock_now_ns() + FORKING_RETRY_NS);
	forking_reap_all(forking);
	forking_look(forking);
}

static void
forking_on_batch(struct loop_timer *timer)
{
	struct forking *forking = CONTAINER_OF(timer, struct forking, batch);
	struct signalfd_siginfo info;

	while (read(forking->deaths.fd, &info, sizeof(info)) > 0)
		;
	forking_end_batch(forking);
}

static void
forking_on_notice(struct loop_source *source, uint32_t events)
{
	struct concurrency *mode = CONTAINER_OF(source, struct concurrency, notice);
	const struct forking *forking = mode->state;

	(void)events;
	fd_clear_event(source->fd);
	/* a child that finds it so cannot tell more than that there is something, and counts as
	 * waiting; as long as few do, more of them are forked, and will find it, too */
	if (!forking->is_draining &&
	    (atomic_load(&mode->board->waiting_children) > forked_few(mode) ||
	     forking->child_count == mode->limit) &&
	    acceptor_is_broken(mode))
		mode->on_broken(mode);
	/* the slots of the dead are needed now */
	forking_end_batch(mode->state);
}

static void
forking_on_retry(struct loop_timer *timer)
{
	forking_look(CONTAINER_OF(timer, struct forking, retry));
}

static void
forking_on_run(struct loop_timer *timer)
{
	forking_look(CONTAINER_OF(timer, struct forking, run));
}

/* There in builds with a sanitizer only. */
extern void __lsan_register_root_region(const void *begin, size_t size) __attribute__((weak));

/* In memory that children do not see: after each fork the parent writes to it, and would copy the
 * page. */
static struct forking *
forking_allocate(uint32_t limit)
{
	size_t size = sizeof(struct forking) + limit * sizeof(pid_t);
	struct forking *forking =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (forking == MAP_FAILED)
		return NULL;
	(void)madvise(forking, size, MADV_DONTFORK);
	/* what it points to would be a leak to LeakSanitizer, which does not look into mappings */
	if (__lsan_register_root_region != NULL)
		__lsan_register_root_region(forking, size);
	forking->page_size = (size_t)sysconf(_SC_PAGESIZE);
	return forking;
}

static int
forking_prepare(struct concurrency *mode)
{
	struct forking *forking = forking_allocate(mode->limit);
	sigset_t set;
	int r;

	if (forking == NULL)
		return -ENOMEM;
	mode->state = forking;
	forking->mode = mode;
	forking->retry.on_timer = forking_on_retry;
	forking->batch.on_timer = forking_on_batch;
	forking->run.on_timer = forking_on_run;
	forking->kills_due.on_timer = forking_on_kills_due;
	if (mode->is_once) {
		mode->limit = 1;
		mode->connections_per_child = 1;
	}
	mode->takes_in_runs = mode->is_datagram && mode->connections_per_child != 1;
	/* without spare children one must wait in accept all the same */
	if (mode->spare_children == 0)
		mode->spare_children = 1;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	forking->deaths = (struct loop_source){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.on_event = forking_on_death,
	};
	if (forking->deaths.fd < 0)
		return -errno;
	r = loop_add(mode->loop, &forking->deaths, EPOLLIN);
	if (r < 0)
		return r;
	mode->notice = (struct loop_source){.fd = mode->notice_fd, .on_event = forking_on_notice};
	r = loop_add(mode->loop, &mode->notice, EPOLLIN);
	if (r >= 0)
		r = forking_timeouts_start(&forking->timeouts, mode, forking->pids);
	if (r >= 0)
		r = refuser_open(&forking->refuser, mode, forking_begin_refusing,
				 forking_end_refusing);
	if (r >= 0)
		r = forked_prepare(mode);
	if (r < 0)
		return r;
	forking_fill(forking);
	return 0;
}

static enum concurrency_rest
forking_rest(struct concurrency *mode)
{
	const struct forking *forking = mode->state;
	enum concurrency_rest rest = CONCURRENCY_RESTS;

	for (uint32_t i = 0; i < mode->limit; i++) {
		uint32_t state = atomic_load(&mode->board->slots[i].state);

		if (forking->pids[i] != 0 && state == FORKED_WAITING)
			return CONCURRENCY_ACCEPTS;
		if (forking->pids[i] != 0 && state == FORKED_BUSY)
			rest = CONCURRENCY_HOLDS;
	}
	return rest;
}

static void
forking_drain(struct concurrency *mode)
{
	struct forking *forking = mode->state;

	refuser_stop(&forking->refuser);
	forking->is_draining = true;
	if (atomic_load(&mode->board->child_phase) == FORKED_SERVE)
		atomic_store(&mode->board->child_phase, FORKED_DRAIN);
	fd_raise_event(mode->drain_fd);
	forking_signal_children(forking, SIGTERM);
	forking_end_batch(forking);
}

static void
forking_cancel(struct concurrency *mode)
{
	atomic_store(&mode->board->child_phase, FORKED_CANCEL);
	forking_signal_children(mode->state, SIGTERM);
}

static void
forking_stop(struct concurrency *mode)
{
	if (mode->state != NULL)
		forking_signal_children(mode->state, SIGKILL);
}

const struct concurrency_ops concurrency_forking = {
	.waiter = &waiter_blocking,
	.prepare = forking_prepare,
	.drain = forking_drain,
	.cancel = forking_cancel,
	.kill = forking_kill,
	.rest = forking_rest,
	.service = concurrency_service,
	.stop = forking_stop,
};
