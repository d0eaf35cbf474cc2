/*
 * show - a program that a handler executes. Writes to a file what it was born with: descriptors,
 * signals, environment, directory and umask.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
show_fds(FILE *out)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;

	while (fds != NULL && (entry = readdir(fds)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(fds) && fd != fileno(out))
			(void)fprintf(out, "fd %d\n", fd);
	}
	if (fds != NULL)
		(void)closedir(fds);
}

static void
show_status(FILE *out)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[512];

	while (status != NULL && fgets(line, sizeof(line), status) != NULL)
		(void)fprintf(out, "status %s", line);
	if (status != NULL)
		(void)fclose(status);
}

int
main(int argc, char **argv, char **environment)
{
	char directory[256];
	mode_t mask = umask(0);
	FILE *out;

	if (argc != 2 || (out = fopen(argv[1], "w")) == NULL)
		return 2;
	show_fds(out);
	show_status(out);
	for (; *environment != NULL; environment++)
		(void)fprintf(out, "environment %s\n", *environment);
	(void)fprintf(out, "directory %s\n", getcwd(directory, sizeof(directory)));
	(void)fprintf(out, "umask %04o\n", (unsigned)mask);
	return fclose(out) == 0 ? 0 : 1;
}
