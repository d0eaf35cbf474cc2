/*
 * listener_worker.c - one worker of a listener: started with all it needs, heard, and added up at
 * its end.
 */
#include "supervisor/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "ipc/connections.h"
#include "net/peer.h"
#include "policy/sources.h"

/* More old workers than a configuration may allow (max_generations). */
#define LISTENER_MOST_OLDER 100

void
listener_close_files(struct child *child)
{
	if (child->handler_fd >= 0)
		(void)close(child->handler_fd);
	if (child->program_fd >= 0)
		(void)close(child->program_fd);
	child->handler_fd = child->program_fd = -1;
}

int
listener_map_board(struct child *child, int fd, size_t slots, uint32_t sets)
{
	int reading_fd = fd_open_for_reading(fd);
	void *board = NULL;
	int r;

	if (reading_fd < 0)
		return reading_fd;
	r = fd_map_shared(fd, sources_board_size(slots, sets), &board);
	if (r < 0) {
		(void)close(reading_fd);
		return r;
	}
	child->board_reading_fd = reading_fd;
	child->board = board;
	child->board_slots = slots;
	child->board_sets = sets;
	child->board_fd = fd;
	return 0;
}

static int
listener_open_board(struct child *child, size_t slots, uint32_t sets)
{
	CLEANUP_CLOSE int fd =
		fd_shared_memfd("handlerd-scoreboard", sources_board_size(slots, sets));
	int r = fd < 0 ? fd : listener_map_board(child, fd, slots, sets);

	if (r < 0)
		return r;
	/* from its first client on */
	atomic_store(&child->board->is_shedding,
		     ((const struct listener *)child->owner_data)->overload.is_shedding);
	(void)take_fd(&fd);
	return 0;
}

static void
listener_close_board(struct child *child)
{
	if (child->board == NULL)
		return;
	(void)munmap(child->board, sources_board_size(child->board_slots, child->board_sets));
	(void)close(child->board_fd);
	(void)close(child->board_reading_fd);
	child->board = NULL;
}

static void
listener_on_crash(struct child *child, int status)
{
	struct listener *listener = child->owner_data;

	if (child == listener->current && child->state == CHILD_SERVING &&
	    fallback_is_crash(status))
		fallback_note_crash(listener);
}

/* Of a listener that was removed there is no configuration any more. */
static void
listener_log_end(struct listener *listener, const struct child *child,
		 const struct scoreboard_connection *last, enum close_reason reason)
{
	struct connection_end end = {
		.kind = !conf_protocol_is_datagram(listener->protocol) ? CONNECTION_STREAM
			: listener->has_sessions		       ? CONNECTION_SESSION
								       : CONNECTION_DATAGRAM,
		.reason = reason,
		.opened_ns = last->opened_ns,
		.bytes_in = last->bytes_in,
		.bytes_out = last->bytes_out,
	};
	struct log_context context = {
		.listener = child->name,
		.handler = child->handler,
		.generation = child->generation,
		.connection_id = last->id,
		.is_prefix = true,
	};
	char peer[PEER_NAME_SIZE];
	uint64_t left_out;

	if (!connection_log_may(&listener->world->connection_log, &listener->ends,
				&child->board->unlogged, reason, &left_out))
		return;
	context.peer = scoreboard_format_peer(last, peer, sizeof(peer));
	connection_log_write(&context, &end, left_out);
}

/* Those that did not come to an end with their worker: each for the reason that it was being ended
 * for, else for this one. */
static void
listener_end_connections(struct listener *listener, const struct child *child,
			 enum close_reason reason, uint64_t lost, struct scoreboard_totals *sum)
{
	struct scoreboard_connection last;
	size_t slot = 0;

	while (lost > 0 && connections_next(child->board, child->board_slots, &slot, &last)) {
		enum close_reason own = last.reason != CLOSE_NONE ? last.reason : reason;

		sum->ended[own]++;
		lost--;
		listener_log_end(listener, child, &last, own);
	}
	/* what is accepted and not shown yet */
	sum->ended[reason] += lost;
	sum->unlogged = atomic_load(&child->board->unlogged);
}

/* Adds the numbers of a worker that is gone. Connections that did not come to an end ended with it;
 * after an orderly end there are none. */
static void
listener_on_end(struct child *child, bool was_asked)
{
	struct listener *listener = child->owner_data;
	struct scoreboard_totals sum;
	struct sources sources;
	uint64_t lost;

	if (!was_asked && !child->is_timeout && child == listener->current &&
	    (child->state == CHILD_SERVING || child->state == CHILD_REPLACING) &&
	    fallback_is_crash(child->last_status))
		fallback_note_crash(listener);
	/* while it ended, it had the sockets that are served by another one */
	listener->is_socket_suspect = true;
	if (child->board == NULL)
		return;
	log_rescue(&child->board->spool, &child->board->log);
	sum = scoreboard_sum(child->board, child->board_slots);
	lost = scoreboard_count_open(child->board, child->board_slots);
	sum.crashed += lost;
	listener_end_connections(listener, child, was_asked ? CLOSE_DRAIN : CLOSE_CRASH, lost,
				 &sum);
	scoreboard_add(&listener->totals, &sum);
	/* the younger generation counts them from the same board */
	(void)atomic_fetch_add(&child->board->slots[0].crashed, lost);
	sources = sources_of_board(child->board, child->board_slots, child->board_sets);
	sources_end(&sources);
	buckets_keep(listener, child);
	fd_raise_event(listener->vacancy_fd);
	listener_close_board(child);
}

/* The workers whose connections count with those of a new one: of the listener that this one
 * replaces, of the worker that it takes the place of. */
static size_t
listener_find_older(const struct child *next, const struct child **ret, size_t most)
{
	const struct listener *listener = next->owner_data;
	const struct listener *holder = listener->replaces != NULL ? listener->replaces : listener;
	size_t count = 0;

	if (holder->current != NULL && holder->current != next && holder->current->board != NULL)
		ret[count++] = holder->current;
	for (const struct child *child = holder->old; child != NULL && count < most;
	     child = child->next) {
		if (child->board != NULL)
			ret[count++] = child;
	}
	return count;
}

/* The descriptors from WORKER_FD_SOCKETS on. Tables whose workers are gone have no connections. */
static void
listener_add_fds(const struct listener *listener, const struct child *const *older,
		 struct worker_settings *settings, int *fds)
{
	const struct listener *holder = listener->replaces != NULL ? listener->replaces : listener;
	const struct buckets *buckets = &holder->buckets;
	size_t count = 0;

	for (size_t i = 0; i < settings->socket_count; i++) {
		(void)held_revive(listener->sockets[i], settings->older_count > 0);
		fds[count++] = listener->sockets[i]->fd;
	}
	fds[count++] = listener->vacancy_fd;
	for (size_t i = 0; i < settings->older_count; i++) {
		settings->older_slots[i] = (uint32_t)older[i]->board_slots;
		settings->older_sets[i] = older[i]->board_sets;
		fds[count++] = older[i]->board_reading_fd;
	}
	for (size_t i = 0; i < buckets->count; i++) {
		settings->older_slots[settings->older_count] = 0;
		settings->older_sets[settings->older_count++] = buckets->tables[i].sets;
		fds[count++] = buckets->tables[i].reading_fd;
	}
}

static int
listener_execute(struct child *child, struct worker_settings *settings, const int *fds)
{
	struct listener *listener = child->owner_data;
	const struct listener_world *world = listener->world;
	char **environment = listener_environment(&listener->identity, listener->conf);
	struct buf image = {0};
	CLEANUP_CLOSE int settings_fd = -1;
	struct outlet outlet;
	struct process_birth birth = {
		.program_fd = world->places->worker_fd,
		.scoreboard_fd = child->board_fd,
		.handler_fd = listener->pin.fd,
		.outlet = &outlet,
		.ports_fd = conf_protocol_is_datagram(listener->protocol) ? world->ports_reading_fd
									  : -1,
		.bans_fd = conf_protocol_is_unix(listener->protocol) ? -1 : world->bans.reading_fd,
		.access_fd = listener->access != NULL ? listener->access->writer.reading_fd : -1,
		.more_fds = fds,
		.more_count = settings->socket_count + 1 + settings->older_count,
		.environment = environment,
	};
	int r;

	outlet_open(&outlet, world->journal_fd >= 0);
	settings->log_target = outlet.target;
	worker_settings_write(settings, &image);
	r = settings_fd = fd_sealed_memfd("handlerd-settings", image.data, image.length);
	birth.settings_fd = settings_fd;
	if (r >= 0)
		r = process_start(&child->process, world->loop, child->generation, &birth);
	outlet_close(&outlet);
	buf_free(&image);
	listener_free_environment(environment);
	return r < 0 ? r : 0;
}

/* Which files the worker is about to run. It may outlive this listener, its pin, and the program
 * that is installed. */
static void
listener_note_files(struct child *child)
{
	const struct listener *listener = child->owner_data;
	const struct pin *pin = &listener->pin;

	listener_close_files(child);
	child->handler_fd = fcntl(pin->fd, F_DUPFD_CLOEXEC, 0);
	child->program_fd = fcntl(listener->world->places->worker_fd, F_DUPFD_CLOEXEC, 0);
	(void)elf_format_build_id(pin->build_id, pin->build_id_size, child->build_id);
}

static int
listener_start_child(struct child *child, uint32_t generation)
{
	struct listener *listener = child->owner_data;
	struct worker_settings settings = listener_settings(listener, generation, WORKER_SERVE);
	const struct child *older[LISTENER_MOST_OLDER + 1];
	uint32_t older_slots[COUNT_OF(older) + BUCKETS_MOST], older_sets[COUNT_OF(older_slots)];
	CLEANUP_FREE int *fds =
		memory_zero(settings.socket_count + COUNT_OF(older_slots) + 1, sizeof(int));
	int r = listener_add_filter(listener, &settings);

	settings.serial = listener->world->next_serial++ % SCOREBOARD_MOST_SERIALS;
	settings.older_slots = older_slots;
	settings.older_sets = older_sets;
	settings.older_count = (uint32_t)listener_find_older(child, older, LISTENER_MOST_OLDER);
	listener_note_files(child);
	if (r >= 0)
		r = listener_open_board(child, settings.limit, settings.limits.source_sets);
	if (r >= 0) {
		listener_add_fds(listener, older, &settings, fds);
		if (pin_was_overwritten(&listener->pin))
			log_event(LOG_EVENT_HANDLER_OVERWRITTEN, listener->name,
				  "handler file '%s' was written to while it is in use; install "
				  "handlers by rename, or running workers may crash",
				  listener->pin.path);
		r = listener_execute(child, &settings, fds);
	}
	if (r < 0)
		listener_close_board(child);
	listener_free_settings(&settings);
	return r;
}

static void
listener_on_change(struct child *child)
{
	struct listener *listener = child->owner_data;

	listener->world->on_change(listener->world);
}

static void
listener_on_killed(struct child *child, uint64_t id)
{
	const struct listener *listener = child->owner_data;
	struct listener_world *world = listener->world;

	if (world->on_killed != NULL)
		world->on_killed(world, listener, id);
}

static void
listener_on_refusal(struct child *child, const struct refusal *refusal)
{
	struct listener *listener = child->owner_data;

	refusal_log_note(child, &listener->refusals, refusal);
}

static void
listener_on_unreported(struct child *child, int error)
{
	struct listener_world *world = ((struct listener *)child->owner_data)->world;

	if (world->is_unreported_told)
		return;
	world->is_unreported_told = true;
	log_event(LOG_EVENT_REFUSALS_UNREPORTED, NULL,
		  "system calls that sandboxes refuse are not told of: %s",
		  error == EBUSY ? "a filter around this daemon takes the place, as containers "
				   "have it"
				 : "this kernel cannot (Linux 5.0 and later do)");
}

static void
listener_on_sensed(struct child *child, uint64_t hi, uint64_t lo)
{
	struct listener *listener = child->owner_data;

	ban_list_on_report(&listener->world->bans, listener, hi, lo);
}

static bool
listener_may_accept(const struct child *child)
{
	const struct listener *listener = child->owner_data;

	/* whoever was paused meanwhile is so until the commit */
	return listener->replaces != NULL ? !listener->replaces->is_paused : !listener->is_paused;
}

void
listener_own(struct listener *listener, struct child *child)
{
	static const struct child_owner owner = {
		.start = listener_start_child,
		.on_change = listener_on_change,
		.on_crash = listener_on_crash,
		.on_end = listener_on_end,
		.on_killed = listener_on_killed,
		.on_sensed = listener_on_sensed,
		.may_accept = listener_may_accept,
		.on_idle = demand_on_idle,
		.on_refusal = listener_on_refusal,
		.on_unreported = listener_on_unreported,
	};

	child->owner = &owner;
	child->owner_data = listener;
	child->name = listener->name;
	child->handler = listener->handler;
	child->loop = listener->world->loop;
	child->is_once = listener->world->is_once;
	child->handler_fd = child->program_fd = -1;
}

struct child *
listener_make_child(struct listener *listener)
{
	struct child *child = memory_zero(1, sizeof(*child));

	listener_own(listener, child);
	child->is_on_demand = demand_is_wanted(listener);
	child->start_timeout_ms = listener->config->start_timeout_ms;
	return child;
}

struct child *
listener_new_child(struct listener *listener)
{
	listener->current = listener_make_child(listener);
	return listener->current;
}

void
listener_start(struct listener *listener, uint32_t generation)
{
	struct child *child = listener_new_child(listener);

	if (demand_begins_idle(listener))
		child_rest(child, generation);
	else
		child_start(child, generation);
}
