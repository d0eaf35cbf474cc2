/*
 * suggest.h - "did you mean".
 */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include <stddef.h>

/* Edits (insert, delete, replace, swap of neighbours) between two words, case ignored; at most
 * limit + 1 is returned. Words longer than 64 bytes are limit + 1 apart. */
unsigned suggest_distance(const char *a, const char *b, unsigned limit);

/* Remembers the nearest of the words it is shown. Start with { .word = WORD }. */
struct suggest {
	const char *word;    /* what was written; not owned */
	const char *nearest; /* NULL: nothing near enough; not owned */
	unsigned distance;
};

void suggest_offer(struct suggest *suggest, const char *candidate);

#endif
