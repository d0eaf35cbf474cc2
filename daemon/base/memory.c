/*
 * memory.c - allocation that ends the process when there is none.
 */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a process that must not end for a short while keeps back; NULL: nothing, or it was needed.
 */
static void *memory_kept;
static size_t memory_kept_size;

/* Gives back what was kept. Returns whether that makes it worth trying again. */
static bool
memory_spend(void)
{
	if (memory_kept == NULL)
		return false;
	free(memory_kept);
	memory_kept = NULL;
	return true;
}

bool
memory_keep(size_t size)
{
	if (memory_kept == NULL)
		memory_kept = malloc(size);
	memory_kept_size = size;
	return memory_kept != NULL;
}

bool
memory_has_room(size_t size)
{
	void *p = memory_kept_size == 0 || memory_keep(memory_kept_size) ? malloc(size) : NULL;

	/* compilers leave out what nobody looks at */
	__asm__ volatile("" : : "r"(p) : "memory");
	free(p);
	return p != NULL;
}

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
	void *p;

	do {
		p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
	} while (p == NULL && memory_spend());
	if (p == NULL)
		memory_out();
	return p;
}

void *
memory_grow(void *array, size_t count, size_t size)
{
	size_t room;
	void *grown;

	/* the array was grown at each power of two, and at nothing else */
	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	room = count == 0 ? 1 : count * 2;
	if (count > SIZE_MAX / 2)
		memory_out();
	do {
		grown = reallocarray(array, room, size);
	} while (grown == NULL && memory_spend());
	if (grown == NULL)
		memory_out();
	return grown;
}

char *
memory_text(const char *text)
{
	char *copy;

	if (text == NULL)
		return NULL;
	do {
		copy = strdup(text);
	} while (copy == NULL && memory_spend());
	if (copy == NULL)
		memory_out();
	return copy;
}

char *
memory_vformat(const char *format, va_list args)
{
	char *text = NULL;
	va_list again;
	int n;

	do {
		va_copy(again, args);
		n = vasprintf(&text, format, again);
		va_end(again);
	} while (n < 0 && memory_spend());
	if (n < 0)
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
