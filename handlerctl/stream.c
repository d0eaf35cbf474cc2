/*
 * stream.c - sends and receives over a connected stream until the answer is complete.
 *
 *	                 sending                          sent
 *	peer closes      complete if nothing was left     complete
 *	peer resets      failed, unless an answer came    failed, unless an answer came
 *	pause of 200 ms  goes on                          complete if an answer came
 *	timeout          failed (none while our own       complete if an answer came,
 *	                 input is waited for)             else failed
 *
 * With half-close there is neither a pause nor an "unless": only the end completes the answer.
 */
#include "handlerctl/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "handlerctl/exchange.h"

#define STREAM_BUFFER_SIZE 65536
#define STREAM_MOMENT_MS 100

struct stream {
	const struct exchange *exchange;
	int fd;
	int input;	  /* -1: at its end */
	const char *left; /* what waits to be sent */
	size_t left_length;
	bool is_sent; /* everything, and the end of it */
	int error;    /* why nothing can be sent any more, or 0 */
	bool is_over; /* nothing more will come */
	bool has_answer;
	int64_t came_ns;  /* when something, or the end, last came */
	int64_t moved_ns; /* the same, or when something was last sent */
	char from_input[STREAM_BUFFER_SIZE];
	char from_peer[STREAM_BUFFER_SIZE];
};

static bool
stream_waits_for_input(const struct stream *stream)
{
	return stream->left_length == 0 && stream->input >= 0 && stream->error == 0;
}

/* How long poll may wait; -1: as long as it takes. */
static int
stream_poll_ms(const struct stream *stream)
{
	const struct exchange *exchange = stream->exchange;
	int64_t wait_ms = exchange->timeout_ms;

	if (stream_waits_for_input(stream))
		return -1;
	if (stream->is_sent && stream->has_answer && !exchange->is_half_close &&
	    (wait_ms < 0 || wait_ms > EXCHANGE_PAUSE_MS))
		wait_ms = EXCHANGE_PAUSE_MS;
	if (wait_ms < 0)
		return -1;
	return clock_ms_until(stream->moved_ns + wait_ms * CLOCK_NS_PER_MS);
}

static struct outcome
stream_take_input(struct stream *stream)
{
	ssize_t n = read(stream->input, stream->from_input, sizeof(stream->from_input));

	if (n < 0 && errno != EINTR && errno != EAGAIN)
		return (struct outcome){.end = OUTCOME_INPUT, .error = errno};
	if (n == 0) {
		stream->input = -1;
		stream->moved_ns = clock_now_ns();
	}
	if (n > 0) {
		stream->left = stream->from_input;
		stream->left_length = (size_t)n;
		stream->moved_ns = clock_now_ns();
	}
	return (struct outcome){.end = OUTCOME_ANSWERED};
}

static void
stream_send(struct stream *stream)
{
	ssize_t n =
		send(stream->fd, stream->left, stream->left_length, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EINTR && errno != EAGAIN)
		stream->error = errno; /* what the peer said before may still be read */
	if (n <= 0)
		return;
	stream->left += n;
	stream->left_length -= (size_t)n;
	stream->moved_ns = clock_now_ns();
}

static struct outcome
stream_receive(struct stream *stream)
{
	ssize_t n = recv(stream->fd, stream->from_peer, sizeof(stream->from_peer), MSG_DONTWAIT);
	struct outcome outcome;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return (struct outcome){.end = OUTCOME_ANSWERED};
	if (n < 0 && stream->error == 0)
		stream->error = errno;
	stream->came_ns = stream->moved_ns = clock_now_ns();
	if (n <= 0) {
		stream->is_over = true;
		return (struct outcome){.end = OUTCOME_ANSWERED};
	}
	stream->has_answer = true;
	outcome = exchange_write(stream->exchange, stream->from_peer, (size_t)n);
	/* while our own output was waited for, the peer may not have been able to go on */
	stream->moved_ns = clock_now_ns();
	return outcome;
}

/* Goes one step on; 1, or 0 when time is over. *ret_outcome is set where our own side fails. */
static int
stream_step(struct stream *stream, struct outcome *ret_outcome)
{
	struct pollfd polls[2] = {{.fd = stream->fd, .events = POLLIN}, {.fd = -1}};
	int r;

	if (stream->left_length > 0 && stream->error == 0)
		polls[0].events |= POLLOUT;
	if (stream_waits_for_input(stream))
		polls[1] = (struct pollfd){.fd = stream->input, .events = POLLIN};
	r = poll(polls, 2, stream_poll_ms(stream));
	if (r <= 0)
		return r < 0 && errno == EINTR;
	if (polls[1].revents != 0)
		*ret_outcome = stream_take_input(stream);
	if (polls[0].revents & POLLOUT)
		stream_send(stream);
	if (polls[0].revents & (POLLIN | POLLHUP | POLLERR) && ret_outcome->end == OUTCOME_ANSWERED)
		*ret_outcome = stream_receive(stream);
	return 1;
}

/* The end of what is sent, once. */
static void
stream_end_sending(struct stream *stream)
{
	if (stream->is_sent || stream->left_length > 0 || stream->input >= 0)
		return;
	stream->is_sent = true;
	/* where the peer is gone already, receiving tells */
	if (stream->exchange->is_half_close)
		(void)shutdown(stream->fd, SHUT_WR);
}

/* Whether there is input that the peer did not wait for. Whoever writes it is given a moment: he
 * may have been waiting for room. */
static bool
stream_has_more_input(struct stream *stream)
{
	struct pollfd row = {.fd = stream->input, .events = POLLIN};

	return stream->input >= 0 && poll(&row, 1, STREAM_MOMENT_MS) > 0 &&
	       read(stream->input, stream->from_input, sizeof(stream->from_input)) > 0;
}

static struct outcome
stream_judge_end(struct stream *stream)
{
	if (stream->error == 0 && stream->left_length == 0 && !stream_has_more_input(stream))
		return (struct outcome){.end = OUTCOME_ANSWERED};
	if (stream->has_answer && !stream->exchange->is_half_close)
		return (struct outcome){.end = OUTCOME_ANSWERED};
	return outcome_of_error(stream->error == 0 ? EPIPE : stream->error);
}

static struct outcome
stream_judge_timeout(const struct stream *stream)
{
	if (!stream->is_sent)
		return (struct outcome){.end = OUTCOME_UNREAD};
	if (!stream->has_answer)
		return (struct outcome){.end = OUTCOME_SILENT};
	return (struct outcome){.end = stream->exchange->is_half_close ? OUTCOME_ENDLESS
								       : OUTCOME_ANSWERED};
}

struct outcome
stream_run(const struct exchange *exchange, int fd, int64_t started_ns)
{
	struct outcome outcome = {.end = OUTCOME_ANSWERED};
	struct stream stream;
	int r = 1;

	/* the buffers are left as they are */
	stream.exchange = exchange;
	stream.fd = fd;
	stream.input = exchange->input;
	stream.left = exchange->data;
	stream.left_length = exchange->length;
	stream.is_sent = stream.is_over = stream.has_answer = false;
	stream.error = 0;
	stream.came_ns = stream.moved_ns = clock_now_ns();
	while (r > 0 && !stream.is_over && outcome.end == OUTCOME_ANSWERED) {
		stream_end_sending(&stream);
		r = stream_step(&stream, &outcome);
	}
	if (outcome.end != OUTCOME_ANSWERED)
		return outcome;
	outcome = stream.is_over ? stream_judge_end(&stream) : stream_judge_timeout(&stream);
	outcome.latency_ns = stream.came_ns - started_ns;
	return outcome;
}
