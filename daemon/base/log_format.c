/*
 * log_format.c - text, JSON, and the fields of the journal.
 */
#include "base/log_format.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static const struct log_row {
	const char *name;
	const char *id;
	int level;
} log_rows[LOG_EVENTS] = {
#define LOG_EVENT(symbol, name, level, id, meaning, action)                                        \
	[LOG_EVENT_##symbol] = {name, id, level},
#include "base/log_events.inc"
#undef LOG_EVENT
};

int
log_event_level(enum log_event event)
{
	return log_rows[event].level;
}

static const char *
log_level_name(int level)
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error",   [LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_NOTICE] = "notice", [LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};

	if (level < LOG_LEVEL_ERROR)
		level = LOG_LEVEL_ERROR;
	return names[level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : level];
}

/* Behind everything; always fits. */
static void
log_close(struct line *record, const char *end)
{
	size_t length = strlen(end);

	memcpy(record->data + record->length, end, length);
	record->length += length;
}

static void
log_add_name(struct line *record, const char *before, const char *value, const char *behind)
{
	line_add_text(record, before);
	line_add_text(record, value);
	line_add_text(record, behind);
}

static void
log_add_number(struct line *record, const char *before, uint64_t value, const char *behind)
{
	line_add_text(record, before);
	line_add_u64(record, value);
	line_add_text(record, behind);
}

const char *
log_format_time(int64_t realtime_ns, char *buf, size_t size)
{
	struct line line = {.data = buf, .limit = size - 1};

	line_add_moment(&line, realtime_ns);
	buf[line.length] = '\0';
	return buf;
}

static void
log_add_now(struct line *record)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	line_add_moment(record, now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec);
}

void
log_format_text(struct line *record, int level, const struct log_context *context,
		const struct line *message, bool has_priority)
{
	if (has_priority) {
		log_add_number(record, "<", (uint64_t)level, ">");
	} else {
		log_add_now(record);
		log_add_name(record, " ", log_level_name(level), ": ");
	}
	if (context != NULL && context->is_prefix) {
		if (context->listener != NULL)
			log_add_name(record, "'", context->listener, "' ");
		if (context->connection_id != 0)
			log_add_number(record, "#", context->connection_id, " ");
		if (context->peer != NULL)
			line_add_text(record, context->peer);
		else
			record->length--; /* the space */
		line_add_text(record, ": ");
	}
	line_add_escaped(record, message->data, message->length, false);
	log_close(record, "\n");
}

static void
log_add_json(struct line *record, const char *name, const char *value)
{
	if (value == NULL)
		return;
	log_add_name(record, ",\"", name, "\":\"");
	line_add_escaped(record, value, strlen(value), true);
	line_add_text(record, "\"");
}

static void
log_add_json_field(struct line *record, const struct log_field *field)
{
	if (field->is_number) {
		log_add_name(record, ",\"", field->member, "\":");
		line_add_text(record, field->value);
	} else {
		log_add_json(record, field->member, field->value);
	}
}

void
log_format_json(struct line *record, int level, const struct log_context *context,
		const struct line *message)
{
	line_add_text(record, "{\"time\":\"");
	log_add_now(record);
	log_add_name(record, "\",\"level\":\"", log_level_name(level), "\"");
	log_add_number(record, ",\"pid\":", (uint64_t)getpid(), "");
	if (context != NULL) {
		log_add_json(record, "event", log_rows[context->event].name);
		log_add_json(record, "listener", context->listener);
		log_add_json(record, "handler", context->handler);
		log_add_json(record, "peer", context->peer);
		if (context->connection_id != 0)
			log_add_number(record, ",\"connection_id\":", context->connection_id, "");
		if (context->generation != 0)
			log_add_number(record, ",\"generation\":", context->generation, "");
		for (size_t i = 0; i < context->field_count; i++)
			log_add_json_field(record, &context->fields[i]);
	}
	line_add_text(record, ",\"message\":\"");
	/* the message comes last: cut, the record is still closed */
	line_add_escaped(record, message->data, message->length, true);
	log_close(record, "\"}\n");
}

void
log_format_journal(struct line *record, int level, const struct log_context *context,
		   const struct line *message, const char *program)
{
	log_add_number(record, "PRIORITY=", (uint64_t)level, "\n");
	log_add_name(record, "SYSLOG_IDENTIFIER=", program, "\n");
	if (context != NULL) {
		if (context->event != LOG_NO_EVENT)
			log_add_name(record, "MESSAGE_ID=", log_rows[context->event].id, "\n");
		if (context->listener != NULL)
			log_add_name(record, "HANDLERD_LISTENER=", context->listener, "\n");
		if (context->handler != NULL)
			log_add_name(record, "HANDLERD_HANDLER=", context->handler, "\n");
		if (context->peer != NULL)
			log_add_name(record, "HANDLERD_PEER=", context->peer, "\n");
		if (context->connection_id != 0)
			log_add_number(record, "HANDLERD_CONN_ID=", context->connection_id, "\n");
		if (context->generation != 0)
			log_add_number(record, "HANDLERD_GENERATION=", context->generation, "\n");
		for (size_t i = 0; i < context->field_count; i++) {
			const struct log_field *field = &context->fields[i];

			log_add_name(record, "HANDLERD_", field->field, "=");
			line_add_escaped(record, field->value, strlen(field->value), false);
			line_add_text(record, "\n");
		}
	}
	line_add_text(record, "MESSAGE=");
	if (context != NULL && context->is_prefix && context->listener != NULL) {
		log_add_name(record, "'", context->listener, "' ");
		if (context->connection_id != 0)
			log_add_number(record, "#", context->connection_id, " ");
		log_add_name(record, "", context->peer != NULL ? context->peer : "", ": ");
	}
	line_add_escaped(record, message->data, message->length, false);
	log_close(record, "\n");
}
