/*
 * crash.h - what a process that crashes leaves behind: a record in its scoreboard, written by a
 * signal handler, and what its parent makes of it.
 *
 * The record is gossip like everything else that stands there: it is copied once, bounded, and
 * shown with care. Nothing in it is followed: addresses are looked up in files that the reader
 * trusts.
 */
#ifndef IPC_CRASH_H
#define IPC_CRASH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/log.h"

#define CRASH_MOST_FRAMES 32
#define CRASH_MODULE_SIZE 40

enum crash_module {
	CRASH_MODULE_UNKNOWN, /* the offset is an address */
	CRASH_MODULE_HANDLER,
	CRASH_MODULE_PROGRAM, /* the worker's own */
	CRASH_MODULE_LIBRARY,
};

/* A return address. */
struct crash_frame {
	uint64_t offset; /* in the module, as its file has it */
	uint32_t module; /* enum crash_module */
	uint32_t reserved;
	char name[CRASH_MODULE_SIZE]; /* of the module, without directories */
};

/* Whoever crashes first claims it with his pid; in shared memory. */
struct crash_record {
	_Atomic int32_t pid; /* 0: free */
	_Atomic uint32_t frame_count;
	int32_t signal;
	int32_t code; /* si_code */
	uint64_t address;
	uint64_t connection_id;	    /* that the crashing flow served; 0: none */
	uint32_t is_stack_overflow; /* of a fiber */
	uint32_t reserved[7];
	struct crash_frame frames[CRASH_MOST_FRAMES];
};

/* A checked copy. */
struct crash_report {
	int signal; /* one of those that are reported */
	int code;
	uint64_t address;
	uint64_t connection_id;
	bool is_stack_overflow;
	uint32_t frame_count;
	struct crash_frame frames[CRASH_MOST_FRAMES];
};

/* The files whose functions are looked up; -1: unknown. */
struct crash_files {
	int handler_fd;
	int program_fd;
};

/* The signals that mean a crash, 0 at the end. */
extern const int crash_signals[];

/* Takes what this process has left, once it is dead, and frees the record for the next. Returns
 * whether there was something. */
bool crash_take(struct crash_record *record, pid_t pid, struct crash_report *ret);

/* Adds "integer division by zero", "address 0x10 is not mapped" or the like; nothing for a signal
 * that says all there is. Returns whether it added something. */
bool crash_add_cause(const struct crash_report *report, struct buf *text);

/* Adds "#0 crash_here+0x12 (crash.so+0x1234), #1 ...", up to `most` frames. */
void crash_add_frames(const struct crash_report *report, const struct crash_files *files,
		      uint32_t most, struct buf *text);

/* Writes a line for each frame to the log: who, and the frame. */
void crash_log_frames(const struct crash_report *report, const struct crash_files *files,
		      const struct log_context *context, const char *who);

#endif
