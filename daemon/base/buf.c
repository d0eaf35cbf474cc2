/*
 * buf.c - typed building and reading of messages; every length is checked here and nowhere else.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"

#define BUF_NO_TEXT UINT32_MAX

void
buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){0};
}

void
buf_add(struct buf *buf, const void *data, size_t size)
{
	if (size > buf->room - buf->length) {
		size_t room = (buf->length + size) * 2;
		unsigned char *grown = memory_zero(1, room);

		if (buf->length > 0)
			memcpy(grown, buf->data, buf->length);
		free(buf->data);
		buf->data = grown;
		buf->room = room;
	}
	if (size > 0)
		memcpy(buf->data + buf->length, data, size);
	buf->length += size;
}

void
buf_add_u32(struct buf *buf, uint32_t value)
{
	buf_add(buf, &value, sizeof(value));
}

void
buf_add_u64(struct buf *buf, uint64_t value)
{
	buf_add(buf, &value, sizeof(value));
}

void
buf_add_text(struct buf *buf, const char *text)
{
	size_t size;

	if (text == NULL) {
		buf_add_u32(buf, BUF_NO_TEXT);
		return;
	}
	size = strlen(text);
	CHECK(size < BUF_NO_TEXT);
	buf_add_u32(buf, (uint32_t)size);
	buf_add(buf, text, size);
}

void
buf_add_format(struct buf *buf, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	buf_add(buf, text, strlen(text));
}

static const void *
buf_read(struct buf_reader *reader, size_t size)
{
	const void *at;

	if (reader->is_bad || size > reader->length - reader->position) {
		reader->is_bad = true;
		return NULL;
	}
	at = reader->data + reader->position;
	reader->position += size;
	return at;
}

uint32_t
buf_read_u32(struct buf_reader *reader)
{
	uint32_t value = 0;
	const void *at = buf_read(reader, sizeof(value));

	if (at != NULL)
		memcpy(&value, at, sizeof(value));
	return value;
}

uint64_t
buf_read_u64(struct buf_reader *reader)
{
	uint64_t value = 0;
	const void *at = buf_read(reader, sizeof(value));

	if (at != NULL)
		memcpy(&value, at, sizeof(value));
	return value;
}

char *
buf_read_text(struct buf_reader *reader)
{
	uint32_t size = buf_read_u32(reader);
	const void *at;
	char *text;

	if (reader->is_bad || size == BUF_NO_TEXT)
		return NULL;
	at = buf_read(reader, size);
	if (at == NULL)
		return NULL;
	text = memory_zero(1, (size_t)size + 1);
	memcpy(text, at, size);
	return text;
}

uint32_t
buf_read_count(struct buf_reader *reader)
{
	uint32_t count = buf_read_u32(reader);

	if (count > reader->length - reader->position) {
		reader->is_bad = true;
		return 0;
	}
	return count;
}
