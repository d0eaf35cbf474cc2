/*
 * log_cases.h - what all tests of log records look for.
 */
#ifndef UNIT_LOG_CASES_H
#define UNIT_LOG_CASES_H

#include <stdbool.h>
#include <stddef.h>

/* "2024-01-02T03:04:05.678Z" */
static bool
is_time(const char *text)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";

	for (size_t i = 0; form[i] != '\0'; i++) {
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	}
	return true;
}

#endif
