/*
 * ctl.c - one line for each complaint.
 */
#include "handlerctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"

/* The most that a byte becomes when it is escaped. */
#define CTL_ESCAPED 4

/* What was written on the command line may be anything. */
static __attribute__((format(printf, 1, 0))) char *
ctl_format(const char *format, va_list args)
{
	CLEANUP_FREE char *text = memory_vformat(format, args);
	size_t length = strlen(text), size = length * CTL_ESCAPED + 1;
	char *escaped = memory_zero(1, size);

	(void)text_escape(text, length, escaped, size);
	return escaped;
}

void
ctl_complain(const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = ctl_format(format, args);
	va_end(args);
	(void)fprintf(stderr, "handlerctl: %s\n", text);
}

int
ctl_complain_usage(const char *command, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	bool is_question;
	va_list args;

	va_start(args, format);
	text = ctl_format(format, args);
	va_end(args);
	is_question = text[strlen(text) - 1] == '?';
	(void)fprintf(stderr, "handlerctl: %s%s handlerctl%s%s --help\n", text,
		      is_question ? " See" : "; see", *command == '\0' ? "" : " ", command);
	return CTL_USAGE;
}

int
ctl_flush(int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	/* what failed before has been forgotten since */
	ctl_complain("cannot write to standard output%s%s", errno == 0 ? "" : ": ",
		     errno == 0 ? "" : strerror(errno));
	return CTL_FAILED;
}
