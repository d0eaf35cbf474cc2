/*
 * test_worker_settings.c - a worker reads what its supervisor wrote, or nothing.
 */
#include "ipc/worker_settings.h"

#include "unit.h"

#define TEXT(text) ((char *)(uintptr_t)(text))

static char *items[] = {TEXT("a"), TEXT(""), TEXT("c\nd")};
static uint32_t older[] = {64, UINT32_MAX};
static uint32_t older_sets[] = {31, 32};
static gid_t groups[] = {0, 1000, UINT32_MAX - 1};
static struct worker_rlimit rlimits[] = {{7, UINT64_MAX}, {4, 0}};
static struct worker_option options[] = {
	{.name = TEXT("depth"),
	 .type = WORKER_OPTION_INT,
	 .number = INT64_MIN,
	 .file = TEXT("a"),
	 .line = 3},
	{.name = TEXT("loud"), .type = WORKER_OPTION_BOOL, .number = 1},
	{.name = TEXT("text"), .type = WORKER_OPTION_STRING, .text = TEXT("")},
	{.name = TEXT("names"), .type = WORKER_OPTION_LIST, .items = items, .item_count = 3},
	{.name = TEXT("none"), .type = WORKER_OPTION_LIST},
};

static uint64_t filter[] = {1, UINT64_MAX, UINT64_C(0x7fc0000000000006)};
static char *paths[] = {TEXT("ro:/usr"), TEXT("rw:/var/lib/x")};

/* Every field differs from 0 and from its neighbours. */
static const struct worker_settings full = {
	.purpose = WORKER_DESCRIBE_JSON,
	.generation = 11,
	.serial = UINT64_C(1) << 39,
	.supervisor_pid = 12,
	.supervisor_uid = 13,
	.listener = TEXT("front"),
	.handler = TEXT("echo"),
	.handler_path = TEXT("/usr/lib/handlerd/echo.so"),
	.handler_file = TEXT("/etc/handlerd/handlerd.conf"),
	.handler_line = 14,
	.has_identity = true,
	.uid = 15,
	.gid = 16,
	.groups = groups,
	.group_count = 3,
	.umask = 0751,
	.root_directory = TEXT("/srv/jail"),
	.rlimits = rlimits,
	.rlimit_count = 2,
	.has_nice = true,
	.nice = -19,
	.cpus = TEXT("0-3,6"),
	.has_oom_score = true,
	.oom_score = -1000,
	.protocol = WORKER_UNIXGRAM,
	.concurrency = WORKER_SERIAL,
	.limit = 17,
	.min_threads = 18,
	.idle_timeout_ms = UINT64_C(1) << 40,
	.stack_size = UINT64_C(1) << 41,
	.spare_children = 19,
	.connections_per_child = UINT64_C(1) << 42,
	.handler_timeout_ms = UINT64_C(1) << 44,
	.first_byte_timeout_ms = (UINT64_C(1) << 45) + 0,
	.client_idle_timeout_ms = (UINT64_C(1) << 45) + 1,
	.total_timeout_ms = (UINT64_C(1) << 45) + 2,
	.send_timeout_ms = (UINT64_C(1) << 45) + 3,
	.min_rate = (UINT64_C(1) << 45) + 4,
	.min_rate_grace_ms = (UINT64_C(1) << 45) + 5,
	.drain_timeout_ms = UINT64_C(1) << 43,
	.is_once = true,
	.is_connection = true,
	.max_datagram = 21,
	.amplification = 22,
	.answers_low_ports = true,
	.has_sessions = true,
	.session_timeout_ms = UINT64_C(1) << 44,
	.max_sessions = 23,
	.socket_count = 20,
	.older_slots = older,
	.older_sets = older_sets,
	.limits =
		{
			.source_sets = 24,
			.source_key = {{UINT64_C(1) << 50, UINT64_C(1) << 51}},
			.source_prefix_ipv4 = 25,
			.source_prefix_ipv6 = 26,
			.connections_per_source = 27,
			.rate = UINT64_C(1) << 52,
			.source_rate = UINT64_C(1) << 53,
			.rate_burst = UINT64_C(1) << 54,
			.source_rate_burst = UINT64_C(1) << 55,
			.on_limit = WORKER_RESET,
			.on_source_limit = WORKER_CLOSE,
			.banner = TEXT("busy\r\n"),
			.send_rate = UINT64_C(1) << 56,
			.receive_rate = UINT64_C(1) << 57,
			.request_memory = UINT64_C(1) << 58,
		},
	.older_count = 2,
	.log_target = 1,
	.log_is_json = true,
	.log_level = -7,
	.log_connections = WORKER_LOG_ALL,
	.log_connection_rate = UINT64_C(1) << 46,
	.options = options,
	.option_count = 5,
	.seccomp = WORKER_SECCOMP_OFF,
	.filter = filter,
	.filter_count = 3,
	.has_network = true,
	.paths = paths,
	.path_count = 2,
	.sandbox_file = TEXT("/etc/handlerd/listeners.d/a.conf"),
	.sandbox_line = 24,
};

static const struct worker_settings least = {
	.listener = TEXT("a"),
	.handler = TEXT("b"),
	.handler_path = TEXT("/c"),
};

static void
check_text(const char *a, const char *b)
{
	ck_assert_int_eq(a == NULL, b == NULL);
	if (a != NULL)
		ck_assert_str_eq(a, b);
}

static void
check_options(const struct worker_settings *a, const struct worker_settings *b)
{
	ck_assert_uint_eq(a->option_count, b->option_count);
	for (uint32_t i = 0; i < a->option_count; i++) {
		const struct worker_option *x = &a->options[i], *y = &b->options[i];

		ck_assert_str_eq(x->name, y->name);
		ck_assert_uint_eq(x->type, y->type);
		ck_assert_int_eq(x->number, y->number);
		check_text(x->text, y->text);
		ck_assert_uint_eq(x->item_count, y->item_count);
		for (uint32_t j = 0; j < x->item_count; j++)
			ck_assert_str_eq(x->items[j], y->items[j]);
		check_text(x->file, y->file);
		ck_assert_uint_eq(x->line, y->line);
	}
}

static void
check_sandbox(const struct worker_settings *a, const struct worker_settings *b)
{
	ck_assert_uint_eq(a->seccomp, b->seccomp);
	ck_assert_uint_eq(a->filter_count, b->filter_count);
	for (uint32_t i = 0; i < a->filter_count; i++)
		ck_assert_uint_eq(a->filter[i], b->filter[i]);
	ck_assert_int_eq(a->has_network, b->has_network);
	ck_assert_uint_eq(a->path_count, b->path_count);
	for (uint32_t i = 0; i < a->path_count; i++)
		ck_assert_str_eq(a->paths[i], b->paths[i]);
	check_text(a->sandbox_file, b->sandbox_file);
	ck_assert_uint_eq(a->sandbox_line, b->sandbox_line);
}

static void
check_same(const struct worker_settings *a, const struct worker_settings *b)
{
#define SAME(field) ck_assert_int_eq((int64_t)a->field, (int64_t)b->field)
	SAME(purpose);
	SAME(generation);
	SAME(serial);
	SAME(supervisor_pid);
	SAME(supervisor_uid);
	check_text(a->listener, b->listener);
	check_text(a->handler, b->handler);
	check_text(a->handler_path, b->handler_path);
	check_text(a->handler_file, b->handler_file);
	SAME(handler_line);
	SAME(has_identity);
	SAME(uid);
	SAME(gid);
	SAME(group_count);
	for (uint32_t i = 0; i < a->group_count; i++)
		SAME(groups[i]);
	SAME(umask);
	check_text(a->root_directory, b->root_directory);
	SAME(rlimit_count);
	for (uint32_t i = 0; i < a->rlimit_count; i++) {
		SAME(rlimits[i].resource);
		SAME(rlimits[i].value);
	}
	SAME(has_nice);
	SAME(nice);
	check_text(a->cpus, b->cpus);
	SAME(has_oom_score);
	SAME(oom_score);
	SAME(protocol);
	SAME(concurrency);
	SAME(limit);
	SAME(min_threads);
	SAME(idle_timeout_ms);
	SAME(stack_size);
	SAME(spare_children);
	SAME(connections_per_child);
	SAME(handler_timeout_ms);
	SAME(first_byte_timeout_ms);
	SAME(client_idle_timeout_ms);
	SAME(total_timeout_ms);
	SAME(send_timeout_ms);
	SAME(min_rate);
	SAME(min_rate_grace_ms);
	SAME(drain_timeout_ms);
	SAME(is_once);
	SAME(is_connection);
	SAME(max_datagram);
	SAME(amplification);
	SAME(answers_low_ports);
	SAME(has_sessions);
	SAME(session_timeout_ms);
	SAME(max_sessions);
	SAME(socket_count);
	SAME(older_count);
	for (uint32_t i = 0; i < a->older_count; i++)
		SAME(older_slots[i]);
	for (uint32_t i = 0; i < a->older_count; i++)
		SAME(older_sets[i]);
	SAME(limits.source_sets);
	SAME(limits.source_key.words[0]);
	SAME(limits.source_key.words[1]);
	SAME(limits.source_prefix_ipv4);
	SAME(limits.source_prefix_ipv6);
	SAME(limits.connections_per_source);
	SAME(limits.rate);
	SAME(limits.source_rate);
	SAME(limits.rate_burst);
	SAME(limits.source_rate_burst);
	SAME(limits.on_limit);
	SAME(limits.on_source_limit);
	check_text(a->limits.banner, b->limits.banner);
	SAME(limits.send_rate);
	SAME(limits.receive_rate);
	SAME(limits.request_memory);
	SAME(log_target);
	SAME(log_is_json);
	SAME(log_level);
	SAME(log_connections);
	SAME(log_connection_rate);
#undef SAME
	check_options(a, b);
	check_sandbox(a, b);
}

START_TEST(what_was_written_is_read_back)
{
	const struct worker_settings *all[] = {&full, &least};

	for (int i = 0; i < UNIT_COUNT(all); i++) {
		struct worker_settings back;
		struct buf image = {0};
		struct buf_reader reader;

		worker_settings_write(all[i], &image);
		reader = (struct buf_reader){.data = image.data, .length = image.length};
		ck_assert_int_eq(worker_settings_read(&reader, &back), 0);
		check_same(all[i], &back);
		worker_settings_free(&back);
		worker_settings_free(&back);
		buf_free(&image);
	}
}
END_TEST

START_TEST(image_cut_at_any_byte_or_with_one_more_is_refused)
{
	struct buf image = {0};
	size_t length;

	worker_settings_write(&full, &image);
	length = image.length;
	buf_add(&image, "", 1);
	for (size_t size = 0; size <= image.length; size++) {
		struct worker_settings back;
		unsigned char *copy = malloc(size > 0 ? size : 1);
		struct buf_reader reader = {.data = copy, .length = size};

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, image.data, size);
		if (size == length) {
			free(copy);
			continue;
		}
		ck_assert_msg(worker_settings_read(&reader, &back) == -EBADMSG, "%zu of %zu", size,
			      length);
		/* nothing is left behind to be freed */
		ck_assert_ptr_null(back.options);
		ck_assert_ptr_null(back.listener);
		free(copy);
	}
	buf_free(&image);
}
END_TEST

START_TEST(image_of_another_kind_or_version_is_refused)
{
	struct buf image = {0};

	worker_settings_write(&full, &image);
	for (size_t at = 0; at < 8; at++) {
		struct worker_settings back;
		struct buf_reader reader = {.data = image.data, .length = image.length};

		image.data[at] ^= 1;
		ck_assert_int_eq(worker_settings_read(&reader, &back), -EBADMSG);
		image.data[at] ^= 1;
	}
	buf_free(&image);
}
END_TEST

START_TEST(image_without_its_names_is_refused)
{
	for (int i = 0; i < 4; i++) {
		struct worker_option unnamed = {.type = WORKER_OPTION_INT};
		struct worker_settings settings = least, back;
		struct buf image = {0};
		struct buf_reader reader;

		if (i == 0)
			settings.listener = NULL;
		else if (i == 1)
			settings.handler = NULL;
		else if (i == 2)
			settings.handler_path = NULL;
		settings.options = &unnamed;
		settings.option_count = i == 3 ? 1 : 0;
		worker_settings_write(&settings, &image);
		reader = (struct buf_reader){.data = image.data, .length = image.length};
		ck_assert_int_eq(worker_settings_read(&reader, &back), -EBADMSG);
		buf_free(&image);
	}
}
END_TEST

START_TEST(any_single_byte_may_be_wrong_and_nothing_breaks)
{
	static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct buf image = {0};

	worker_settings_write(&full, &image);
	for (size_t at = 0; at < image.length; at++) {
		unsigned char was = image.data[at];

		for (int i = 0; i < UNIT_COUNT(values); i++) {
			struct buf_reader reader = {.data = image.data, .length = image.length};
			struct worker_settings back;

			image.data[at] = values[i];
			if (worker_settings_read(&reader, &back) == 0)
				worker_settings_free(&back);
		}
		image.data[at] = was;
	}
	buf_free(&image);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("worker_settings");

	tcase_add_test(cases, what_was_written_is_read_back);
	tcase_add_test(cases, image_cut_at_any_byte_or_with_one_more_is_refused);
	tcase_add_test(cases, image_of_another_kind_or_version_is_refused);
	tcase_add_test(cases, image_without_its_names_is_refused);
	tcase_add_test(cases, any_single_byte_may_be_wrong_and_nothing_breaks);
	return unit_run("worker_settings", cases);
}
