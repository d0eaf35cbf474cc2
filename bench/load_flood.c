/*
 * load_flood.c - datagrams at full speed, to see what the other side does with too many.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH 64 /* datagrams for each system call */

/* All of them. Returns 0 or a negative errno; *RET_SENT is right in both cases. */
static int
flood_send(int fd, struct mmsghdr *batch, uint64_t count, uint64_t *ret_sent)
{
	*ret_sent = 0;
	while (*ret_sent < count) {
		uint64_t left = count - *ret_sent;
		int n = sendmmsg(fd, batch, left < BATCH ? (unsigned)left : BATCH, 0);

		if (n == -1 && errno != ENOBUFS && errno != EINTR)
			return -errno;
		if (n > 0)
			*ret_sent += (uint64_t)n;
	}
	return 0;
}

int
flood_run(const struct address *peer, uint64_t count, size_t size)
{
	struct mmsghdr batch[BATCH] = {0};
	struct iovec piece = {.iov_base = malloc(size), .iov_len = size};
	int fd = socket(peer->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int64_t begun, took;
	uint64_t sent;
	int r;

	if (piece.iov_base == NULL || fd == -1 ||
	    connect(fd, (const struct sockaddr *)&peer->name, peer->length) == -1) {
		perror("load");
		return 1;
	}
	memset(piece.iov_base, 'x', size);
	for (int i = 0; i < BATCH; i++)
		batch[i].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};

	begun = now_ns();
	r = flood_send(fd, batch, count, &sent);
	took = now_ns() - begun;
	close(fd);
	free(piece.iov_base);
	if (r < 0)
		fprintf(stderr, "load: after %" PRIu64 " datagrams: %s\n", sent, strerror(-r));
	printf("{\"mode\": \"flood\", \"size\": %zu, \"sent\": %" PRIu64
	       ", \"seconds\": %.6f, \"rate\": %.1f}\n",
	       size, sent, (double)took / 1e9, (double)sent * 1e9 / (double)took);
	return r < 0;
}
