/*
 * test_connections.c - the connections of a scoreboard in words.
 */
#include "ipc/connections.h"

#include "base/clock.h"
#include "unit.h"

#define SLOTS 20

static struct scoreboard *board;

static void
prepare(void)
{
	board = aligned_alloc(64, scoreboard_size(SLOTS));
	ck_assert_ptr_nonnull(board);
	memset(board, 0, scoreboard_size(SLOTS));
	scoreboard_use_slot(board, SLOTS - 1);
}

static void
clean(void)
{
	free(board);
}

static void
put(size_t slot, uint64_t id)
{
	board->slots[slot].connection_id = id;
	board->slots[slot].peer_kind = 1;
	board->slots[slot].peer[0] = 100 + slot;
	board->slots[slot].peer[1] = 0;
}

static const char *
list(size_t slot_count, size_t most, size_t *ret_count)
{
	static char out[4096];
	struct buf text = {0};

	*ret_count = connections_add(board, slot_count, most, &text);
	(void)snprintf(out, sizeof(out), "%.*s", (int)text.length, (char *)text.data);
	buf_free(&text);
	return out;
}

START_TEST(those_that_are_served_are_listed_up_to_the_most)
{
	size_t count;

	ck_assert_str_eq(list(SLOTS, 2, &count), "");
	ck_assert_uint_eq(count, 0);
	put(3, 17);
	ck_assert_str_eq(list(SLOTS, 2, &count), "#17 unix pid 103 uid 0 (0.000 s)");
	put(5, 18);
	ck_assert_str_eq(list(SLOTS, 2, &count),
			 "#17 unix pid 103 uid 0 (0.000 s), #18 unix pid 105 uid 0 (0.000 s)");
	ck_assert_uint_eq(count, 2);
	put(9, 19);
	put(1, 20);
	ck_assert_str_eq(list(SLOTS, 2, &count),
			 "#20 unix pid 101 uid 0 (0.000 s), #17 unix pid 103 uid 0 (0.000 s) and 2 "
			 "more");
	ck_assert_uint_eq(count, 4);
}
END_TEST

START_TEST(age_is_since_it_was_opened_and_never_nonsense)
{
	int64_t now_ns = clock_now_ns();
	const char *age;
	size_t count;

	put(0, 1);
	board->slots[0].opened_ns = now_ns - 1500 * CLOCK_NS_PER_MS;
	age = strchr(list(SLOTS, 1, &count), '(');
	ck_assert_ptr_nonnull(age);
	ck_assert_int_eq(strncmp(age, "(1.", 3), 0);
	board->slots[0].opened_ns = INT64_MAX;
	ck_assert_ptr_nonnull(strstr(list(SLOTS, 1, &count), "(0.000 s)"));
	board->slots[0].opened_ns = INT64_MIN;
	ck_assert_ptr_nonnull(strstr(list(SLOTS, 1, &count), "(0.000 s)"));
}
END_TEST

START_TEST(slots_beyond_the_board_are_not_read)
{
	size_t count;

	board->used_slots = UINT32_MAX;
	put(10, 17);
	ck_assert_str_eq(list(10, 5, &count), "");
	board->used_slots = 5;
	ck_assert_str_eq(list(SLOTS, 5, &count), "");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("connections");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, those_that_are_served_are_listed_up_to_the_most);
	tcase_add_test(cases, age_is_since_it_was_opened_and_never_nonsense);
	tcase_add_test(cases, slots_beyond_the_board_are_not_read);
	return unit_run("connections", cases);
}
