/*
 * input.h - standard input as a whole, for what must be known before it is sent, or sent again.
 */
#ifndef HANDLERCTL_INPUT_H
#define HANDLERCTL_INPUT_H

#include <stddef.h>

struct buf;

/* Reads to the end. 0, -EFBIG for more than `most` bytes, or another negative errno. The buffer
 * starts zeroed, and is the caller's in any case. */
int input_read_all(int fd, size_t most, struct buf *buf);

#endif
