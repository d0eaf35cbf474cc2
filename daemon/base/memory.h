/*
 * memory.h - allocation for the start and reload paths, where running out of memory for a few
 * bytes of configuration leaves nothing sensible to do but to stop with one sentence. Paths that
 * serve clients use malloc and report -ENOMEM.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Keeps so much back, untouched, for these functions to fall back on once: who serves goes on when
 * memory is short, and finds out with memory_has_room before it begins something large. Returns
 * whether it could be had. Called by one thread only. */
bool memory_keep(size_t size);
/* Whether there is so much, beside what is to be kept back. */
bool memory_has_room(size_t size);

/* Zeroed memory; never NULL. */
void *memory_zero(size_t count, size_t size);
/* The array with room for one more element than count; grows by doubling. Never NULL. */
void *memory_grow(void *array, size_t count, size_t size);
/* A copy of the text; NULL for NULL. */
char *memory_text(const char *text);
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *memory_vformat(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

#endif
