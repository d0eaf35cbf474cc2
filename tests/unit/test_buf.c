/*
 * test_buf.c - messages come back as they were built, and a reader never passes the end.
 */
#include "base/buf.h"

#include "unit.h"

/* A copy of exactly `length` bytes, so that a sanitizer sees a read behind it. */
static struct buf_reader
read_first(const struct buf *buf, size_t length)
{
	unsigned char *data = malloc(length > 0 ? length : 1);

	ck_assert_ptr_nonnull(data);
	if (length > 0)
		memcpy(data, buf->data, length);
	return (struct buf_reader){.data = data, .length = length};
}

static void
fill(struct buf *buf)
{
	buf_add_u32(buf, 7);
	buf_add_text(buf, "hello");
	buf_add_u64(buf, UINT64_C(0x1122334455667788));
	buf_add_text(buf, NULL);
	buf_add_text(buf, "");
	buf_add_u32(buf, UINT32_MAX - 1);
}

START_TEST(what_was_added_is_read_back_in_order)
{
	struct buf buf = {0};
	struct buf_reader reader;
	char *text;

	fill(&buf);
	reader = read_first(&buf, buf.length);
	ck_assert_uint_eq(buf_read_u32(&reader), 7);
	text = buf_read_text(&reader);
	ck_assert_str_eq(text, "hello");
	free(text);
	ck_assert_uint_eq(buf_read_u64(&reader), UINT64_C(0x1122334455667788));
	ck_assert_ptr_null(buf_read_text(&reader));
	text = buf_read_text(&reader);
	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, "");
	free(text);
	ck_assert_uint_eq(buf_read_u32(&reader), UINT32_MAX - 1);
	ck_assert(!reader.is_bad);
	ck_assert_uint_eq(reader.position, reader.length);
	free((void *)(uintptr_t)reader.data);
	buf_free(&buf);
	ck_assert_ptr_null(buf.data);
	ck_assert_uint_eq(buf.length, 0);
}
END_TEST

START_TEST(message_cut_at_any_byte_is_bad_and_stays_bad)
{
	struct buf buf = {0};

	fill(&buf);
	for (size_t length = 0; length < buf.length; length++) {
		struct buf_reader reader = read_first(&buf, length);

		(void)buf_read_u32(&reader);
		free(buf_read_text(&reader));
		(void)buf_read_u64(&reader);
		free(buf_read_text(&reader));
		free(buf_read_text(&reader));
		(void)buf_read_u32(&reader);
		ck_assert_msg(reader.is_bad, "cut at %zu", length);
		ck_assert_uint_le(reader.position, length);
		/* from now on everything reads as 0 */
		ck_assert_uint_eq(buf_read_u32(&reader), 0);
		ck_assert_uint_eq(buf_read_u64(&reader), 0);
		ck_assert_ptr_null(buf_read_text(&reader));
		ck_assert_uint_eq(buf_read_count(&reader), 0);
		free((void *)(uintptr_t)reader.data);
	}
	buf_free(&buf);
}
END_TEST

START_TEST(text_longer_than_what_is_left_is_bad)
{
	static const uint32_t lengths[] = {1, 2, 1000, INT32_MAX, UINT32_MAX - 1};

	for (int i = 0; i < UNIT_COUNT(lengths); i++) {
		struct buf buf = {0};
		struct buf_reader reader;

		buf_add_u32(&buf, lengths[i]);
		reader = read_first(&buf, buf.length);
		ck_assert_ptr_null(buf_read_text(&reader));
		ck_assert(reader.is_bad);
		free((void *)(uintptr_t)reader.data);
		buf_free(&buf);
	}
}
END_TEST

START_TEST(text_with_a_nul_inside_stays_a_string)
{
	struct buf buf = {0};
	struct buf_reader reader;
	char *text;

	buf_add_u32(&buf, 3);
	buf_add(&buf, "a\0b", 3);
	reader = read_first(&buf, buf.length);
	text = buf_read_text(&reader);
	ck_assert_str_eq(text, "a");
	ck_assert_uint_eq(reader.position, reader.length);
	free(text);
	free((void *)(uintptr_t)reader.data);
	buf_free(&buf);
}
END_TEST

START_TEST(count_is_never_more_than_the_bytes_left)
{
	static const uint32_t counts[] = {0, 3, 4, 5, UINT32_MAX};

	for (int i = 0; i < UNIT_COUNT(counts); i++) {
		struct buf buf = {0};
		struct buf_reader reader;
		bool is_possible = counts[i] <= 4;

		buf_add_u32(&buf, counts[i]);
		buf_add_u32(&buf, 0);
		reader = read_first(&buf, buf.length);
		ck_assert_uint_eq(buf_read_count(&reader), is_possible ? counts[i] : 0);
		ck_assert_int_eq(reader.is_bad, !is_possible);
		free((void *)(uintptr_t)reader.data);
		buf_free(&buf);
	}
}
END_TEST

START_TEST(buffer_grows_and_keeps_its_content)
{
	struct buf buf = {0};

	for (unsigned i = 0; i < 10000; i++)
		buf_add_u32(&buf, i);
	ck_assert_uint_eq(buf.length, 40000);
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t value;

		memcpy(&value, buf.data + i * 4, 4);
		ck_assert_uint_eq(value, i);
	}
	buf_add(&buf, NULL, 0);
	ck_assert_uint_eq(buf.length, 40000);
	buf_free(&buf);
}
END_TEST

START_TEST(format_adds_the_text_alone)
{
	struct buf buf = {0};

	buf_add_format(&buf, "%d-%s", 42, "x");
	buf_add_format(&buf, "%s", "");
	ck_assert_uint_eq(buf.length, 4);
	ck_assert_int_eq(memcmp(buf.data, "42-x", 4), 0);
	buf_free(&buf);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("buf");

	tcase_add_test(cases, what_was_added_is_read_back_in_order);
	tcase_add_test(cases, message_cut_at_any_byte_is_bad_and_stays_bad);
	tcase_add_test(cases, text_longer_than_what_is_left_is_bad);
	tcase_add_test(cases, text_with_a_nul_inside_stays_a_string);
	tcase_add_test(cases, count_is_never_more_than_the_bytes_left);
	tcase_add_test(cases, buffer_grows_and_keeps_its_content);
	tcase_add_test(cases, format_adds_the_text_alone);
	return unit_run("buf", cases);
}
