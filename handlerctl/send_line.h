/*
 * send_line.h - the command line of "send".
 */
#ifndef HANDLERCTL_SEND_LINE_H
#define HANDLERCTL_SEND_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "handlerctl/target.h"

/* What the command line of "send" says. */
struct send_line {
	struct target target;
	const char *text;    /* NULL: standard input; not owned */
	int64_t timeout_ms;  /* -1: none */
	int64_t interval_ms; /* between the starts of two exchanges */
	int64_t count;	     /* 0: one, whose answer is printed */
	bool is_half_close;
	bool is_json;
	bool is_help;
	bool has_interval;
};

/* 0, or -EINVAL after a complaint. send_line_free in any case. */
int send_line_parse(struct send_line *line, int argc, char **argv);
void send_line_free(struct send_line *line);
void send_line_print_help(void);

#endif
