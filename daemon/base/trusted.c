/*
 * trusted.c - the walk along a trusted path.
 */
#include "base/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/filesystem.h"
#include "base/memory.h"
#include "base/parse.h"

struct trusted_owner
trusted_owner_self(bool use_sudo)
{
	struct trusted_owner owner = {
		.uid = geteuid(),
		.also = (uid_t)-1,
		.is_strict = geteuid() == 0,
	};
	const char *sudo = use_sudo ? getenv("SUDO_UID") : NULL;
	int64_t uid;

	if (sudo != NULL && parse_int64(sudo, &uid) == 0 && uid >= 0 && uid < UINT32_MAX)
		owner.also = (uid_t)uid;
	return owner;
}

static bool
trusted_is_owner(const struct trusted_owner *owner, uid_t uid)
{
	return uid == 0 || uid == owner->uid || (owner->also != (uid_t)-1 && uid == owner->also);
}

/* Checks one component. Returns 0, or -EPERM with a reason. */
static int
trusted_check(int fd, const char *path, const struct trusted_owner *owner, bool *is_sticky,
	      char **ret_reason, char **ret_warning)
{
	struct stat st;
	bool must_own = *is_sticky;
	bool is_directory, is_suspect;

	if (fstat(fd, &st) < 0)
		return -errno;
	is_directory = S_ISDIR(st.st_mode);
	*is_sticky = is_directory && (st.st_mode & S_ISVTX) != 0;
	is_suspect = !trusted_is_owner(owner, st.st_uid) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
	if (is_suspect && filesystem_is_read_only(fd))
		return 0;
	if (!trusted_is_owner(owner, st.st_uid)) {
		*ret_reason =
			memory_format("%s '%s' belongs to uid %u%s; it must belong to root or the "
				      "user that runs handlerd",
				      is_directory ? "directory" : "file", path, st.st_uid,
				      must_own ? " in a directory that others can write to" : "");
		return -EPERM;
	}
	if (*is_sticky)
		return 0;
	if ((st.st_mode & S_IWOTH) != 0 || ((st.st_mode & S_IWGRP) != 0 && owner->is_strict)) {
		*ret_reason = memory_format(
			"%s '%s' can be written by others (mode %04o); chmod go-w '%s'",
			is_directory ? "directory" : "file", path, st.st_mode & 07777, path);
		return -EPERM;
	}
	if ((st.st_mode & S_IWGRP) != 0 && ret_warning != NULL && *ret_warning == NULL)
		*ret_warning = memory_format("%s '%s' can be written by its group (mode %04o)",
					     is_directory ? "directory" : "file", path,
					     st.st_mode & 07777);
	return 0;
}

static int
trusted_check_kind(int fd, const char *path, enum trusted_kind kind, char **ret_reason)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (kind == TRUSTED_FILE && !S_ISREG(st.st_mode)) {
		*ret_reason = memory_format("'%s' is not a regular file", path);
		return -EPERM;
	}
	if (kind == TRUSTED_DIRECTORY && !S_ISDIR(st.st_mode)) {
		*ret_reason = memory_format("'%s' is not a directory", path);
		return -ENOTDIR;
	}
	return 0;
}

static bool
trusted_is_open_to_others(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return false;
	return !filesystem_is_read_only(fd);
}

/* Walks `path`, which is canonical, and opens its last component. */
static int
trusted_walk(char *path, enum trusted_kind kind, const struct trusted_owner *owner,
	     char **ret_reason, char **ret_warning)
{
	CLEANUP_CLOSE int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_sticky = false;
	char *next = path + 1;
	int r;

	if (fd < 0)
		return -errno;
	r = trusted_check(fd, "/", owner, &is_sticky, ret_reason, ret_warning);
	while (r == 0 && *next != '\0') {
		char *slash = strchrnul(next, '/');
		bool is_last = *slash == '\0';
		CLEANUP_CLOSE int below = -1;

		*slash = '\0';
		below = openat(fd, next,
			       is_last ? O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
				       : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0) {
			r = -errno;
			*ret_reason = memory_format("cannot open '%s': %s", path, strerror(errno));
			return r;
		}
		r = trusted_check(below, path, owner, &is_sticky, ret_reason, ret_warning);
		(void)close(fd);
		fd = take_fd(&below);
		if (!is_last)
			*slash = '/';
		next = is_last ? slash : slash + 1;
	}
	if (r < 0)
		return r;
	/* there is no next component whose owner would make up for it */
	if (is_sticky && trusted_is_open_to_others(fd)) {
		*ret_reason = memory_format("directory '%s' can be written by others", path);
		return -EPERM;
	}
	r = trusted_check_kind(fd, path, kind, ret_reason);
	return r < 0 ? r : take_fd(&fd);
}

int
trusted_open(const char *path, enum trusted_kind kind, const struct trusted_owner *owner,
	     char **ret_reason, char **ret_warning)
{
	CLEANUP_FREE char *real = NULL;
	CLEANUP_FREE char *warning = NULL;
	int r;

	*ret_reason = NULL;
	if (ret_warning != NULL)
		*ret_warning = NULL;
	real = realpath(path, NULL);
	if (real == NULL) {
		r = -errno;
		*ret_reason = memory_format("cannot open '%s': %s", path, strerror(errno));
		return r;
	}
	r = trusted_walk(real, kind, owner, ret_reason, &warning);
	if (r < 0 && *ret_reason == NULL)
		*ret_reason = memory_format("cannot check '%s': %s", path, strerror(-r));
	if (r >= 0 && ret_warning != NULL)
		*ret_warning = take_pointer(&warning);
	return r;
}
