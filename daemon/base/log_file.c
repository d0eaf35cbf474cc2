/*
 * log_file.c - one writes, and takes with it what the others have put down.
 */
#include "base/log_file.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOG_FILE_FLUSH_NS (100 * CLOCK_NS_PER_MS)
/* Who was to write what is kept is late: somebody else does. */
#define LOG_FILE_LATE_NS (2 * LOG_FILE_KEEP_NS)

static struct log_spool log_file_own;

static struct {
	pthread_mutex_t turn; /* of the one that writes */
	/* For moments, and never while writing: what is put down, and giving up the turn. So,
	 * unless records are kept, the turn is free only while nothing is there. */
	pthread_mutex_t lock;
	struct log_spool *spool;
	void (*on_kept)(void); /* NULL: nothing is kept */
	int64_t kept_ns;       /* since when */
	int64_t window_ns;     /* when it was begun to count records */
	uint32_t window_count;
} log_file = {
	.turn = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.spool = &log_file_own,
};

void
log_file_forked(void)
{
	(void)pthread_mutex_init(&log_file.turn, NULL);
	(void)pthread_mutex_init(&log_file.lock, NULL);
	log_file.spool = &log_file_own;
	log_file.on_kept = NULL;
	for (size_t i = 0; i < COUNT_OF(log_file_own.batches); i++) {
		atomic_store(&log_file_own.batches[i].length, 0);
		atomic_store(&log_file_own.batches[i].records, 0);
	}
}

void
log_file_keep(struct log_spool *spool, void (*on_kept)(void))
{
	(void)pthread_mutex_lock(&log_file.lock);
	log_file.spool = spool;
	log_file.on_kept = on_kept;
	(void)pthread_mutex_unlock(&log_file.lock);
}

static bool
log_file_put(int fd, struct iovec *parts, int count)
{
	ssize_t n;

	do
		n = writev(fd, parts, count);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

/* With the turn: writes what was put down, and behind it this record, unless NULL. Returns how many
 * did not get out. */
static uint64_t
log_file_put_all(int fd, const struct line *record)
{
	struct iovec parts[2];
	struct log_batch *batch;
	bool is_taken, is_out;
	uint64_t dropped = 0;
	uint32_t filling;
	int count = 0;

	(void)pthread_mutex_lock(&log_file.lock);
	filling = atomic_load_explicit(&log_file.spool->filling, memory_order_relaxed) & 1;
	batch = &log_file.spool->batches[filling];
	parts[count].iov_base = batch->data;
	parts[count].iov_len = atomic_load_explicit(&batch->length, memory_order_relaxed);
	if (parts[count].iov_len > 0) {
		atomic_store_explicit(&log_file.spool->filling, filling ^ 1, memory_order_release);
		count++;
	}
	is_taken = count > 0;
	(void)pthread_mutex_unlock(&log_file.lock);
	if (record != NULL)
		parts[count++] =
			(struct iovec){.iov_base = record->data, .iov_len = record->length};
	is_out = count == 0 || log_file_put(fd, parts, count);
	if (!is_out)
		dropped = record != NULL;
	if (!is_taken)
		return dropped;
	if (!is_out)
		dropped += atomic_load_explicit(&batch->records, memory_order_relaxed);
	/* in this order: what has no length is not there */
	atomic_store_explicit(&batch->length, 0, memory_order_release);
	atomic_store_explicit(&batch->records, 0, memory_order_relaxed);
	return dropped;
}

/* Gives up the turn, unless others have put down what nobody else would come for. */
static bool
log_file_end_turn(void)
{
	const struct log_spool *spool;
	bool is_over;

	(void)pthread_mutex_lock(&log_file.lock);
	spool = log_file.spool;
	is_over = log_file.on_kept != NULL ||
		  atomic_load(&spool->batches[atomic_load(&spool->filling) & 1].length) == 0;
	if (is_over)
		(void)pthread_mutex_unlock(&log_file.turn);
	(void)pthread_mutex_unlock(&log_file.lock);
	return is_over;
}

static uint64_t
log_file_use_turn(int fd, const struct line *record)
{
	uint64_t dropped = 0;

	do {
		dropped += log_file_put_all(fd, record);
		record = NULL;
	} while (!log_file_end_turn());
	return dropped;
}

/* Under the lock: whether many records come. */
static bool
log_file_are_many(int64_t now_ns)
{
	if (now_ns - log_file.window_ns >= LOG_FILE_KEEP_NS) {
		log_file.window_ns = now_ns;
		log_file.window_count = 0;
	}
	return ++log_file.window_count > LOG_FILE_FEW;
}

/* Under the lock. False: there is no room for it. */
static bool
log_file_leave(const struct line *record)
{
	struct log_spool *spool = log_file.spool;
	struct log_batch *batch = &spool->batches[atomic_load(&spool->filling) & 1];
	uint32_t length = atomic_load_explicit(&batch->length, memory_order_relaxed);

	if (record->length > LOG_FILE_ROOM - length)
		return false;
	memcpy(batch->data + length, record->data, record->length);
	atomic_store_explicit(&batch->records, atomic_load(&batch->records) + 1,
			      memory_order_relaxed);
	atomic_store_explicit(&batch->length, length + (uint32_t)record->length,
			      memory_order_release);
	return true;
}

/* Under the lock: keeps one that may be left, if many come. *ret_on_kept is to be called; *ret_late
 * tells that what is kept is to be written now. */
static bool
log_file_keep_one(const struct line *record, void (**ret_on_kept)(void), bool *ret_is_late)
{
	const struct log_spool *spool = log_file.spool;
	int64_t now_ns;
	bool is_first;

	if (log_file.on_kept == NULL)
		return false;
	now_ns = clock_now_ns();
	is_first = atomic_load_explicit(&spool->batches[atomic_load(&spool->filling) & 1].length,
					memory_order_relaxed) == 0;
	if (!log_file_are_many(now_ns) || !log_file_leave(record))
		return false;
	if (is_first) {
		log_file.kept_ns = now_ns;
		*ret_on_kept = log_file.on_kept;
	}
	*ret_is_late = now_ns - log_file.kept_ns >= LOG_FILE_LATE_NS;
	return true;
}

/* True if the record is left to somebody else; false: it is this one's turn. */
static bool
log_file_queue(const struct line *record, bool may_leave, bool *ret_is_late)
{
	bool has_turn = false, is_left;
	void (*on_kept)(void) = NULL;

	(void)pthread_mutex_lock(&log_file.lock);
	is_left = may_leave && log_file_keep_one(record, &on_kept, ret_is_late);
	if (!is_left) {
		has_turn = pthread_mutex_trylock(&log_file.turn) == 0;
		is_left = !has_turn && may_leave && log_file_leave(record);
	}
	(void)pthread_mutex_unlock(&log_file.lock);
	if (on_kept != NULL)
		on_kept();
	if (!has_turn && !is_left)
		(void)pthread_mutex_lock(&log_file.turn);
	return is_left;
}

uint64_t
log_file_write(int fd, const struct line *record, bool may_leave)
{
	uint64_t dropped = 0;
	bool is_late = false;
	int state;

	/* write() may be where a thread is cancelled, and then nobody would have the turn again */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	if (!log_file_queue(record, may_leave, &is_late))
		dropped = log_file_use_turn(fd, record);
	else if (is_late)
		dropped = log_file_write_kept(fd);
	(void)pthread_setcancelstate(state, NULL);
	return dropped;
}

uint64_t
log_file_write_kept(int fd)
{
	if (pthread_mutex_trylock(&log_file.turn) != 0)
		return 0;
	return log_file_use_turn(fd, NULL);
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
		(void)log_file_use_turn(fd, NULL);
}

uint64_t
log_file_rescue(int fd, struct log_spool *spool)
{
	uint32_t filling = atomic_load(&spool->filling) & 1;
	uint64_t lost = 0;

	/* the one that was being written has the older ones */
	for (uint32_t i = 0; i < COUNT_OF(spool->batches); i++) {
		struct log_batch *batch = &spool->batches[filling ^ 1 ^ i];
		uint32_t length = atomic_load(&batch->length);
		struct iovec part = {.iov_base = batch->data, .iov_len = length};

		if (length == 0 || length > LOG_FILE_ROOM)
			continue;
		if (!log_file_put(fd, &part, 1))
			lost += length;
		atomic_store(&batch->length, 0);
	}
	return lost;
}
