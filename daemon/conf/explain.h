/*
 * explain.h - finds out what is wrong with a text that libconfig refused with "syntax error".
 */
#ifndef CONF_EXPLAIN_H
#define CONF_EXPLAIN_H

#include <stddef.h>

/*
 * Returns a sentence for the caller to free and the line it is about, or NULL if nothing wrong is
 * found. `parser_line` is the line that libconfig gave: a comma before a closing bracket further up
 * was accepted by it (as 1.7 and later do). The text has passed scan_text.
 */
char *explain_syntax(const char *text, size_t length, unsigned parser_line, unsigned *ret_line);

#endif
