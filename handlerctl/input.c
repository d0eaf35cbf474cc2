/*
 * input.c - reads to the end, up to a limit.
 */
#include "handlerctl/input.h"

#include <errno.h>
#include <unistd.h>

#include "base/buf.h"

int
input_read_all(int fd, size_t most, struct buf *buf)
{
	char piece[65536];

	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		if ((size_t)n > most - buf->length)
			return -EFBIG;
		buf_add(buf, piece, (size_t)n);
	}
}
