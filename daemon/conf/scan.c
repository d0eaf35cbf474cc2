/*
 * scan.c - refuses what libconfig would let through. What libconfig reads as it is meant passes.
 */
#include "conf/scan.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "conf/token.h"

struct scanner {
	const char *file;
	struct scan *scan;
	struct report *report;
	struct token long_string; /* the first string of several lines; of kind TOKEN_END: none */
};

static void
scan_refuse_number(const struct scanner *scanner, const struct token *token, const char *why)
{
	struct scan *scan = scanner->scan;
	/* a number can be as long as the file */
	int shown = token->length > 40 ? 40 : (int)token->length;

	scan->bad_numbers =
		memory_grow(scan->bad_numbers, scan->bad_number_count, sizeof(*scan->bad_numbers));
	scan->bad_numbers[scan->bad_number_count++] = token->line;
	report_error(scanner->report, scanner->file, token->line, "%.*s%s %s", shown, token->start,
		     (size_t)shown < token->length ? "..." : "", why);
}

static void
scan_check_integer(const struct scanner *scanner, const struct token *token, const char *text)
{
	bool is_hex = token->kind == TOKEN_HEX;
	const char *digits = text + (*text == '-' || *text == '+' ? 1 : 0);
	bool is_too_big;
	long long value;

	if (!is_hex && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9') {
		scan_refuse_number(
			scanner, token,
			"begins with 0: write a number without leading zeros, and a mode "
			"as a string (\"0660\")");
		return;
	}
	errno = 0;
	value = strtoll(text, NULL, is_hex ? 16 : 10);
	is_too_big = errno == ERANGE;
	if (is_too_big)
		scan_refuse_number(scanner, token,
				   "does not fit into 64 bits; no key takes such a number");
	else if (!token->is_long && (value > INT32_MAX || value < INT32_MIN))
		scan_refuse_number(scanner, token,
				   "does not fit into 32 bits; add an L (5000000000L), or write a "
				   "size or duration with its unit, in quotes");
}

static void
scan_check_number(const struct scanner *scanner, const struct token *token)
{
	CLEANUP_FREE char *text = strndup(token->start, token->length);

	if (text == NULL)
		return;
	if (token->kind != TOKEN_FLOAT)
		scan_check_integer(scanner, token, text);
	else if (!isfinite(strtod(text, NULL)))
		scan_refuse_number(scanner, token, "is too large a number");
}

/* libconfig drops a NUL that is written as \x00. */
static int
scan_check_string(const struct scanner *scanner, const struct token *token)
{
	unsigned line = token->line;

	for (size_t i = 0; i + 3 < token->length; i++) {
		const char *p = token->start + i;

		if (*p == '\n')
			line++;
		if (*p != '\\')
			continue;
		if ((p[1] == 'x' || p[1] == 'X') && p[2] == '0' && p[3] == '0') {
			report_error(scanner->report, scanner->file, line,
				     "\\x00 stands in a string; a string cannot hold a NUL byte");
			return -EINVAL;
		}
		if (p[1] == '\\' || p[1] == '"')
			i++;
	}
	return 0;
}

static void
scan_report_open_string(const struct scanner *scanner, const struct token *token)
{
	static const char sentence[] = "the string that begins here never ends; close it with \"";
	const struct token *earlier = &scanner->long_string;

	/* a quote that is missing further up turns all strings after it inside out */
	if (earlier->kind == TOKEN_STRING)
		report_error(scanner->report, scanner->file, token->line,
			     "%s (or close the one that begins on line %u: it ends on line %u now)",
			     sentence, earlier->line, earlier->last_line);
	else
		report_error(scanner->report, scanner->file, token->line, "%s", sentence);
}

static int
scan_check_token(const struct scanner *scanner, const struct token *token,
		 const struct token *before)
{
	switch (token->kind) {
	case TOKEN_INTEGER:
	case TOKEN_HEX:
	case TOKEN_FLOAT:
		scan_check_number(scanner, token);
		return 0;
	case TOKEN_STRING:
		return scan_check_string(scanner, token);
	case TOKEN_OPEN_STRING:
		scan_report_open_string(scanner, token);
		return -EINVAL;
	case TOKEN_OPEN_COMMENT:
		report_error(scanner->report, scanner->file, token->line,
			     "the comment that begins here never ends; close it with */");
		return -EINVAL;
	case TOKEN_NAME:
		if (before->kind != TOKEN_OTHER || *before->start != '@' || !token->is_touching)
			return 0;
		report_error(scanner->report, scanner->file, token->line,
			     "@%.*s is not taken here; put listeners into files of the directory "
			     "listeners.d/ beside the main file",
			     (int)(token->length > 40 ? 40 : token->length), token->start);
		return -EINVAL;
	default:
		return 0;
	}
}

/* What makes the text no text. */
static int
scan_check_bytes(const struct scanner *scanner, const char *text, size_t length)
{
	const char *nul = memchr(text, '\0', length);
	unsigned line = 1;

	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		report_error(
			scanner->report, scanner->file, 1,
			"the file begins with a byte order mark; save it as UTF-8 without one");
		return -EINVAL;
	}
	if (length >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0)) {
		report_error(scanner->report, scanner->file, 1,
			     "the file is written in UTF-16; save it as UTF-8");
		return -EINVAL;
	}
	if (nul == NULL)
		return 0;
	for (const char *p = text; p < nul; p++)
		line += *p == '\n';
	report_error(scanner->report, scanner->file, line,
		     "a NUL byte stands here; the file is no text, or it is damaged");
	return -EINVAL;
}

int
scan_text(const char *text, size_t length, const char *file, struct scan *scan,
	  struct report *report)
{
	struct scanner scanner = {.file = file, .scan = scan, .report = report};
	struct token token = {.kind = TOKEN_END}, before;
	struct tokenizer tokenizer;
	int r;

	r = scan_check_bytes(&scanner, text, length);
	if (r < 0)
		return r;
	tokenizer_start(&tokenizer, text, length);
	do {
		before = token;
		token = tokenizer_next(&tokenizer);
		r = scan_check_token(&scanner, &token, &before);
		if (token.kind == TOKEN_STRING && token.last_line > token.line &&
		    scanner.long_string.kind == TOKEN_END)
			scanner.long_string = token;
	} while (r == 0 && token.kind != TOKEN_END);
	return r;
}

bool
scan_has_bad_number(const struct scan *scan, unsigned line)
{
	for (size_t i = 0; i < scan->bad_number_count; i++) {
		if (scan->bad_numbers[i] == line)
			return true;
	}
	return false;
}

void
scan_free(struct scan *scan)
{
	free(scan->bad_numbers);
	*scan = (struct scan){0};
}
