/*
 * text.h - what clients write, made fit to be shown to others.
 */
#ifndef CHAT_TEXT_H
#define CHAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Takes out of text, in place, what could do something to the terminal of a reader: control
 * characters, those that change the direction of writing, ends of lines of Unicode. A tab becomes a
 * space, a byte that is no UTF-8 a question mark. Adds a NUL, for which there must be room, and
 * returns the new length, which is never more than the old one. */
size_t text_clean(char *text, size_t length);

/* Whether a clean text may be the name of a member or a room: not empty, size bytes at most with
 * its NUL, without a space, and not beginning like something else that stands in a line. */
bool text_is_name(const char *text, size_t size);

#endif
