/*
 * log.c - formats a record on the stack and writes it with one system call that does not wait.
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* A message is cut here; escaped and with its fields it may be twice as long. */
#define LOG_MESSAGE_SIZE 8192
#define LOG_RECORD_SIZE (2 * LOG_MESSAGE_SIZE)
#define LOG_PIPE_TRIES 1000
#define LOG_REPEAT_NS (10 * CLOCK_NS_PER_S)

#define LOG_JOURNAL_PATH "/run/systemd/journal/socket"

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

static struct {
	enum log_target target;
	int fd;
	bool is_json;
	bool is_pipe;
	bool is_socket;
	const char *program;
} log_sink = {.target = LOG_TARGET_STDERR, .fd = STDERR_FILENO, .program = "handlerd"};

static _Atomic int log_level_own = LOG_LEVEL_INFO;
static _Atomic int *log_level_now = &log_level_own;
static _Atomic uint64_t log_dropped;

void
log_open(enum log_target target, int fd, bool is_json, int level, const char *program)
{
	struct stat st;
	bool is_known = fstat(fd, &st) == 0;

	log_sink.target = target;
	log_sink.fd = fd;
	log_sink.is_json = is_json;
	log_sink.is_pipe = is_known && S_ISFIFO(st.st_mode);
	log_sink.is_socket = is_known && S_ISSOCK(st.st_mode);
	log_sink.program = program;
	log_set_level(level);
}

void
log_set_level(int level)
{
	atomic_store_explicit(log_level_now, level, memory_order_relaxed);
}

void
log_share_level(_Atomic int *place)
{
	atomic_store(place, atomic_load(log_level_now));
	log_level_now = place;
}

bool
log_is_enabled(int level)
{
	return level <= atomic_load_explicit(log_level_now, memory_order_relaxed);
}

bool
log_has_fields(void)
{
	return log_sink.is_json || log_sink.target == LOG_TARGET_JOURNAL;
}

enum log_target
log_target_auto(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char here[64];

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return LOG_TARGET_STDERR;
	(void)snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, here) == 0 ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
}

int
log_connect_journal(void)
{
	static const struct sockaddr_un addr = {
		.sun_family = AF_UNIX,
		.sun_path = LOG_JOURNAL_PATH,
	};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
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

/* The end of a record that must fit whatever was cut before it: "}\n and a NUL. */
#define LOG_END_SIZE 4

/* A record under construction. Adding to a full one cuts it at the limit. */
struct log_record {
	char data[LOG_RECORD_SIZE];
	size_t length;
	size_t limit; /* at most sizeof(data) - LOG_END_SIZE */
};

/* Behind everything; always fits. */
static void
log_end(struct log_record *record, const char *end)
{
	size_t length = strlen(end);

	memcpy(record->data + record->length, end, length);
	record->length += length;
}

static void log_add(struct log_record *record, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
log_add(struct log_record *record, const char *format, ...)
{
	/* one more than may stay, for the NUL */
	size_t left = record->limit - record->length + 1;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(record->data + record->length, left, format, args);
	va_end(args);
	if (n > 0)
		record->length += (size_t)n < left ? (size_t)n : left - 1;
}

static void
log_add_escaped(struct log_record *record, const char *text, bool is_json)
{
	size_t left = record->limit - record->length + 1;
	char *at = record->data + record->length;

	record->length += is_json ? text_escape_json(text, strlen(text), at, left)
				  : text_escape(text, strlen(text), at, left);
}

const char *
log_format_time(int64_t realtime_ns, char *buf, size_t size)
{
	/* most moments are in the same second as the one before */
	static _Thread_local struct {
		time_t seconds;
		char text[LOG_TIME_SIZE];
	} last;
	time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S);
	int ms = (int)(realtime_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS);
	struct tm tm;

	buf[0] = '\0';
	if (seconds != last.seconds || last.text[0] == '\0') {
		if (gmtime_r(&seconds, &tm) == NULL ||
		    strftime(last.text, sizeof(last.text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
			return buf;
		last.seconds = seconds;
	}
	(void)snprintf(buf, size, "%s.%03dZ", last.text, ms);
	return buf;
}

static void
log_add_time(struct log_record *record)
{
	char text[LOG_TIME_SIZE];
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	log_add(record, "%s",
		log_format_time(now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec, text, sizeof(text)));
}

static void
log_format_text(struct log_record *record, int level, const struct log_context *context,
		const char *message)
{
	if (log_sink.target == LOG_TARGET_STREAM) {
		log_add(record, "<%d>", level);
	} else {
		log_add_time(record);
		log_add(record, " %s: ", log_level_name(level));
	}
	if (context != NULL && context->is_prefix) {
		if (context->listener != NULL)
			log_add(record, "'%s' ", context->listener);
		if (context->connection_id != 0)
			log_add(record, "#%" PRIu64 " ", context->connection_id);
		if (context->peer != NULL)
			log_add(record, "%s", context->peer);
		else
			record->length--; /* the space */
		log_add(record, ": ");
	}
	log_add_escaped(record, message, false);
	log_end(record, "\n");
}

static void
log_add_json(struct log_record *record, const char *name, const char *value)
{
	if (value == NULL)
		return;
	log_add(record, ",\"%s\":\"", name);
	log_add_escaped(record, value, true);
	log_add(record, "\"");
}

static void
log_add_json_field(struct log_record *record, const struct log_field *field)
{
	if (field->is_number)
		log_add(record, ",\"%s\":%s", field->member, field->value);
	else
		log_add_json(record, field->member, field->value);
}

static void
log_format_json(struct log_record *record, int level, const struct log_context *context,
		const char *message)
{
	log_add(record, "{\"time\":\"");
	log_add_time(record);
	log_add(record, "\",\"level\":\"%s\",\"pid\":%d", log_level_name(level), (int)getpid());
	if (context != NULL) {
		log_add_json(record, "event", log_rows[context->event].name);
		log_add_json(record, "listener", context->listener);
		log_add_json(record, "handler", context->handler);
		log_add_json(record, "peer", context->peer);
		if (context->connection_id != 0)
			log_add(record, ",\"connection_id\":%" PRIu64, context->connection_id);
		if (context->generation != 0)
			log_add(record, ",\"generation\":%" PRIu32, context->generation);
		for (size_t i = 0; i < context->field_count; i++)
			log_add_json_field(record, &context->fields[i]);
	}
	log_add(record, ",\"message\":\"");
	/* the message comes last: cut, the record is still closed */
	log_add_escaped(record, message, true);
	log_end(record, "\"}\n");
}

static void
log_format_journal(struct log_record *record, int level, const struct log_context *context,
		   const char *message)
{
	log_add(record, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n", level, log_sink.program);
	if (context != NULL) {
		if (context->event != LOG_NO_EVENT)
			log_add(record, "MESSAGE_ID=%s\n", log_rows[context->event].id);
		if (context->listener != NULL)
			log_add(record, "HANDLERD_LISTENER=%s\n", context->listener);
		if (context->handler != NULL)
			log_add(record, "HANDLERD_HANDLER=%s\n", context->handler);
		if (context->peer != NULL)
			log_add(record, "HANDLERD_PEER=%s\n", context->peer);
		if (context->connection_id != 0)
			log_add(record, "HANDLERD_CONN_ID=%" PRIu64 "\n", context->connection_id);
		if (context->generation != 0)
			log_add(record, "HANDLERD_GENERATION=%" PRIu32 "\n", context->generation);
		for (size_t i = 0; i < context->field_count; i++) {
			log_add(record, "HANDLERD_%s=", context->fields[i].field);
			log_add_escaped(record, context->fields[i].value, false);
			log_add(record, "\n");
		}
	}
	log_add(record, "MESSAGE=");
	if (context != NULL && context->is_prefix && context->listener != NULL) {
		log_add(record, "'%s' ", context->listener);
		if (context->connection_id != 0)
			log_add(record, "#%" PRIu64 " ", context->connection_id);
		log_add(record, "%s: ", context->peer != NULL ? context->peer : "");
	}
	log_add_escaped(record, message, false);
	log_end(record, "\n");
}

/* One write to a pipe that does not wait. Its reader, or another writer, may hold it for a moment:
 * then there is room all the same, and the next try does it. */
static ssize_t
log_send_pipe(const struct log_record *record)
{
	struct iovec iov = {.iov_base = (void *)record->data, .iov_len = record->length};

	for (int i = 0; i < LOG_PIPE_TRIES; i++) {
		struct pollfd row = {.fd = log_sink.fd, .events = POLLOUT};
		ssize_t n = pwritev2(log_sink.fd, &iov, 1, -1, RWF_NOWAIT);
		int error = errno;

		if (n >= 0 || (error != EAGAIN && error != EOPNOTSUPP && error != EINTR))
			return n;
		if (poll(&row, 1, 0) <= 0)
			return -1;
		/* a kernel without it: as much as a pipe takes whole does not wait where there is
		 * room */
		if (error == EOPNOTSUPP)
			return write(log_sink.fd, record->data, record->length);
	}
	return -1;
}

/* One write that does not wait. Returns whether the record got out. */
static bool
log_send(const struct log_record *record)
{
	ssize_t n;

	do {
		if (log_sink.is_socket)
			n = send(log_sink.fd, record->data, record->length,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (log_sink.is_pipe)
			n = log_send_pipe(record);
		else
			n = write(log_sink.fd, record->data, record->length);
	} while (n < 0 && errno == EINTR);
	return n >= 0;
}

/* Where a record is made: more than a fiber's stack should have to hold. */
struct log_room {
	char message[LOG_MESSAGE_SIZE];
	struct log_record record;
};

/* For when there is no memory, of which somebody will want to tell. */
static struct log_room log_spare_room;
static _Atomic bool is_spare_room_taken;

static struct log_room *
log_take_room(void)
{
	struct log_room *room = malloc(sizeof(*room));

	if (room == NULL && !atomic_exchange(&is_spare_room_taken, true))
		return &log_spare_room;
	return room;
}

static void
log_give_room(struct log_room *room)
{
	if (room == &log_spare_room)
		atomic_store(&is_spare_room_taken, false);
	else
		free(room);
}

static void
log_write_message(int level, const struct log_context *context, const char *message,
		  struct log_record *record)
{
	record->length = 0;
	/* so much a pipe takes whole or not at all */
	record->limit = (log_sink.is_pipe ? PIPE_BUF : sizeof(record->data)) - LOG_END_SIZE;
	if (log_sink.target == LOG_TARGET_JOURNAL)
		log_format_journal(record, level, context, message);
	else if (log_sink.is_json)
		log_format_json(record, level, context, message);
	else
		log_format_text(record, level, context, message);
	if (!log_send(record))
		(void)atomic_fetch_add(&log_dropped, 1);
}

void
log_vwrite(int level, const struct log_context *context, const char *format, va_list args)
{
	int saved_errno = errno;
	struct log_room *room;
	uint64_t dropped;

	if (!log_is_enabled(level))
		return;
	room = log_take_room();
	if (room == NULL) {
		(void)atomic_fetch_add(&log_dropped, 1);
		return;
	}
	errno = saved_errno; /* for %m */
	(void)vsnprintf(room->message, sizeof(room->message), format, args);
	log_write_message(level, context, room->message, &room->record);
	dropped = atomic_exchange(&log_dropped, 0);
	if (dropped > 0) {
		(void)snprintf(room->message, sizeof(room->message),
			       "%" PRIu64 " log records were dropped: the log does not keep up",
			       dropped);
		log_write_message(LOG_LEVEL_WARNING,
				  &(struct log_context){.event = LOG_EVENT_LOG_DROPPED},
				  room->message, &room->record);
		/* a count that did not get out is told later, its own record not counted */
		if (atomic_load(&log_dropped) > 0)
			(void)atomic_fetch_add(&log_dropped, dropped - 1);
	}
	log_give_room(room);
	errno = saved_errno;
}

void
log_write(int level, const struct log_context *context, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vwrite(level, context, format, args);
	va_end(args);
}

void
log_event(enum log_event event, const char *listener, const char *format, ...)
{
	struct log_context context = {.event = event, .listener = listener};
	va_list args;

	va_start(args, format);
	log_vwrite(log_rows[event].level, &context, format, args);
	va_end(args);
}

bool
log_limit(struct log_limiter *limiter, uint32_t most, uint64_t *ret_suppressed)
{
	return log_limit_in(limiter, most, LOG_REPEAT_NS, ret_suppressed);
}

bool
log_limit_in(struct log_limiter *limiter, uint64_t most, int64_t window_ns,
	     uint64_t *ret_suppressed)
{
	int64_t now_ns = clock_now_ns();
	int64_t began_ns = atomic_load(&limiter->window_ns);

	if ((began_ns == 0 || now_ns - began_ns >= window_ns) &&
	    atomic_compare_exchange_strong(&limiter->window_ns, &began_ns, now_ns))
		atomic_store(&limiter->count, 0);
	if (atomic_fetch_add(&limiter->count, 1) >= most) {
		(void)atomic_fetch_add(&limiter->suppressed, 1);
		return false;
	}
	*ret_suppressed = atomic_exchange(&limiter->suppressed, 0);
	return true;
}
