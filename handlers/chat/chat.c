/*
 * chat - rooms in which everybody reads what anybody writes. An example of shared state: many
 * flows, one lock that is never held while something waits, limits for all that clients can grow.
 *
 *	chat.c		one client: bytes in, bytes out, its beginning and its end
 *	command.c	what a line means
 *	hall.c		rooms and members, and the lock
 *	message.c	lines that many members share, and the queue of each member
 *	text.c		what clients write, made fit to be shown
 *
 * A flow waits in one place, hd_poll, for whatever comes first: input, room for output, or a line
 * from another flow, which wakes it with hd_wake. Nothing else here waits: a client that does not
 * read fills its own queue and holds up nobody.
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "hall.h"
#include "text.h"

/* What is received and sent at once. */
#define CHAT_PIECE_SIZE 1024
#define CHAT_OUTPUT_SIZE 4096

/* What goes with a line: name, brackets. */
#define CHAT_LINE_EXTRA (HALL_NAME_SIZE + 8)

/* How long a client that leaves may take for what is still on its way to it. */
#define CHAT_FAREWELL_MS 1000

static int chat_start(struct hd_server *server);
static void chat_stop(struct hd_server *server);
static int chat_start_child(struct hd_server *server);

static const struct hd_option options[] = {
	HD_OPTION_STRING("lobby", "lobby", "the room in which everybody begins"),
	HD_OPTION_INT("rooms", 100, 1, 10000, "rooms at once"),
	HD_OPTION_INT("room_members", 1000, 2, 100000, "members of one room"),
	HD_OPTION_SIZE("line", 512, 64, 8192, "the longest line, in bytes"),
	HD_OPTION_SIZE("queue", 65536, 4096, 16777216,
		       "bytes that may wait for one member; a short line counts as 64"),
	HD_OPTION_STRING("on_slow", "drop",
			 "what to do when they are too many: \"drop\" lines and tell how many, or "
			 "\"disconnect\""),
	HD_OPTION_BOOL("announce", 1, "tell the others in a room who comes and goes"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "chat", .version = "1.0.0", .summary = "Rooms to talk in, line by line",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS, .options = options,
	   .server_start = chat_start, .server_stop = chat_stop, .child_start = chat_start_child);

/* One for each worker. */
struct chat {
	struct hall hall;
	const char *lobby;    /* not owned */
	size_t longest;	      /* line, in bytes */
	atomic_flag *is_told; /* that forking does not do; shared by all children */
};

/* One for each client. */
struct chatter {
	struct member member;
	bool is_skipping; /* the rest of a line that is too long */
	size_t length;
	char line[]; /* what has come of it, and room for a NUL */
};

static int
chat_read_limits(struct hd_server *server, struct hall_limits *ret_limits, size_t longest)
{
	const char *on_slow = hd_option_string(server, "on_slow");
	struct hall_limits limits = {
		.rooms = (size_t)hd_option_int(server, "rooms"),
		.members = (size_t)hd_option_int(server, "room_members"),
		.queue = (size_t)hd_option_size(server, "queue"),
		.ends_slow = strcmp(on_slow, "disconnect") == 0,
		.tells_arrivals = hd_option_bool(server, "announce"),
	};

	if (!limits.ends_slow && strcmp(on_slow, "drop") != 0) {
		hd_server_log(server, HD_LOG_ERR,
			      "option 'on_slow' is '%s'; it must be \"drop\" or \"disconnect\"",
			      on_slow);
		return -EINVAL;
	}
	if (limits.queue < longest + CHAT_LINE_EXTRA) {
		hd_server_log(
			server, HD_LOG_ERR,
			"option 'queue' is %zu bytes, in which no line of 'line' %zu bytes has "
			"room; make it %zu at least",
			limits.queue, longest, longest + CHAT_LINE_EXTRA);
		return -EINVAL;
	}
	*ret_limits = limits;
	return 0;
}

static int
chat_start(struct hd_server *server)
{
	struct chat *chat = calloc(1, sizeof(*chat));
	struct hall_limits limits;
	int r;

	if (chat == NULL)
		return -ENOMEM;
	chat->lobby = hd_option_string(server, "lobby");
	chat->longest = (size_t)hd_option_size(server, "line");
	chat->is_told = hd_server_shared(server, sizeof(*chat->is_told));
	r = chat->is_told == NULL ? -ENOMEM : chat_read_limits(server, &limits, chat->longest);
	if (r == 0 && !text_is_name(chat->lobby, HALL_NAME_SIZE)) {
		hd_server_log(server, HD_LOG_ERR,
			      "option 'lobby' is '%s'; a room's name has 1 to %d bytes, no space, "
			      "and none of / * < in front",
			      chat->lobby, HALL_NAME_SIZE - 1);
		r = -EINVAL;
	}
	if (r == 0)
		r = hall_init(&chat->hall, server, &limits);
	if (r < 0) {
		free(chat);
		return r;
	}
	hd_server_set_data(server, chat);
	return 0;
}

static void
chat_stop(struct hd_server *server)
{
	struct chat *chat = hd_server_data(server);

	hall_destroy(&chat->hall);
	free(chat);
}

/* Only under forking. */
static int
chat_start_child(struct hd_server *server)
{
	const struct chat *chat = hd_server_data(server);

	if (!atomic_flag_test_and_set(chat->is_told))
		hd_server_log(
			server, HD_LOG_WARNING,
			"under concurrency \"forking\" every client is alone in a process and "
			"meets nobody; set it to \"threading\" or \"fibers\"");
	return 0;
}

int
setup(struct hd_request *req)
{
	struct chat *chat = hd_server_data(hd_request_server(req));
	struct chatter *self = hd_alloc(req, sizeof(*self) + chat->longest + 1);

	if (self == NULL)
		return -ENOMEM;
	member_init(&self->member, &chat->hall, hd_request_id(req));
	hd_set_data(req, self);
	command_greet(&self->member);
	return 0;
}

/* Sends what waits, as far as the client takes it. Returns 1 when nothing is left, 0 when it takes
 * no more now, or a negative errno. */
static int
chat_send(struct hd_request *req, struct chatter *self)
{
	char output[CHAT_OUTPUT_SIZE];
	ssize_t sent = 0;

	for (;;) {
		ssize_t n = member_next(&self->member, (size_t)sent, output, sizeof(output));

		if (n <= 0)
			return n == 0 ? 1 : (int)n;
		sent = hd_send(req, output, (size_t)n);
		if (sent < 0)
			return sent == -ETIMEDOUT ? 0 : (int)sent;
	}
}

/* Adds to the line; of one that is too long only that it was is kept. */
static void
chat_add(struct chatter *self, const struct chat *chat, const char *piece, size_t size)
{
	if (size > chat->longest - self->length)
		self->is_skipping = true;
	if (self->is_skipping)
		return;
	memcpy(self->line + self->length, piece, size);
	self->length += size;
}

static int
chat_end_line(struct chatter *self, const struct chat *chat)
{
	size_t length = self->length;

	self->length = 0;
	if (!self->is_skipping)
		return command_run(&self->member, chat->lobby, self->line, length);
	self->is_skipping = false;
	member_tell(&self->member, "* that line is too long: it may have %zu bytes", chat->longest);
	return 0;
}

/* Receives and does what has come. Returns 0 to go on, COMMAND_END at the end, or a negative
 * errno. */
static int
chat_receive(struct hd_request *req, struct chatter *self)
{
	const struct chat *chat = hd_server_data(hd_request_server(req));
	char input[CHAT_PIECE_SIZE];
	const char *at = input, *end;
	ssize_t n = hd_recv(req, input, sizeof(input));
	int r = 0;

	if (n == -ETIMEDOUT)
		return 0;
	if (n < 0)
		return (int)n;
	if (n == 0) {
		/* the last line may lack its end */
		if (self->length > 0 || self->is_skipping)
			(void)chat_end_line(self, chat);
		return COMMAND_END;
	}
	while (r == 0 && (end = memchr(at, '\n', (size_t)(input + n - at))) != NULL) {
		chat_add(self, chat, at, (size_t)(end - at));
		r = chat_end_line(self, chat);
		at = end + 1;
	}
	if (r != 0)
		return r;
	chat_add(self, chat, at, (size_t)(input + n - at));
	/* who sends much at once lets those have their turn who are to read it */
	return (size_t)n < sizeof(input) ? 0 : hd_sleep(req, 1);
}

/* One round: sends, waits, receives. As chat_receive. */
static int
chat_turn(struct hd_request *req, struct chatter *self)
{
	struct pollfd row = {.fd = HD_CLIENT, .events = POLLIN};
	int r = chat_send(req, self);

	if (r < 0)
		return r;
	if (r == 0)
		row.events |= POLLOUT;
	r = hd_poll(req, &row, 1, -1);
	if (r < 0)
		return r == -EINTR ? 0 : r; /* woken: there is something to send */
	return (row.revents & ~POLLOUT) != 0 ? chat_receive(req, self) : 0;
}

int
handle(struct hd_request *req)
{
	struct chatter *self = hd_data(req);
	int r;

	hd_set_idle(req, 1);
	(void)hd_set_timeout(req, 0); /* only hd_poll waits */
	do {
		r = chat_turn(req, self);
	} while (r == 0);
	if (r == -ENOBUFS) {
		hd_log(req, HD_LOG_INFO,
		       "disconnected: it reads too slowly, more than 'queue' waited for it");
		return 0;
	}
	if (r < 0 && r != -ECANCELED)
		return r;
	if (hd_draining(req))
		member_tell(&self->member, "* the server goes; good bye");
	/* nothing more comes for who is in no room */
	member_leave(&self->member, !hd_draining(req));
	(void)hd_set_timeout(req, CHAT_FAREWELL_MS);
	(void)chat_send(req, self);
	return r < 0 ? r : 0;
}

/* The member must be out of the hall before its memory goes. */
void
finish(struct hd_request *req)
{
	struct chatter *self = hd_data(req);

	member_leave(&self->member, !hd_draining(req));
	member_destroy(&self->member);
}
