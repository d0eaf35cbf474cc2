/*
 * forked.c - a forked child: accept, session, again or end.
 */
#include "concurrency/forked.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "api/request.h"
#include "api/server.h"
#include "api/session.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "concurrency/crash.h"
#include "concurrency/intake.h"
#include "ipc/protocol.h"

/* How long a child waits when there are more than the spare ones. */
#define FORKED_EXTRA_MS 1000

/* What the signal handler needs; this process has one child role and one flow. */
static struct forked {
	struct concurrency *mode;
	struct scoreboard_slot *slot;
	pid_t parent;
	_Atomic bool are_closed; /* the listening sockets */
	bool is_warm;
	sigset_t mask; /* empty */
	struct hd_request request;
	struct intake intake;
} forked;

/* A copy that is held by a busy child would keep the port open for as long as its connection; the
 * answer to a datagram leaves through it. In any other state the flow may just be accepting: it
 * will end by itself, or come here when it is busy. */
static void
forked_close_sockets(void)
{
	if (forked.mode->is_datagram || atomic_load(&forked.slot->state) != FORKED_BUSY ||
	    atomic_exchange(&forked.are_closed, true))
		return;
	for (size_t i = 0; i < forked.mode->socket_count; i++)
		(void)close(forked.mode->sockets[i]);
}

/* The parent may want the end of one connection, which may be over. */
static void
forked_obey_order(void)
{
	uint32_t order = atomic_exchange(&forked.slot->order, SCOREBOARD_GO_ON);
	enum close_reason reason = (enum close_reason)(order >> SCOREBOARD_ORDER_BITS);

	if (order == SCOREBOARD_GO_ON)
		return;
	if (atomic_load(&forked.slot->ordered_id) != atomic_load(&forked.request.id))
		return;
	if (order == SCOREBOARD_END_CONNECTION)
		reason = CLOSE_KILLED;
	else if (reason != CLOSE_HANDLER_TIMEOUT && reason != CLOSE_TOTAL &&
		 request_is_spared(&forked.request, reason))
		return;
	/* with what the handler has connected to: there are no other requests in this process */
	for (struct hd_request *req = forked.mode->server->requests; req != NULL; req = req->next)
		(void)request_end_here(req, reason);
}

/*
 * SIGTERM: the parent has changed the phase, or wants one connection to end, or is gone (it dies
 * with us then). Anything else is not for us to act on: of two orders the first signal may have
 * found both, and anybody can send one. Only what is allowed in a signal handler: atomics,
 * shutdown(2), ioctl(2), write(2).
 */
static void
forked_on_signal(int number)
{
	struct hd_server *server = forked.mode->server;
	int saved_errno = errno;
	bool is_orphan;

	/* a process that the handler has made elsewhere */
	if (forked.slot == NULL) {
		(void)signal(number, SIG_DFL);
		(void)raise(number);
		return;
	}
	is_orphan = getppid() != forked.parent;
	forked_obey_order();
	if (!is_orphan && atomic_load(&forked.mode->board->child_phase) == FORKED_SERVE) {
		errno = saved_errno;
		return;
	}
	atomic_store(&server->is_draining, true);
	forked_close_sockets();
	if (atomic_load(&forked.mode->board->child_phase) == FORKED_CANCEL || is_orphan) {
		atomic_store(&server->is_cancelled, true);
		fd_raise_event(server->cancel_fd);
		for (struct hd_request *req = server->requests; req != NULL; req = req->next)
			request_cancel_here(req);
	} else {
		request_cancel_idle_here(&forked.request);
	}
	errno = saved_errno;
}

static bool
forked_is_draining(void)
{
	return atomic_load(&forked.mode->board->child_phase) != FORKED_SERVE;
}

bool
forked_is_waiting(enum forked_state state)
{
	return state == FORKED_WAITING || state == FORKED_HELD;
}

uint32_t
forked_few(const struct concurrency *mode)
{
	return mode->spare_children / 4;
}

/* The numbers of waiting children and their states change together; whoever dies in between is told
 * by its state. Returns how many wait now. */
static uint32_t
forked_stop_waiting(enum forked_state state)
{
	atomic_store(&forked.slot->state, state);
	return atomic_fetch_sub(&forked.mode->board->waiting_children, 1) - 1;
}

static _Noreturn void
forked_leave(int status)
{
	if (forked_is_waiting((enum forked_state)atomic_load(&forked.slot->state)))
		(void)forked_stop_waiting(FORKED_LEAVING);
	atomic_store(&forked.slot->state, FORKED_LEAVING);
	_exit(status);
}

/* No signal is blocked in a process that nobody has touched. */
static void
forked_set_signals(void)
{
	(void)pthread_sigmask(SIG_SETMASK, &forked.mask, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != forked.parent)
		_exit(0);
}

/* Waits until the listener is no longer paused. False: draining began. Children beyond the spare
 * ones stay: there is no telling what waits. */
static bool
forked_hold(void)
{
	bool goes_on;

	atomic_store(&forked.slot->state, FORKED_HELD);
	fd_raise_event(forked.mode->notice_fd);
	goes_on = acceptor_hold(forked.mode);
	atomic_store(&forked.slot->state, FORKED_WAITING);
	return goes_on;
}

static void
forked_touch(const void *place)
{
	(void)*(const volatile char *)place;
}

/* Has the pages of code mapped that the first client would otherwise wait for. */
static void
forked_warm_up(void)
{
	const struct server_handler *handler = &forked.mode->server->handler;

	forked_touch((const void *)handler->handle);
	forked_touch((const void *)request_open);
	forked_touch((const void *)session_run);
	forked.is_warm = true;
	(void)clock_now_ns();
	(void)pthread_mutex_lock(&forked.request.lock);
	(void)pthread_mutex_unlock(&forked.request.lock);
}

/* Who serves one connection, and finds it at once, never needs an epoll. */
static int
forked_wait(struct acceptor *acceptor, int timeout_ms)
{
	int r = acceptor->epoll_fd < 0 ? acceptor_open(acceptor, forked.mode) : 0;

	if (!forked.is_warm)
		forked_warm_up();
	if (r >= 0)
		return acceptor_wait(acceptor, timeout_ms);
	acceptor_pause(acceptor, r);
	return 1;
}

/* The handler may have closed this process's own copies, or put something else in their place: only
 * another child can mend that. What all share is the parent's to find. */
static bool
forked_has_lost_sockets(int error)
{
	return error == -EBADF || error == -ENOTSOCK;
}

static void
forked_tell_lost(void)
{
	const struct hd_server *server = forked.mode->server;
	uint64_t suppressed;

	if (log_limit(&server->limiters->accepts, 1, &suppressed))
		log_event(LOG_EVENT_SOCKET_BROKEN, server->name,
			  "'%s' child %d: handler '%s' has closed its listening socket; the child "
			  "ends and is replaced",
			  server->name, (int)getpid(), server->handler.name);
}

/* Waits for something to serve and takes it. 0; -ECANCELED, -ETIME, or as forked_has_lost_sockets
 * knows them: leave. */
static int
forked_take(struct acceptor *acceptor)
{
	bool was_woken = false;

	for (;;) {
		bool is_extra;
		int r;

		/* no other process is told of what this one was woken for */
		if (forked_is_draining() && !was_woken)
			return -ECANCELED;
		was_woken = false;
		if (concurrency_is_paused(forked.mode)) {
			if (!forked_hold())
				return -ECANCELED;
			continue;
		}
		r = intake_take(acceptor, &forked.intake);
		if (r == 0 || forked_has_lost_sockets(r))
			return r;
		if (acceptor_is_shortage(r)) {
			acceptor_pause(acceptor, r);
			continue;
		}
		/* what a crowd has left behind goes after a while */
		is_extra = atomic_load(&forked.mode->board->waiting_children) >
			   forked.mode->spare_children;
		r = forked_wait(acceptor, is_extra ? FORKED_EXTRA_MS : -1);
		if (r < 0) {
			/* the wake-up may have been a connection's */
			if (concurrency_is_paused(forked.mode))
				return r;
			return intake_take(acceptor, &forked.intake) == 0 ? 0 : r;
		}
		if (r > 0)
			intake_give_way(forked.mode);
		if (r == 0 && atomic_load(&forked.mode->board->waiting_children) >
				      forked.mode->spare_children)
			return -ETIME;
		was_woken = r > 0;
	}
}

/* Whether this child may serve more than it has. */
static bool
forked_may_go_on(uint64_t served)
{
	const struct concurrency *mode = forked.mode;

	return !mode->is_once &&
	       (mode->connections_per_child == 0 || served < mode->connections_per_child);
}

/* Serves what was taken, and datagrams that are there already: nobody need know of those. */
static void
forked_serve(struct acceptor *acceptor, uint64_t *served)
{
	const struct concurrency *mode = forked.mode;

	do {
		intake_open(&forked.intake, &forked.request);
		session_run(&forked.request);
		(*served)++;
	} while (mode->is_datagram && forked_may_go_on(*served) && !forked_is_draining() &&
		 !concurrency_is_paused(mode) && intake_take(acceptor, &forked.intake) == 0);
	intake_stop_taking(mode);
}

int
forked_prepare(struct concurrency *mode)
{
	struct sigaction action = {.sa_handler = forked_on_signal, .sa_flags = SA_RESTART};
	sigset_t set;

	forked.mode = mode;
	forked.parent = getpid();
	(void)sigemptyset(&forked.mask);
	/* the parent hears of it by a descriptor; the handler is for children */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0)
		return -errno;
	return request_init(&forked.request, mode->server, NULL);
}

_Noreturn void
forked_run(uint32_t slot)
{
	struct concurrency *mode = forked.mode;
	const struct hd_handler *descriptor = &mode->server->handler.descriptor;
	struct acceptor acceptor = {.mode = mode, .epoll_fd = -1, .is_unsure = !mode->is_open};
	uint64_t served = 0;
	int r = 0;

	forked.slot = forked.request.slot = &mode->board->slots[slot];
	crash_begin_child(forked.slot);
	(void)close(WORKER_FD_CHANNEL);
	if (mode->server->admission.sensor.ban_ns != 0)
		(void)close(mode->server->admission.sensor.relay_fd);
	/* the loop's own function would be one more page of code */
	(void)close(mode->loop->epoll_fd);
	forked_set_signals();
	/* for one connection it may never be needed; if it cannot be had, it is tried again when it
	 * is */
	if (mode->connections_per_child != 1)
		(void)acceptor_open(&acceptor, mode);
	if (descriptor->child_start != NULL)
		r = descriptor->child_start(mode->server);
	if (r < 0) {
		uint64_t suppressed;

		if (log_limit(&mode->server->limiters->spawns, 1, &suppressed))
			log_error("'%s' child of handler '%s' cannot start: %s; trying again every "
				  "100 ms",
				  mode->server->name, mode->server->handler.name, text_error(r));
		_exit(1);
	}
	if (!acceptor_wait_open(mode))
		forked_leave(0);
	while ((r = forked_take(&acceptor)) == 0) {
		/* who waits for a pause to be complete may have seen this one as waiting */
		if (forked_stop_waiting(FORKED_BUSY) <= forked_few(mode) || forked_is_draining() ||
		    concurrency_is_paused(mode))
			fd_raise_event(mode->notice_fd);
		/* it may have begun just before this one was busy */
		if (forked_is_draining())
			forked_close_sockets();
		forked_serve(&acceptor, &served);
		if (forked_is_draining())
			older_tell_vacancy(mode);
		/* more than the spare ones leave when they have waited for long; leaving at once,
		 * they would be forked again for the next crowd */
		if (!forked_may_go_on(served))
			break;
		(void)atomic_fetch_add(&mode->board->waiting_children, 1);
		atomic_store(&forked.slot->state, FORKED_WAITING);
	}
	if (descriptor->child_stop != NULL)
		descriptor->child_stop(mode->server);
	if (forked_has_lost_sockets(r))
		forked_tell_lost();
	/* one that never served must not be replaced at once, again and again */
	forked_leave(forked_has_lost_sockets(r) && served == 0 ? 1 : 0);
}
