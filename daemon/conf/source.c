/*
 * source.c - opens and reads configuration files. An ordinary user may read what he likes, as the
 * daemon gains him nothing; root reads only what root alone could have written.
 */
#include "conf/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/trusted.h"

#define SOURCE_SUFFIX ".conf"
#define SOURCE_LINE_SHOWN 200
#define SOURCE_MISSING "cannot be opened: there is no such file"

static void
source_close_directory(DIR **slot)
{
	if (*slot != NULL)
		(void)closedir(*slot);
}

static int
source_open_trusted(const char *path, enum trusted_kind kind, char **ret_reason)
{
	struct trusted_owner owner = trusted_owner_self(false);
	CLEANUP_FREE char *directory = NULL;
	CLEANUP_FREE char *absolute = NULL;
	int r;

	if (path[0] == '/') {
		absolute = memory_text(path);
	} else {
		directory = getcwd(NULL, 0);
		if (directory == NULL) {
			r = -errno;
			*ret_reason = memory_format("cannot tell the working directory: %s",
						    strerror(-r));
			return r;
		}
		absolute = memory_format("%s/%s", directory, path);
	}
	r = trusted_open(absolute, kind, &owner, ret_reason, NULL);
	if (r == -ENOENT) {
		free(*ret_reason);
		*ret_reason = memory_text(SOURCE_MISSING);
	}
	return r;
}

/* Opens without ever waiting; what kind of file it is, is checked by the caller. */
static int
source_open(const char *path, enum trusted_kind kind, char **ret_reason)
{
	int fd, r;

	if (geteuid() == 0)
		return source_open_trusted(path, kind, ret_reason);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
				(kind == TRUSTED_DIRECTORY ? O_DIRECTORY : 0));
	if (fd >= 0)
		return fd;
	r = -errno;
	*ret_reason = r == -ENOENT ? memory_text(SOURCE_MISSING)
				   : memory_format("cannot be opened: %s", strerror(-r));
	return r;
}

static int
source_check_file(int fd, char **ret_reason)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0) {
		r = -errno;
		*ret_reason = memory_format("cannot be read: %s", strerror(-r));
		return r;
	}
	if (S_ISDIR(st.st_mode)) {
		*ret_reason = memory_text("is a directory, not a file");
		return -EISDIR;
	}
	if (!S_ISREG(st.st_mode)) {
		*ret_reason = memory_text("is not a regular file");
		return -EINVAL;
	}
	return 0;
}

/* Reads up to `room` bytes; fewer mean the end of the file. */
static ssize_t
source_read_fd(int fd, char *text, size_t room)
{
	size_t length = 0;
	ssize_t n;

	do {
		n = read(fd, text + length, room - length);
		if (n > 0)
			length += (size_t)n;
		else if (n < 0 && errno != EINTR)
			return -errno;
	} while (n != 0 && length < room);
	return (ssize_t)length;
}

int
source_open_file(const char *path, char **ret_reason)
{
	CLEANUP_CLOSE int fd = source_open(path, TRUSTED_FILE, ret_reason);
	int r;

	if (fd < 0)
		return fd;
	r = source_check_file(fd, ret_reason);
	return r < 0 ? r : take_fd(&fd);
}

int
source_read(const char *path, struct source *ret, char **ret_reason)
{
	CLEANUP_CLOSE int fd = source_open_file(path, ret_reason);
	CLEANUP_FREE char *text = NULL;
	ssize_t length;

	if (fd < 0)
		return fd;
	text = memory_zero(1, SOURCE_SIZE_MAX + 3);
	length = source_read_fd(fd, text, SOURCE_SIZE_MAX + 1);
	if (length < 0) {
		*ret_reason = memory_format("cannot be read: %s", strerror((int)-length));
		return (int)length;
	}
	if ((size_t)length > SOURCE_SIZE_MAX) {
		*ret_reason = memory_format("is larger than %zu KiB; spread the listeners over "
					    "files in listeners.d/",
					    SOURCE_SIZE_MAX / 1024);
		return -EFBIG;
	}
	/* libconfig takes a comment only with the newline behind it */
	text[length] = '\n';
	*ret = (struct source){.text = take_pointer(&text), .length = (size_t)length};
	return 0;
}

static int
source_compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
source_is_listed(const char *name)
{
	size_t length = strlen(name), suffix = strlen(SOURCE_SUFFIX);

	return name[0] != '.' && length > suffix &&
	       strcmp(name + length - suffix, SOURCE_SUFFIX) == 0;
}

int
source_list(const char *directory, char ***ret_names, char **ret_reason)
{
	CLEANUP_CLOSE int fd = source_open(directory, TRUSTED_DIRECTORY, ret_reason);
	CLEANUP(source_close_directory) DIR *stream = NULL;
	const struct dirent *entry;
	char **names = NULL;
	size_t count = 0;
	int r;

	*ret_names = NULL;
	if (fd == -ENOENT) {
		free(*ret_reason);
		*ret_reason = NULL;
		return 0;
	}
	if (fd < 0)
		return fd;
	stream = fdopendir(fd);
	if (stream == NULL) {
		r = -errno;
		*ret_reason = memory_format("cannot be listed: %s", strerror(-r));
		return r;
	}
	(void)take_fd(&fd);
	while (errno = 0, (entry = readdir(stream)) != NULL) {
		if (!source_is_listed(entry->d_name))
			continue;
		names = memory_grow(names, count, sizeof(*names));
		names[count++] = memory_text(entry->d_name);
	}
	if (errno != 0) {
		r = -errno;
		*ret_reason = memory_format("cannot be listed: %s", strerror(-r));
		for (size_t i = 0; i < count; i++)
			free(names[i]);
		free(names);
		return r;
	}
	if (count > 0)
		qsort(names, count, sizeof(*names), source_compare_names);
	*ret_names = names;
	return (int)count;
}

char *
source_line(const struct source *source, unsigned line)
{
	const char *at = source->text, *end = source->text + source->length;
	CLEANUP_FREE char *copy = NULL;
	char shown[SOURCE_LINE_SHOWN * 4 + 1];
	size_t length;
	bool is_cut;

	for (unsigned i = 1; at != NULL && i < line; i++) {
		at = memchr(at, '\n', (size_t)(end - at));
		at = at != NULL ? at + 1 : NULL;
	}
	if (at == NULL || at >= end)
		return NULL;
	length = strcspn(at, "\n");
	if (length > 0 && at[length - 1] == '\r')
		length--;
	is_cut = length > SOURCE_LINE_SHOWN;
	copy = memory_format("%.*s", (int)(is_cut ? SOURCE_LINE_SHOWN : length), at);
	for (char *tab = copy; (tab = strchr(tab, '\t')) != NULL;)
		*tab = ' ';
	(void)text_escape(copy, strlen(copy), shown, sizeof(shown));
	return memory_format("%s%s", shown, is_cut ? " ..." : "");
}

void
source_find_lines(struct report *report)
{
	struct source source = {.text = NULL};
	const char *path = NULL; /* of what was read last */

	for (size_t i = 0; i < report->count; i++) {
		struct report_entry *entry = &report->entries[i];
		CLEANUP_FREE char *reason = NULL;

		if (entry->source != NULL || entry->file == NULL || entry->line == 0)
			continue;
		if (path == NULL || strcmp(path, entry->file) != 0) {
			source_free(&source);
			path = entry->file;
			(void)source_read(path, &source, &reason);
		}
		if (source.text != NULL)
			entry->source = source_line(&source, entry->line);
	}
	source_free(&source);
}

void
source_free(struct source *source)
{
	free(source->text);
	*source = (struct source){0};
}
