/*
 * fuzz_rate.c - a rate is what somebody typed: of things or of bytes. What can be read can be
 * written, and is then read the same.
 */
#include "base/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_and_write(const char *text, int (*parse)(const char *text, int64_t *ret),
	       const char *(*format)(int64_t number, char *buf, size_t size))
{
	int64_t number = -7, again = -7;
	char written[64];
	int r = parse(text, &number);

	if (r < 0) {
		if ((r != -EINVAL && r != -ERANGE) || number != -7)
			abort();
		return;
	}
	if (number < 0 && number != PARSE_NONE)
		abort();
	if (parse(format(number, written, sizeof(written)), &again) != 0 || again != number)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	if (text == NULL)
		abort();
	read_and_write(text, parse_rate, parse_format_rate);
	read_and_write(text, parse_byte_rate, parse_format_byte_rate);
	free(text);
	return 0;
}
