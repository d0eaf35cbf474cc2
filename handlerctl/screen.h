/*
 * screen.h - what concerns a terminal: how wide text is, and colour.
 */
#ifndef HANDLERCTL_SCREEN_H
#define HANDLERCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum screen_color {
	SCREEN_PLAIN,
	SCREEN_GREEN,
	SCREEN_YELLOW,
	SCREEN_RED,
	SCREEN_BOLD,
};

/* Takes characters as the environment has them; main calls it once. */
void screen_start(void);

/* Columns that a text takes, one for each byte that is no character. */
size_t screen_width(const char *text);

/* What stands before a line that belongs to the one above. */
const char *screen_branch(void);

/* Whether this descriptor is a terminal that may be sent colours: NO_COLOR is not set, and TERM
 * is none that knows none. */
bool screen_wants_color(int fd);

/* Writes the text in this colour, or, unless is_colored, as it is. */
void screen_paint(FILE *out, bool is_colored, enum screen_color color, const char *text);

#endif
