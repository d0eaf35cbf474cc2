/*
 * unit.h - what the unit tests share: running a suite, a directory of their own, whole files.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* With a sanitizer malloc is its own, and memory that cannot be is its report; TSan holds signals
 * back until a thread comes out of the kernel by itself. */
#if defined(__has_feature)
#define UNIT_HAS(feature) __has_feature(feature)
#else
#define UNIT_HAS(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || UNIT_HAS(thread_sanitizer)
#define UNIT_IS_TSAN 1
#else
#define UNIT_IS_TSAN 0
#endif
#if UNIT_IS_TSAN || defined(__SANITIZE_ADDRESS__) || UNIT_HAS(address_sanitizer)
#define UNIT_IS_SANITIZED 1
#else
#define UNIT_IS_SANITIZED 0
#endif

#define UNIT_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char unit_directory[64];

static int
unit_remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

/* Fixture: a directory below /tmp that nobody else writes to. */
static inline void
unit_make_directory(void)
{
	(void)umask(022);
	(void)snprintf(unit_directory, sizeof(unit_directory), "/tmp/test_unit_XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(unit_directory));
}

static inline void
unit_remove_directory(void)
{
	(void)nftw(unit_directory, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a file in the directory, in one of a few buffers that take turns. */
static inline const char *
unit_path(const char *name)
{
	static char paths[8][512];
	static unsigned next;
	char *path = paths[next++ % 8];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", unit_directory, name);
	return path;
}

static inline void
unit_write_file(const char *path, const void *data, size_t size)
{
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

/* A whole file; the caller frees it. */
static inline char *
unit_read_file(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "re");
	char *data = NULL;
	struct stat st;

	ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(fstat(fileno(file), &st), 0);
	data = malloc((size_t)st.st_size + 1);
	ck_assert_ptr_nonnull(data);
	ck_assert_uint_eq(fread(data, 1, (size_t)st.st_size, file), (size_t)st.st_size);
	data[st.st_size] = '\0';
	*ret_size = (size_t)st.st_size;
	ck_assert_int_eq(fclose(file), 0);
	return data;
}

/* The descriptors this process has, but for the one that counts. */
static inline int
unit_count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Runs one suite; 0: every test passed. */
static inline int
unit_run(const char *name, TCase *cases)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed;
}

#endif
