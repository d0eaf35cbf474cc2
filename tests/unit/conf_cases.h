/*
 * conf_cases.h - what the tests of daemon/conf share: a directory of their own with configuration
 * files in it, and looking through what was reported.
 */
#ifndef TESTS_CONF_CASES_H
#define TESTS_CONF_CASES_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/report.h"
#include "conf/config.h"

#define CASES_HANDLERS "/usr/lib/handlerd"

/* A whole listener in one line. */
#define CASES_LISTENER "{ name = \"a\"; address = \"127.0.0.1:7001\"; handler = \"echo\"; }"

/* libconfig 1.5 loses a string that stands where none may. Visible: the sanitizer looks for these
 * from its own library. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

__attribute__((visibility("default"))) const char *__lsan_default_options(void);
const char *
__lsan_default_options(void)
{
	return "print_suppressions=0";
}

static char cases_directory[64];
static char cases_main[96];

static int
cases_remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static inline void
cases_setup(void)
{
	(void)umask(022);
	(void)snprintf(cases_directory, sizeof(cases_directory), "/tmp/test_conf_XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(cases_directory));
	(void)snprintf(cases_main, sizeof(cases_main), "%s/handlerd.conf", cases_directory);
}

static inline void
cases_teardown(void)
{
	(void)nftw(cases_directory, cases_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The path of a file in the directory; good until the next call. */
static inline const char *
cases_path(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", cases_directory, name);
	return path;
}

static inline void
cases_write_bytes(const char *name, const void *data, size_t size)
{
	FILE *file = fopen(cases_path(name), "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

static inline void
cases_write(const char *name, const char *text)
{
	cases_write_bytes(name, text, strlen(text));
}

static inline void
cases_make_directory(const char *name)
{
	ck_assert_int_eq(mkdir(cases_path(name), 0755), 0);
}

/* NULL: it has errors. */
static inline struct config *
cases_load_file(const char *path, struct report *report)
{
	size_t errors_before = report->errors;
	struct config *config = config_load(path, CASES_HANDLERS, report);

	if (report->errors == errors_before)
		return config;
	config_free(config);
	return NULL;
}

static inline struct config *
cases_load(struct report *report)
{
	return cases_load_file(cases_main, report);
}

/* Writes the main file and loads it. */
static inline struct config *
cases_load_text(const char *text, struct report *report)
{
	cases_write("handlerd.conf", text);
	return cases_load(report);
}

/* Everything that was reported, one entry a line. The caller frees it. */
static inline char *
cases_text(const struct report *report)
{
	char *all = memory_text("");

	for (size_t i = 0; i < report->count; i++) {
		char *sentence = report_sentence(&report->entries[i]);
		char *longer = memory_format("%s%s\n", all, sentence);

		free(sentence);
		free(all);
		all = longer;
	}
	return all;
}

/* Fails unless the text has just one error, on this line (0: any), with these words in it. */
static inline void
cases_expect(const char *text, unsigned line, const char *words)
{
	struct report report = {0};
	struct config *config = cases_load_text(text, &report);
	char *all = cases_text(&report);

	ck_assert_msg(config == NULL, "accepted: %s", text);
	ck_assert_msg(report.errors == 1, "%zu errors for: %s\n%s", report.errors, text, all);
	ck_assert_msg(strstr(report.entries[0].text, words) != NULL,
		      "for: %s\nexpected: %s\nfound: %s", text, words, all);
	ck_assert_msg(line == 0 || report.entries[0].line == line, "for: %s\nexpected line %u: %s",
		      text, line, all);
	ck_assert_str_eq(report.entries[0].file, cases_main);
	free(all);
	report_free(&report);
}

/* Loads a text that must be accepted; the caller frees the configuration. */
static inline struct config *
cases_accept(const char *text)
{
	struct report report = {0};
	struct config *config = cases_load_text(text, &report);
	char *all = cases_text(&report);

	ck_assert_msg(config != NULL, "refused: %s\n%s", text, all);
	ck_assert_uint_eq(report.count, 0);
	free(all);
	report_free(&report);
	return config;
}

/* What config_emit writes; the caller frees it. */
static inline char *
cases_emit(const struct config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	config_emit(config, out);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

/* Runs the suite; 0: every test passed. */
static inline int
cases_run(TCase *cases, const char *name)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(cases, cases_setup, cases_teardown);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed;
}

#endif
