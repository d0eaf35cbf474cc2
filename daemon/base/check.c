/*
 * check.c - what happens when an invariant of ours does not hold.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
check_failed(const char *expression, const char *file, int line)
{
	char text[512];
	int n;

	n = snprintf(text, sizeof(text), "handlerd: internal error: %s does not hold at %s:%d\n",
		     expression, file, line);
	if (n > 0)
		(void)!write(STDERR_FILENO, text,
			     (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
	abort();
}
