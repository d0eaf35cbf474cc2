/*
 * test_supervisor_buckets.c - what is kept of the scoreboards of workers that are gone, and for how
 * long.
 */
#include "supervisor/buckets.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/listener.h"
#include "unit.h"

#define SLOTS 7
#define HOUR_NS (3600 * CLOCK_NS_PER_S)

static const struct sources_older none;
static struct loop loop;
static struct listener_world world;
static struct config config;
static struct conf_listener conf;
static struct listener listener, other;

static void
set_up(void)
{
	log_open(LOG_TARGET_STDERR, STDERR_FILENO, false, LOG_LEVEL_ERROR, "test");
	ck_assert_int_eq(loop_init(&loop), 0);
	world = (struct listener_world){.loop = &loop};
	conf = (struct conf_listener){
		.limits = {.rate = 3600,
			   .rate_burst = 10,
			   .rate_per_source = 1,
			   .rate_per_source_burst = 3},
	};
	listener = (struct listener){
		.world = &world, .config = &config, .conf = &conf, .name = (char *)"e"};
	other = listener;
	buckets_open(&listener);
	buckets_open(&other);
}

static void
tear_down(void)
{
	buckets_close(&listener);
	buckets_close(&other);
	loop_close(&loop);
}

/* A worker whose table has so many sets. */
static struct child
make_worker(uint32_t sets)
{
	size_t size = sources_board_size(SLOTS, sets);
	struct child child = {.board_slots = SLOTS, .board_sets = sets};
	struct sources sources;

	child.board_fd = fd_shared_memfd("test", size);
	ck_assert_int_ge(child.board_fd, 0);
	child.board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, child.board_fd, 0);
	ck_assert_ptr_ne(child.board, MAP_FAILED);
	sources = sources_of_board(child.board, SLOTS, sets);
	ck_assert_int_eq(sources_init(&sources), 0);
	return child;
}

/* A source has come to it, and its bucket is full then. */
static void
come(const struct child *child, uint64_t hash, int64_t full_ns)
{
	struct sources sources =
		sources_of_board(child->board, child->board_slots, child->board_sets);
	uint32_t place;

	ck_assert_int_eq(sources_enter(&sources, &none, hash, 0, &place), CLOSE_NONE);
	ck_assert_uint_ne(place, 0);
	atomic_store(sources_bucket(&sources, place), full_ns);
}

static void
end(struct child *child)
{
	buckets_keep(&listener, child);
	(void)munmap(child->board, sources_board_size(SLOTS, child->board_sets));
	(void)close(child->board_fd);
}

/* Numbers all over the table. */
static uint64_t
spread(uint64_t number)
{
	return number * UINT64_C(0x9e3779b97f4a7c15);
}

START_TEST(nothing_is_kept_of_who_has_left_nothing)
{
	struct child child = make_worker(256);

	come(&child, 5, clock_now_ns() - 1);
	end(&child);
	ck_assert_uint_eq(listener.buckets.count, 0);
	ck_assert(!listener.buckets.timer.is_armed);
}
END_TEST

START_TEST(nothing_is_kept_where_nothing_is_limited)
{
	struct child child = make_worker(256);

	conf.limits.rate = conf.limits.rate_per_source = 0;
	buckets_open(&listener);
	come(&child, 5, clock_now_ns() + HOUR_NS);
	end(&child);
	ck_assert_uint_eq(listener.buckets.count, 0);
}
END_TEST

START_TEST(one_worker_after_the_other_adds_what_it_knows)
{
	static const uint32_t sets[] = {256, 256, 1024, 256};
	int64_t now_ns = clock_now_ns();

	for (size_t i = 0; i < UNIT_COUNT(sets); i++) {
		struct child child = make_worker(sets[i]);

		come(&child, spread(i + 1), now_ns + HOUR_NS);
		come(&child, spread(99), now_ns + (int64_t)(i + 1) * HOUR_NS / 2);
		end(&child);
	}
	ck_assert_uint_eq(listener.buckets.count, 2);
	for (size_t i = 0; i < UNIT_COUNT(sets); i++)
		ck_assert_int_eq(buckets_look(&listener.buckets, spread(i + 1)), now_ns + HOUR_NS);
	ck_assert_int_eq(buckets_look(&listener.buckets, spread(99)), now_ns + 2 * HOUR_NS);
	ck_assert_int_eq(buckets_look(&listener.buckets, spread(98)), 0);
	/* who reads it finds nobody connected, and cannot write */
	ck_assert_uint_eq(sources_look(&listener.buckets.tables[0].view, spread(1)).connections, 0);
	ck_assert_ptr_eq(
		mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, listener.buckets.tables[0].reading_fd, 0),
		MAP_FAILED);
}
END_TEST

START_TEST(bucket_of_all_is_kept_with_and_without_sources)
{
	int64_t now_ns = clock_now_ns();

	for (uint32_t sets = 0; sets <= 256; sets += 256) {
		struct child child = make_worker(sets);
		struct sources sources = sources_of_board(child.board, SLOTS, sets);

		/* ten at one a second: more cannot be missing */
		atomic_store(&sources.shared->full_ns,
			     sets == 0 ? now_ns + CLOCK_NS_PER_S : INT64_MAX);
		end(&child);
		if (sets == 0)
			ck_assert_int_eq(buckets_look_all(&listener.buckets),
					 now_ns + CLOCK_NS_PER_S);
	}
	ck_assert_int_ge(buckets_look_all(&listener.buckets), now_ns + 10 * CLOCK_NS_PER_S);
	ck_assert_int_le(buckets_look_all(&listener.buckets), clock_now_ns() + 10 * CLOCK_NS_PER_S);
}
END_TEST

START_TEST(large_table_costs_what_is_in_it)
{
	struct child child = make_worker(SOURCES_MOST_SETS);
	int64_t until_ns = clock_now_ns() + HOUR_NS;
	struct stat st;

	for (uint64_t i = 1; i <= 50; i++)
		come(&child, spread(i), until_ns);
	end(&child);
	for (uint64_t i = 1; i <= 50; i++)
		ck_assert_int_eq(buckets_look(&listener.buckets, spread(i)), until_ns);
	/* 64 MiB, of which a page or two for each source is there */
	ck_assert_int_eq(fstat(listener.buckets.tables[0].fd, &st), 0);
	ck_assert_int_gt(st.st_size, 64 << 20);
	ck_assert_int_lt(st.st_blocks * 512, 2 << 20);
}
END_TEST

START_TEST(table_goes_when_its_last_bucket_is_full)
{
	struct child child = make_worker(256);

	come(&child, 5, clock_now_ns() + 20 * CLOCK_NS_PER_MS);
	come(&child, 6, clock_now_ns() + 60 * CLOCK_NS_PER_MS);
	end(&child);
	ck_assert_uint_eq(listener.buckets.count, 1);
	ck_assert(listener.buckets.timer.is_armed);
	while (listener.buckets.count > 0)
		ck_assert_int_eq(loop_turn(&loop), 0);
	ck_assert(!listener.buckets.timer.is_armed);
}
END_TEST

START_TEST(who_takes_over_bounds_by_its_own_rates)
{
	struct child child = make_worker(256);
	int64_t before_ns = clock_now_ns();
	struct conf_listener faster = conf;

	come(&child, 5, before_ns + HOUR_NS);
	end(&child);
	faster.limits.rate_per_source = 3600 * 3;
	other.conf = &faster;
	buckets_open(&other);
	buckets_take_over(&other, &listener);
	ck_assert_uint_eq(listener.buckets.count, 0);
	ck_assert(!listener.buckets.timer.is_armed);
	/* three at three a second */
	ck_assert_int_ge(buckets_look(&other.buckets, 5), before_ns + CLOCK_NS_PER_S);
	ck_assert_int_le(buckets_look(&other.buckets, 5), clock_now_ns() + CLOCK_NS_PER_S);
	buckets_open(&listener);
	faster.limits.rate = faster.limits.rate_per_source = 0;
	listener.conf = &faster;
	buckets_open(&listener);
	buckets_take_over(&listener, &other);
	ck_assert_uint_eq(listener.buckets.count, 0);
	listener.conf = &conf;
}
END_TEST

START_TEST(garbage_is_an_empty_bucket_and_no_more)
{
	struct child child = make_worker(256);
	size_t size = sources_board_size(SLOTS, 256);
	unsigned char *bytes = (unsigned char *)child.board;
	unsigned seed = 3;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)rand_r(&seed);
	end(&child);
	ck_assert_uint_le(listener.buckets.count, 1);
	for (size_t i = 0; i < listener.buckets.count; i++) {
		ck_assert_int_le(listener.buckets.tables[i].until_ns, clock_now_ns() + 3 * HOUR_NS);
		ck_assert(atomic_load(&listener.buckets.tables[i].view.shared->is_over));
	}
}
END_TEST

START_TEST(after_an_upgrade_it_is_mapped_anew_and_what_is_short_is_lost)
{
	struct child child = make_worker(256), large = make_worker(512);
	int64_t until_ns = clock_now_ns() + HOUR_NS;

	come(&child, 5, until_ns);
	end(&child);
	come(&large, 6, until_ns);
	end(&large);
	for (size_t i = 0; i < 2; i++) {
		const struct buckets_table *table = &listener.buckets.tables[i];

		other.buckets.tables[i] = (struct buckets_table){
			.fd = dup(table->fd),
			.reading_fd = -1,
			.sets = i == 0 ? table->sets : table->sets * 2,
			.until_ns = table->until_ns,
		};
	}
	other.buckets.count = 2;
	buckets_resume(&other);
	ck_assert_uint_eq(other.buckets.count, 1);
	ck_assert_int_eq(buckets_look(&other.buckets, 5), until_ns);
	ck_assert(other.buckets.timer.is_armed);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("buckets");

	tcase_add_checked_fixture(cases, set_up, tear_down);
	tcase_add_test(cases, nothing_is_kept_of_who_has_left_nothing);
	tcase_add_test(cases, nothing_is_kept_where_nothing_is_limited);
	tcase_add_test(cases, one_worker_after_the_other_adds_what_it_knows);
	tcase_add_test(cases, bucket_of_all_is_kept_with_and_without_sources);
	tcase_add_test(cases, large_table_costs_what_is_in_it);
	tcase_add_test(cases, table_goes_when_its_last_bucket_is_full);
	tcase_add_test(cases, who_takes_over_bounds_by_its_own_rates);
	tcase_add_test(cases, garbage_is_an_empty_bucket_and_no_more);
	tcase_add_test(cases, after_an_upgrade_it_is_mapped_anew_and_what_is_short_is_lost);
	return unit_run("buckets", cases);
}
