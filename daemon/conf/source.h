/*
 * source.h - the configuration files as text: opened so that nothing can hang or be smuggled in,
 * and read whole, once.
 */
#ifndef CONF_SOURCE_H
#define CONF_SOURCE_H

#include <stddef.h>

#include "base/report.h"

/* libconfig's time grows with the square of the size. */
#define SOURCE_SIZE_MAX ((size_t)256 * 1024)

struct source {
	char *text;    /* with a newline added at its end, and a NUL */
	size_t length; /* as read */
};

/*
 * Reads a regular file of at most SOURCE_SIZE_MAX bytes. Under root it must lie on a trusted path
 * (base/trusted.h). Returns 0, or a negative errno with a reason for the caller to free.
 */
int source_read(const char *path, struct source *ret, char **ret_reason);

/* Opens a regular file as source_read does, of any size. The descriptor, or a negative errno with a
 * reason. */
int source_open_file(const char *path, char **ret_reason);

/*
 * The names of the files *.conf of a directory, hidden ones left out, in C-locale order. Returns
 * their count, 0 also if there is no such directory, or a negative errno with a reason. Names and
 * array are the caller's.
 */
int source_list(const char *directory, char ***ret_names, char **ret_reason);

/* A line of the text, made fit to be shown, for the caller to free; NULL if there is no such line.
 */
char *source_line(const struct source *source, unsigned line);

/* Reads the offending lines that are missing in a report from their files, as source_read does. */
void source_find_lines(struct report *report);

void source_free(struct source *source);

#endif
