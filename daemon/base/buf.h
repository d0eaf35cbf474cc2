/*
 * buf.h - a byte buffer that grows, and a reader that never runs past its end. Integers travel in
 * the machine's own byte order: writer and reader are processes of one machine.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	unsigned char *data;
	size_t length;
	size_t room;
};

void buf_free(struct buf *buf);
void buf_add(struct buf *buf, const void *data, size_t size);
void buf_add_u32(struct buf *buf, uint32_t value);
void buf_add_u64(struct buf *buf, uint64_t value);
/* Length and bytes; NULL is kept apart from "". */
void buf_add_text(struct buf *buf, const char *text);
void buf_add_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What is read from; after the first read past the end everything reads as 0 and is_bad stays. */
struct buf_reader {
	const unsigned char *data;
	size_t length;
	size_t position;
	bool is_bad;
};

uint32_t buf_read_u32(struct buf_reader *reader);
uint64_t buf_read_u64(struct buf_reader *reader);
/* A new string or NULL (also when bad); the caller frees it. */
char *buf_read_text(struct buf_reader *reader);
/* A count of things that take at least one byte each: never more than there are bytes left. */
uint32_t buf_read_count(struct buf_reader *reader);

#endif
