/*
 * prefix_table.h - finds the longest of many prefixes that a number of 128 bits begins with, in a
 * time that hardly depends on how many there are.
 *
 * The prefixes are flattened into intervals that do not overlap: where each begins, and what the
 * longest prefix there says. The first 64 bits of the beginnings stand in the order of a
 * breadth-first walk (Eytzinger): a search goes straight on without branches, and what it needs
 * next is on its way from memory. Where prefixes are longer than 64 bits, a second, short search
 * follows.
 *
 * A reader may look while the memory is written anew: what it finds then is wrong, but every index
 * stays within the counts that it began with.
 */
#ifndef POLICY_PREFIX_TABLE_H
#define POLICY_PREFIX_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* One prefix, left-aligned. */
struct prefix_rule {
	uint64_t hi, lo;
	uint32_t length; /* bits, to 128; behind them are zeros */
	uint32_t value;	 /* what it says; not 0 */
};

/* What holds from a key on. */
struct prefix_cell {
	uint32_t last;	/* for everything above the key's own 64 bits, up to the next key */
	uint32_t group; /* 1 + the first of the items with these 64 bits; 0: none differ */
};

/* What holds from the second 64 bits on. */
struct prefix_item {
	uint64_t lo;
	uint32_t value;
	uint32_t left; /* items of the same group that follow */
};

/* Where the three arrays are. */
struct prefix_table {
	const uint64_t *keys;		 /* from 1 to count; aligned to 64 bytes */
	const struct prefix_cell *cells; /* from 0 to count; 0 says nothing */
	const struct prefix_item *items;
	uint32_t count, item_count;
};

/* Owned arrays of a table that was built. */
struct prefix_built {
	uint64_t *keys;
	struct prefix_cell *cells;
	struct prefix_item *items;
	uint32_t count, item_count;
};

/* The most keys and items that so many rules make. */
size_t prefix_table_most_keys(size_t rules);
size_t prefix_table_most_items(size_t rules);

/* By place, the shorter prefix first, and those that are the same by their values. */
void prefix_table_sort(struct prefix_rule *rules, size_t count);

/* Builds the table of these rules, which are sorted, and of which no two are the same prefix. 0 or
 * -ENOMEM. */
int prefix_table_build(const struct prefix_rule *rules, size_t count, struct prefix_built *ret);
void prefix_table_free(struct prefix_built *built);

static inline uint32_t
prefix_table_find_in_group(const struct prefix_table *table, const struct prefix_cell *cell,
			   uint64_t lo)
{
	uint32_t at = cell->group - 1, left;

	if (at >= table->item_count)
		return 0;
	left = table->items[at].left;
	if (left > table->item_count - 1 - at)
		left = table->item_count - 1 - at;
	/* the first item begins at 0 */
	while (left > 0) {
		uint32_t half = (left + 1) / 2;

		if (table->items[at + half].lo <= lo)
			at += half;
		left -= half;
	}
	return table->items[at].value;
}

/* What the longest prefix says; 0: there is none. */
static inline uint32_t
prefix_table_find(const struct prefix_table *table, uint64_t hi, uint64_t lo)
{
	const uint64_t *keys = table->keys;
	size_t count = table->count, at = 1;

	while (at <= count) {
		/* eight keys are a cache line: the great-grandchildren of this one */
		__builtin_prefetch(keys + 8 * at);
		at = 2 * at + (keys[at] <= hi);
	}
	/* the last key at which the search went on to the right */
	at >>= (unsigned)__builtin_ctzll(at) + 1;
	if (table->cells[at].group == 0 || keys[at] != hi)
		return table->cells[at].last;
	return prefix_table_find_in_group(table, &table->cells[at], lo);
}

#endif
