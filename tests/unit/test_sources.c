/*
 * test_sources.c - the table of sources: exact counts from many flows, a bound, and who goes.
 */
#include "policy/sources.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/scoreboard.h"
#include "unit.h"

#define SLOTS 4

static struct sources sources;
static const struct sources_older none;
static size_t size;
static void *board;

static void
set_up(void)
{
	uint32_t sets = sources_count_sets(SLOTS);

	size = sources_board_size(SLOTS, sets);
	board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	sources = sources_of_board(board, SLOTS, sets);
	ck_assert_int_eq(sources_init(&sources), 0);
}

static void
tear_down(void)
{
	(void)munmap(board, size);
}

/* Numbers that fall into one set. */
static uint64_t
in_one_set(uint64_t number)
{
	return UINT64_C(5) << 44 | (number + 1);
}

static enum close_reason
enter(uint64_t hash, uint32_t most, uint32_t *ret_place)
{
	return sources_enter(&sources, &none, hash, most, ret_place);
}

START_TEST(source_has_as_many_as_it_may)
{
	uint32_t places[3], place;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(enter(77, 3, &places[i]), CLOSE_NONE);
	ck_assert_int_eq(enter(77, 3, &place), CLOSE_SOURCE_CONNECTIONS);
	ck_assert_uint_eq(sources_look(&sources, 77).connections, 3);
	ck_assert_int_eq(enter(78, 3, &place), CLOSE_NONE);
	sources_leave(&sources, places[0]);
	ck_assert_int_eq(enter(77, 3, &place), CLOSE_NONE);
	ck_assert_uint_eq(place, places[0]);
}
END_TEST

START_TEST(what_leaves_more_often_than_it_came_is_nobody)
{
	uint32_t place;

	ck_assert_int_eq(enter(77, 1, &place), CLOSE_NONE);
	sources_leave(&sources, place);
	sources_leave(&sources, place);
	sources_leave(&sources, 0);
	sources_leave(&sources, UINT32_MAX);
	ck_assert_uint_eq(sources_look(&sources, 77).connections, 0);
	ck_assert_int_eq(enter(77, 1, &place), CLOSE_NONE);
	ck_assert_int_eq(enter(77, 1, &place), CLOSE_SOURCE_CONNECTIONS);
}
END_TEST

START_TEST(least_active_goes_and_none_with_connections)
{
	uint32_t places[SOURCES_WAYS], place;

	for (uint32_t i = 0; i < SOURCES_WAYS; i++) {
		ck_assert_int_eq(enter(in_one_set(i), 0, &places[i]), CLOSE_NONE);
		atomic_store(sources_bucket(&sources, places[i]), 100 + i);
	}
	/* nobody can go: the next one is let in without being counted */
	ck_assert_int_eq(enter(in_one_set(99), 1, &place), CLOSE_NONE);
	ck_assert_uint_eq(place, 0);
	sources_leave(&sources, places[9]);
	sources_leave(&sources, places[4]);
	sources_leave(&sources, places[7]);
	ck_assert_int_eq(enter(in_one_set(99), 1, &place), CLOSE_NONE);
	ck_assert_uint_eq(place, places[4]);
	ck_assert_int_eq(*sources_bucket(&sources, place), 0);
	ck_assert_int_eq(sources_look(&sources, in_one_set(7)).full_ns, 107);
	ck_assert_int_eq(sources_look(&sources, in_one_set(4)).full_ns, 0);
	for (uint32_t i = 0; i < SOURCES_WAYS; i++)
		ck_assert_uint_eq(sources_look(&sources, in_one_set(i)).connections,
				  i != 4 && i != 7 && i != 9);
}
END_TEST

START_TEST(hundred_thousand_sources_stay_within_the_table)
{
	struct sources_rules rules = {.key = {{1, 2}}, .prefix_ipv4 = 32};
	uint32_t kept, place;
	uint64_t hash;

	/* one that has a connection, and one that comes more often than the others */
	ck_assert_int_eq(enter(UINT64_C(1) << 63 | 1, 0, &kept), CLOSE_NONE);
	for (uint32_t i = 0; i < 100000; i++) {
		struct sockaddr_storage address = {0};
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(i)};

		memcpy(&address, &in, sizeof(in));
		ck_assert(sources_identify(&rules, &address, NULL, &hash));
		ck_assert_int_eq(enter(hash, 1, &place), CLOSE_NONE);
		ck_assert_uint_ne(place, 0);
		ck_assert_uint_le(place, sources.sets * SOURCES_WAYS);
		ck_assert_uint_ne(place, kept);
		atomic_store(sources_bucket(&sources, place), i);
		sources_leave(&sources, place);
	}
	ck_assert_uint_eq(sources_look(&sources, UINT64_C(1) << 63 | 1).connections, 1);
}
END_TEST

/* Whoever has many addresses, or forges them, gets no tokens back for one of them by it. */
START_TEST(who_has_used_up_its_tokens_outlives_those_that_come_once)
{
	static const int64_t interval = 1000, whole = 10 * interval, began = 1000000;
	const uint64_t spent = UINT64_C(1) << 63 | 1, newcomers = 100000;
	struct bucket_rate rate = {.interval_ns = interval, .whole_ns = whole};
	int64_t now = began, until;
	uint32_t place;

	ck_assert_int_eq(enter(spent, 0, &place), CLOSE_NONE);
	while (bucket_take(sources_bucket(&sources, place), &rate, now, 0, &until))
		;
	sources_leave(&sources, place);
	for (uint64_t i = 1; i <= newcomers; i++) {
		now = began + (int64_t)i * 8 * interval / (int64_t)newcomers;
		/* odd, so that it falls anywhere and is never the same */
		ck_assert_int_eq(enter(i * UINT64_C(0x9e3779b97f4a7c15), 0, &place), CLOSE_NONE);
		ck_assert(bucket_take(sources_bucket(&sources, place), &rate, now, 0, &until));
		sources_leave(&sources, place);
	}
	ck_assert_int_eq(sources_look(&sources, spent).full_ns, began + whole);
}
END_TEST

START_TEST(table_grows_with_the_connections_that_there_may_be)
{
	ck_assert_uint_eq(sources_count_sets(1), 256);
	ck_assert_uint_eq(sources_count_sets(1024), 256);
	ck_assert_uint_eq(sources_count_sets(1025), 512);
	ck_assert_uint_eq(sources_count_sets(1000000), SOURCES_MOST_SETS);
	ck_assert_uint_eq(sources_count_sets(UINT64_C(1) << 40), SOURCES_MOST_SETS);
}
END_TEST

enum { CHILDREN = 4, TURNS = 20000, MOST = 3 };

/* Comes and goes; how often there were more than may be is its status. */
static void
come_and_go(_Atomic uint32_t *now)
{
	int wrong = 0;

	for (int i = 0; i < TURNS; i++) {
		uint32_t place, other;

		if (enter(in_one_set((uint64_t)i % 64 + 100), 0, &other) != CLOSE_NONE)
			wrong++;
		if (enter(77, MOST, &place) == CLOSE_NONE) {
			wrong += atomic_fetch_add(now, 1) >= MOST;
			(void)atomic_fetch_sub(now, 1);
			sources_leave(&sources, place);
		}
		sources_leave(&sources, other);
	}
	_exit(wrong > 0);
}

START_TEST(counts_are_exact_while_processes_come_and_go)
{
	_Atomic uint32_t *now =
		mmap(NULL, sizeof(*now), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	for (int i = 0; i < CHILDREN; i++) {
		if (fork() == 0)
			come_and_go(now);
	}
	for (int i = 0; i < CHILDREN; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	for (uint64_t i = 0; i < 64; i++)
		ck_assert_uint_eq(sources_look(&sources, in_one_set(i + 100)).connections, 0);
	ck_assert_uint_eq(sources_look(&sources, 77).connections, 0);
	(void)munmap(now, sizeof(*now));
}
END_TEST

START_TEST(whoever_dies_with_the_lock_leaves_a_table_that_works)
{
	pthread_mutex_t *mutex = &sources.shared->locks[5].mutex;
	struct sources_place *set = &sources.shared->places[5 * SOURCES_WAYS];
	uint32_t place;
	int status;

	if (fork() == 0) {
		(void)pthread_mutex_lock(mutex);
		for (uint32_t i = 0; i < SOURCES_WAYS; i++)
			atomic_store(&set[i].holder, 1);
		(void)raise(SIGKILL);
	}
	ck_assert_int_gt(wait(&status), 0);
	ck_assert(WIFSIGNALED(status));
	/* what it had reserved is free again */
	for (uint32_t i = 0; i < SOURCES_WAYS; i++) {
		ck_assert_int_eq(enter(in_one_set(i), 1, &place), CLOSE_NONE);
		ck_assert_uint_ne(place, 0);
	}
}
END_TEST

START_TEST(looking_bears_whatever_stands_there)
{
	uint64_t seed = 1;

	for (int turn = 0; turn < 20; turn++) {
		uint64_t *words = (uint64_t *)sources.shared->places;
		size_t count = (size_t)sources.sets * SOURCES_WAYS * 2;

		for (size_t i = 0; i < count; i++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			words[i] = turn == 0 ? UINT64_MAX : seed;
		}
		for (uint64_t i = 0; i < 1000; i++)
			ck_assert_uint_le(sources_look(&sources, i * seed).connections,
					  SOURCES_MOST_CONNECTIONS);
	}
}
END_TEST

START_TEST(older_generations_count_as_long_as_they_serve)
{
	struct sources old = sources;
	struct sources_older older = {.tables = &old, .count = 1};
	uint32_t sets = sources_count_sets(2000);
	size_t new_size = sources_board_size(SLOTS, sets);
	_Atomic bool is_over = false;
	uint32_t place;

	older.is_over = &is_over;
	ck_assert_int_eq(enter(77, 2, &place), CLOSE_NONE);
	atomic_store(sources_bucket(&sources, place), 12345);
	sources = sources_of_board(aligned_alloc(64, new_size), SLOTS, sets);
	memset((char *)sources.shared - scoreboard_size(SLOTS), 0, new_size);
	ck_assert_int_eq(sources_init(&sources), 0);
	ck_assert_int_eq(sources_enter(&sources, &older, 77, 2, &place), CLOSE_NONE);
	ck_assert_int_eq(*sources_bucket(&sources, place), 12345);
	ck_assert_int_eq(sources_enter(&sources, &older, 77, 2, &place), CLOSE_SOURCE_CONNECTIONS);
	is_over = true;
	ck_assert_int_eq(sources_enter(&sources, &older, 77, 2, &place), CLOSE_NONE);
	free((char *)sources.shared - scoreboard_size(SLOTS));
}
END_TEST

/* Another table of the same size, kept from this one. */
static int64_t
keep(struct sources *kept, void **ret_board, const struct bucket_rate *rate, int64_t now_ns)
{
	if (*ret_board == NULL) {
		*ret_board =
			mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		ck_assert_ptr_ne(*ret_board, MAP_FAILED);
		*kept = sources_of_board(*ret_board, SLOTS, sources.sets);
	}
	return sources_keep(kept, 0, sources.shared->places, sources.sets, rate, now_ns);
}

START_TEST(what_is_kept_of_a_table_is_what_is_not_full)
{
	static const struct bucket_rate rate = {.interval_ns = 10, .whole_ns = 50};
	struct sources kept;
	void *other = NULL;
	uint32_t place;

	ck_assert_int_eq(keep(&kept, &other, &rate, 100), 0);
	ck_assert_int_eq(enter(77, 9, &place), CLOSE_NONE);
	ck_assert_int_eq(enter(77, 9, &place), CLOSE_NONE);
	atomic_store(sources_bucket(&sources, place), 130);
	ck_assert_int_eq(enter(78, 9, &place), CLOSE_NONE);
	atomic_store(sources_bucket(&sources, place), 100);
	ck_assert_int_eq(enter(79, 9, &place), CLOSE_NONE);
	atomic_store(sources_bucket(&sources, place), 120);
	ck_assert_int_eq(keep(&kept, &other, &rate, 100), 130);
	ck_assert_int_eq(sources_look(&kept, 77).full_ns, 130);
	ck_assert_int_eq(sources_look(&kept, 78).full_ns, 0);
	ck_assert_int_eq(sources_look(&kept, 79).full_ns, 120);
	/* nobody is connected any more */
	ck_assert_uint_eq(sources_look(&kept, 77).connections, 0);
	/* another worker, after that one: the emptier bucket counts, and one more source */
	atomic_store(sources_bucket(&sources, place), 110);
	ck_assert_int_eq(enter(80, 9, &place), CLOSE_NONE);
	atomic_store(sources_bucket(&sources, place), 111);
	ck_assert_int_eq(keep(&kept, &other, &rate, 100), 130);
	ck_assert_int_eq(sources_look(&kept, 79).full_ns, 120);
	ck_assert_int_eq(sources_look(&kept, 80).full_ns, 111);
	(void)munmap(other, size);
}
END_TEST

START_TEST(garbage_is_kept_as_an_empty_bucket_at_most)
{
	static const int64_t words[] = {INT64_MIN, -1,	0,   1,	  99,	    100,
					101,	   149, 150, 151, INT64_MAX};
	static const struct bucket_rate rate = {.interval_ns = 10, .whole_ns = 50};
	struct sources_place *places = sources.shared->places;
	struct sources kept;
	void *other = NULL;
	unsigned seed = 7;

	for (size_t i = 0; i < (size_t)sources.sets * SOURCES_WAYS; i++) {
		uint64_t holder = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed);

		atomic_store(&places[i].holder, i % 5 == 0 ? 1 : i % 7 == 0 ? UINT64_MAX : holder);
		atomic_store(&places[i].full_ns,
			     words[(unsigned)rand_r(&seed) % UNIT_COUNT(words)]);
	}
	ck_assert_int_eq(keep(&kept, &other, &rate, 100), 150);
	for (size_t i = 0; i < (size_t)sources.sets * SOURCES_WAYS; i++) {
		const struct sources_place *place = &kept.shared->places[i];
		int64_t full_ns = atomic_load(&place->full_ns);

		ck_assert_uint_eq(atomic_load(&place->holder) & SOURCES_MOST_CONNECTIONS, 0);
		ck_assert(atomic_load(&place->holder) == 0 || (full_ns > 100 && full_ns <= 150));
	}
	ck_assert_int_eq(sources_bound(INT64_MAX, &rate, 100), 150);
	ck_assert_int_eq(sources_bound(INT64_MIN, &rate, 100), 0);
	ck_assert_int_eq(sources_bound(INT64_MAX, &(struct bucket_rate){0}, 100), 0);
	(void)munmap(other, size);
}
END_TEST

START_TEST(of_what_does_not_fit_the_emptiest_buckets_are_kept)
{
	static const struct bucket_rate rate = {.interval_ns = 1, .whole_ns = 1000};
	struct sources kept;
	void *other = NULL;
	uint32_t place;

	/* two tables after each other, each with one set full of others */
	for (uint64_t round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < SOURCES_WAYS; i++) {
			ck_assert_int_eq(enter(in_one_set(round * 100 + i), 9, &place), CLOSE_NONE);
			atomic_store(sources_bucket(&sources, place),
				     200 + (int64_t)i * 2 + (int64_t)round);
		}
		ck_assert_int_eq(keep(&kept, &other, &rate, 100), 230 + (int64_t)round);
		memset(sources.shared->places, 0,
		       (size_t)sources.sets * SOURCES_WAYS * sizeof(struct sources_place));
	}
	for (uint64_t round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < SOURCES_WAYS; i++) {
			int64_t full_ns = sources_look(&kept, in_one_set(round * 100 + i)).full_ns;

			ck_assert_int_eq(full_ns,
					 i < SOURCES_WAYS / 2 ? 0 : 200 + (int64_t)(i * 2 + round));
		}
	}
	(void)munmap(other, size);
}
END_TEST

static uint64_t
identify(const struct sources_rules *rules, const char *text)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	uint64_t hash = 0;

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		memcpy(&address, &in, sizeof(in));
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
		memcpy(&address, &in6, sizeof(in6));
	}
	ck_assert(sources_identify(rules, &address, NULL, &hash));
	return hash;
}

static const struct {
	unsigned ipv4, ipv6;
	const char *a, *b;
	bool is_same;
} pairs[] = {
	{32, 64, "192.0.2.1", "192.0.2.1", true},
	{32, 64, "192.0.2.1", "192.0.2.2", false},
	{24, 64, "192.0.2.1", "192.0.2.254", true},
	{24, 64, "192.0.2.1", "192.0.3.1", false},
	{25, 64, "192.0.2.1", "192.0.2.127", true},
	{25, 64, "192.0.2.1", "192.0.2.128", false},
	{1, 64, "10.0.0.1", "127.255.0.1", true},
	{1, 64, "10.0.0.1", "128.0.0.1", false},
	{32, 64, "2001:db8::1", "2001:db8::ffff:0:0:2", true},
	{32, 64, "2001:db8::1", "2001:db8:0:1::1", false},
	{32, 128, "2001:db8::1", "2001:db8::2", false},
	{32, 127, "2001:db8::2", "2001:db8::3", true},
	{32, 48, "2001:db8::1", "2001:db8:0:ffff::1", true},
};

START_TEST(source_is_what_the_prefixes_make_it)
{
	struct sources_rules rules = {
		.key = {{1, 2}},
		.prefix_ipv4 = pairs[_i].ipv4,
		.prefix_ipv6 = pairs[_i].ipv6,
	};

	ck_assert_int_eq(identify(&rules, pairs[_i].a) == identify(&rules, pairs[_i].b),
			 pairs[_i].is_same);
}
END_TEST

START_TEST(source_is_known_by_its_listeners_key_alone)
{
	struct siphash_key key = {{1, 2}}, a = sources_derive_key(&key, "a"),
			   b = sources_derive_key(&key, "b");
	struct sources_rules rules = {.key = a, .prefix_ipv4 = 32};
	struct sockaddr_storage nobody = {.ss_family = AF_UNIX};
	uint64_t hash = identify(&rules, "192.0.2.1"), user;
	uid_t uid = 0x010200c0; /* the same bytes as the address */

	ck_assert(a.words[0] != b.words[0] && a.words[0] != a.words[1]);
	rules.key = b;
	ck_assert_uint_ne(identify(&rules, "192.0.2.1"), hash);
	ck_assert(!sources_identify(&rules, &nobody, NULL, &user));
	ck_assert(sources_identify(&rules, &nobody, &uid, &user));
	ck_assert_uint_ne(user, identify(&rules, "192.0.2.1"));
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("sources");

	tcase_add_checked_fixture(cases, set_up, tear_down);
	tcase_add_test(cases, source_has_as_many_as_it_may);
	tcase_add_test(cases, what_leaves_more_often_than_it_came_is_nobody);
	tcase_add_test(cases, least_active_goes_and_none_with_connections);
	tcase_add_test(cases, hundred_thousand_sources_stay_within_the_table);
	tcase_add_test(cases, who_has_used_up_its_tokens_outlives_those_that_come_once);
	tcase_add_test(cases, table_grows_with_the_connections_that_there_may_be);
	tcase_add_test(cases, counts_are_exact_while_processes_come_and_go);
	tcase_add_test(cases, whoever_dies_with_the_lock_leaves_a_table_that_works);
	tcase_add_test(cases, looking_bears_whatever_stands_there);
	tcase_add_test(cases, what_is_kept_of_a_table_is_what_is_not_full);
	tcase_add_test(cases, garbage_is_kept_as_an_empty_bucket_at_most);
	tcase_add_test(cases, of_what_does_not_fit_the_emptiest_buckets_are_kept);
	tcase_add_test(cases, older_generations_count_as_long_as_they_serve);
	tcase_add_loop_test(cases, source_is_what_the_prefixes_make_it, 0, UNIT_COUNT(pairs));
	tcase_add_test(cases, source_is_known_by_its_listeners_key_alone);
	return unit_run("sources", cases);
}
