/*
 * test_text.c - whatever comes from outside, one record stays one line of valid UTF-8.
 */
#include "base/text.h"

#include "unit.h"

static const struct escape {
	const char *text;
	size_t length;
	const char *plain;
	const char *json;
} escapes[] = {
#define ROW(text, plain, json)                                                                     \
	{                                                                                          \
		(text), sizeof(text) - 1, (plain), (json)                                          \
	}
	ROW("", "", ""),
	ROW("hello", "hello", "hello"),
	ROW("a\nb", "a\\nb", "a\\nb"),
	ROW("\r\t", "\\r\\t", "\\r\\t"),
	ROW("\033[2J", "\\x1b[2J", "\\u001b[2J"),
	ROW("a\0b", "a\\x00b", "a\\u0000b"),
	ROW("\001\037\177", "\\x01\\x1f\\x7f", "\\u0001\\u001f\\u007f"),
	ROW("say \"hi\"", "say \"hi\"", "say \\\"hi\\\""),
	ROW("c:\\x", "c:\\x", "c:\\\\x"),
	/* what is valid stays: ä, 你, 😀, the last character before C1's end and the first after */
	ROW("\303\244", "\303\244", "\303\244"),
	ROW("\344\275\240", "\344\275\240", "\344\275\240"),
	ROW("\360\237\230\200", "\360\237\230\200", "\360\237\230\200"),
	ROW("\302\240", "\302\240", "\302\240"),
	ROW("\364\217\277\277", "\364\217\277\277", "\364\217\277\277"),
	/* C1 */
	ROW("\302\200", "\\xc2\\x80", "\\u00c2\\u0080"),
	ROW("\302\233[2J", "\\xc2\\x9b[2J", "\\u00c2\\u009b[2J"),
	ROW("\302\237", "\\xc2\\x9f", "\\u00c2\\u009f"),
	/* Unicode's own ends of lines */
	ROW("\342\200\250", "\\xe2\\x80\\xa8", "\\u00e2\\u0080\\u00a8"),
	ROW("\342\200\251", "\\xe2\\x80\\xa9", "\\u00e2\\u0080\\u00a9"),
	/* bytes alone */
	ROW("\200", "\\x80", "\\u0080"),
	ROW("\233[2J", "\\x9b[2J", "\\u009b[2J"),
	ROW("\377\376", "\\xff\\xfe", "\\u00ff\\u00fe"),
	/* sequences that are cut off, by the end or by another character */
	ROW("\303", "\\xc3", "\\u00c3"),
	ROW("\344\275", "\\xe4\\xbd", "\\u00e4\\u00bd"),
	ROW("\360\237\230", "\\xf0\\x9f\\x98", "\\u00f0\\u009f\\u0098"),
	ROW("\344\275\nx", "\\xe4\\xbd\\nx", "\\u00e4\\u00bd\\nx"),
	/* overlong */
	ROW("\300\200", "\\xc0\\x80", "\\u00c0\\u0080"),
	ROW("\300\212", "\\xc0\\x8a", "\\u00c0\\u008a"),
	ROW("\301\277", "\\xc1\\xbf", "\\u00c1\\u00bf"),
	ROW("\340\200\212", "\\xe0\\x80\\x8a", "\\u00e0\\u0080\\u008a"),
	ROW("\360\200\200\212", "\\xf0\\x80\\x80\\x8a", "\\u00f0\\u0080\\u0080\\u008a"),
	/* surrogates, and past the last character */
	ROW("\355\240\200", "\\xed\\xa0\\x80", "\\u00ed\\u00a0\\u0080"),
	ROW("\355\277\277", "\\xed\\xbf\\xbf", "\\u00ed\\u00bf\\u00bf"),
	ROW("\364\220\200\200", "\\xf4\\x90\\x80\\x80", "\\u00f4\\u0090\\u0080\\u0080"),
	ROW("\370\210\200\200\200", "\\xf8\\x88\\x80\\x80\\x80",
	    "\\u00f8\\u0088\\u0080\\u0080\\u0080"),
#undef ROW
};

START_TEST(text_is_escaped_as_the_table_says)
{
	const struct escape *row = &escapes[_i];
	char out[256];

	ck_assert_uint_eq(text_escape(row->text, row->length, out, sizeof(out)),
			  strlen(row->plain));
	ck_assert_str_eq(out, row->plain);
	ck_assert_uint_eq(text_escape_json(row->text, row->length, out, sizeof(out)),
			  strlen(row->json));
	ck_assert_str_eq(out, row->json);
}
END_TEST

START_TEST(cut_falls_between_characters_at_every_size)
{
	const struct escape *row = &escapes[_i];
	size_t before = 0;

	for (size_t size = 1; size <= strlen(row->plain) + 1; size++) {
		char *out = malloc(size); /* of just this size, for the sanitizer */
		size_t n;

		ck_assert_ptr_nonnull(out);
		n = text_escape(row->text, row->length, out, size);
		ck_assert_uint_lt(n, size);
		ck_assert_uint_eq(strlen(out), n);
		ck_assert_int_eq(strncmp(out, row->plain, n), 0);
		/* never inside a character: the next byte would not continue one */
		ck_assert_msg(((unsigned char)row->plain[n] & 0xc0) != 0x80, "%s at %zu",
			      row->plain, size);
		/* never inside an escape */
		if (n > 0 && n < strlen(row->plain))
			ck_assert_msg(out[n - 1] != '\\' || row->text[0] == 'c', "%s at %zu",
				      row->plain, size);
		ck_assert_uint_ge(n, before);
		before = n;
		free(out);
	}
}
END_TEST

START_TEST(no_room_at_all_writes_nothing)
{
	char out = '#';

	ck_assert_uint_eq(text_escape("abc", 3, &out, 0), 0);
	ck_assert_uint_eq(text_escape_json("abc", 3, &out, 0), 0);
	ck_assert_int_eq(out, '#');
}
END_TEST

/* Neither a control character nor half of JSON's notation; Check's own assertions would be slow. */
static bool
is_plain(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return true;
}

static bool
is_inside_of_json(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"' || (text[i] == '\\' && strchr("\"\\nrtu", text[++i]) == NULL))
			return false;
	}
	return true;
}

/* Every pair of bytes, with something behind it. */
START_TEST(no_two_bytes_make_a_control_character_or_break_json)
{
	for (unsigned pair = 0; pair < 65536; pair++) {
		char text[4] = {(char)(pair >> 8), (char)pair, 'x', '"'};
		char out[64];
		size_t n = text_escape(text, sizeof(text), out, sizeof(out));

		if (!is_plain(out, n))
			ck_abort_msg("%04x: %s", pair, out);
		n = text_escape_json(text, sizeof(text), out, sizeof(out));
		if (!is_plain(out, n) || !is_inside_of_json(out, n))
			ck_abort_msg("%04x: %s", pair, out);
	}
}
END_TEST

/* However long it is, and wherever it is cut to be printed. */
START_TEST(print_is_the_same_as_escape)
{
	char text[2000], expected[sizeof(text) * 4 + 1];

	for (size_t length = 0; length < sizeof(text); length += 13) {
		size_t size = 0;
		char *printed = NULL;
		FILE *out = open_memstream(&printed, &size);

		for (size_t i = 0; i < length; i++)
			text[i] = "a\xc3\xa9\x1b\xe2\x82\xac\xff\xf0\x9f\x98\x80"[i % 12];
		ck_assert_ptr_nonnull(out);
		text_print(text, length, out);
		ck_assert_int_eq(fclose(out), 0);
		(void)text_escape(text, length, expected, sizeof(expected));
		ck_assert_str_eq(printed, expected);
		free(printed);
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("text");

	tcase_add_loop_test(cases, text_is_escaped_as_the_table_says, 0, UNIT_COUNT(escapes));
	tcase_add_loop_test(cases, cut_falls_between_characters_at_every_size, 0,
			    UNIT_COUNT(escapes));
	tcase_add_test(cases, no_room_at_all_writes_nothing);
	tcase_add_test(cases, no_two_bytes_make_a_control_character_or_break_json);
	tcase_add_test(cases, print_is_the_same_as_escape);
	return unit_run("text", cases);
}
