/*
 * older.c - counting across generations.
 */
#include "concurrency/older.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "concurrency/concurrency.h"

int
older_open(struct older *older, int vacancy_fd, int first_fd, const uint32_t *slot_counts,
	   const uint32_t *set_counts, size_t count)
{
	bool is_over = true;

	older->vacancy_fd = vacancy_fd;
	older->boards = calloc(count + 1, sizeof(*older->boards));
	older->tables = calloc(count + 1, sizeof(*older->tables));
	if (older->boards == NULL || older->tables == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int fd = first_fd + (int)i;
		void *board = mmap(NULL, sources_board_size(slot_counts[i], set_counts[i]),
				   PROT_READ, MAP_SHARED, fd, 0);

		(void)close(fd);
		if (board == MAP_FAILED)
			return -errno;
		older->tables[i] = sources_of_board(board, slot_counts[i], set_counts[i]);
		older->boards[older->count++] = (struct older_board){
			.board = board,
			.slot_count = slot_counts[i],
		};
		/* without slots: what is left of the rates of workers that are gone */
		is_over = is_over && slot_counts[i] == 0;
	}
	atomic_store(&older->is_over, is_over);
	return 0;
}

void
older_end(struct older *older)
{
	atomic_store(&older->is_over, true);
	fd_raise_event(older->vacancy_fd);
}

bool
older_has_room(struct concurrency *mode)
{
	struct older *older = &mode->older;
	uint64_t old = 0;

	if (atomic_load_explicit(&older->is_over, memory_order_relaxed))
		return true;
	for (size_t i = 0; i < older->count; i++)
		old += scoreboard_count_open(older->boards[i].board, older->boards[i].slot_count);
	return old + scoreboard_count_open(mode->board, mode->limit) < mode->limit;
}

void
older_wait_room(struct concurrency *mode)
{
	struct pollfd rows[] = {
		{.fd = mode->older.vacancy_fd, .events = POLLIN},
		{.fd = mode->drain_fd, .events = POLLIN},
		{.fd = mode->pause_fd, .events = POLLIN},
	};

	if (poll(rows, COUNT_OF(rows), -1) > 0 && rows[0].revents != 0) {
		fd_clear_event(mode->older.vacancy_fd);
		/* others may wait as well; one that finds no room goes back to waiting */
		if (older_has_room(mode))
			fd_raise_event(mode->older.vacancy_fd);
	}
}

void
older_tell_vacancy(const struct concurrency *mode)
{
	fd_raise_event(mode->older.vacancy_fd);
}
