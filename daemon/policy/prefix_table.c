/*
 * prefix_table.c - flattens prefixes into intervals, and lays those out.
 */
#include "policy/prefix_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define PREFIX_TABLE_ALIGNMENT 64
/* Prefixes that contain each other: one of each length. */
#define PREFIX_TABLE_DEPTH 129

/* Where an interval begins, and what holds there. */
struct prefix_edge {
	uint64_t hi, lo;
	uint32_t value;
};

struct prefix_edges {
	struct prefix_edge *items;
	size_t count;
};

size_t
prefix_table_most_keys(size_t rules)
{
	/* each rule begins one interval and ends one; one is there before */
	return 2 * rules + 1;
}

size_t
prefix_table_most_items(size_t rules)
{
	/* and the first of each group may have been added */
	return 2 * prefix_table_most_keys(rules);
}

static int
prefix_table_compare(const void *a, const void *b)
{
	const struct prefix_rule *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	if (x->length != y->length)
		return x->length < y->length ? -1 : 1;
	return x->value < y->value ? -1 : x->value > y->value;
}

void
prefix_table_sort(struct prefix_rule *rules, size_t count)
{
	if (count > 0)
		qsort(rules, count, sizeof(*rules), prefix_table_compare);
}

/* The first number behind the prefix; false: there is none. */
static bool
prefix_table_end(const struct prefix_rule *rule, uint64_t *ret_hi, uint64_t *ret_lo)
{
	*ret_hi = rule->hi;
	*ret_lo = rule->lo;
	if (rule->length > 64) {
		*ret_lo += UINT64_C(1) << (128 - rule->length);
		if (*ret_lo != 0)
			return true;
		*ret_hi += 1;
	} else if (rule->length > 0) {
		*ret_hi += UINT64_C(1) << (64 - rule->length);
	} else {
		return false;
	}
	return *ret_hi != 0;
}

/* From here on that holds; at the same place the later one counts. */
static void
prefix_table_add_edge(struct prefix_edges *edges, uint64_t hi, uint64_t lo, uint32_t value)
{
	struct prefix_edge *last = edges->count > 0 ? &edges->items[edges->count - 1] : NULL;

	CHECK(edges->items != NULL);
	if (last != NULL && last->hi == hi && last->lo == lo) {
		last->value = value;
		return;
	}
	if (last != NULL && last->value == value)
		return;
	edges->items[edges->count++] = (struct prefix_edge){.hi = hi, .lo = lo, .value = value};
}

/* Ends the innermost prefixes that end at or before the place. */
static size_t
prefix_table_leave(struct prefix_edges *edges, const struct prefix_rule **stack, size_t depth,
		   const struct prefix_rule *next)
{
	uint64_t hi, lo;

	while (depth > 0) {
		bool has_end = prefix_table_end(stack[depth - 1], &hi, &lo);

		if (next != NULL &&
		    (!has_end || hi > next->hi || (hi == next->hi && lo > next->lo)))
			break;
		depth--;
		if (has_end)
			prefix_table_add_edge(edges, hi, lo,
					      depth > 0 ? stack[depth - 1]->value : 0);
	}
	return depth;
}

static void
prefix_table_flatten(const struct prefix_rule *rules, size_t count, struct prefix_edges *edges)
{
	const struct prefix_rule *stack[PREFIX_TABLE_DEPTH];
	size_t depth = 0;

	prefix_table_add_edge(edges, 0, 0, 0);
	for (size_t i = 0; i < count; i++) {
		depth = prefix_table_leave(edges, stack, depth, &rules[i]);
		prefix_table_add_edge(edges, rules[i].hi, rules[i].lo, rules[i].value);
		stack[depth++] = &rules[i];
	}
	(void)prefix_table_leave(edges, stack, depth, NULL);
}

/* What stands at one key: the edges with these 64 bits. `before` is what held until there. */
static struct prefix_cell
prefix_table_make_cell(const struct prefix_edge *edges, size_t count, uint32_t before,
		       struct prefix_built *built)
{
	struct prefix_cell cell = {.last = edges[count - 1].value};
	size_t extra = edges[0].lo != 0;

	if (count + extra == 1)
		return cell;
	cell.group = built->item_count + 1;
	if (extra > 0)
		built->items[built->item_count++] =
			(struct prefix_item){.lo = 0, .value = before, .left = (uint32_t)count};
	for (size_t i = 0; i < count; i++)
		built->items[built->item_count++] = (struct prefix_item){
			.lo = edges[i].lo,
			.value = edges[i].value,
			.left = (uint32_t)(count - 1 - i),
		};
	return cell;
}

/* Keys and cells in their own order, one for all edges with the same first 64 bits. */
static void
prefix_table_gather(const struct prefix_edges *edges, uint64_t *keys, struct prefix_cell *cells,
		    struct prefix_built *built)
{
	uint32_t before = 0;

	for (size_t i = 0, next; i < edges->count; i = next) {
		for (next = i + 1; next < edges->count; next++) {
			if (edges->items[next].hi != edges->items[i].hi)
				break;
		}
		keys[built->count] = edges->items[i].hi;
		cells[built->count++] =
			prefix_table_make_cell(edges->items + i, next - i, before, built);
		before = edges->items[next - 1].value;
	}
}

/* In-order into the tree that has its root at 1. Returns how many are placed. */
static size_t
prefix_table_place(struct prefix_built *built, const uint64_t *keys,
		   const struct prefix_cell *cells, size_t from, size_t at)
{
	if (at > built->count)
		return from;
	from = prefix_table_place(built, keys, cells, from, 2 * at);
	built->keys[at] = keys[from];
	built->cells[at] = cells[from];
	return prefix_table_place(built, keys, cells, from + 1, 2 * at + 1);
}

static void *
prefix_table_allocate(size_t count, size_t size)
{
	size_t bytes =
		(count * size + PREFIX_TABLE_ALIGNMENT - 1) & ~(size_t)(PREFIX_TABLE_ALIGNMENT - 1);
	void *memory =
		aligned_alloc(PREFIX_TABLE_ALIGNMENT, bytes > 0 ? bytes : PREFIX_TABLE_ALIGNMENT);

	if (memory != NULL)
		memset(memory, 0, bytes);
	return memory;
}

int
prefix_table_build(const struct prefix_rule *rules, size_t count, struct prefix_built *ret)
{
	struct prefix_edges edges = {
		.items = calloc(prefix_table_most_keys(count), sizeof(struct prefix_edge))};
	uint64_t *keys = NULL;
	struct prefix_cell *cells = NULL;
	int r = -ENOMEM;

	*ret = (struct prefix_built){.count = 0};
	if (edges.items == NULL)
		return r;
	prefix_table_flatten(rules, count, &edges);
	keys = calloc(edges.count, sizeof(*keys));
	cells = calloc(edges.count, sizeof(*cells));
	ret->items = calloc(2 * edges.count, sizeof(*ret->items));
	if (keys == NULL || cells == NULL || ret->items == NULL)
		goto out;
	prefix_table_gather(&edges, keys, cells, ret);
	ret->keys = prefix_table_allocate(ret->count + 1, sizeof(*ret->keys));
	ret->cells = prefix_table_allocate(ret->count + 1, sizeof(*ret->cells));
	if (ret->keys == NULL || ret->cells == NULL)
		goto out;
	(void)prefix_table_place(ret, keys, cells, 0, 1);
	r = 0;
out:
	if (r < 0)
		prefix_table_free(ret);
	free(edges.items);
	free(keys);
	free(cells);
	return r;
}

void
prefix_table_free(struct prefix_built *built)
{
	free(built->keys);
	free(built->cells);
	free(built->items);
	*built = (struct prefix_built){.count = 0};
}
