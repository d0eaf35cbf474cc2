/*
 * cmdline.h - the command line of handlerd.
 */
#ifndef SUPERVISOR_CMDLINE_H
#define SUPERVISOR_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cmdline_command {
	CMDLINE_SERVE,
	CMDLINE_TEST,	   /* -t */
	CMDLINE_TEST_DUMP, /* -T */
	CMDLINE_DESCRIBE,
	CMDLINE_SELF_TEST, /* asked by a running supervisor that is to be replaced */
	CMDLINE_VERSION,
	CMDLINE_HELP,
};

/* All texts point into argv. */
struct cmdline {
	char **argv; /* as it was */
	enum cmdline_command command;
	const char *file; /* of the configuration */
	bool has_file;	  /* it was given with -c */
	const char *describe;
	bool is_json;
	const char **listen; /* PROTO:ADDRESS; owned */
	size_t listen_count;
	const char *handler;
	const char *concurrency;
	const char **options; /* K=V; owned */
	size_t option_count;
	bool is_once;
	bool is_inetd;
	const char *user, *group;
	const char *control; /* path of its socket; "": none; NULL: not given */
};

/* Returns 0; -EINVAL for a wrong command line, told on standard error. */
int cmdline_parse(struct cmdline *cmdline, int argc, char **argv);
void cmdline_free(struct cmdline *cmdline);

/* Whether it says itself what is to be served. */
bool cmdline_has_no_file(const struct cmdline *cmdline);

void cmdline_print_help(void);

#endif
