/*
 * test_scoreboard.c - sizes and sums.
 */
#include "ipc/scoreboard.h"

#include "unit.h"

START_TEST(size_is_two_lines_for_each_slot_and_the_head)
{
	ck_assert_uint_eq(scoreboard_size(0), offsetof(struct scoreboard, slots));
	ck_assert_uint_eq(scoreboard_size(1), scoreboard_size(0) + 128);
	ck_assert_uint_eq(scoreboard_size(SCOREBOARD_MOST_SLOTS),
			  scoreboard_size(0) + SCOREBOARD_MOST_SLOTS * UINT64_C(128));
}
END_TEST

static struct scoreboard *
new_board(void)
{
	struct scoreboard *board = aligned_alloc(64, scoreboard_size(3));

	ck_assert_ptr_nonnull(board);
	memset(board, 0, scoreboard_size(3));
	for (unsigned i = 0; i < 3; i++) {
		board->slots[i].accepted = 1000 << i;
		board->slots[i].finished = 100 << i;
		board->slots[i].refused = 10 << i;
		board->slots[i].failed = 1 << i;
		board->slots[i].crashed = 5 << i;
		board->slots[i].connection_id = 77;
		board->slots[i].state = 77;
	}
	return board;
}

START_TEST(sums_take_the_slots_asked_for_and_no_more)
{
	struct scoreboard *board = new_board();
	struct scoreboard_totals totals;

	scoreboard_use_slot(board, 2);
	totals = scoreboard_sum(board, 2);
	ck_assert_uint_eq(totals.accepted, 3000);
	ck_assert_uint_eq(totals.finished, 300);
	ck_assert_uint_eq(totals.refused, 30);
	ck_assert_uint_eq(totals.failed, 3);
	ck_assert_uint_eq(totals.crashed, 15);
	ck_assert_uint_eq(scoreboard_count_open(board, 2), 3000 - 300 - 30 - 15);
	totals = scoreboard_sum(board, 3);
	ck_assert_uint_eq(totals.accepted, 7000);
	totals = scoreboard_sum(board, 0);
	ck_assert_uint_eq(totals.accepted, 0);
	free(board);
}
END_TEST

START_TEST(slots_that_were_never_used_are_not_read)
{
	struct scoreboard *board = new_board();

	ck_assert_uint_eq(scoreboard_sum(board, 3).accepted, 0);
	scoreboard_use_slot(board, 1);
	ck_assert_uint_eq(scoreboard_sum(board, 3).accepted, 3000);
	scoreboard_use_slot(board, 0);
	ck_assert_uint_eq(scoreboard_sum(board, 3).accepted, 3000);
	scoreboard_use_slot(board, 2);
	ck_assert_uint_eq(scoreboard_sum(board, 3).accepted, 7000);
	free(board);
}
END_TEST

/* What a worker has written there is believed to be numbers and nothing else. */
START_TEST(garbage_is_never_an_index_nor_a_negative_count)
{
	struct scoreboard *board = new_board();

	board->used_slots = UINT32_MAX;
	ck_assert_uint_eq(scoreboard_sum(board, 3).accepted, 7000);
	board->slots[0].finished = 1000000;
	ck_assert_uint_eq(scoreboard_count_open(board, 3), 0);
	free(board);
}
END_TEST

START_TEST(count_adds_one_and_wraps_without_a_fuss)
{
	_Atomic uint64_t field = 41;

	scoreboard_count(&field);
	ck_assert_uint_eq(field, 42);
	field = UINT64_MAX;
	scoreboard_count(&field);
	ck_assert_uint_eq(field, 0);
}
END_TEST

START_TEST(drops_are_counted_by_reason_whatever_slots_were_used)
{
	struct scoreboard *board = new_board();
	struct scoreboard_totals totals, more;

	for (int i = 0; i < SCOREBOARD_DROPS; i++) {
		scoreboard_drop(board, (enum scoreboard_drop)i, 1);
		scoreboard_drop(board, (enum scoreboard_drop)i, (uint64_t)i * 10);
	}
	board->timed_out = 9;
	totals = scoreboard_sum(board, 0);
	more = scoreboard_sum(board, 3);
	ck_assert_uint_eq(totals.accepted, 0);
	ck_assert_uint_eq(totals.timed_out, 9);
	for (int i = 0; i < SCOREBOARD_DROPS; i++) {
		ck_assert_uint_eq(totals.dropped[i], 1 + (uint64_t)i * 10);
		ck_assert_uint_eq(more.dropped[i], totals.dropped[i]);
	}
	scoreboard_use_slot(board, 0);
	more = scoreboard_sum(board, 3);
	scoreboard_add(&more, &totals);
	ck_assert_uint_eq(more.accepted, 1000);
	ck_assert_uint_eq(more.dropped[SCOREBOARD_UNSENT], 2 * totals.dropped[SCOREBOARD_UNSENT]);
	free(board);
}
END_TEST

START_TEST(adding_takes_every_number)
{
	struct scoreboard_totals to = {1, 2, 3, 4, 5, 8, 10, {6, 7}, {0, 9}},
				 more = {10, 20, 30, 40, 50, 80, 100, {60}, {0, 90}};

	scoreboard_add(&to, &more);
	ck_assert_uint_eq(to.accepted, 11);
	ck_assert_uint_eq(to.finished, 22);
	ck_assert_uint_eq(to.refused, 33);
	ck_assert_uint_eq(to.failed, 44);
	ck_assert_uint_eq(to.crashed, 55);
	ck_assert_uint_eq(to.timed_out, 88);
	ck_assert_uint_eq(to.unlogged, 110);
	ck_assert_uint_eq(to.dropped[0], 66);
	ck_assert_uint_eq(to.dropped[1], 7);
	ck_assert_uint_eq(to.ended[CLOSE_DONE], 99);
}
END_TEST

START_TEST(who_is_turned_away_is_accepted_and_refused)
{
	struct scoreboard *board = calloc(1, scoreboard_size(1));
	struct scoreboard_totals sum;

	scoreboard_end(board, CLOSE_ACCESS, 2);
	scoreboard_end(board, CLOSE_OVERLOAD, 1);
	/* a flow has counted these itself */
	scoreboard_end(board, CLOSE_VERIFY, 4);
	scoreboard_end(board, CLOSE_DONE, 8);
	sum = scoreboard_sum(board, 1);
	ck_assert_uint_eq(sum.accepted, 3);
	ck_assert_uint_eq(sum.refused, 3);
	ck_assert_uint_eq(sum.ended[CLOSE_ACCESS], 2);
	ck_assert_uint_eq(scoreboard_count_open(board, 1), 0);
	free(board);
}
END_TEST

START_TEST(every_end_has_a_name_and_words_of_its_own)
{
	for (int i = 0; i < CLOSE_REASONS; i++) {
		const char *name = close_reason_name((enum close_reason)i);

		ck_assert_ptr_nonnull(close_reason_text((enum close_reason)i));
		ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(close_reason_name((enum close_reason)j), name);
	}
}
END_TEST

START_TEST(every_reason_has_a_name_of_its_own)
{
	for (int i = 0; i < SCOREBOARD_DROPS; i++) {
		ck_assert_ptr_nonnull(scoreboard_drop_name((enum scoreboard_drop)i));
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(scoreboard_drop_name((enum scoreboard_drop)i),
					 scoreboard_drop_name((enum scoreboard_drop)j));
	}
}
END_TEST

static void
put_connection(struct scoreboard_slot *slot)
{
	slot->connection_id = 17;
	slot->opened_ns = 18;
	slot->bytes_in = 19;
	slot->bytes_out = 20;
	slot->peer[0] = 42;
	slot->peer[1] = 1000;
	slot->peer_kind = 1; /* AF_UNIX */
	slot->phase = SCOREBOARD_FINISH;
}

START_TEST(what_a_slot_tells_of_its_connection_is_copied)
{
	struct scoreboard *board = new_board();
	struct scoreboard_connection connection;
	char name[128];

	put_connection(&board->slots[1]);
	ck_assert(scoreboard_read_connection(board, 1, &connection));
	ck_assert_uint_eq(connection.id, 17);
	ck_assert_int_eq(connection.opened_ns, 18);
	ck_assert_uint_eq(connection.bytes_in, 19);
	ck_assert_uint_eq(connection.bytes_out, 20);
	ck_assert_int_eq(connection.phase, SCOREBOARD_FINISH);
	ck_assert_str_eq(scoreboard_format_peer(&connection, name, sizeof(name)),
			 "unix pid 42 uid 1000");
	board->slots[1].connection_id = 0;
	ck_assert(!scoreboard_read_connection(board, 1, &connection));
	free(board);
}
END_TEST

START_TEST(garbage_in_a_slot_is_a_phase_and_a_peer_all_the_same)
{
	struct scoreboard *board = new_board();
	struct scoreboard_connection connection;
	char name[128];

	memset(&board->slots[1], 0xff, sizeof(board->slots[1]));
	ck_assert(scoreboard_read_connection(board, 1, &connection));
	ck_assert_int_lt(connection.phase, SCOREBOARD_PHASES);
	ck_assert_ptr_nonnull(scoreboard_phase_name(connection.phase));
	ck_assert_str_eq(scoreboard_format_peer(&connection, name, sizeof(name)), "unknown");
	free(board);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("scoreboard");

	tcase_add_test(cases, size_is_two_lines_for_each_slot_and_the_head);
	tcase_add_test(cases, sums_take_the_slots_asked_for_and_no_more);
	tcase_add_test(cases, slots_that_were_never_used_are_not_read);
	tcase_add_test(cases, garbage_is_never_an_index_nor_a_negative_count);
	tcase_add_test(cases, count_adds_one_and_wraps_without_a_fuss);
	tcase_add_test(cases, drops_are_counted_by_reason_whatever_slots_were_used);
	tcase_add_test(cases, adding_takes_every_number);
	tcase_add_test(cases, who_is_turned_away_is_accepted_and_refused);
	tcase_add_test(cases, every_end_has_a_name_and_words_of_its_own);
	tcase_add_test(cases, every_reason_has_a_name_of_its_own);
	tcase_add_test(cases, what_a_slot_tells_of_its_connection_is_copied);
	tcase_add_test(cases, garbage_in_a_slot_is_a_phase_and_a_peer_all_the_same);
	return unit_run("scoreboard", cases);
}
