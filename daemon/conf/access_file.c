/*
 * access_file.c - reads a long access list. A version that is half written must not be taken for a
 * whole one: what has a writer is left alone, and so is what changes while it is read.
 */
#include "conf/access_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"
#include "conf/source.h"

/* Errors of one file that are told one by one. */
#define ACCESS_FILE_MOST_TOLD 20
/* No entry is as long as this. */
#define ACCESS_FILE_LINE_MAX 512
#define ACCESS_FILE_SHOWN 80
#define ACCESS_FILE_SPACE " \t"

struct access_file_reading {
	const char *path;
	bool is_unix;
	struct access_file *file;
	struct report *report;
	size_t bad_lines;
};

/* `source` is the line, or NULL where it is not to be shown. */
static void
access_file_refuse(struct access_file_reading *reading, unsigned line, const char *source,
		   const char *reason)
{
	if (reading->bad_lines++ < ACCESS_FILE_MOST_TOLD)
		report_add(reading->report, false, reading->path, line, source, reason);
}

static void
access_file_add(struct access_file_reading *reading, const struct access_entry *entry,
		bool is_allow, unsigned line)
{
	struct access_file *file = reading->file;

	file->entries = memory_grow(file->entries, file->count, sizeof(*file->entries));
	file->entries[file->count++] =
		(struct access_file_entry){.entry = *entry, .is_allow = is_allow, .line = line};
}

/* Why an entry that was read cannot stand here; NULL: it can. */
static const char *
access_file_find_fault(const struct access_file_reading *reading, const struct access_entry *entry)
{
	if (entry->name != NULL)
		return "names are looked up in the configuration only; write uid: or gid: and the "
		       "number here";
	if (reading->is_unix && !access_entry_is_for_unix(entry))
		return "the listener is a Unix socket, whose clients have no addresses; write "
		       "uid:, gid: or all";
	if (!reading->is_unix && !access_entry_is_for_ip(entry))
		return "the listener is no Unix socket; write an address, a prefix or all";
	return NULL;
}

/* "allow ENTRY" or "deny ENTRY", without what surrounds it. */
static void
access_file_read_entry(struct access_file_reading *reading, char *text, unsigned line)
{
	size_t length = strcspn(text, ACCESS_FILE_SPACE);
	bool is_allow = length == 5 && strncmp(text, "allow", 5) == 0;
	bool is_deny = length == 4 && strncmp(text, "deny", 4) == 0;
	char *word = text + length + strspn(text + length, ACCESS_FILE_SPACE);
	CLEANUP_FREE char *reason = NULL;
	struct access_entry entry;
	char shown[ACCESS_FILE_SHOWN];

	(void)text_escape(text, strlen(text), shown, sizeof(shown));
	if (!is_allow && !is_deny)
		reason = memory_format("'%s' does not begin with allow or deny", shown);
	else if (*word == '\0')
		reason = memory_format("there is nothing behind %s; write an address, a prefix, or "
				       "all",
				       is_allow ? "allow" : "deny");
	else if (word[strcspn(word, ACCESS_FILE_SPACE)] != '\0')
		reason = memory_format("'%s' has more than one entry; write each on a line of its "
				       "own",
				       shown);
	else if (access_entry_parse(word, &entry, &reason) >= 0)
		reason = memory_text(access_file_find_fault(reading, &entry));
	if (reason != NULL)
		access_file_refuse(reading, line, text, reason);
	else
		access_file_add(reading, &entry, is_allow, line);
}

static void
access_file_read_line(struct access_file_reading *reading, const char *from, size_t length,
		      unsigned line)
{
	char text[ACCESS_FILE_LINE_MAX + 1];
	const char *comment = memchr(from, '#', length);
	size_t start = 0;

	if (comment != NULL)
		length = (size_t)(comment - from);
	while (length > 0 && strchr(" \t\r", from[length - 1]) != NULL && from[length - 1] != '\0')
		length--;
	while (start < length && (from[start] == ' ' || from[start] == '\t'))
		start++;
	length -= start;
	if (length == 0)
		return;
	if (length > ACCESS_FILE_LINE_MAX) {
		access_file_refuse(reading, line, NULL, "the line is too long to be an entry");
		return;
	}
	memcpy(text, from + start, length);
	text[length] = '\0';
	if (strlen(text) != length)
		access_file_refuse(reading, line, NULL, "the line has a NUL byte in it");
	else
		access_file_read_entry(reading, text, line);
}

int
access_file_parse(const char *path, const char *text, size_t length, bool is_unix,
		  struct access_file *ret, struct report *report)
{
	struct access_file_reading reading = {
		.path = path, .is_unix = is_unix, .file = ret, .report = report};
	const char *end = text + length;
	unsigned line = 1;

	*ret = (struct access_file){.count = 0};
	for (const char *at = text; at < end; line++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t size = (size_t)((newline != NULL ? newline : end) - at);

		if (ret->count == ACCESS_FILE_ENTRIES_MAX) {
			report_error(report, path, line, "there are more than %zu entries",
				     ACCESS_FILE_ENTRIES_MAX);
			reading.bad_lines = 1;
			break;
		}
		access_file_read_line(&reading, at, size, line);
		/* it may be the beginning of another one: 10.0.0.1 of 10.0.0.12 */
		if (newline == NULL)
			access_file_refuse(&reading, line, NULL,
					   "the line has no end, as if the file had been cut off "
					   "here; end it with a newline");
		at = newline != NULL ? newline + 1 : end;
	}
	if (reading.bad_lines > ACCESS_FILE_MOST_TOLD)
		report_error(report, path, 0, "%zu more lines are wrong",
			     reading.bad_lines - ACCESS_FILE_MOST_TOLD);
	if (reading.bad_lines == 0)
		return 0;
	access_file_free(ret);
	return -EINVAL;
}

bool
access_file_is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * Whether somebody has it open for writing. A read lease is refused then; a writer that comes in
 * the moment that it is held waits until it is given back. Where leases cannot be had (another
 * owner, a network's file system), nobody knows.
 */
static bool
access_file_has_writer(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* Reads it whole, with one byte more than there should be to see that there is none. */
static ssize_t
access_file_read_fd(int fd, char *text, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t n = pread(fd, text + length, size - length, (off_t)length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	return (ssize_t)length;
}

/* 0, -EAGAIN, or another negative errno; what is wrong is told but for -EAGAIN. */
static int
access_file_load(int fd, const char *path, char **ret_text, size_t *ret_length, struct stat *ret_st,
		 struct report *report)
{
	struct stat after;
	ssize_t length;

	if (access_file_has_writer(fd) || fstat(fd, ret_st) < 0)
		return -EAGAIN;
	if (ret_st->st_size < 0 || (size_t)ret_st->st_size > ACCESS_FILE_SIZE_MAX) {
		report_error(report, path, 0, "is larger than %zu MiB",
			     ACCESS_FILE_SIZE_MAX / 1024 / 1024);
		return -EFBIG;
	}
	*ret_text = malloc((size_t)ret_st->st_size + 1);
	if (*ret_text == NULL) {
		report_error(report, path, 0, "cannot be read: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	length = access_file_read_fd(fd, *ret_text, (size_t)ret_st->st_size + 1);
	if (length < 0) {
		report_error(report, path, 0, "cannot be read: %s", strerror((int)-length));
		return (int)length;
	}
	if (length != (ssize_t)ret_st->st_size || access_file_has_writer(fd) ||
	    fstat(fd, &after) < 0 || !access_file_is_same(ret_st, &after))
		return -EAGAIN;
	*ret_length = (size_t)length;
	return 0;
}

int
access_file_read(const char *path, bool is_unix, struct access_file *ret, struct report *report)
{
	CLEANUP_FREE char *reason = NULL;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_CLOSE int fd = source_open_file(path, &reason);
	size_t length = 0;
	struct stat st;
	int r;

	*ret = (struct access_file){.count = 0};
	if (fd < 0) {
		report_error(report, path, 0, "%s", reason);
		return fd;
	}
	r = access_file_load(fd, path, &text, &length, &st, report);
	if (r == -EAGAIN)
		report_error(report, path, 0,
			     "is being written to; write a new file beside it and rename that, or "
			     "close it first");
	if (r < 0)
		return r;
	r = access_file_parse(path, text, length, is_unix, ret, report);
	/* of a version that is wrong, too: it is told once */
	ret->st = st;
	return r;
}

void
access_file_free(struct access_file *file)
{
	free(file->entries);
	*file = (struct access_file){.count = 0};
}
