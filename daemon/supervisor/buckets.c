/*
 * buckets.c - tables of buckets whose workers are gone.
 */
#include "supervisor/buckets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/listener.h"

/* Sets that are read together. */
#define BUCKETS_AT_ONCE 64U
#define BUCKETS_SET_SIZE ((off_t)(SOURCES_WAYS * sizeof(struct sources_place)))

/* A table that was used by somebody. */
struct buckets_gone {
	const void *board;
	int fd;
	struct sources view;
};

static off_t
buckets_find_places(const void *board, const struct sources *view)
{
	return (const char *)view->shared->places - (const char *)board;
}

static void *
buckets_board(const struct buckets_table *table)
{
	return (char *)table->view.shared - scoreboard_size(0);
}

static void
buckets_unmap(struct buckets_table *table)
{
	if (table->view.shared != NULL)
		(void)munmap(buckets_board(table), sources_board_size(0, table->sets));
	if (table->fd >= 0)
		(void)close(table->fd);
	if (table->reading_fd >= 0)
		(void)close(table->reading_fd);
}

/* Of one that has its descriptor and its size. 0 or a negative errno. */
static int
buckets_map(struct buckets_table *table)
{
	void *board;
	int r = table->reading_fd = fd_open_for_reading(table->fd);

	if (r >= 0)
		r = fd_map_shared(table->fd, sources_board_size(0, table->sets), &board);
	if (r < 0)
		return r;
	table->view = sources_of_board(board, 0, table->sets);
	return 0;
}

/* Its header has memory; its places get some when there is something to put there. */
static int
buckets_make(struct buckets_table *table, uint32_t sets)
{
	int r;

	*table = (struct buckets_table){.fd = -1, .reading_fd = -1, .sets = sets};
	r = table->fd = fd_shared_memfd("handlerd-buckets", sources_board_size(0, sets));
	if (r >= 0 && fchmod(table->fd, 0600) < 0)
		r = -errno;
	if (r >= 0 && fallocate(table->fd, 0, 0, (off_t)sources_board_size(0, 0)) < 0)
		r = -errno;
	if (r >= 0)
		r = buckets_map(table);
	if (r < 0) {
		buckets_unmap(table);
		return r;
	}
	atomic_store(&table->view.shared->is_over, true);
	return 0;
}

/* Sets [first, end). What is mapped and gets no memory could end the program, so it is asked for
 * before; and what others have left is read, not looked at. 0 or a negative errno. */
static int
buckets_keep_sets(const struct buckets *buckets, struct buckets_table *table,
		  const struct buckets_gone *gone, uint32_t first, uint32_t end,
		  int64_t *ret_last_ns)
{
	struct sources_place places[BUCKETS_AT_ONCE * SOURCES_WAYS];
	off_t from = buckets_find_places(gone->board, &gone->view);
	off_t to = buckets_find_places(buckets_board(table), &table->view);
	int64_t now_ns = clock_now_ns(), last_ns;

	if (fallocate(table->fd, 0, to + first * BUCKETS_SET_SIZE,
		      (end - first) * BUCKETS_SET_SIZE) < 0)
		return -errno;
	for (uint32_t at = first, count; at < end; at += count) {
		ssize_t n;

		count = end - at < BUCKETS_AT_ONCE ? end - at : BUCKETS_AT_ONCE;
		n = pread(gone->fd, places, (size_t)(count * BUCKETS_SET_SIZE),
			  from + at * BUCKETS_SET_SIZE);
		if (n != (ssize_t)(count * BUCKETS_SET_SIZE))
			return n < 0 ? -errno : -EIO;
		last_ns = sources_keep(&table->view, at, places, count, &buckets->source_rate,
				       now_ns);
		if (last_ns > *ret_last_ns)
			*ret_last_ns = last_ns;
	}
	return 0;
}

/* The table of a million connections has room for 64 MiB: only what was ever written to is looked
 * at. */
static int
buckets_keep_places(const struct buckets *buckets, struct buckets_table *table,
		    const struct buckets_gone *gone, int64_t *ret_last_ns)
{
	off_t from = buckets_find_places(gone->board, &gone->view);
	uint32_t first, end;
	int r = 0;

	for (uint32_t next = 0; next < table->sets && r >= 0; next = end) {
		off_t data = lseek(gone->fd, from + next * BUCKETS_SET_SIZE, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(gone->fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		first = (uint32_t)((data - from) / BUCKETS_SET_SIZE);
		end = (uint32_t)((hole - from + BUCKETS_SET_SIZE - 1) / BUCKETS_SET_SIZE);
		if (end > table->sets)
			end = table->sets;
		/* whoever is left of that worker may be at it still */
		if (first < next || end <= first)
			return 0;
		r = buckets_keep_sets(buckets, table, gone, first, end, ret_last_ns);
	}
	return r;
}

/* Frees the tables whose time is over, and looks again when the next one's is. */
static void
buckets_look_at_time(struct listener *listener)
{
	struct buckets *buckets = &listener->buckets;
	int64_t now_ns = clock_now_ns(), next_ns = INT64_MAX;
	size_t left = 0;

	for (size_t i = 0; i < buckets->count; i++) {
		struct buckets_table *table = &buckets->tables[i];

		if (table->until_ns <= now_ns) {
			buckets_unmap(table);
			continue;
		}
		next_ns = table->until_ns < next_ns ? table->until_ns : next_ns;
		buckets->tables[left++] = *table;
	}
	buckets->count = left;
	if (left > 0)
		loop_arm(listener->world->loop, &buckets->timer, next_ns);
	else
		loop_disarm(listener->world->loop, &buckets->timer);
}

static void
buckets_on_timer(struct loop_timer *timer)
{
	buckets_look_at_time(CONTAINER_OF(timer, struct listener, buckets.timer));
}

/* The one of this size. NULL, told in the log: there is none, and none can be made. */
static struct buckets_table *
buckets_find(struct listener *listener, uint32_t sets)
{
	struct buckets *buckets = &listener->buckets;
	struct buckets_table *table;
	int r = -ENOSPC;

	for (size_t i = 0; i < buckets->count; i++) {
		if (buckets->tables[i].sets == sets)
			return &buckets->tables[i];
	}
	table = &buckets->tables[buckets->count];
	if (buckets->count < BUCKETS_MOST)
		r = buckets_make(table, sets);
	if (r < 0) {
		log_warning("'%s': what is left of its rates cannot be kept: %s; the next worker "
			    "begins with all of it",
			    listener->name, strerror(-r));
		return NULL;
	}
	buckets->count++;
	return table;
}

static void
buckets_add(struct listener *listener, const struct buckets_gone *gone)
{
	struct buckets *buckets = &listener->buckets;
	int64_t now_ns = clock_now_ns(), all_ns, last_ns = 0;
	struct buckets_table *table;
	int r;

	if (buckets->rate.interval_ns == 0 && buckets->source_rate.interval_ns == 0)
		return;
	table = buckets_find(listener, gone->view.sets);
	if (table == NULL)
		return;
	all_ns = sources_bound(atomic_load(&gone->view.shared->full_ns), &buckets->rate, now_ns);
	if (all_ns > atomic_load(&table->view.shared->full_ns))
		atomic_store(&table->view.shared->full_ns, all_ns);
	r = buckets->source_rate.interval_ns == 0
		    ? 0
		    : buckets_keep_places(buckets, table, gone, &last_ns);
	if (r < 0)
		log_warning("'%s': what is left of the rates of some sources cannot be kept: %s; "
			    "they begin with all of it",
			    listener->name, strerror(-r));
	last_ns = all_ns > last_ns ? all_ns : last_ns;
	table->until_ns = last_ns > table->until_ns ? last_ns : table->until_ns;
	buckets_look_at_time(listener);
}

void
buckets_open(struct listener *listener)
{
	const struct conf_limits *limits = &listener->conf->limits;
	struct buckets *buckets = &listener->buckets;

	buckets->rate = bucket_rate_of((uint64_t)limits->rate, (uint64_t)limits->rate_burst);
	buckets->source_rate = bucket_rate_of((uint64_t)limits->rate_per_source,
					      (uint64_t)limits->rate_per_source_burst);
	buckets->timer.on_timer = buckets_on_timer;
}

void
buckets_close(struct listener *listener)
{
	struct buckets *buckets = &listener->buckets;

	for (size_t i = 0; i < buckets->count; i++)
		buckets_unmap(&buckets->tables[i]);
	if (buckets->timer.is_armed)
		loop_disarm(listener->world->loop, &buckets->timer);
	*buckets = (struct buckets){.count = 0};
}

void
buckets_keep(struct listener *listener, const struct child *child)
{
	struct buckets_gone gone = {
		.board = child->board,
		.fd = child->board_fd,
		.view = sources_of_board(child->board, child->board_slots, child->board_sets),
	};

	buckets_add(listener, &gone);
}

void
buckets_take_over(struct listener *listener, struct listener *replaced)
{
	struct buckets *from = &replaced->buckets;

	/* not the tables themselves: rates may have changed, and what a slower one has left is no
	 * more than an empty bucket of a faster one */
	for (size_t i = 0; i < from->count; i++) {
		struct buckets_gone gone = {
			.board = buckets_board(&from->tables[i]),
			.fd = from->tables[i].fd,
			.view = from->tables[i].view,
		};

		buckets_add(listener, &gone);
	}
	buckets_close(replaced);
}

int64_t
buckets_look(const struct buckets *buckets, uint64_t hash)
{
	int64_t full_ns = 0;

	for (size_t i = 0; i < buckets->count; i++) {
		struct sources_view view = sources_look(&buckets->tables[i].view, hash);

		full_ns = view.full_ns > full_ns ? view.full_ns : full_ns;
	}
	return full_ns;
}

int64_t
buckets_look_all(const struct buckets *buckets)
{
	int64_t full_ns = 0;

	for (size_t i = 0; i < buckets->count; i++) {
		int64_t other_ns = atomic_load(&buckets->tables[i].view.shared->full_ns);

		full_ns = other_ns > full_ns ? other_ns : full_ns;
	}
	return full_ns;
}

void
buckets_resume(struct listener *listener)
{
	struct buckets *buckets = &listener->buckets;
	size_t left = 0;

	for (size_t i = 0; i < buckets->count; i++) {
		struct buckets_table *table = &buckets->tables[i];
		int r = buckets_map(table);

		if (r >= 0) {
			buckets->tables[left++] = *table;
			continue;
		}
		log_error("what is left of the rates of '%s' is lost: %s", listener->name,
			  strerror(-r));
		buckets_unmap(table);
	}
	buckets->count = left;
	buckets_look_at_time(listener);
}
