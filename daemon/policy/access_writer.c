/*
 * access_writer.c - the writer's side of the table. Tables go in by pwrite(2): where there is no
 * memory, it fails, and a store into the mapping would be a SIGBUS.
 */
#include "policy/access_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/fence.h"

#define ACCESS_WRITER_ALIGNMENT 64

/* A table on its way into an area. */
struct access_image {
	char *data;
	size_t length, room;
};

static size_t
access_writer_align(size_t size)
{
	return (size + ACCESS_WRITER_ALIGNMENT - 1) & ~(size_t)(ACCESS_WRITER_ALIGNMENT - 1);
}

/* What so many rules need at most, whichever family they are of; "all" is a rule of several. */
static size_t
access_writer_room(size_t rules)
{
	size_t keys = prefix_table_most_keys(rules + ACCESS_FAMILIES) + ACCESS_FAMILIES;
	size_t bytes = keys * (sizeof(uint64_t) + sizeof(struct prefix_cell)) +
		       prefix_table_most_items(rules) * sizeof(struct prefix_item) +
		       (size_t)3 * ACCESS_FAMILIES * ACCESS_WRITER_ALIGNMENT;

	return (bytes + ACCESS_HEADER_SIZE - 1) & ~(size_t)(ACCESS_HEADER_SIZE - 1);
}

static int
access_writer_map(struct access_writer *writer)
{
	int r = access_map(writer->fd, &writer->view);
	void *page;

	if (r < 0)
		return r;
	page = mmap(NULL, ACCESS_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, writer->fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	writer->page = page;
	r = fd_open_for_reading(writer->fd);
	if (r < 0)
		return r;
	writer->reading_fd = r;
	return 0;
}

int
access_writer_reopen(struct access_writer *writer, int fd)
{
	int r;

	*writer = ACCESS_WRITER_NONE;
	writer->fd = fd;
	r = access_writer_map(writer);
	if (r < 0)
		access_writer_close(writer);
	return r;
}

int
access_writer_open(struct access_writer *writer, size_t most_rules)
{
	struct access_page *page;
	size_t area_size;
	int fd, r;

	if (most_rules > ACCESS_MOST_RULES)
		most_rules = ACCESS_MOST_RULES;
	area_size = access_writer_room(most_rules);
	*writer = ACCESS_WRITER_NONE;
	/* what is not written takes no memory */
	fd = fd_shared_memfd("handlerd-access", ACCESS_HEADER_SIZE + 2 * area_size);
	if (fd < 0)
		return fd;
	page = calloc(1, sizeof(*page));
	if (page == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	page->area_size = area_size;
	r = pwrite(fd, page, sizeof(*page), 0) == (ssize_t)sizeof(*page) && fchmod(fd, 0400) == 0
		    ? 0
		    : -errno;
	free(page);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return access_writer_reopen(writer, fd);
}

void
access_writer_close(struct access_writer *writer)
{
	access_unmap(&writer->view);
	if (writer->page != NULL)
		(void)munmap(writer->page, ACCESS_HEADER_SIZE);
	if (writer->fd >= 0)
		(void)close(writer->fd);
	if (writer->reading_fd >= 0)
		(void)close(writer->reading_fd);
	*writer = ACCESS_WRITER_NONE;
}

static bool
access_writer_concerns(const struct access_entry *entry, enum access_family family)
{
	switch (family) {
	case ACCESS_IPV4:
		return entry->kind == ACCESS_ALL ||
		       (entry->kind == ACCESS_PREFIX && !entry->prefix.is_ipv6);
	case ACCESS_IPV6:
		return entry->kind == ACCESS_ALL ||
		       (entry->kind == ACCESS_PREFIX && entry->prefix.is_ipv6);
	case ACCESS_UIDS:
		return entry->kind == ACCESS_UID;
	case ACCESS_GIDS:
		return entry->kind == ACCESS_GID;
	case ACCESS_FAMILIES:
		break;
	}
	return false;
}

static struct prefix_rule
access_writer_make_rule(const struct access_rule *rule, size_t index)
{
	struct prefix_rule made = {.value = (uint32_t)(index + 1) << 1 | rule->is_allow};
	uint64_t words[2];

	switch (rule->entry.kind) {
	case ACCESS_ALL:
		break;
	case ACCESS_PREFIX:
		prefix_to_words(&rule->entry.prefix, words);
		made.hi = words[0];
		made.lo = words[1];
		made.length = rule->entry.prefix.length;
		break;
	case ACCESS_UID:
	case ACCESS_GID:
		made.hi = (uint64_t)rule->entry.id << 32;
		made.length = 32;
		break;
	}
	return made;
}

static bool
access_writer_is_same(const struct prefix_rule *a, const struct prefix_rule *b)
{
	return a->hi == b->hi && a->lo == b->lo && a->length == b->length;
}

/* The rules of one family, sorted; of those with the same prefix one is left: the first that
 * denies, else the first. */
static size_t
access_writer_select(const struct access_rule *rules, size_t count, enum access_family family,
		     struct prefix_rule *to)
{
	size_t found = 0, left = 0;

	for (size_t i = 0; i < count; i++) {
		if (access_writer_concerns(&rules[i].entry, family))
			to[found++] = access_writer_make_rule(&rules[i], i);
	}
	prefix_table_sort(to, found);
	for (size_t i = 0; i < found; i++) {
		if (left == 0 || !access_writer_is_same(&to[left - 1], &to[i]))
			to[left++] = to[i];
		else if ((to[left - 1].value & 1) != 0 && (to[i].value & 1) == 0)
			to[left - 1] = to[i];
	}
	return left;
}

/* Adds an array. Where it stands in the area, or -E2BIG. */
static int64_t
access_writer_add(struct access_image *image, const void *data, size_t size)
{
	size_t at = access_writer_align(image->length);

	if (at > image->room || size > image->room - at)
		return -E2BIG;
	memcpy(image->data + at, data, size);
	image->length = at + size;
	return (int64_t)at;
}

static int
access_writer_add_level(struct access_image *image, const struct prefix_built *built,
			struct access_level *ret)
{
	size_t slots = (size_t)built->count + 1;
	int64_t keys_at = access_writer_add(image, built->keys, slots * sizeof(*built->keys));
	int64_t cells_at = access_writer_add(image, built->cells, slots * sizeof(*built->cells));
	int64_t items_at =
		access_writer_add(image, built->items, built->item_count * sizeof(*built->items));

	if (keys_at < 0 || cells_at < 0 || items_at < 0)
		return -E2BIG;
	*ret = (struct access_level){
		.keys_at = (uint64_t)keys_at,
		.cells_at = (uint64_t)cells_at,
		.items_at = (uint64_t)items_at,
		.count = built->count,
		.item_count = built->item_count,
	};
	return 0;
}

/* What is said of every Unix peer. */
static uint32_t
access_writer_find_all(const struct access_rule *rules, size_t count)
{
	uint32_t value = 0;

	for (size_t i = 0; i < count; i++) {
		if (rules[i].entry.kind != ACCESS_ALL)
			continue;
		if (value == 0 || ((value & 1) != 0 && !rules[i].is_allow))
			value = (uint32_t)(i + 1) << 1 | rules[i].is_allow;
	}
	return value;
}

static int
access_writer_build(const struct access_rule *rules, size_t count, struct access_image *image,
		    struct access_area *ret)
{
	CLEANUP_FREE struct prefix_rule *selected = calloc(count + 1, sizeof(*selected));
	int r = selected != NULL ? 0 : -ENOMEM;

	*ret = (struct access_area){.all_value = access_writer_find_all(rules, count)};
	for (size_t i = 0; i < count; i++)
		ret->has_allow |= rules[i].is_allow;
	for (enum access_family family = 0; family < ACCESS_FAMILIES && r >= 0; family++) {
		struct prefix_built built;
		size_t left = access_writer_select(rules, count, family, selected);

		if (left == 0)
			continue;
		r = prefix_table_build(selected, left, &built);
		if (r >= 0)
			r = access_writer_add_level(image, &built, &ret->levels[family]);
		prefix_table_free(&built);
	}
	return r;
}

static int
access_writer_write(int fd, const char *data, size_t size, uint64_t at)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, data, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		data += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int
access_writer_publish(struct access_writer *writer, const struct access_rule *rules, size_t count)
{
	struct access_page *page = writer->page;
	uint64_t next = atomic_load_explicit(&page->published, memory_order_relaxed) + 1;
	struct access_image image = {.room = page->area_size};
	struct access_area area;
	int r;

	if (count > ACCESS_MOST_RULES)
		return -E2BIG;
	image.room =
		access_writer_room(count) < image.room ? access_writer_room(count) : image.room;
	image.data = calloc(1, image.room);
	if (image.data == NULL)
		return -ENOMEM;
	r = access_writer_build(rules, count, &image, &area);
	if (r >= 0) {
		/* who reads that area still, is to know */
		atomic_store_explicit(&page->begun, next, memory_order_seq_cst);
		FENCE(memory_order_seq_cst);
		r = access_writer_write(writer->fd, image.data, image.length,
					ACCESS_HEADER_SIZE + (next & 1) * page->area_size);
	}
	if (r >= 0) {
		page->areas[next & 1] = area;
		atomic_store_explicit(&page->published, next, memory_order_seq_cst);
	}
	free(image.data);
	return r;
}

void
access_writer_publish_schedule(struct access_writer *writer, const struct schedule *schedule)
{
	struct access_page *page = writer->page;
	uint64_t next = atomic_load_explicit(&page->schedule_published, memory_order_relaxed) + 1;

	atomic_store_explicit(&page->schedule_begun, next, memory_order_seq_cst);
	FENCE(memory_order_seq_cst);
	page->schedules[next & 1] = *schedule;
	atomic_store_explicit(&page->schedule_published, next, memory_order_seq_cst);
}
