/*
 * load_slow.c - clients of an echo server that send all that is taken and read at a trickle.
 *
 * What they have sent and not read fills the buffers of both ends until the server can neither send
 * nor, if it keeps no more than it must, receive. Whoever serves others meanwhile shows what such
 * clients cost them. They are looked after by the clock, not by events, so that they cost little
 * here.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 1024 /* are read at a time */
#define READ_TICKS 5	/* and so often, in ticks */
#define RECEIVE_BUFFER 16384
#define SEND_BUFFER 65536
/* What is sent and not read yet at most, against a server that keeps all that comes. */
#define AHEAD_MOST (16 << 20)
/* How long filling the buffers may take; they are full when nothing was taken for so long. */
#define FILL_NS 10000000000LL
#define QUIET_NS 200000000LL

struct reader {
	int fd;
	size_t ahead;
};

static struct reader *readers;
static int reader_count;
static char block[16384];

/* True when something was sent. */
static bool
reader_send(struct reader *reader)
{
	bool some = false;

	while (reader->fd >= 0 && reader->ahead < AHEAD_MOST) {
		ssize_t n = send(reader->fd, block, sizeof(block), MSG_NOSIGNAL);

		if (n <= 0)
			break;
		reader->ahead += (size_t)n;
		some = true;
	}
	return some;
}

static void
reader_receive(struct reader *reader)
{
	char buffer[READ_BYTES];
	ssize_t n = recv(reader->fd, buffer, sizeof(buffer), 0);

	if (n > 0)
		reader->ahead -= (size_t)n < reader->ahead ? (size_t)n : reader->ahead;
	if (n == 0 || (n == -1 && errno != EAGAIN)) {
		fprintf(stderr, "load: a slow reader was cut off\n");
		close(reader->fd);
		reader->fd = -1;
	}
}

void
slow_tick(void)
{
	static int turn;

	turn = (turn + 1) % READ_TICKS;
	for (int i = turn; i < reader_count; i += READ_TICKS) {
		if (readers[i].fd < 0)
			continue;
		reader_receive(&readers[i]);
		(void)reader_send(&readers[i]);
	}
}

int
slow_prepare(const struct address *peer, int count)
{
	int64_t begun = now_ns(), last = begun;

	readers = calloc((size_t)count, sizeof(*readers));
	if (readers == NULL)
		return -1;
	memset(block, 's', sizeof(block));
	reader_count = count;
	for (int i = 0; i < count; i++) {
		int size = SEND_BUFFER;

		readers[i].fd = socket_connect(peer, RECEIVE_BUFFER);
		if (readers[i].fd == -1 ||
		    setsockopt(readers[i].fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == -1)
			return -1;
	}
	while (now_ns() - last < QUIET_NS && now_ns() - begun < FILL_NS) {
		for (int i = 0; i < count; i++)
			if (reader_send(&readers[i]))
				last = now_ns();
		usleep(1000);
	}
	return 0;
}
