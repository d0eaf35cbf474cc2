/*
 * suggest.c - finds the known word nearest to a mistyped one.
 */
#include "base/suggest.h"

#include <ctype.h>
#include <string.h>

#define SUGGEST_LONGEST 64

static unsigned
suggest_min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned
suggest_distance(const char *a, const char *b, unsigned limit)
{
	/* three rows of the optimal string alignment table: two above, above, current */
	unsigned rows[3][SUGGEST_LONGEST + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > SUGGEST_LONGEST || b_length > SUGGEST_LONGEST)
		return limit + 1;
	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3];
		const unsigned *two_above = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			int ca = tolower((unsigned char)a[i - 1]);
			int cb = tolower((unsigned char)b[j - 1]);

			row[j] = suggest_min(above[j] + 1, row[j - 1] + 1);
			row[j] = suggest_min(row[j], above[j - 1] + (ca == cb ? 0 : 1));
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
			    tolower((unsigned char)a[i - 2]) == cb)
				row[j] = suggest_min(row[j], two_above[j - 2] + 1);
		}
	}
	return suggest_min(rows[a_length % 3][b_length], limit + 1);
}

void
suggest_offer(struct suggest *suggest, const char *candidate)
{
	size_t length = strlen(suggest->word);
	unsigned limit = length <= 3 ? 1 : 2;
	unsigned distance = suggest_distance(suggest->word, candidate, limit);

	if (distance > limit || (suggest->nearest != NULL && distance >= suggest->distance))
		return;
	suggest->nearest = candidate;
	suggest->distance = distance;
}
