/*
 * fuzz_ipc.c - what a worker reads at its birth, and what a supervisor hears from a worker that its
 * handler has taken over. The first byte chooses.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/channel.h"
#include "ipc/scoreboard.h"
#include "ipc/worker_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What can be read can be written, and is then read the same. */
static void
read_settings(const uint8_t *data, size_t size)
{
	struct buf_reader reader = {.data = data, .length = size};
	struct worker_settings settings, again;
	struct buf image = {0};

	if (worker_settings_read(&reader, &settings) < 0)
		return;
	worker_settings_write(&settings, &image);
	reader = (struct buf_reader){.data = image.data, .length = image.length};
	if (worker_settings_read(&reader, &again) < 0)
		abort();
	if (again.option_count != settings.option_count ||
	    strcmp(again.listener, settings.listener) != 0)
		abort();
	worker_settings_free(&again);
	worker_settings_free(&settings);
	buf_free(&image);
}

/* One packet, and its payload as each type of message has it. */
static void
receive_message(const uint8_t *data, size_t size)
{
	static int ends[2] = {-1, -1};
	static struct channel_message message;
	struct buf_reader copy;
	int r;

	if (ends[0] < 0 && channel_open(ends) < 0)
		abort();
	if (size == 0 || send(ends[0], data, size, MSG_DONTWAIT) != (ssize_t)size)
		return;
	r = channel_receive(ends[1], &message);
	if (r != 1 && r != -EBADMSG)
		abort();
	if (r != 1)
		return;
	if (message.payload.length > PROTOCOL_MESSAGE_SIZE)
		abort();
	copy = message.payload;
	(void)buf_read_u32(&copy);
	free(buf_read_text(&copy));
	(void)buf_read_u32(&copy);
	free(buf_read_text(&copy));
	copy = message.payload;
	(void)buf_read_u64(&copy);
	free(buf_read_text(&message.payload));
}

/* A worker writes what it likes into its scoreboard. */
static void
sum_scoreboard(const uint8_t *data, size_t size)
{
	size_t slots = size / sizeof(struct scoreboard_slot) + 1;
	struct scoreboard *board = aligned_alloc(64, scoreboard_size(slots));

	if (board == NULL)
		abort();
	memset(board, 0, scoreboard_size(slots));
	memcpy(board, data, size);
	(void)scoreboard_sum(board, slots);
	(void)scoreboard_count_open(board, slots);
	free(board);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		read_settings(data + 1, size - 1);
		break;
	case 1:
		receive_message(data + 1, size - 1);
		break;
	default:
		sum_scoreboard(data + 1, size - 1);
		break;
	}
	return 0;
}
