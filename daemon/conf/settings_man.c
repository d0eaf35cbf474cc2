/*
 * settings_man.c - a program of the build: writes handlerd.conf(5) to its standard output.
 *
 *	settings_man docs/man/handlerd.conf.5.in LIBDIR/handlerd > handlerd.conf.5
 *
 * The page's prose is in the template; the lines @TOP_LEVEL@ and @LISTENER@ of it become the rows
 * of the settings table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/man.h"

static void
settings_man_cleanup_line(char **line)
{
	free(*line);
}

static void
settings_man_write(FILE *template, const char *default_handler_directory, FILE *out)
{
	CLEANUP(settings_man_cleanup_line) char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, template) >= 0) {
		if (strcmp(line, "@TOP_LEVEL@\n") == 0)
			man_write_settings(SETTING_TOP, default_handler_directory, out);
		else if (strcmp(line, "@LISTENER@\n") == 0)
			man_write_settings(SETTING_LISTENER, default_handler_directory, out);
		else
			(void)fputs(line, out);
	}
}

int
main(int argc, char **argv)
{
	CLEANUP_FCLOSE FILE *template = NULL;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: settings_man TEMPLATE HANDLER-DIRECTORY\n");
		return 2;
	}
	template = fopen(argv[1], "re");
	if (template == NULL) {
		(void)fprintf(stderr, "settings_man: cannot open '%s': %s\n", argv[1],
			      strerror(errno));
		return 1;
	}
	settings_man_write(template, argv[2], stdout);
	if (ferror(template) || fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "settings_man: cannot copy '%s': %s\n", argv[1],
			      strerror(errno));
		return 1;
	}
	return 0;
}
