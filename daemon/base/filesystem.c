/*
 * filesystem.c - looks the mount of a descriptor up in /proc/self/mountinfo, the only place that
 * tells the flags of a mount from those of the file system behind it.
 */
#include "base/filesystem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"

/* The line is "ID PARENT DEVICE ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS", blanks escaped.
 */
static bool
filesystem_line_is_read_only(const char *line)
{
	const char *at = strstr(line, " - ");

	if (at == NULL)
		return false;
	at += strlen(" - ");
	for (int field = 0; field < 2; field++) {
		at = strchr(at, ' ');
		if (at == NULL)
			return false;
		at++;
	}
	return strncmp(at, "ro", 2) == 0 && (at[2] == ',' || at[2] == '\n' || at[2] == '\0');
}

bool
filesystem_is_read_only(int fd)
{
	CLEANUP_FREE char *line = NULL;
	struct statvfs fs;
	struct statx st;
	size_t size = 0;
	bool is_read_only = false;
	FILE *mounts;

	if (fstatvfs(fd, &fs) < 0 || (fs.f_flag & ST_RDONLY) == 0)
		return false;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 ||
	    (st.stx_mask & STATX_MNT_ID) == 0)
		return false;
	mounts = fopen("/proc/self/mountinfo", "re");
	if (mounts == NULL)
		return false;
	while (getline(&line, &size, mounts) > 0) {
		if (strtoull(line, NULL, 10) != st.stx_mnt_id)
			continue;
		is_read_only = filesystem_line_is_read_only(line);
		break;
	}
	(void)fclose(mounts);
	return is_read_only;
}
