/*
 * test_access.c - tables of prefixes against a plain search through the rules; publishing while
 * others read; times.
 */
#include "unit.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include <arpa/inet.h>

#include "policy/access_writer.h"

#define RULES 600
#define PROBES 3000

static uint64_t random_state = 88172645463325252U;

static uint64_t
random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* The bits of an address up to here; few different ones, so that rules meet. */
static void
random_bytes(unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(random_next() % 4 == 0 ? random_next()
								  : random_next() % 3 * 85);
}

static void
cut(struct prefix *prefix)
{
	for (unsigned i = prefix->length; i < (prefix->is_ipv6 ? 128U : 32U); i++)
		prefix->bytes[i / 8] &= (unsigned char)~(1U << (7 - i % 8));
}

static struct access_rule
random_rule(void)
{
	struct access_rule rule = {.entry.kind = ACCESS_PREFIX, .is_allow = random_next() % 2 == 0};
	struct prefix *prefix = &rule.entry.prefix;

	if (random_next() % 300 == 0) {
		rule.entry.kind = ACCESS_ALL;
		return rule;
	}
	prefix->is_ipv6 = random_next() % 2 == 0;
	prefix->length = (unsigned)(random_next() % (prefix->is_ipv6 ? 129 : 33));
	random_bytes(prefix->bytes, prefix->is_ipv6 ? 16 : 4);
	cut(prefix);
	return rule;
}

static bool
is_in(const struct access_entry *entry, const unsigned char *bytes, bool is_ipv6)
{
	const struct prefix *prefix = &entry->prefix;

	if (entry->kind == ACCESS_ALL)
		return true;
	if (prefix->is_ipv6 != is_ipv6)
		return false;
	for (unsigned i = 0; i < prefix->length; i++) {
		if (((prefix->bytes[i / 8] ^ bytes[i / 8]) >> (7 - i % 8) & 1) != 0)
			return false;
	}
	return true;
}

/* The longest one; of those that are as long, one that denies. */
static bool
judge_plainly(const struct access_rule *rules, size_t count, const unsigned char *bytes,
	      bool is_ipv6)
{
	int longest = -1;
	bool has_allow = false, is_allowed = false;

	for (size_t i = 0; i < count; i++) {
		int length =
			rules[i].entry.kind == ACCESS_ALL ? 0 : (int)rules[i].entry.prefix.length;

		has_allow = has_allow || rules[i].is_allow;
		if (!is_in(&rules[i].entry, bytes, is_ipv6) || length < longest)
			continue;
		is_allowed = rules[i].is_allow && (length > longest || is_allowed);
		longest = length;
	}
	return longest >= 0 ? is_allowed : !has_allow;
}

static struct access_answer
ask(const struct access *access, const unsigned char *bytes, bool is_ipv6)
{
	struct sockaddr_storage address = {.ss_family = is_ipv6 ? AF_INET6 : AF_INET};
	struct access_who who;

	if (is_ipv6)
		memcpy(&((struct sockaddr_in6 *)&address)->sin6_addr, bytes, 16);
	else
		memcpy(&((struct sockaddr_in *)&address)->sin_addr, bytes, 4);
	access_who_is(&address, is_ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
		      &who);
	return access_judge(access, &who);
}

static struct access_answer
ask_text(const struct access *access, const char *text)
{
	unsigned char bytes[16];
	bool is_ipv6 = strchr(text, ':') != NULL;

	ck_assert_int_eq(inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, bytes), 1);
	return ask(access, bytes, is_ipv6);
}

static struct access_answer
ask_unix(const struct access *access, uid_t uid, const gid_t *gids, size_t count)
{
	struct access_who who = {
		.is_known = true, .is_unix = true, .uid = uid, .gids = gids, .gid_count = count};

	return access_judge(access, &who);
}

static size_t
make_rules(struct access_rule *rules, const char *const *texts)
{
	size_t count = 0;

	for (; texts[count] != NULL; count++) {
		char *reason = NULL;

		rules[count].is_allow = texts[count][0] == '+';
		ck_assert_int_eq(access_entry_parse(texts[count] + 1, &rules[count].entry, &reason),
				 0);
	}
	return count;
}

static void
publish(struct access_writer *writer, const char *const *texts)
{
	struct access_rule rules[32];
	size_t count = make_rules(rules, texts);

	ck_assert_int_eq(access_writer_open(writer, count), 0);
	ck_assert_int_eq(access_writer_publish(writer, rules, count), 0);
}

/* At the first and the last address of a rule, right before, and right behind. */
static void
check_edges(const struct access *access, const struct access_rule *rules, size_t count, size_t at)
{
	const struct prefix *prefix = &rules[at].entry.prefix;
	unsigned bits = prefix->is_ipv6 ? 128 : 32;
	unsigned char bytes[16];

	if (rules[at].entry.kind != ACCESS_PREFIX)
		return;
	for (int side = 0; side < 4; side++) {
		memcpy(bytes, prefix->bytes, sizeof(bytes));
		for (unsigned i = prefix->length; i < bits && side >= 2; i++)
			bytes[i / 8] |= (unsigned char)(1U << (7 - i % 8));
		for (int i = (int)bits / 8 - 1; i >= 0 && side == 1; i--) {
			if (bytes[i]-- != 0)
				break;
		}
		for (int i = (int)bits / 8 - 1; i >= 0 && side == 3; i--) {
			if (++bytes[i] != 0)
				break;
		}
		ck_assert_int_eq(ask(access, bytes, prefix->is_ipv6).is_allowed,
				 judge_plainly(rules, count, bytes, prefix->is_ipv6));
	}
}

START_TEST(random_tables_say_what_a_plain_search_says)
{
	static struct access_rule rules[RULES];
	static const size_t counts[] = {1, 2, 3, 7, 50, RULES};
	unsigned char bytes[16];

	for (int round = 0; round < 60; round++) {
		struct access_writer writer;
		size_t count = counts[round % UNIT_COUNT(counts)];

		for (size_t i = 0; i < count; i++)
			rules[i] = random_rule();
		ck_assert_int_eq(access_writer_open(&writer, count), 0);
		ck_assert_int_eq(access_writer_publish(&writer, rules, count), 0);
		for (int i = 0; i < PROBES; i++) {
			bool is_ipv6 = i % 2 == 0;

			random_bytes(bytes, sizeof(bytes));
			ck_assert_int_eq(ask(&writer.view, bytes, is_ipv6).is_allowed,
					 judge_plainly(rules, count, bytes, is_ipv6));
		}
		for (size_t i = 0; i < count; i++)
			check_edges(&writer.view, rules, count, i);
		access_writer_close(&writer);
	}
}
END_TEST

START_TEST(the_longest_prefix_wins_and_a_tie_denies)
{
	static const char *const texts[] = {
		"+10.0.0.0/8", "-10.1.0.0/16",	 "+10.1.2.0/24",   "-10.1.2.0/24",
		"+10.1.3.7",   "+2001:db8::/32", "-2001:db8::/33", NULL};
	struct access_writer writer;

	publish(&writer, texts);
	ck_assert(ask_text(&writer.view, "10.0.0.0").is_allowed);
	ck_assert_uint_eq(ask_text(&writer.view, "10.0.0.0").rule, 1);
	ck_assert(!ask_text(&writer.view, "10.1.0.0").is_allowed);
	ck_assert_uint_eq(ask_text(&writer.view, "10.1.0.0").rule, 2);
	ck_assert(!ask_text(&writer.view, "10.1.2.3").is_allowed);
	ck_assert_uint_eq(ask_text(&writer.view, "10.1.2.3").rule, 4);
	ck_assert(ask_text(&writer.view, "10.1.3.7").is_allowed);
	ck_assert(!ask_text(&writer.view, "10.1.3.8").is_allowed);
	ck_assert(!ask_text(&writer.view, "192.0.2.1").is_allowed);
	ck_assert_uint_eq(ask_text(&writer.view, "192.0.2.1").rule, 0);
	ck_assert(!ask_text(&writer.view, "2001:db8::1").is_allowed);
	ck_assert(ask_text(&writer.view, "2001:db8:8000::1").is_allowed);
	access_writer_close(&writer);
}
END_TEST

START_TEST(who_is_not_named_may_come_in_unless_somebody_is_allowed)
{
	static const char *const denying[] = {"-10.0.0.0/8", NULL};
	static const char *const allowing[] = {"+2001:db8::/32", NULL};
	static const char *const none[] = {NULL};
	struct access_writer writer;
	struct access nothing = {.page = NULL};

	publish(&writer, denying);
	ck_assert(!ask_text(&writer.view, "10.0.0.1").is_allowed);
	ck_assert(ask_text(&writer.view, "11.0.0.1").is_allowed);
	ck_assert(ask_text(&writer.view, "::1").is_allowed);
	access_writer_close(&writer);
	publish(&writer, allowing);
	ck_assert(!ask_text(&writer.view, "10.0.0.1").is_allowed);
	ck_assert(!ask_text(&writer.view, "::1").is_allowed);
	ck_assert(ask_text(&writer.view, "2001:db8::1").is_allowed);
	access_writer_close(&writer);
	publish(&writer, none);
	ck_assert(ask_text(&writer.view, "10.0.0.1").is_allowed);
	access_writer_close(&writer);
	ck_assert(ask_text(&nothing, "10.0.0.1").is_allowed);
}
END_TEST

START_TEST(all_is_every_address_and_shorter_than_any)
{
	static const char *const texts[] = {"-all", "+10.0.0.0/8", "+::1", "+0.0.0.0/0", NULL};
	struct access_writer writer;

	publish(&writer, texts);
	ck_assert(ask_text(&writer.view, "10.0.0.1").is_allowed);
	ck_assert(ask_text(&writer.view, "::1").is_allowed);
	ck_assert(!ask_text(&writer.view, "::2").is_allowed);
	/* a tie */
	ck_assert(!ask_text(&writer.view, "192.0.2.1").is_allowed);
	access_writer_close(&writer);
}
END_TEST

START_TEST(a_mapped_address_in_a_list_is_an_ipv4_address)
{
	static const char *const texts[] = {"-::ffff:192.0.2.0/120", NULL};
	struct access_writer writer;

	publish(&writer, texts);
	ck_assert(!ask_text(&writer.view, "192.0.2.200").is_allowed);
	ck_assert(ask_text(&writer.view, "192.0.3.0").is_allowed);
	access_writer_close(&writer);
}
END_TEST

START_TEST(of_a_unix_peer_the_user_goes_before_the_groups_and_a_denied_group_decides)
{
	static const char *const texts[] = {"+uid:1000", "-uid:1001", "+gid:50",
					    "-gid:51",	 "+uid:0",    NULL};
	static const char *const all[] = {"+all", "-gid:51", NULL};
	const gid_t both[] = {50, 51}, reversed[] = {51, 50}, good[] = {7, 50}, none[] = {7};
	struct access_writer writer;
	struct access_who unknown = {.is_known = false, .is_unix = true};

	publish(&writer, texts);
	ck_assert(ask_unix(&writer.view, 1000, both, 2).is_allowed);
	ck_assert(!ask_unix(&writer.view, 1001, good, 2).is_allowed);
	ck_assert(!ask_unix(&writer.view, 5, both, 2).is_allowed);
	ck_assert(!ask_unix(&writer.view, 5, reversed, 2).is_allowed);
	ck_assert_uint_eq(ask_unix(&writer.view, 5, both, 2).rule, 4);
	ck_assert(ask_unix(&writer.view, 5, good, 2).is_allowed);
	ck_assert(!ask_unix(&writer.view, 5, none, 1).is_allowed);
	ck_assert(!ask_unix(&writer.view, 5, NULL, 0).is_allowed);
	ck_assert(ask_unix(&writer.view, 0, NULL, 0).is_allowed);
	ck_assert(!access_judge(&writer.view, &unknown).is_allowed);
	access_writer_close(&writer);
	publish(&writer, all);
	ck_assert(ask_unix(&writer.view, 5, none, 1).is_allowed);
	ck_assert(!ask_unix(&writer.view, 5, both, 2).is_allowed);
	access_writer_close(&writer);
}
END_TEST

/* Two tables that say the opposite of two addresses each; a reader must never see them agree. */
static _Atomic bool is_over;

static void *
read_on(void *argument)
{
	const struct access *access = argument;
	struct access_who first, second;
	uintptr_t wrong = 0;
	struct sockaddr_storage address = {.ss_family = AF_INET};
	struct sockaddr_in *in = (struct sockaddr_in *)&address;

	in->sin_addr.s_addr = htonl(0x0a000001);
	access_who_is(&address, sizeof(*in), &first);
	in->sin_addr.s_addr = htonl(0xc0000201);
	access_who_is(&address, sizeof(*in), &second);
	while (!atomic_load(&is_over)) {
		/* 10.0.0.1 is allowed by both tables, and 192.0.2.1 by none */
		wrong += !access_judge(access, &first).is_allowed;
		wrong += access_judge(access, &second).is_allowed;
	}
	return (void *)wrong;
}

START_TEST(who_reads_meanwhile_sees_one_table_or_the_other)
{
	static struct access_rule rules[2000];
	struct access_writer writer;
	struct access reader;
	pthread_t threads[2];

	ck_assert_int_eq(access_writer_open(&writer, UNIT_COUNT(rules)), 0);
	for (int i = 0; i < UNIT_COUNT(rules); i++) {
		rules[i] = (struct access_rule){.entry.kind = ACCESS_PREFIX};
		rules[i].entry.prefix = (struct prefix){.length = 32, .bytes = {11, 0}};
		rules[i].entry.prefix.bytes[2] = (unsigned char)(i >> 8);
		rules[i].entry.prefix.bytes[3] = (unsigned char)i;
	}
	rules[0] = (struct access_rule){.entry.kind = ACCESS_PREFIX, .is_allow = true};
	rules[0].entry.prefix = (struct prefix){.length = 8, .bytes = {10}};
	ck_assert_int_eq(access_writer_publish(&writer, rules, 1), 0);
	ck_assert_int_eq(access_map(writer.reading_fd, &reader), 0);
	for (int i = 0; i < UNIT_COUNT(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &reader), 0);
	for (size_t i = 0; i < 300; i++)
		ck_assert_int_eq(
			access_writer_publish(&writer, rules, 1 + (i * 7919) % UNIT_COUNT(rules)),
			0);
	atomic_store(&is_over, true);
	for (int i = 0; i < UNIT_COUNT(threads); i++) {
		void *wrong;

		ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
		ck_assert_ptr_null(wrong);
	}
	access_unmap(&reader);
	access_writer_close(&writer);
}
END_TEST

START_TEST(what_has_no_room_leaves_what_was)
{
	static const char *const texts[] = {"-10.0.0.0/8", NULL};
	static struct access_rule rules[2000];
	struct access_writer writer;

	publish(&writer, texts);
	for (int i = 0; i < UNIT_COUNT(rules); i++)
		rules[i] = random_rule();
	ck_assert_int_eq(access_writer_publish(&writer, rules, UNIT_COUNT(rules)), -E2BIG);
	ck_assert(!ask_text(&writer.view, "10.0.0.1").is_allowed);
	ck_assert(ask_text(&writer.view, "11.0.0.1").is_allowed);
	access_writer_close(&writer);
}
END_TEST

START_TEST(readers_can_neither_write_nor_shrink_it)
{
	static const char *const texts[] = {"-10.0.0.0/8", NULL};
	struct access_writer writer;

	publish(&writer, texts);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer.reading_fd, 0),
			 MAP_FAILED);
	ck_assert_int_lt((int)pwrite(writer.reading_fd, "x", 1, 0), 0);
	ck_assert_int_lt(ftruncate(writer.reading_fd, 0), 0);
	/* nor the one who may write */
	ck_assert_int_lt(ftruncate(writer.fd, 0), 0);
	access_writer_close(&writer);
}
END_TEST

START_TEST(garbage_is_never_followed_and_lets_nobody_in)
{
	static const char *const texts[] = {"-10.0.0.0/8", "2001:db8::/33", "+uid:7", NULL};
	static const char *const asked[] = {"10.0.0.1", "192.0.2.1", "2001:db8:8000::1"};
	static char noise[ACCESS_HEADER_SIZE];
	struct access_writer writer;
	struct schedule schedule;

	publish(&writer, texts);
	for (int turn = 0; turn < 2000; turn++) {
		struct access_page *page = writer.page;
		size_t size = writer.view.size;

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (char)random();
		/* all of it, or what a reader gets past the first look with */
		if (turn % 2 == 0)
			memcpy(page, noise, sizeof(*page));
		else
			memcpy(page->areas, noise, sizeof(page->areas));
		if (turn % 4 == 3) {
			for (int i = 0; i < ACCESS_FAMILIES; i++)
				page->areas[page->published & 1].levels[i] = (struct access_level){
					.keys_at = (uint64_t)random() % size / 8 * 8,
					.cells_at = (uint64_t)random() % size / 8 * 8,
					.items_at = (uint64_t)random() % size / 8 * 8,
					.count = (uint32_t)((size_t)random() % size),
					.item_count = (uint32_t)random(),
				};
		}
		ck_assert_int_eq(pwrite(writer.fd, noise, sizeof(noise), ACCESS_HEADER_SIZE),
				 sizeof(noise));
		for (int i = 0; i < UNIT_COUNT(asked); i++)
			(void)ask_text(&writer.view, asked[i]);
		(void)access_is_open(&writer.view, 0);
		access_read_schedule(&writer.view, &schedule);
		ck_assert_uint_le(schedule.count, SCHEDULE_MOST_TURNS);
		(void)schedule_next_turn(&schedule, 0);
	}
	/* what never comes to rest */
	atomic_store(&writer.page->begun, 9);
	atomic_store(&writer.page->published, 2);
	atomic_store(&writer.page->schedule_begun, 9);
	atomic_store(&writer.page->schedule_published, 2);
	ck_assert(!ask_text(&writer.view, "192.0.2.1").is_allowed);
	ck_assert(!access_is_open(&writer.view, 0));
	access_writer_close(&writer);
}
END_TEST

START_TEST(another_execution_goes_on_with_it)
{
	static const char *const texts[] = {"-10.0.0.0/8", NULL};
	struct access_writer writer, again;
	struct access_rule rules[2];
	static const char *const next[] = {"-11.0.0.0/8", NULL};

	publish(&writer, texts);
	ck_assert_int_eq(access_writer_reopen(&again, dup(writer.fd)), 0);
	ck_assert(!ask_text(&again.view, "10.0.0.1").is_allowed);
	ck_assert_int_eq(access_writer_publish(&again, rules, make_rules(rules, next)), 0);
	ck_assert(ask_text(&writer.view, "10.0.0.1").is_allowed);
	ck_assert(!ask_text(&writer.view, "11.0.0.1").is_allowed);
	access_writer_close(&writer);
	access_writer_close(&again);
}
END_TEST

static int64_t
at(const char *zone, int year, int month, int day, int hour, int minute)
{
	struct tm tm = {.tm_year = year - 1900,
			.tm_mon = month - 1,
			.tm_mday = day,
			.tm_hour = hour,
			.tm_min = minute,
			.tm_isdst = -1};

	ck_assert_int_eq(setenv("TZ", zone, 1), 0);
	tzset();
	return mktime(&tm);
}

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

START_TEST(a_schedule_turns_at_its_minutes)
{
	const struct day_span spans[] = {{8 * 60, 18 * 60}, {22 * 60, 6 * 60}};
	struct schedule schedule;
	int64_t now = at("UTC0", 2026, 6, 1, 7, 30);

	schedule_make(spans, 2, now, &schedule);
	ck_assert(!schedule_is_open(&schedule, now));
	ck_assert(!schedule_is_open(&schedule, now + 30 * 60 - 1));
	ck_assert(schedule_is_open(&schedule, now + 30 * 60));
	ck_assert_int_eq(schedule_next_turn(&schedule, now), now + 30 * 60);
	ck_assert(schedule_is_open(&schedule, now + 10 * 3600 + 30 * 60 - 1));
	ck_assert(!schedule_is_open(&schedule, now + 10 * 3600 + 30 * 60));
	ck_assert(schedule_is_open(&schedule, at("UTC0", 2026, 6, 1, 22, 0)));
	ck_assert(schedule_is_open(&schedule, at("UTC0", 2026, 6, 2, 5, 59)));
	ck_assert(!schedule_is_open(&schedule, at("UTC0", 2026, 6, 2, 6, 0)));
}
END_TEST

START_TEST(a_schedule_follows_the_zone_and_summer_time)
{
	const struct day_span day[] = {{8 * 60, 18 * 60}}, night[] = {{2 * 60, 3 * 60}};
	struct schedule schedule;
	int64_t now = at(BERLIN, 2026, 6, 1, 7, 59);

	schedule_make(day, 1, now, &schedule);
	ck_assert(!schedule_is_open(&schedule, now));
	ck_assert(schedule_is_open(&schedule, now + 60));
	/* the same moment is 05:59 elsewhere */
	ck_assert_int_eq(now, at("UTC0", 2026, 6, 1, 5, 59));
	schedule_make(day, 1, now, &schedule);
	ck_assert(!schedule_is_open(&schedule, now + 60));
	/* the night in which that hour is missing, and the one that has it twice */
	now = at(BERLIN, 2026, 3, 29, 1, 0);
	schedule_make(night, 1, now, &schedule);
	for (int64_t i = 0; i < 20 * 3600; i += 60)
		ck_assert(!schedule_is_open(&schedule, now + i));
	now = at(BERLIN, 2026, 10, 25, 1, 59);
	schedule_make(night, 1, now, &schedule);
	ck_assert(!schedule_is_open(&schedule, now));
	ck_assert(schedule_is_open(&schedule, now + 60));
	ck_assert(schedule_is_open(&schedule, now + 2 * 3600));
	ck_assert(!schedule_is_open(&schedule, now + 2 * 3600 + 60));
}
END_TEST

START_TEST(a_schedule_agrees_with_the_clock_of_the_wall)
{
	static const char *const zones[] = {"UTC0", BERLIN, "IST-5:30",
					    "NZST-12NZDT,M9.5.0,M4.1.0/3"};

	for (int round = 0; round < 40; round++) {
		struct day_span spans[3];
		struct schedule schedule;
		int64_t now = at(zones[round % UNIT_COUNT(zones)], 2026, 1 + round % 12, 25, 1, 7);

		for (int i = 0; i < 3; i++) {
			spans[i].from = (unsigned)(random_next() % DAY_SPAN_MINUTES);
			spans[i].to = (spans[i].from + 1 + (unsigned)(random_next() % 600)) %
				      DAY_SPAN_MINUTES;
		}
		schedule_make(spans, 3, now, &schedule);
		for (int64_t i = -60; i < 24 * 3600; i += 59) {
			time_t when = (time_t)(now + i);
			struct tm local;
			bool is_open = false;

			(void)localtime_r(&when, &local);
			for (int k = 0; k < 3; k++)
				is_open |= day_span_has(
					&spans[k], (unsigned)(local.tm_hour * 60 + local.tm_min));
			ck_assert_int_eq(schedule_is_open(&schedule, when), is_open);
		}
	}
}
END_TEST

START_TEST(times_are_published)
{
	static const char *const none[] = {NULL};
	const struct day_span day[] = {{8 * 60, 18 * 60}};
	struct access_writer writer;
	struct schedule schedule, read;
	int64_t now = at("UTC0", 2026, 6, 1, 12, 0);

	publish(&writer, none);
	ck_assert(access_is_open(&writer.view, now));
	schedule_make(day, 1, now, &schedule);
	access_writer_publish_schedule(&writer, &schedule);
	ck_assert(access_is_open(&writer.view, now));
	ck_assert(!access_is_open(&writer.view, now + 6 * 3600));
	access_read_schedule(&writer.view, &read);
	ck_assert_int_eq(schedule_next_turn(&read, now), now + 6 * 3600);
	schedule_make(day, 0, now, &schedule);
	access_writer_publish_schedule(&writer, &schedule);
	ck_assert(access_is_open(&writer.view, now + 6 * 3600));
	access_writer_close(&writer);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("access");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, random_tables_say_what_a_plain_search_says);
	tcase_add_test(cases, the_longest_prefix_wins_and_a_tie_denies);
	tcase_add_test(cases, who_is_not_named_may_come_in_unless_somebody_is_allowed);
	tcase_add_test(cases, all_is_every_address_and_shorter_than_any);
	tcase_add_test(cases, a_mapped_address_in_a_list_is_an_ipv4_address);
	tcase_add_test(cases,
		       of_a_unix_peer_the_user_goes_before_the_groups_and_a_denied_group_decides);
	tcase_add_test(cases, who_reads_meanwhile_sees_one_table_or_the_other);
	tcase_add_test(cases, what_has_no_room_leaves_what_was);
	tcase_add_test(cases, readers_can_neither_write_nor_shrink_it);
	tcase_add_test(cases, garbage_is_never_followed_and_lets_nobody_in);
	tcase_add_test(cases, another_execution_goes_on_with_it);
	tcase_add_test(cases, a_schedule_turns_at_its_minutes);
	tcase_add_test(cases, a_schedule_follows_the_zone_and_summer_time);
	tcase_add_test(cases, a_schedule_agrees_with_the_clock_of_the_wall);
	tcase_add_test(cases, times_are_published);
	return unit_run("access", cases);
}
