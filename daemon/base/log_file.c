/*
 * log_file.c - one writes, and takes with it what the others have put down.
 */
#include "base/log_file.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define LOG_FILE_ROOM 16384
#define LOG_FILE_FLUSH_NS (100 * CLOCK_NS_PER_MS)

struct log_batch {
	char data[LOG_FILE_ROOM];
	size_t length;
	uint64_t records;
};

static struct {
	pthread_mutex_t turn; /* of the one that writes */
	/* For moments, and never while writing: what is put down, and giving up the turn. So the
	 * turn is free only while nothing is there. */
	pthread_mutex_t lock;
	struct log_batch batches[2];
	unsigned filling; /* the other one is the writer's */
	bool is_ready;
} log_file = {
	.turn = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* What others were about to write is written by the parent. */
static void
log_file_forked(void)
{
	(void)pthread_mutex_init(&log_file.turn, NULL);
	(void)pthread_mutex_init(&log_file.lock, NULL);
	for (size_t i = 0; i < COUNT_OF(log_file.batches); i++)
		log_file.batches[i].length = log_file.batches[i].records = 0;
}

void
log_file_init(void)
{
	if (!log_file.is_ready)
		log_file.is_ready = pthread_atfork(NULL, NULL, log_file_forked) == 0;
}

static bool
log_file_put(int fd, const char *data, size_t size)
{
	ssize_t n;

	do
		n = write(fd, data, size);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

static void
log_file_leave(const struct line *record)
{
	struct log_batch *batch = &log_file.batches[log_file.filling];

	memcpy(batch->data + batch->length, record->data, record->length);
	batch->length += record->length;
	batch->records++;
}

/* Writes what is put down until there is nothing, and gives up the turn. Returns how many records
 * did not get out. */
static uint64_t
log_file_finish(int fd)
{
	uint64_t dropped = 0;

	for (;;) {
		struct log_batch *batch;

		(void)pthread_mutex_lock(&log_file.lock);
		batch = &log_file.batches[log_file.filling];
		if (batch->length == 0) {
			(void)pthread_mutex_unlock(&log_file.turn);
			(void)pthread_mutex_unlock(&log_file.lock);
			return dropped;
		}
		log_file.filling ^= 1;
		(void)pthread_mutex_unlock(&log_file.lock);
		if (!log_file_put(fd, batch->data, batch->length))
			dropped += batch->records;
		batch->length = 0;
		batch->records = 0;
	}
}

/* True if the record is left to the one that is writing; false: it is this one's turn. */
static bool
log_file_queue(const struct line *record, bool may_leave)
{
	bool has_turn, is_left = false;

	(void)pthread_mutex_lock(&log_file.lock);
	has_turn = pthread_mutex_trylock(&log_file.turn) == 0;
	if (!has_turn && may_leave &&
	    log_file.batches[log_file.filling].length + record->length <= LOG_FILE_ROOM) {
		log_file_leave(record);
		is_left = true;
	}
	(void)pthread_mutex_unlock(&log_file.lock);
	if (!has_turn && !is_left)
		(void)pthread_mutex_lock(&log_file.turn);
	return is_left;
}

uint64_t
log_file_write(int fd, const struct line *record, bool may_leave)
{
	uint64_t dropped = 0;
	int state;

	/* write() may be where a thread is cancelled, and then nobody would have the turn again */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	if (!log_file_queue(record, may_leave)) {
		dropped = log_file_put(fd, record->data, record->length) ? 0 : 1;
		dropped += log_file_finish(fd);
	}
	(void)pthread_setcancelstate(state, NULL);
	return dropped;
}

void
log_file_flush(int fd)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOG_FILE_FLUSH_NS;
	if (until.tv_nsec >= CLOCK_NS_PER_S) {
		until.tv_nsec -= CLOCK_NS_PER_S;
		until.tv_sec++;
	}
	if (pthread_mutex_timedlock(&log_file.turn, &until) == 0)
		(void)log_file_finish(fd);
}
