/*
 * test_suggest.c - "did you mean".
 */
#include "base/suggest.h"

#include "unit.h"

static const struct pair {
	const char *a, *b;
	unsigned distance;
} pairs[] = {
	{"", "", 0},
	{"echo", "echo", 0},
	{"Echo", "eCHO", 0},
	{"echo", "ehco", 1},
	{"echo", "echoo", 1},
	{"echo", "eho", 1},
	{"echo", "ecko", 1},
	{"adress", "address", 1},
	{"finsh", "finish", 1},
	{"hanlde", "handle", 1},
	{"ab", "ba", 1},
	{"", "ab", 2},
	{"kitten", "sitting", 3},
	{"abcd", "dcba", 3},
	{"echo", "discard", 4},
};

START_TEST(distance_counts_edits_both_ways_and_stops_at_the_limit)
{
	const struct pair *pair = &pairs[_i];
	unsigned most = pair->distance > 3 ? 4 : pair->distance;

	ck_assert_uint_eq(suggest_distance(pair->a, pair->b, 3), most);
	ck_assert_uint_eq(suggest_distance(pair->b, pair->a, 3), most);
	ck_assert_uint_eq(suggest_distance(pair->a, pair->b, 0), pair->distance > 0 ? 1 : 0);
}
END_TEST

START_TEST(long_words_are_never_near)
{
	char longest[65], longer[66];

	memset(longest, 'a', 64);
	longest[64] = '\0';
	memset(longer, 'a', 65);
	longer[65] = '\0';
	ck_assert_uint_eq(suggest_distance(longest, longest, 2), 0);
	ck_assert_uint_eq(suggest_distance(longer, longer, 2), 3);
	ck_assert_uint_eq(suggest_distance(longest, longer, 2), 3);
}
END_TEST

START_TEST(nearest_word_wins_and_the_first_of_equals)
{
	struct suggest suggest = {.word = "adress"};

	suggest_offer(&suggest, "listen");
	ck_assert_ptr_null(suggest.nearest);
	suggest_offer(&suggest, "dress");
	suggest_offer(&suggest, "address");
	ck_assert_str_eq(suggest.nearest, "dress");
	suggest_offer(&suggest, "adress");
	ck_assert_str_eq(suggest.nearest, "adress");
	ck_assert_uint_eq(suggest.distance, 0);
}
END_TEST

START_TEST(short_words_must_be_nearer)
{
	struct suggest suggest = {.word = "abc"};

	suggest_offer(&suggest, "axy");
	ck_assert_ptr_null(suggest.nearest);
	suggest_offer(&suggest, "abx");
	ck_assert_str_eq(suggest.nearest, "abx");
	suggest = (struct suggest){.word = "abcd"};
	suggest_offer(&suggest, "abxy");
	ck_assert_str_eq(suggest.nearest, "abxy");
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("suggest");

	tcase_add_loop_test(cases, distance_counts_edits_both_ways_and_stops_at_the_limit, 0,
			    UNIT_COUNT(pairs));
	tcase_add_test(cases, long_words_are_never_near);
	tcase_add_test(cases, nearest_word_wins_and_the_first_of_equals);
	tcase_add_test(cases, short_words_must_be_nearer);
	return unit_run("suggest", cases);
}
