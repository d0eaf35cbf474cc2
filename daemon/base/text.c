/*
 * text.c - escaping.
 */
#include "base/text.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The length of the valid UTF-8 sequence at p, 0 if there is none. */
static size_t
text_utf8_length(const unsigned char *p, size_t left)
{
	size_t length;
	uint32_t value, least;

	if (p[0] < 0x80)
		return 1;
	if ((p[0] & 0xe0) == 0xc0) {
		length = 2;
		least = 0x80;
		value = p[0] & 0x1fU;
	} else if ((p[0] & 0xf0) == 0xe0) {
		length = 3;
		least = 0x800;
		value = p[0] & 0x0fU;
	} else if ((p[0] & 0xf8) == 0xf0) {
		length = 4;
		least = 0x10000;
		value = p[0] & 0x07U;
	} else {
		return 0;
	}
	if (length > left)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (p[i] & 0x3fU);
	}
	if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	return length;
}

/* Whether the character of `length` bytes at p is C1, U+2028 or U+2029, which some viewers take as
 * controls or as ends of lines. */
static bool
text_is_control(const unsigned char *p, size_t length)
{
	if (length == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (length == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	return length == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
}

static int
text_escape_byte(unsigned char c, bool is_json, char *out, size_t size)
{
	switch (c) {
	case '\n':
		return snprintf(out, size, "\\n");
	case '\t':
		return snprintf(out, size, "\\t");
	case '\r':
		return snprintf(out, size, "\\r");
	default:
		return is_json ? snprintf(out, size, "\\u%04x", c)
			       : snprintf(out, size, "\\x%02x", c);
	}
}

/* 0x01 in each byte: times a byte, a word full of it. */
#define TEXT_EACH UINT64_C(0x0101010101010101)

/* Not 0 if one of eight bytes is 0. */
static uint64_t
text_has_zero(uint64_t word)
{
	return (word - TEXT_EACH) & ~word & (TEXT_EACH * 0x80);
}

/* Whether eight bytes stay as they are. */
static bool
text_is_plain_word(const unsigned char *p, bool is_json)
{
	uint64_t word, special;

	memcpy(&word, p, sizeof(word));
	/* below ' ', or not ASCII, or DEL */
	special = (((word - TEXT_EACH * ' ') & ~word) | word) & (TEXT_EACH * 0x80);
	special |= text_has_zero(word ^ (TEXT_EACH * 0x7f));
	if (is_json)
		special |= text_has_zero(word ^ (TEXT_EACH * '"')) |
			   text_has_zero(word ^ (TEXT_EACH * '\\'));
	return special == 0;
}

/* How many bytes from here on stay as they are: nearly all of nearly every text. */
static size_t
text_count_plain(const unsigned char *p, size_t length, bool is_json)
{
	size_t n = 0;

	while (length - n >= sizeof(uint64_t) && text_is_plain_word(p + n, is_json))
		n += sizeof(uint64_t);
	while (n < length && p[n] >= ' ' && p[n] < 0x7f &&
	       !(is_json && (p[n] == '"' || p[n] == '\\')))
		n++;
	return n;
}

static size_t
text_escape_any(const char *text, size_t length, bool is_json, char *out, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0;

	if (size == 0)
		return 0;
	while (length > 0) {
		size_t plain = text_count_plain(p, length, is_json);
		size_t sequence, take, piece_length = 0;
		char piece[32];

		if (plain > size - 1 - n)
			plain = size - 1 - n;
		memcpy(out + n, p, plain);
		n += plain;
		p += plain;
		length -= plain;
		if (length == 0 || n == size - 1)
			break;
		sequence = text_utf8_length(p, length);
		take = sequence > 0 ? sequence : 1;
		if (sequence == 0 || text_is_control(p, sequence)) {
			for (size_t i = 0; i < take; i++)
				piece_length += (size_t)text_escape_byte(
					p[i], is_json, piece + piece_length,
					sizeof(piece) - piece_length);
		} else if (is_json && (*p == '"' || *p == '\\')) {
			piece[0] = '\\';
			piece[1] = (char)*p;
			piece_length = 2;
		} else {
			memcpy(piece, p, take);
			piece_length = take;
		}
		if (piece_length > size - 1 - n)
			break;
		memcpy(out + n, piece, piece_length);
		n += piece_length;
		p += take;
		length -= take;
	}
	out[n] = '\0';
	return n;
}

size_t
text_escape(const char *text, size_t length, char *out, size_t size)
{
	return text_escape_any(text, length, false, out, size);
}

size_t
text_escape_json(const char *text, size_t length, char *out, size_t size)
{
	return text_escape_any(text, length, true, out, size);
}

void
text_print(const char *text, size_t length, FILE *out)
{
	while (length > 0) {
		/* a piece at a time, and no character in two of them */
		char escaped[1024];
		size_t piece = length < sizeof(escaped) / 8 ? length : sizeof(escaped) / 8;

		for (int i = 0; i < 3 && piece < length && (text[piece] & 0xc0) == 0x80; i++)
			piece++;
		(void)fwrite(escaped, 1, text_escape(text, piece, escaped, sizeof(escaped)), out);
		text += piece;
		length -= piece;
	}
}

const char *
text_error(int error)
{
	return error < 0 && error > INT_MIN ? strerror(-error) : "an unknown error";
}
