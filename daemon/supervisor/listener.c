/*
 * listener.c - a listener's workers: started, compared, handed over, drained.
 */
#include "supervisor/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"

/* More old workers than a configuration may allow (max_generations). */
#define LISTENER_MOST_OLDER 100

static void
listener_copy_identity(struct identity *to, const struct identity *from)
{
	*to = *from;
	to->groups = memory_zero(from->group_count, sizeof(*to->groups));
	if (from->group_count > 0)
		memcpy(to->groups, from->groups, from->group_count * sizeof(*to->groups));
	to->user = memory_text(from->user);
	to->home = memory_text(from->home);
}

struct listener *
listener_make(struct listener_world *world, struct config *config, const struct conf_listener *conf)
{
	struct listener *listener = memory_zero(1, sizeof(*listener));

	listener->world = world;
	listener->config = config;
	listener->conf = conf;
	listener->name = memory_text(conf->name);
	listener->handler = memory_text(conf->handler);
	listener->protocol = conf->protocol;
	listener->concurrency = conf->concurrency;
	listener->start = conf->start;
	listener->limit = conf_listener_limit(conf);
	listener->pin = PIN_NONE;
	listener->fallback = FALLBACK_NONE;
	listener->vacancy_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return listener;
}

struct listener *
listener_new(struct listener_world *world, struct config *config, const struct conf_listener *conf,
	     const struct identity *identity, struct report *report)
{
	struct listener *listener = listener_make(world, config, conf);

	if (!pin_open(&listener->pin, conf->handler, &config->handler_path, &conf->handler_origin,
		      report) ||
	    !names_look_up_socket(conf, &listener->socket_owner.uid, &listener->socket_owner.gid,
				  report)) {
		listener_free(listener);
		return NULL;
	}
	listener_copy_identity(&listener->identity, identity);
	listener_make_image(listener);
	return listener;
}

void
listener_set_replaces(struct listener *listener, struct listener *running)
{
	listener->replaces = running;
	(void)dup3(running->vacancy_fd, listener->vacancy_fd, O_CLOEXEC);
}

static void
listener_close_files(struct child *child)
{
	if (child->handler_fd >= 0)
		(void)close(child->handler_fd);
	if (child->program_fd >= 0)
		(void)close(child->program_fd);
	child->handler_fd = child->program_fd = -1;
}

static void
listener_free_child(struct child *child)
{
	if (child == NULL)
		return;
	child_handle(child, CHILD_STOP);
	report_free(&child->failures);
	free(child->version);
	death_free(&child->death);
	listener_close_files(child);
	free(child);
}

void
listener_free(struct listener *listener)
{
	if (listener == NULL)
		return;
	demand_stop(listener);
	listener_free_child(listener->current);
	while (listener->old != NULL) {
		struct child *child = listener->old;

		listener->old = child->next;
		listener_free_child(child);
	}
	if (listener->vacancy_fd >= 0)
		(void)close(listener->vacancy_fd);
	pin_close(&listener->pin);
	identity_free(&listener->identity);
	buf_free(&listener->image);
	buf_free(&listener->address_image);
	fallback_clear(&listener->fallback);
	config_free(listener->own_config);
	free(listener->sockets);
	free(listener->name);
	free(listener->handler);
	free(listener);
}

int
listener_map_board(struct child *child, int fd, size_t slots)
{
	struct stat st;
	void *board;

	/* what is shorter would be a SIGBUS */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (size_t)st.st_size != scoreboard_size(slots))
		return -EBADF;
	board = mmap(NULL, scoreboard_size(slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (board == MAP_FAILED)
		return -errno;
	child->board = board;
	child->board_slots = slots;
	child->board_fd = fd;
	return 0;
}

static int
listener_open_board(struct child *child, size_t slots)
{
	CLEANUP_CLOSE int fd = fd_shared_memfd("handlerd-scoreboard", scoreboard_size(slots));
	int r = fd < 0 ? fd : listener_map_board(child, fd, slots);

	if (r >= 0)
		(void)take_fd(&fd);
	return r;
}

static void
listener_close_board(struct child *child)
{
	if (child->board == NULL)
		return;
	(void)munmap(child->board, scoreboard_size(child->board_slots));
	(void)close(child->board_fd);
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

/* Adds the numbers of a worker that is gone. Connections that did not come to an end ended with it;
 * after an orderly end there are none. */
static void
listener_on_end(struct child *child, bool was_asked)
{
	struct listener *listener = child->owner_data;
	struct scoreboard_totals sum;
	uint64_t lost;

	if (!was_asked && !child->is_timeout && child == listener->current &&
	    (child->state == CHILD_SERVING || child->state == CHILD_REPLACING) &&
	    fallback_is_crash(child->last_status))
		fallback_note_crash(listener);
	if (child->board == NULL)
		return;
	sum = scoreboard_sum(child->board, child->board_slots);
	lost = scoreboard_count_open(child->board, child->board_slots);
	sum.crashed += lost;
	scoreboard_add(&listener->totals, &sum);
	/* the younger generation counts them from the same board */
	(void)atomic_fetch_add(&child->board->slots[0].crashed, lost);
	fd_raise_event(listener->vacancy_fd);
	listener_close_board(child);
}

/* The workers whose connections count with those of a new one. */
static size_t
listener_find_older(const struct listener *listener, const struct child **ret, size_t most)
{
	const struct listener *holder = listener->replaces != NULL ? listener->replaces : listener;
	size_t count = 0;

	if (holder != listener && holder->current != NULL && holder->current->board != NULL)
		ret[count++] = holder->current;
	for (const struct child *child = holder->old; child != NULL && count < most;
	     child = child->next) {
		if (child->board != NULL)
			ret[count++] = child;
	}
	return count;
}

/* The descriptors from WORKER_FD_SOCKETS on. */
static void
listener_add_fds(const struct listener *listener, const struct child *const *older,
		 struct worker_settings *settings, int *fds)
{
	size_t count = 0;

	for (size_t i = 0; i < settings->socket_count; i++) {
		(void)held_revive(listener->sockets[i]);
		fds[count++] = listener->sockets[i]->fd;
	}
	fds[count++] = listener->vacancy_fd;
	for (size_t i = 0; i < settings->older_count; i++) {
		settings->older_slots[i] = (uint32_t)older[i]->board_slots;
		fds[count++] = older[i]->board_fd;
	}
}

static int
listener_execute(struct child *child, const struct worker_settings *settings, const int *fds)
{
	struct listener *listener = child->owner_data;
	const struct listener_world *world = listener->world;
	char **environment = listener_environment(&listener->identity, listener->conf);
	struct buf image = {0};
	CLEANUP_CLOSE int settings_fd = -1;
	struct process_birth birth = {
		.program_fd = world->places->worker_fd,
		.scoreboard_fd = child->board_fd,
		.handler_fd = listener->pin.fd,
		.log_fd = world->journal_fd >= 0 ? world->journal_fd : STDERR_FILENO,
		.ports_fd = conf_protocol_is_datagram(listener->protocol) ? world->ports_reading_fd
									  : -1,
		.more_fds = fds,
		.more_count = settings->socket_count + 1 + settings->older_count,
		.environment = environment,
	};
	int r;

	worker_settings_write(settings, &image);
	r = settings_fd = fd_sealed_memfd("handlerd-settings", image.data, image.length);
	birth.settings_fd = settings_fd;
	if (r >= 0)
		r = process_start(&child->process, world->loop, child->generation, &birth);
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
	uint32_t older_slots[LISTENER_MOST_OLDER + 1];
	CLEANUP_FREE int *fds =
		memory_zero(settings.socket_count + COUNT_OF(older) + 1, sizeof(int));
	int r;

	settings.serial = listener->world->next_serial++ % SCOREBOARD_MOST_SERIALS;
	settings.older_slots = older_slots;
	settings.older_count = (uint32_t)listener_find_older(listener, older, LISTENER_MOST_OLDER);
	listener_note_files(child);
	r = listener_open_board(child, settings.limit);
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
	free(settings.options);
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
	struct listener_world *world = ((struct listener *)child->owner_data)->world;

	if (world->on_killed != NULL)
		world->on_killed(world, id);
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
		.may_accept = listener_may_accept,
		.on_idle = demand_on_idle,
	};

	child->owner = &owner;
	child->owner_data = listener;
	child->name = listener->name;
	child->handler = listener->handler;
	child->loop = listener->world->loop;
	child->is_once = listener->world->is_once;
	child->handler_fd = child->program_fd = -1;
}

static struct child *
listener_new_child(struct listener *listener)
{
	struct child *child = memory_zero(1, sizeof(*child));

	listener_own(listener, child);
	child->is_on_demand = demand_is_wanted(listener);
	child->start_timeout_ms = listener->config->start_timeout_ms;
	listener->current = child;
	return child;
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

void
listener_set_config(struct listener *listener, struct config *config,
		    const struct conf_listener *conf)
{
	listener->config = config;
	listener->conf = conf;
	listener->start = conf->start;
	/* what the file says now is what serves */
	config_free(listener->own_config);
	listener->own_config = NULL;
	listener->is_rolled_back = false;
	/* for the workers that replace this one after a crash */
	if (listener->current != NULL)
		listener->current->start_timeout_ms = config->start_timeout_ms;
}

static void
listener_push_old(struct listener *listener, struct child *child)
{
	child->owner_data = listener;
	child->name = listener->name;
	child->handler = listener->handler;
	child->next = listener->old;
	listener->old = child;
}

struct child *
listener_set_aside(struct listener *listener, int64_t deadline_ns)
{
	struct child *before = listener->current;
	struct child *child = listener_new_child(listener);

	/* neither ends what clients have done to it */
	child->backoff = before->backoff;
	child->crashes = before->crashes;
	listener_push_old(listener, before);
	child_drain(before, deadline_ns);
	return child;
}

void
listener_take_over(struct listener *listener, struct listener *replaced, int64_t deadline_ns)
{
	uint32_t generation = replaced->current != NULL ? replaced->current->generation : 0;
	struct child *reversed = NULL;

	listener->replaces = NULL;
	listener->is_paused = replaced->is_paused;
	while (replaced->old != NULL) {
		struct child *child = replaced->old;

		replaced->old = child->next;
		child->next = reversed;
		reversed = child;
	}
	while (reversed != NULL) {
		struct child *child = reversed;

		reversed = child->next;
		listener_push_old(listener, child);
	}
	if (replaced->current != NULL) {
		listener_push_old(listener, replaced->current);
		replaced->current = NULL;
		child_drain(listener->old, deadline_ns);
	}
	scoreboard_add(&listener->totals, &replaced->totals);
	fallback_keep(listener, replaced, generation);
}

void
listener_drain(struct listener *listener, int64_t deadline_ns)
{
	demand_stop(listener);
	listener->socket_count = 0;
	if (listener->current != NULL)
		child_drain(listener->current, deadline_ns);
	for (struct child *child = listener->old; child != NULL; child = child->next)
		child_drain(child, deadline_ns);
}

/* One generation too many. */
static void
listener_cut(const struct listener *listener, const struct child *child, int64_t most,
	     struct report *report)
{
	CLEANUP_FREE char *text =
		memory_format("'%s': worker of generation %" PRIu32
			      " is ended before its drain deadline: more than max_generations "
			      "(%" PRId64 ") old ones are left",
			      listener->name, child->generation, most);

	log_event(LOG_EVENT_GENERATION_CUT, listener->name, "%s", text);
	if (report != NULL)
		report_warning(report, NULL, 0, "%s", text);
}

void
listener_tidy(struct listener *listener, int64_t most, struct report *report)
{
	struct child **slot = &listener->old;
	bool had_old = listener->old != NULL;
	int64_t count = 0;

	while (*slot != NULL) {
		struct child *child = *slot;

		if (child->state == CHILD_GONE) {
			*slot = child->next;
			listener_free_child(child);
			continue;
		}
		if (++count > most) {
			listener_cut(listener, child, most, report);
			child_handle(child, CHILD_STOP);
		}
		slot = &child->next;
	}
	if (had_old && listener->old == NULL && listener->current != NULL)
		process_send(&listener->current->process, PROTOCOL_ALONE, NULL);
}

void
listener_kill_connection(struct listener *listener, uint64_t id)
{
	struct buf payload = {0};

	buf_add_u64(&payload, id);
	if (listener->current != NULL)
		process_send(&listener->current->process, PROTOCOL_KILL, &payload);
	for (struct child *child = listener->old; child != NULL; child = child->next)
		process_send(&child->process, PROTOCOL_KILL, &payload);
	buf_free(&payload);
}

bool
listener_is_quiet(const struct listener *listener)
{
	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (!child->is_quiet && child->state != CHILD_GONE)
			return false;
	}
	return true;
}

bool
listener_is_gone(const struct listener *listener)
{
	if (listener->current != NULL && listener->current->state != CHILD_GONE)
		return false;
	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (child->state != CHILD_GONE)
			return false;
	}
	return true;
}

static void
listener_add_live(struct scoreboard_totals *totals, const struct child *child)
{
	struct scoreboard_totals sum;

	if (child == NULL || child->board == NULL)
		return;
	sum = scoreboard_sum(child->board, child->board_slots);
	scoreboard_add(totals, &sum);
}

struct scoreboard_totals
listener_count(const struct listener *listener)
{
	struct scoreboard_totals totals = listener->totals;

	listener_add_live(&totals, listener->current);
	for (const struct child *child = listener->old; child != NULL; child = child->next)
		listener_add_live(&totals, child);
	return totals;
}

uint64_t
listener_count_open(const struct listener *listener)
{
	uint64_t count = 0;

	if (listener->current != NULL && listener->current->board != NULL)
		count = scoreboard_count_open(listener->current->board,
					      listener->current->board_slots);
	for (const struct child *child = listener->old; child != NULL; child = child->next) {
		if (child->board != NULL)
			count += scoreboard_count_open(child->board, child->board_slots);
	}
	return count;
}
