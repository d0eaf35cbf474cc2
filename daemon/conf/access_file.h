/*
 * access_file.h - a file of access.file: long lists of who may come in, an entry on each line.
 *
 *	# a comment
 *	allow 192.0.2.0/24
 *	deny  2001:db8::/32	# so is this
 */
#ifndef CONF_ACCESS_FILE_H
#define CONF_ACCESS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/access_entry.h"
#include "base/report.h"

#define ACCESS_FILE_SIZE_MAX ((size_t)64 * 1024 * 1024)
#define ACCESS_FILE_ENTRIES_MAX ((size_t)400000)

struct access_file_entry {
	struct access_entry entry; /* never a name */
	bool is_allow;
	unsigned line;
};

struct access_file {
	struct access_file_entry *entries;
	size_t count;
	struct stat st; /* of the version that was read */
};

/* Reads it. What is wrong is in the report, each with its line; the first few of very many. 0;
 * -EAGAIN: it is just being written to, which is in the report, too; -EINVAL: something in it is
 * wrong; another negative errno. `is_unix`: it is about clients of Unix sockets. */
int access_file_read(const char *path, bool is_unix, struct access_file *ret,
		     struct report *report);

/* The same of a text that is at hand. 0 or -EINVAL. */
int access_file_parse(const char *path, const char *text, size_t length, bool is_unix,
		      struct access_file *ret, struct report *report);

/* Whether they are the same version of a file. */
bool access_file_is_same(const struct stat *a, const struct stat *b);

void access_file_free(struct access_file *file);

#endif
