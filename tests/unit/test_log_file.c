/*
 * test_log_file.c - records into a file: whoever writes takes those of the others with it, what is
 * kept comes out once and in order, and nothing is lost with the process.
 */
#include "base/log_file.h"

#include <pthread.h>
#include <sys/wait.h>

#include "base/log.h"
#include "log_cases.h"
#include "unit.h"

static struct log_spool spool;
static _Atomic unsigned kept_count;
static int file;

static void
on_kept(void)
{
	kept_count++;
}

static void
open_file(void)
{
	file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(file, 0);
	log_open(LOG_TARGET_STDERR, file, false, LOG_LEVEL_DEBUG, "handlerd");
}

/* Records that are a number in eight digits, and whether they stand in the file from 0 on. */
static void
write_number(unsigned number, bool may_leave)
{
	char text[16];
	struct line record = {.data = text, .length = 9, .limit = sizeof(text) - 1};

	(void)snprintf(text, sizeof(text), "%08u\n", number);
	ck_assert_uint_eq(log_file_write(file, &record, may_leave), 0);
}

static unsigned
count_written(void)
{
	char text[16];
	unsigned count = 0;

	for (; pread(file, text, 9, (off_t)count * 9) == 9; count++)
		ck_assert_uint_eq(strtoul(text, NULL, 10), count);
	ck_assert_int_eq(lseek(file, 0, SEEK_END), (off_t)count * 9);
	return count;
}

#define WRITERS 8
#define WRITER_RECORDS 4000

static void *
write_many(void *arg)
{
	struct log_context many = {.is_one_of_many = true};

	for (unsigned i = 0; i < WRITER_RECORDS; i++)
		log_write(LOG_LEVEL_INFO, i % 16 == 15 ? NULL : &many, "of %u number %u",
			  *(unsigned *)arg, i);
	return NULL;
}

/* Each once, those of a thread in their order. */
static void
expect_all_of_many(void)
{
	unsigned next[WRITERS] = {0}, numbers[WRITERS], writer, number;
	pthread_t threads[WRITERS];
	char line[128];
	FILE *in;
	int end;

	for (unsigned i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	log_write_kept();
	ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
	in = fdopen(file, "r");
	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		ck_assert_msg(is_time(line), "%s", line);
		ck_assert_int_eq(
			sscanf(line + 24, " info: of %u number %u%n", &writer, &number, &end), 2);
		ck_assert_str_eq(line + 24 + end, "\n");
		ck_assert_uint_lt(writer, WRITERS);
		ck_assert_uint_eq(number, next[writer]++);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		ck_assert_uint_eq(next[i], WRITER_RECORDS);
	(void)fclose(in);
}

/* Whoever writes takes those of the others with it, and none is left when the last one is done. */
START_TEST(threads_write_one_file_and_nothing_is_lost_or_mixed)
{
	open_file();
	expect_all_of_many();
}
END_TEST

START_TEST(threads_keep_records_and_nothing_is_lost_or_mixed)
{
	open_file();
	log_file_keep(&spool, on_kept);
	expect_all_of_many();
	ck_assert_uint_gt(kept_count, 0);
}
END_TEST

/* A child that is forked while others write begins with nothing, and can write. */
START_TEST(child_forked_meanwhile_writes_its_own_records_alone)
{
	unsigned numbers[2] = {0, 1}, lines = 0;
	pthread_t threads[2];
	char line[128];
	int status;
	FILE *in;

	open_file();
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
	for (unsigned i = 0; i < 50; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			log_write(LOG_LEVEL_INFO, &(struct log_context){.is_one_of_many = true},
				  "of %u number %u", 2, i);
			log_flush();
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
	in = fdopen(file, "r");
	ck_assert_ptr_nonnull(in);
	for (; fgets(line, sizeof(line), in) != NULL; lines++)
		ck_assert_msg(is_time(line), "%s", line);
	ck_assert_uint_eq(lines, 2 * WRITER_RECORDS + 50);
	(void)fclose(in);
}
END_TEST

/* Writes from this one on until one is kept; returns the next. However slow the machine is: what is
 * not kept is in the file. */
static unsigned
write_until_kept(unsigned number)
{
	unsigned before = kept_count;

	while (kept_count == before)
		write_number(number++, true);
	ck_assert_uint_eq(kept_count, before + 1);
	ck_assert_uint_eq(count_written(), number - 1);
	return number;
}

/* The first few of each moment are in the file when the call returns, and wake nobody. */
START_TEST(many_records_are_kept_for_a_moment_and_few_are_not)
{
	unsigned number;

	open_file();
	log_file_keep(&spool, on_kept);
	number = write_until_kept(0);
	ck_assert_uint_gt(number, LOG_FILE_FEW);
	ck_assert_uint_eq(log_file_write_kept(file), 0);
	ck_assert_uint_eq(count_written(), number);
	/* what may not wait goes behind what is kept */
	number = write_until_kept(number);
	write_number(number++, false);
	ck_assert_uint_eq(count_written(), number);
	/* and the next one that is kept is told again */
	number = write_until_kept(number);
	log_file_flush(file);
	ck_assert_uint_eq(count_written(), number);
}
END_TEST

START_TEST(whoever_finds_no_room_writes_what_is_kept)
{
	unsigned number = 0;

	open_file();
	log_file_keep(&spool, on_kept);
	for (; number < 4 * LOG_FILE_ROOM / 9; number++) {
		write_number(number, true);
		ck_assert_uint_le(spool.batches[0].length, LOG_FILE_ROOM);
		ck_assert_uint_le(spool.batches[1].length, LOG_FILE_ROOM);
	}
	ck_assert_uint_ge(count_written(), number - LOG_FILE_ROOM / 9);
	log_file_flush(file);
	ck_assert_uint_eq(count_written(), number);
}
END_TEST

/* Nobody came, as the one that was to is busy. */
START_TEST(what_is_kept_for_too_long_is_written_by_the_next)
{
	int64_t until_ns;
	unsigned number;

	open_file();
	log_file_keep(&spool, on_kept);
	number = write_until_kept(0);
	until_ns = clock_now_ns() + 3 * LOG_FILE_KEEP_NS;
	while (clock_now_ns() < until_ns)
		;
	write_number(number, true);
	ck_assert_uint_eq(count_written(), number + 1);
}
END_TEST

START_TEST(forked_child_lets_go_of_what_is_kept)
{
	unsigned number;
	int status;
	pid_t pid;

	open_file();
	log_file_keep(&spool, on_kept);
	number = write_until_kept(0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		for (unsigned i = 0; i < 2 * LOG_FILE_FEW; i++) {
			write_number(number - 1 + i, true);
			if (count_written() != number + i)
				_exit(1);
		}
		log_file_flush(file);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(spool.batches[0].records + spool.batches[1].records, 1);
}
END_TEST

static void
leave_batch(struct log_batch *batch, unsigned from, unsigned count)
{
	char text[16];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(text, sizeof(text), "%08u\n", from + i);
		memcpy(batch->data + (size_t)9 * i, text, 9);
	}
	batch->length = 9 * count;
	batch->records = count;
}

START_TEST(what_a_dead_process_has_left_is_written_in_order)
{
	open_file();
	for (unsigned filling = 0; filling < 2; filling++) {
		spool.filling = filling;
		leave_batch(&spool.batches[filling ^ 1], 6 * filling, 4);
		leave_batch(&spool.batches[filling], 6 * filling + 4, 2);
		ck_assert_uint_eq(log_file_rescue(file, &spool), 0);
		ck_assert_uint_eq(count_written(), 6 * (filling + 1));
	}
	/* once */
	ck_assert_uint_eq(log_file_rescue(file, &spool), 0);
	ck_assert_uint_eq(count_written(), 12);
}
END_TEST

/* It may have written anything there. */
START_TEST(numbers_that_cannot_be_are_left_alone)
{
	open_file();
	spool.filling = UINT32_MAX;
	spool.batches[0].length = LOG_FILE_ROOM + 1;
	spool.batches[1].length = UINT32_MAX;
	ck_assert_uint_eq(log_file_rescue(file, &spool), 0);
	ck_assert_uint_eq(count_written(), 0);
}
END_TEST

START_TEST(what_the_file_does_not_take_is_counted)
{
	struct line record = {.data = (char[]){"00000000\n"}, .length = 9, .limit = 9};
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	uint64_t lost = 0, written = 0;

	ck_assert_int_ge(full, 0);
	log_file_keep(&spool, on_kept);
	while (kept_count == 0) {
		lost += log_file_write(full, &record, true);
		written++;
	}
	ck_assert_uint_eq(lost, written - 1);
	ck_assert_uint_eq(log_file_write_kept(full), 1);
	ck_assert_uint_eq(log_file_write_kept(full), 0);
	leave_batch(&spool.batches[0], 0, 3);
	ck_assert_uint_eq(log_file_rescue(full, &spool), 27);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("log_file");

	tcase_add_test(cases, threads_write_one_file_and_nothing_is_lost_or_mixed);
	tcase_add_test(cases, threads_keep_records_and_nothing_is_lost_or_mixed);
	/* its child would be told to have leaked its parent's threads */
	if (!UNIT_IS_TSAN)
		tcase_add_test(cases, child_forked_meanwhile_writes_its_own_records_alone);
	tcase_add_test(cases, many_records_are_kept_for_a_moment_and_few_are_not);
	tcase_add_test(cases, whoever_finds_no_room_writes_what_is_kept);
	tcase_add_test(cases, what_is_kept_for_too_long_is_written_by_the_next);
	tcase_add_test(cases, forked_child_lets_go_of_what_is_kept);
	tcase_add_test(cases, what_a_dead_process_has_left_is_written_in_order);
	tcase_add_test(cases, numbers_that_cannot_be_are_left_alone);
	tcase_add_test(cases, what_the_file_does_not_take_is_counted);
	tcase_set_timeout(cases, 30);
	return unit_run("log_file", cases);
}
