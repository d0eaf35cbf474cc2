/*
 * log.h - where messages go: the journal (its native protocol) or standard error, as text or JSON.
 *
 * Any thread may log. A call never waits for a reader: what a full pipe or journal does not take at
 * once is dropped, counted, and the count is told by the next record that gets through.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/line.h"

/* syslog's numbers */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

enum log_event {
	LOG_NO_EVENT,
#define LOG_EVENT(symbol, name, level, id, meaning, action) LOG_EVENT_##symbol,
#include "base/log_events.inc"
#undef LOG_EVENT
	LOG_EVENTS,
};

enum log_target {
	LOG_TARGET_STDERR,
	LOG_TARGET_JOURNAL,
	LOG_TARGET_STREAM, /* standard error that the journal reads: text with priorities only */
};

/* Something that a record tells beside its message, under a name of its own: a member in JSON, a
 * field in the journal. */
struct log_field {
	const char *member, *field; /* the latter without HANDLERD_ */
	const char *value;
	bool is_number;
};

/* What a record is about. NULL and 0 mean: not known. */
struct log_context {
	const char *listener;
	const char *handler;
	const char *peer;
	uint64_t connection_id;
	uint32_t generation;
	enum log_event event;
	const struct log_field *fields; /* in JSON and in the journal; not owned */
	size_t field_count;
	bool is_one_of_many; /* a file may get it later, from somebody else: see log_file.h */
	bool is_prefix;	     /* the text form names listener, id and peer before the message */
};

/* A descriptor of the terminal that `fd` is which never waits, and whose flags nobody else has;
 * close-on-exec. -ENOTTY: it is none. Or another negative errno: the terminal is somebody else's.
 */
int log_open_terminal(int fd);

/* How this process logs; `fd` is a journal socket or standard error and stays the caller's. */
void log_open(enum log_target target, int fd, bool is_json, int level, const char *program);
void log_set_level(int level);
/* What is the same for a process, those that it forks later, and the parent that buries it. Zeroed
 * at first. */
struct log_shared {
	_Atomic int level;
	_Atomic uint64_t dropped; /* records of which nobody has told yet */
};
/* From now on it stands there. Before there are other threads. */
void log_share(struct log_shared *place);

/* The target that "auto" means here: the journal when standard error is connected to it. */
enum log_target log_target_auto(void);
/* A datagram socket connected to the journal, close-on-exec; negative errno. */
int log_connect_journal(void);

bool log_is_enabled(int level);
/* Whether a record has its fields, which are then worth making: text has not. */
bool log_has_fields(void);

void log_write(int level, const struct log_context *context, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void log_vwrite(int level, const struct log_context *context, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

/* The same for who puts the message together by hand: begins it, or returns NULL if it is not to be
 * written; then nothing else is to be done. Little may happen until its end: others may have to ask
 * for memory meanwhile. */
struct line *log_begin(int level);
void log_end(int level, const struct log_context *context, struct line *message);

/* Whether it is a file. Then records of which there are many may be kept for a moment, as
 * log_file_keep() has it, and this writes them. */
bool log_is_file(void);
void log_write_kept(void);
/* Before the process ends while it has other threads, so that what they are writing, and what is
 * kept, gets out. */
void log_flush(void);
struct log_spool;
/* Of a process that is gone and logged to the same place: writes what it has left there, and tells
 * with the next record what it could not tell any more. */
void log_rescue(struct log_spool *spool, struct log_shared *shared);

/* One event, at its level, of a listener (NULL: of none). */
void log_event(enum log_event event, const char *listener, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, NULL, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

/* Keeps one cause from filling the log. Zeroed at first; any thread may use it. */
struct log_limiter {
	_Atomic int64_t window_ns;
	_Atomic uint64_t count;
	_Atomic uint64_t suppressed;
};

/* At most `most` records in 10 s: true if one may be written now; *ret_suppressed is how many were
 * not, since the last that was. */
bool log_limit(struct log_limiter *limiter, uint32_t most, uint64_t *ret_suppressed);
/* The same in so long a time. */
bool log_limit_in(struct log_limiter *limiter, uint64_t most, int64_t window_ns,
		  uint64_t *ret_suppressed);

/* A moment of the wall clock as records have it: "2024-01-02T03:04:05.678Z". Returns buf. */
#define LOG_TIME_SIZE 32
const char *log_format_time(int64_t realtime_ns, char *buf, size_t size);

#endif
