/*
 * sys_garbage - says to the supervisor what a hostile handler could: packets on the channel, half
 * of them with a header that is right, and numbers in the scoreboard. Each line of the client is a
 * number of packets.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANNEL 3
#define BOARD 5

HD_HANDLER(.name = "sys_garbage", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

/* Waits for room: garbage that is thrown away here frightens nobody. */
static int
say(const unsigned char *packet, size_t size)
{
	struct pollfd row = {.fd = CHANNEL, .events = POLLOUT};

	while (send(CHANNEL, packet, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		(void)poll(&row, 1, 100);
	}
	return 0;
}

/* In the scoreboard, but for the beginning, by which the flows of this worker go. */
static void
scribble(unsigned *seed)
{
	static unsigned char *board;
	static size_t size;
	struct stat st;

	if (board == NULL && fstat(BOARD, &st) == 0 && st.st_size > 256) {
		size = (size_t)st.st_size;
		board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, BOARD, 0);
	}
	if (board == NULL || board == MAP_FAILED)
		abort();
	for (int i = 0; i < 64; i++)
		board[64 + (size_t)rand_r(seed) % (size - 64)] = (unsigned char)rand_r(seed);
}

int
handle(struct hd_request *req)
{
	unsigned char packet[512];
	unsigned seed = 94;
	char line[32];

	while (hd_readline(req, line, sizeof(line)) > 0) {
		int r = 0;

		for (int i = 0; i < atoi(line) && r == 0; i++) {
			size_t size = (size_t)rand_r(&seed) % sizeof(packet);

			for (size_t j = 0; j < size; j++)
				packet[j] = (unsigned char)rand_r(&seed);
			if (i % 2 == 0 && size >= 8) {
				memset(packet, 0, 8);
				packet[0] = 2;				       /* version */
				packet[2] = (unsigned char)rand_r(&seed) % 80; /* type */
				packet[4] = 1;				       /* generation */
			}
			r = say(packet, size);
			scribble(&seed);
		}
		if (hd_printf(req, "said %d\n", r) < 0)
			break;
	}
	return 0;
}
