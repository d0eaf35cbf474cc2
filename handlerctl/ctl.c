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

void
ctl_complain(const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
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
	text = memory_vformat(format, args);
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
