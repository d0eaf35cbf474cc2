/*
 * check.h - assertions of our own invariants. They are always compiled in; input from outside is
 * never checked with them.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Ends the process with a core dump and one line on stderr. */
_Noreturn void check_failed(const char *expression, const char *file, int line);

#define CHECK(expression) ((expression) ? (void)0 : check_failed(#expression, __FILE__, __LINE__))

#endif
