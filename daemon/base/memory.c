/*
 * memory.c - allocation that ends the process when there is none.
 */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void
memory_out(void)
{
	static const char text[] = "handlerd: out of memory\n";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

void *
memory_zero(size_t count, size_t size)
{
	void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

	if (p == NULL)
		memory_out();
	return p;
}

void *
memory_grow(void *array, size_t count, size_t size)
{
	size_t room;

	/* the array was grown at each power of two, and at nothing else */
	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	room = count == 0 ? 1 : count * 2;
	if (count > SIZE_MAX / 2)
		memory_out();
	array = reallocarray(array, room, size);
	if (array == NULL)
		memory_out();
	return array;
}

char *
memory_text(const char *text)
{
	char *copy;

	if (text == NULL)
		return NULL;
	copy = strdup(text);
	if (copy == NULL)
		memory_out();
	return copy;
}

char *
memory_vformat(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		memory_out();
	return text;
}

char *
memory_format(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	return text;
}
