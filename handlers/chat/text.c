/*
 * text.c - what clients write, made fit to be shown to others.
 */
#include "text.h"

#include <stdint.h>
#include <string.h>

/* The length of the character of UTF-8 at the beginning of text; 0: it is none. */
static size_t
text_read_character(const unsigned char *text, size_t length, uint32_t *ret_code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = text[0] < 0x80   ? 1
		      : text[0] < 0xc0 ? 0
		      : text[0] < 0xe0 ? 2
		      : text[0] < 0xf0 ? 3
		      : text[0] < 0xf8 ? 4
				       : 0;
	uint32_t code;

	if (size == 0 || size > length)
		return 0;
	code = size == 1 ? text[0] : text[0] & (0x7fU >> size);
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3fU);
	}
	/* longer than need be, half a pair of UTF-16, or past the end of Unicode */
	if (code < smallest[size] || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff)
		return 0;
	*ret_code = code;
	return size;
}

static bool
text_is_harmful(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || /* control characters */
	       code == 0x200e || code == 0x200f ||		/* from left to right and back */
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

size_t
text_clean(char *text, size_t length)
{
	size_t at = 0, kept = 0;

	while (at < length) {
		uint32_t code = 0;
		size_t size =
			text_read_character((const unsigned char *)text + at, length - at, &code);

		if (size == 0) {
			text[kept++] = '?';
			at++;
			continue;
		}
		if (code == '\t') {
			text[kept++] = ' ';
		} else if (!text_is_harmful(code)) {
			memmove(text + kept, text + at, size);
			kept += size;
		}
		at += size;
	}
	text[kept] = '\0';
	return kept;
}

bool
text_is_name(const char *text, size_t size)
{
	size_t length = strlen(text);

	return length > 0 && length < size && strchr("/*<", text[0]) == NULL &&
	       strchr(text, ' ') == NULL;
}
