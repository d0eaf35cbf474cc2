/*
 * log.c - where a record is made, and how it is written: with one system call that does not wait.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log_file.h"
#include "base/log_format.h"

/* A message is cut here; escaped and with its fields it may be twice as long. */
#define LOG_MESSAGE_SIZE 8192
#define LOG_RECORD_SIZE (2 * LOG_MESSAGE_SIZE)
#define LOG_PIPE_TRIES 1000

#define LOG_JOURNAL_PATH "/run/systemd/journal/socket"

static struct {
	enum log_target target;
	int fd;
	bool is_json;
	bool is_pipe;
	bool is_socket;
	bool is_file;
	bool is_terminal;
	const char *program;
} log_sink = {.target = LOG_TARGET_STDERR, .fd = STDERR_FILENO, .program = "handlerd"};

static struct log_shared log_own = {.level = LOG_LEVEL_INFO};
static struct log_shared *log_shared = &log_own;

/* Where a record is made: more than a fiber's stack should have to hold. */
struct log_room {
	struct line message;
	char text[LOG_MESSAGE_SIZE];
	char record[LOG_RECORD_SIZE];
};

/* The first is taken before there is asked for memory; the other one when there is none, of which
 * somebody will want to tell. */
static struct {
	_Atomic bool is_taken;
	struct log_room room;
} log_rooms[2];

/* Other threads were perhaps writing, and are not there any more. */
static void
log_forked(void)
{
	for (size_t i = 0; i < COUNT_OF(log_rooms); i++)
		atomic_store(&log_rooms[i].is_taken, false);
	log_file_forked();
}

void
log_open(enum log_target target, int fd, bool is_json, int level, const char *program)
{
	static bool is_ready;
	struct stat st;
	bool is_known = fstat(fd, &st) == 0;

	if (!is_ready)
		is_ready = pthread_atfork(NULL, NULL, log_forked) == 0;
	log_sink.target = target;
	log_sink.fd = fd;
	log_sink.is_json = is_json;
	log_sink.is_pipe = is_known && S_ISFIFO(st.st_mode);
	log_sink.is_socket = is_known && S_ISSOCK(st.st_mode);
	log_sink.is_file = is_known && S_ISREG(st.st_mode);
	log_sink.is_terminal = is_known && S_ISCHR(st.st_mode) && isatty(fd);
	log_sink.program = program;
	log_set_level(level);
}

int
log_open_terminal(int fd)
{
	char path[32];
	int r;

	if (!isatty(fd))
		return -ENOTTY;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

void
log_set_level(int level)
{
	atomic_store_explicit(&log_shared->level, level, memory_order_relaxed);
}

void
log_share(struct log_shared *place)
{
	atomic_store(&place->level, atomic_load(&log_shared->level));
	(void)atomic_fetch_add(&place->dropped, atomic_exchange(&log_shared->dropped, 0));
	log_shared = place;
}

bool
log_is_enabled(int level)
{
	return level <= atomic_load_explicit(&log_shared->level, memory_order_relaxed);
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

/* One write to a pipe that does not wait. Its reader, or another writer, may hold it for a moment:
 * then there is room all the same, and the next try does it. */
static ssize_t
log_send_pipe(const struct line *record)
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

/* One write to a terminal, which somebody may have stopped. Poll tells that there is room; where it
 * is stopped just then, the write waits unless the descriptor is one of log_open_terminal. What it
 * took only a part of has no end: the next record gets a line of its own all the same. */
static ssize_t
log_send_terminal(const struct line *record)
{
	static _Atomic bool is_torn;
	struct pollfd row = {.fd = log_sink.fd, .events = POLLOUT};
	struct iovec iov[] = {
		{.iov_base = (void *)"\n", .iov_len = 1},
		{.iov_base = (void *)record->data, .iov_len = record->length},
	};
	bool was_torn;
	ssize_t n;

	if (poll(&row, 1, 0) <= 0)
		return -1;
	was_torn = atomic_exchange(&is_torn, false);
	n = was_torn ? writev(log_sink.fd, iov, 2)
		     : write(log_sink.fd, record->data, record->length);
	if (n < 0 ? was_torn : (size_t)n < record->length + was_torn)
		atomic_store(&is_torn, true);
	return n >= 0 && (size_t)n < record->length + was_torn ? -1 : n;
}

/* One write that does not wait. Returns whether the record got out. */
static bool
log_send(const struct line *record)
{
	ssize_t n;

	do {
		if (log_sink.is_socket)
			n = send(log_sink.fd, record->data, record->length,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (log_sink.is_pipe)
			n = log_send_pipe(record);
		else if (log_sink.is_terminal)
			n = log_send_terminal(record);
		else
			n = write(log_sink.fd, record->data, record->length);
	} while (n < 0 && errno == EINTR);
	return n >= 0;
}

static struct log_room *
log_take_room(void)
{
	struct log_room *room;

	if (!atomic_exchange(&log_rooms[0].is_taken, true))
		return &log_rooms[0].room;
	room = malloc(sizeof(*room));
	if (room == NULL && !atomic_exchange(&log_rooms[1].is_taken, true))
		return &log_rooms[1].room;
	return room;
}

static void
log_give_room(struct log_room *room)
{
	for (size_t i = 0; i < COUNT_OF(log_rooms); i++) {
		if (room == &log_rooms[i].room) {
			atomic_store(&log_rooms[i].is_taken, false);
			return;
		}
	}
	free(room);
}

/* Returns how many records did not get out. */
static uint64_t
log_write_message(int level, const struct log_context *context, struct log_room *room)
{
	/* so much a pipe takes whole or not at all */
	struct line record = {
		.data = room->record,
		.limit = (log_sink.is_pipe ? PIPE_BUF : sizeof(room->record)) - LOG_END_SIZE,
	};

	if (log_sink.target == LOG_TARGET_JOURNAL)
		log_format_journal(&record, level, context, &room->message, log_sink.program);
	else if (log_sink.is_json)
		log_format_json(&record, level, context, &room->message);
	else
		log_format_text(&record, level, context, &room->message,
				log_sink.target == LOG_TARGET_STREAM);
	if (log_sink.is_file)
		return log_file_write(log_sink.fd, &record,
				      context != NULL && context->is_one_of_many);
	return log_send(&record) ? 0 : 1;
}

bool
log_is_file(void)
{
	return log_sink.is_file;
}

void
log_write_kept(void)
{
	(void)atomic_fetch_add(&log_shared->dropped, log_file_write_kept(log_sink.fd));
}

void
log_flush(void)
{
	if (log_sink.is_file)
		log_file_flush(log_sink.fd);
}

void
log_rescue(struct log_spool *spool, struct log_shared *shared)
{
	uint64_t lost = log_sink.is_file ? log_file_rescue(log_sink.fd, spool) : 0;

	if (lost > 0)
		log_event(LOG_EVENT_LOG_DROPPED, NULL,
			  "%" PRIu64 " bytes of log records of a worker that is gone were dropped: "
			  "the log does not take them",
			  lost);
	(void)atomic_fetch_add(&log_shared->dropped, atomic_exchange(&shared->dropped, 0));
}

/* A count that did not get out is told later, its own record not counted. */
static void
log_tell_dropped(struct log_room *room)
{
	uint64_t dropped = atomic_exchange(&log_shared->dropped, 0), more;

	if (dropped == 0)
		return;
	room->message.length = 0;
	line_add_u64(&room->message, dropped);
	line_add_text(&room->message, " log records were dropped: the log does not keep up");
	more = log_write_message(LOG_LEVEL_WARNING,
				 &(struct log_context){.event = LOG_EVENT_LOG_DROPPED}, room);
	/* by what this one saw, not by the count: others change that */
	if (more > 0)
		(void)atomic_fetch_add(&log_shared->dropped, dropped + more - 1);
}

struct line *
log_begin(int level)
{
	struct log_room *room;

	if (!log_is_enabled(level))
		return NULL;
	room = log_take_room();
	if (room == NULL) {
		(void)atomic_fetch_add(&log_shared->dropped, 1);
		return NULL;
	}
	room->message = (struct line){.data = room->text, .limit = sizeof(room->text) - 1};
	return &room->message;
}

void
log_end(int level, const struct log_context *context, struct line *message)
{
	struct log_room *room = (struct log_room *)message;
	uint64_t dropped = log_write_message(level, context, room);

	if (dropped > 0)
		(void)atomic_fetch_add(&log_shared->dropped, dropped);
	if (atomic_load_explicit(&log_shared->dropped, memory_order_relaxed) > 0)
		log_tell_dropped(room);
	log_give_room(room);
}

void
log_vwrite(int level, const struct log_context *context, const char *format, va_list args)
{
	int saved_errno = errno, n;
	struct line *message = log_begin(level);

	if (message == NULL) {
		errno = saved_errno;
		return;
	}
	errno = saved_errno; /* for %m */
	n = vsnprintf(message->data, message->limit + 1, format, args);
	if (n > 0)
		message->length = strlen(message->data);
	log_end(level, context, message);
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
	log_vwrite(log_event_level(event), &context, format, args);
	va_end(args);
}
