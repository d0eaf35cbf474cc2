/*
 * log_format.h - one record in each of the forms that a log may have.
 */
#ifndef BASE_LOG_FORMAT_H
#define BASE_LOG_FORMAT_H

#include <stdbool.h>

#include "base/line.h"
#include "base/log.h"

/* The end of a record that must fit whatever was cut before it: "}\n and a NUL. */
#define LOG_END_SIZE 4

/* The level at which an event is told. */
int log_event_level(enum log_event event);

/* Each makes a whole record of one line, however it is cut; the room has LOG_END_SIZE bytes beyond
 * the record's limit. `context` may be NULL. */

/* With the priority in front, as systemd reads it from a stream, or with the time and the level. */
void log_format_text(struct line *record, int level, const struct log_context *context,
		     const struct line *message, bool has_priority);
void log_format_json(struct line *record, int level, const struct log_context *context,
		     const struct line *message);
/* The datagram of fields that the journal's native protocol has; `program` is how the process is
 * called there. */
void log_format_journal(struct line *record, int level, const struct log_context *context,
			const struct line *message, const char *program);

#endif
