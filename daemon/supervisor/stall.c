/*
 * stall.c - finds workers that accept nothing although clients wait.
 *
 * Each listening socket is in an epoll of its own kind, where it wakes us once (EPOLLONESHOT) and
 * is then left alone until the next look finds that nobody waits: a busy listener costs one event
 * in 5 s, one at rest none.
 */
#include "supervisor/stall.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "policy/sources.h"
#include "supervisor/supervisor.h"

#define STALL_BATCH 64

bool
stall_note(struct stall *stall, bool is_waiting, uint64_t taken, int64_t now_ns)
{
	bool was_stalled = stall->is_stalled;

	if (!is_waiting)
		stall->since_ns = 0;
	else if (stall->since_ns == 0 || stall->taken != taken)
		stall->since_ns = now_ns;
	stall->taken = taken;
	stall->is_stalled = is_waiting && now_ns - stall->since_ns >= STALL_AFTER_NS;
	return stall->is_stalled != was_stalled;
}

static bool
stall_has_waiting(const struct held_socket *socket)
{
	struct pollfd row = {.fd = socket->fd, .events = POLLIN};

	if (socket->fd < 0 || socket->is_connection || poll(&row, 1, 0) <= 0)
		return false;
	/* one that was shut down is always readable; its worker finds that out */
	return (row.revents & POLLIN) != 0 && (row.revents & (POLLHUP | POLLERR)) == 0;
}

/* Wakes us once when somebody comes. */
static void
stall_watch_socket(const struct stall_watch *watch, const struct held_socket *socket)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};

	if (socket->fd < 0 || socket->is_connection)
		return;
	if (epoll_ctl(watch->source.fd, EPOLL_CTL_MOD, socket->fd, &event) < 0 && errno == ENOENT)
		(void)epoll_ctl(watch->source.fd, EPOLL_CTL_ADD, socket->fd, &event);
}

static uint64_t
stall_count_open(const struct child *child)
{
	return child->board != NULL ? scoreboard_count_open(child->board, child->board_slots) : 0;
}

/* Connections of old generations count towards the limit. */
static bool
stall_is_at_limit(const struct listener *listener)
{
	uint64_t open = stall_count_open(listener->current);

	for (const struct child *child = listener->old; child != NULL; child = child->next)
		open += stall_count_open(child);
	return open >= (uint64_t)listener->limit;
}

/* Clients wait until limits.rate allows more. */
static bool
stall_waits_for_rate(const struct listener *listener, int64_t now_ns)
{
	const struct child *child = listener->current;
	struct sources sources =
		sources_of_board(child->board, child->board_slots, child->board_sets);

	return listener->conf->limits.rate != 0 &&
	       atomic_load(&sources.shared->waits_until_ns) > now_ns;
}

/* Something that changes with each connection that is accepted and each datagram that is read. */
static uint64_t
stall_count_taken(const struct listener *listener)
{
	const struct child *child = listener->current;
	struct scoreboard_totals sum = scoreboard_sum(child->board, child->board_slots);
	uint64_t taken = sum.accepted;
	size_t slots = atomic_load(&child->board->used_slots);

	if (!conf_protocol_is_datagram(listener->protocol))
		return taken;
	for (size_t i = 0; i < SCOREBOARD_DROPS; i++)
		taken += sum.dropped[i];
	/* sessions read without accepting anybody */
	for (size_t i = 0; i < slots && i < child->board_slots; i++)
		taken += atomic_load_explicit(&child->board->slots[i].bytes_in,
					      memory_order_relaxed);
	return taken + (uint64_t)atomic_load(&child->board->last_datagram_ns);
}

static bool
stall_may_accept(const struct listener *listener)
{
	const struct child *child = listener->current;

	return child != NULL && child->state == CHILD_SERVING && child->board != NULL &&
	       !listener->is_paused;
}

static void
stall_tell(const struct listener *listener)
{
	int pid = (int)listener->current->process.pid;

	if (listener->stall.is_stalled)
		log_event(LOG_EVENT_STALLED, listener->name,
			  "'%s' is STALLED: its worker (pid %d, handler '%s') has accepted "
			  "nothing for 30 s while clients wait and no limit holds it; 'gdb -p "
			  "%d' shows what it does, and 'kill -KILL %d' has it replaced",
			  listener->name, pid, listener->handler, pid, pid);
	else
		log_notice("'%s' is no longer stalled", listener->name);
}

/* Whether it must be looked at again. */
static bool
stall_sample(const struct stall_watch *watch, struct listener *listener, int64_t now_ns)
{
	bool is_waiting = false;

	if (!stall_may_accept(listener)) {
		listener->stall = (struct stall){0};
		return false;
	}
	for (size_t i = 0; i < listener->socket_count && !is_waiting; i++)
		is_waiting = stall_has_waiting(listener->sockets[i]);
	if (stall_note(&listener->stall,
		       is_waiting && !stall_is_at_limit(listener) &&
			       !stall_waits_for_rate(listener, now_ns),
		       is_waiting ? stall_count_taken(listener) : 0, now_ns))
		stall_tell(listener);
	for (size_t i = 0; i < listener->socket_count && !is_waiting; i++)
		stall_watch_socket(watch, listener->sockets[i]);
	return is_waiting;
}

static void
stall_on_timer(struct loop_timer *timer)
{
	struct stall_watch *watch = CONTAINER_OF(timer, struct stall_watch, timer);
	struct supervisor *supervisor = CONTAINER_OF(watch, struct supervisor, stalls);
	int64_t now_ns = clock_now_ns();
	bool is_again = false;

	for (size_t i = 0; i < supervisor->listener_count; i++)
		is_again |= stall_sample(watch, supervisor->listeners[i], now_ns);
	if (is_again)
		stall_look(supervisor);
}

static void
stall_on_event(struct loop_source *source, uint32_t events)
{
	struct stall_watch *watch = CONTAINER_OF(source, struct stall_watch, source);
	struct supervisor *supervisor = CONTAINER_OF(watch, struct supervisor, stalls);
	struct epoll_event ready[STALL_BATCH];

	(void)events;
	/* each of them is silent from now on */
	(void)epoll_wait(source->fd, ready, STALL_BATCH, 0);
	stall_look(supervisor);
}

void
stall_look(struct supervisor *supervisor)
{
	struct stall_watch *watch = &supervisor->stalls;

	if (watch->source.fd >= 0 && !supervisor->is_stopping && !watch->timer.is_armed)
		loop_arm(&supervisor->loop, &watch->timer, clock_deadline_ns(STALL_SAMPLE_MS));
}

void
stall_init(struct stall_watch *watch)
{
	*watch = (struct stall_watch){.source.fd = -1};
}

int
stall_open(struct supervisor *supervisor)
{
	struct stall_watch *watch = &supervisor->stalls;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	watch->source = (struct loop_source){.fd = fd, .on_event = stall_on_event};
	watch->timer.on_timer = stall_on_timer;
	return loop_add(&supervisor->loop, &watch->source, EPOLLIN);
}

void
stall_close(struct supervisor *supervisor)
{
	struct stall_watch *watch = &supervisor->stalls;

	loop_disarm(&supervisor->loop, &watch->timer);
	loop_remove(&supervisor->loop, &watch->source);
	if (watch->source.fd >= 0)
		(void)close(watch->source.fd);
	stall_init(watch);
}
