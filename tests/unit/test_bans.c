/*
 * test_bans.c - the table of bans: what a key stands for, one or thousands of entries, the end of
 * each, and readers while it is written.
 */
#include "ipc/bans.h"

#include <netinet/in.h>
#include <pthread.h>

#include <arpa/inet.h>

#include "base/clock.h"
#include "unit.h"

#define S CLOCK_NS_PER_S

static struct bans_page *page;

static void
prepare(void)
{
	int fd = bans_open(&page);

	ck_assert_int_ge(fd, 0);
	(void)close(fd);
}

static void
clean(void)
{
	bans_close(page);
}

/* The key of an address in words; false where it has none. */
static bool
key_of(const char *text, struct bans_key *ret)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_storage address = {0};

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		memcpy(&address, &in, sizeof(in));
		return bans_key_of(&address, sizeof(in), ret);
	}
	ck_assert_int_eq(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	memcpy(&address, &in6, sizeof(in6));
	return bans_key_of(&address, sizeof(in6), ret);
}

static const struct key {
	const char *address, *shown; /* NULL: it has no key */
} keys[] = {
	{"192.0.2.7", "192.0.2.7"},
	{"0.0.0.0", "0.0.0.0"},
	{"127.0.0.1", NULL},
	{"127.255.255.254", NULL},
	{"128.0.0.1", "128.0.0.1"},
	{"::1", NULL},
	{"::ffff:192.0.2.7", "192.0.2.7"},
	{"::ffff:127.0.0.1", NULL},
	{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
	{"2001:db8:1:2::", "2001:db8:1:2::/64"},
	{"fe80::1:2", "fe80::1:2"},
	{"febf::9", "febf::9"},
	{"fec0::9", "fec0::/64"},
};

START_TEST(key_stands_for_an_address_or_a_64)
{
	char text[BANS_KEY_TEXT_SIZE];
	struct bans_key key;

	ck_assert_int_eq(key_of(keys[_i].address, &key), keys[_i].shown != NULL);
	if (keys[_i].shown != NULL)
		ck_assert_str_eq(bans_format_key(&key, text, sizeof(text)), keys[_i].shown);
}
END_TEST

START_TEST(what_is_no_ip_address_has_no_key)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	struct bans_key key;

	ck_assert(!bans_key_of(&address, sizeof(address), &key));
	ck_assert(!bans_key_of(&address, 0, &key));
	address.ss_family = AF_INET;
	ck_assert(!bans_key_of(&address, sizeof(sa_family_t), &key));
}
END_TEST

static bool
put(uint64_t number, int64_t until_ns)
{
	struct bans_entry entry = {
		.key = {.hi = number, .lo = 0}, .until_ns = until_ns, .reporter = 3};

	return bans_put(page, &entry);
}

static int64_t
until(uint64_t number)
{
	struct bans_key key = {.hi = number, .lo = 0};

	return bans_find(page, &key);
}

START_TEST(ban_gets_longer_and_never_shorter)
{
	ck_assert(!bans_are_there(page));
	ck_assert(put(1, 100));
	ck_assert(bans_are_there(page));
	ck_assert(!put(1, 50));
	ck_assert(!put(1, 100));
	ck_assert_int_eq(until(1), 100);
	ck_assert(put(1, 200));
	ck_assert_int_eq(until(1), 200);
	ck_assert_int_eq(until(2), 0);
	ck_assert_uint_eq(atomic_load(&page->count), 1);
}
END_TEST

START_TEST(thousands_are_found_and_each_can_be_removed)
{
	for (uint64_t i = 1; i <= BANS_MOST; i++)
		ck_assert(put(i, (int64_t)i));
	for (uint64_t i = 1; i <= BANS_MOST; i++)
		ck_assert_int_eq(until(i), (int64_t)i);
	for (uint64_t i = 2; i <= BANS_MOST; i += 2)
		ck_assert(bans_remove(page, &(struct bans_key){.hi = i, .lo = 0}));
	for (uint64_t i = 1; i <= BANS_MOST; i++)
		ck_assert_int_eq(until(i), i % 2 == 0 ? 0 : (int64_t)i);
	ck_assert(!bans_remove(page, &(struct bans_key){.hi = 2, .lo = 0}));
	ck_assert_uint_eq(atomic_load(&page->count), BANS_MOST / 2);
}
END_TEST

START_TEST(one_more_than_there_is_room_for_takes_the_place_of_the_first_to_end)
{
	for (uint64_t i = 1; i <= BANS_MOST; i++)
		ck_assert(put(i, (int64_t)(i == 77 ? 5 : 1000 + i)));
	ck_assert(put(BANS_MOST + 1, 2000));
	ck_assert_int_eq(until(77), 0);
	ck_assert_int_eq(until(BANS_MOST + 1), 2000);
	ck_assert_uint_eq(atomic_load(&page->count), BANS_MOST);
	/* one that is there needs no room */
	ck_assert(put(1, 900000));
	ck_assert_uint_eq(atomic_load(&page->count), BANS_MOST);
	ck_assert_int_eq(until(2), 1002);
}
END_TEST

START_TEST(those_that_have_ended_go_with_age)
{
	for (uint64_t i = 1; i <= 3000; i++)
		ck_assert(put(i, (int64_t)i));
	ck_assert_int_eq(bans_age(page, 0), 1);
	ck_assert_int_eq(bans_age(page, 1000), 1001);
	ck_assert_uint_eq(atomic_load(&page->count), 2000);
	for (uint64_t i = 1; i <= 3000; i++)
		ck_assert_int_eq(until(i), i <= 1000 ? 0 : (int64_t)i);
	ck_assert_int_eq(bans_age(page, 3000), 0);
	ck_assert(!bans_are_there(page));
}
END_TEST

START_TEST(walk_meets_each_once)
{
	struct bans_entry entry;
	uint64_t sum = 0, count = 0;
	size_t at = 0;

	for (uint64_t i = 1; i <= 1000; i++)
		ck_assert(put(i, (int64_t)i));
	while (bans_next(page, &at, &entry)) {
		ck_assert_int_eq(entry.until_ns, (int64_t)entry.key.hi);
		ck_assert_uint_eq(entry.reporter, 3);
		sum += entry.key.hi;
		count++;
	}
	ck_assert_uint_eq(count, 1000);
	ck_assert_uint_eq(sum, 1000 * 1001 / 2);
}
END_TEST

static atomic_bool is_over;

/* One that stays is always found; one that was never there never is. */
static void *
read_all_the_time(void *argument)
{
	uint64_t *rounds = argument;
	bool is_wrong = false;

	while (!atomic_load(&is_over) && !is_wrong) {
		for (uint64_t i = 1; i <= 100; i++)
			is_wrong |= until(i) != 7 * S;
		is_wrong |= until(1000000) != 0;
		(*rounds)++;
	}
	return is_wrong ? argument : NULL;
}

START_TEST(readers_see_whole_tables_while_it_is_written)
{
	pthread_t readers[2];
	uint64_t rounds[2] = {0};
	void *wrong;

	for (uint64_t i = 1; i <= 100; i++)
		ck_assert(put(i, 7 * S));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&readers[i], NULL, read_all_the_time, &rounds[i]),
				 0);
	/* neighbours come and go, and those that stay are moved about */
	for (int i = 0; i < 20; i++) {
		for (uint64_t j = 1001; j < 3001; j++)
			ck_assert(put(j, (int64_t)j));
		for (uint64_t j = 1001; j < 3001; j++)
			ck_assert(bans_remove(page, &(struct bans_key){.hi = j, .lo = 0}));
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_join(readers[i], &wrong), 0);
		ck_assert_ptr_null(wrong);
	}
}
END_TEST

START_TEST(table_that_somebody_else_has_filled_comes_to_an_end)
{
	struct bans_entry entry;
	size_t at = 0, count = 0;

	for (size_t i = 0; i < BANS_SLOTS; i++) {
		atomic_store(&page->slots[i].hi, 1);
		atomic_store(&page->slots[i].lo, i);
		atomic_store(&page->slots[i].until_ns, INT64_MAX);
	}
	atomic_store(&page->count, 1);
	ck_assert_int_eq(bans_find(page, &(struct bans_key){.hi = 7, .lo = 7}), INT64_MAX);
	ck_assert(!put(4, 7 * S));
	ck_assert(bans_remove(page, &(struct bans_key){.hi = 1, .lo = 5}));
	while (bans_next(page, &at, &entry))
		count++;
	ck_assert_uint_eq(count, BANS_SLOTS - 1);
	/* with holes, most are where no search finds them */
	for (size_t i = 0; i < BANS_SLOTS; i += 2)
		atomic_store(&page->slots[i].until_ns, 0);
	ck_assert_int_eq(bans_age(page, 7 * S), INT64_MAX);
	ck_assert_uint_ge(bans_clear(page), BANS_SLOTS / 2 - 1);
	at = 0;
	ck_assert(!bans_next(page, &at, &entry));
	ck_assert_int_eq(bans_age(page, 7 * S), 0);
	ck_assert(!bans_are_there(page));
}
END_TEST

START_TEST(page_of_another_size_is_refused)
{
	char path[] = "/tmp/test_bans_XXXXXX";
	struct bans_page *other = NULL;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	(void)unlink(path);
	ck_assert_int_eq(bans_reopen(fd, &other), -EBADF);
	(void)close(fd);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("bans");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, key_stands_for_an_address_or_a_64, 0, UNIT_COUNT(keys));
	tcase_add_test(cases, what_is_no_ip_address_has_no_key);
	tcase_add_test(cases, ban_gets_longer_and_never_shorter);
	tcase_add_test(cases, thousands_are_found_and_each_can_be_removed);
	tcase_add_test(cases, one_more_than_there_is_room_for_takes_the_place_of_the_first_to_end);
	tcase_add_test(cases, those_that_have_ended_go_with_age);
	tcase_add_test(cases, walk_meets_each_once);
	tcase_add_test(cases, readers_see_whole_tables_while_it_is_written);
	tcase_add_test(cases, table_that_somebody_else_has_filled_comes_to_an_end);
	tcase_add_test(cases, page_of_another_size_is_refused);
	return unit_run("bans", cases);
}
