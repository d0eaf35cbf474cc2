/*
 * log_file.h - records into a file that all threads of a process write to.
 *
 * The kernel lets one at a time write at the position of a file, and those that wait for it sleep.
 * Of records that come in great numbers, whoever is writing takes with it what others have put
 * down meanwhile: they go on, and there are fewer system calls. Nothing is kept back for later:
 * while no thread is writing, none is left.
 */
#ifndef BASE_LOG_FILE_H
#define BASE_LOG_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/line.h"

/* Before the process has threads; again is no harm. */
void log_file_init(void);
/* Writes one record. If another thread is writing, one that may be left is left to it; any other is
 * written when this returns, behind all that this thread has left. Returns how many records did
 * not get out. */
uint64_t log_file_write(int fd, const struct line *record, bool may_leave);
/* Before the process ends while it has threads: waits a moment for what they are writing. */
void log_file_flush(int fd);

#endif
