/*
 * ask_line.h - the command line of a command that talks to the daemon.
 */
#ifndef HANDLERCTL_ASK_LINE_H
#define HANDLERCTL_ASK_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "handlerctl/verb.h"

struct ask_line {
	const struct verb *verb;
	const char *control;  /* --control, or NULL */
	const char *argument; /* or NULL */
	const char *second;   /* of a command that has two */
	const char *gid;      /* --gid, or NULL */
	int64_t timeout_ms;   /* -1: none */
	bool is_json;
	bool is_verbose;
	bool is_dry_run;
	bool is_now;
	bool is_clear;
	bool is_help;
};

/* 0, or -EINVAL after a complaint. What it points to is argv's. */
int ask_line_parse(struct ask_line *line, const struct verb *verb, int argc, char **argv);

void ask_line_print_help(const struct verb *verb);

#endif
