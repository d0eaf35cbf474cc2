/*
 * log_file.h - records into a file that all threads of a process write to.
 *
 * The kernel lets one at a time write at the position of a file, and those that wait for it sleep.
 * Of records that come in great numbers, whoever is writing takes with it what others have put
 * down meanwhile: they go on, and there are fewer system calls.
 *
 * A process may keep such records for a moment, too, in memory that it shares with its parent. Then
 * whoever comes first writes them: one that finds no room, one whose record may not wait, the
 * process when the moment is over, or the parent when the process has died.
 */
#ifndef BASE_LOG_FILE_H
#define BASE_LOG_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/line.h"

#define LOG_FILE_ROOM 16384
/* No record is kept for much longer; in such a time so many are written at once. So what comes now
 * and then is in the file when the call returns, and costs nobody a wake-up. */
#define LOG_FILE_KEEP_NS (10 * CLOCK_NS_PER_MS)
#define LOG_FILE_FEW 8

struct log_batch {
	_Atomic uint32_t length;
	_Atomic uint32_t records;
	char data[LOG_FILE_ROOM];
};

/* One takes what comes, while the other one is being written. Zeroed at first. */
struct log_spool {
	struct log_batch batches[2];
	_Atomic uint32_t filling;
};

/* In a forked child: what others were about to write, or is kept, is written by the parent. */
void log_file_forked(void);
/* From now on records that may be left are kept here (not owned; a forked child lets go of it).
 * `on_kept` is called by the thread that has put down the first one: it sees to it that
 * log_file_write_kept is called LOG_FILE_KEEP_NS later. */
void log_file_keep(struct log_spool *spool, void (*on_kept)(void));
/* Writes one record. If another thread is writing, or it is kept, one that may be left is left; any
 * other is written when this returns, behind all that this thread has left. Returns how many
 * records did not get out. */
uint64_t log_file_write(int fd, const struct line *record, bool may_leave);
/* Writes what is kept, if nobody else is doing so. Returns how many did not get out. */
uint64_t log_file_write_kept(int fd);
/* Before the process ends while it has threads: waits a moment for what they are writing. */
void log_file_flush(int fd);
/* Writes what a process that is gone has left, which can be anything. One that was killed in the
 * middle of writing it, or before it could take note, has its last records written again. Returns
 * how many bytes did not get out. */
uint64_t log_file_rescue(int fd, struct log_spool *spool);

#endif
