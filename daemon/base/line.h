/*
 * line.h - text that is put together in room of the caller's, and cut where that ends. What is
 * written for each connection is made with it: printf() takes several times as long.
 */
#ifndef BASE_LINE_H
#define BASE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Not NUL-terminated. Length and limit are set by the caller; the limit is at most the size of the
 * room less one byte, which is used by what escapes. */
struct line {
	char *data;
	size_t length;
	size_t limit;
};

/* As many of them as there is room for. */
void line_add_cut(struct line *line, const char *bytes, size_t size);
/* These are here so that the compiler knows the lengths of what stands in the source. */
static inline void
line_add_bytes(struct line *line, const char *bytes, size_t size)
{
	if (size > line->limit - line->length) {
		line_add_cut(line, bytes, size);
		return;
	}
	memcpy(line->data + line->length, bytes, size);
	line->length += size;
}

static inline void
line_add_text(struct line *line, const char *text)
{
	line_add_bytes(line, text, strlen(text));
}

void line_add_u64(struct line *line, uint64_t value);
void line_add_i64(struct line *line, int64_t value);
/* With zeros before it, as wide at least; as %0*u. */
void line_add_padded(struct line *line, uint64_t value, unsigned digits);
/* A moment of the wall clock: "2024-01-02T03:04:05.678Z". */
#define LINE_MOMENT_LENGTH 24
void line_add_moment(struct line *line, int64_t realtime_ns);
/* As text_escape() and text_escape_json() have it. */
void line_add_escaped(struct line *line, const char *text, size_t size, bool is_json);

#endif
