/*
 * report.h - errors and warnings about text from outside, gathered so that one run tells them all.
 * Each has the file and line it is about.
 */
#ifndef BASE_REPORT_H
#define BASE_REPORT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct report_entry {
	bool is_warning;
	char *file;    /* NULL: about no file */
	unsigned line; /* 0: about the file as a whole */
	char *text;    /* one sentence, no newline */
	char *source;  /* the offending line of the file, or NULL */
};

struct report {
	struct report_entry *entries;
	size_t count;
	size_t errors; /* entries that are no warnings */
};

/* `source` may be NULL; everything is copied. */
void report_add(struct report *report, bool is_warning, const char *file, unsigned line,
		const char *source, const char *text);
void report_error(struct report *report, const char *file, unsigned line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void report_warning(struct report *report, const char *file, unsigned line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* "FILE:LINE: text", "FILE: text" or "text", in a new string that the caller frees. */
char *report_sentence(const struct report_entry *entry);

/* Writes every entry with its offending line below it, safe for a terminal. */
void report_print(const struct report *report, FILE *out);

void report_free(struct report *report);

#endif
