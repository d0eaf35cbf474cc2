/*
 * scan.h - looks through the text of a configuration file before libconfig does, for what libconfig
 * would misread without a word (a number that does not fit, a comment that never ends) or answer
 * with a bare "syntax error" or by opening another file.
 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/report.h"

/* The lines with a number that was refused; what libconfig makes of it says nothing. */
struct scan {
	unsigned *bad_numbers;
	size_t bad_number_count;
};

/*
 * Adds what is wrong to the report. Returns 0 if libconfig may read the text (numbers may have been
 * refused all the same), or -EINVAL if it must not.
 */
int scan_text(const char *text, size_t length, const char *file, struct scan *scan,
	      struct report *report);

/* Whether a number on this line was refused. */
bool scan_has_bad_number(const struct scan *scan, unsigned line);

void scan_free(struct scan *scan);

#endif
