/*
 * session.c - the order of calls, written once:
 *
 *	verify --<0--> refused
 *	  |
 *	setup --<0----------+
 *	  |                 |
 *	handle              |
 *	  |                 |
 *	finish              |
 *	  |                 |
 *	  +--<0--> handle_error
 *	  |                 |
 *	flush --> close --> memory freed
 */
#include "api/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/connect.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/server.h"
#include "api/stream.h"
#include "base/clock.h"
#include "base/text.h"

/* How much unread input, and for how long, is thrown away so that closing resets nothing. */
#define SESSION_LINGER_BYTES 65536
#define SESSION_LINGER_NS CLOCK_NS_PER_S

#define SESSION_ERRORS_LOGGED 10

/* Reads until the client's end of file. A reset would take the last answer away from it. */
static void
session_linger(struct hd_request *req)
{
	int64_t deadline_ns = clock_now_ns() + SESSION_LINGER_NS;
	size_t left = SESSION_LINGER_BYTES;
	char scratch[1024]; /* a fiber's stack has few pages in memory */

	while (left > 0) {
		ssize_t n;

		if (req->server->waiter->wait_input(req, deadline_ns) == 0)
			return;
		n = recv(req->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			req->is_dry = false;
			continue;
		}
		if (n <= 0)
			return;
		req->is_dry = false;
		left -= (size_t)n < left ? (size_t)n : left;
	}
}

/* The handler is through, and has returned this: what it has left to send goes, and the client sees
 * the end. */
static void
session_close(struct hd_request *req, int result)
{
	int r = stream_flush(req);

	file_close_streams(req);
	connect_close_all(req);
	if (req->kind != REQUEST_STREAM) {
		/* what a handler that failed has gathered is no answer, nor is one without its end:
		 * what was printed last did not fit */
		if (result >= 0 && (r >= 0 || r == -EPIPE))
			reply_finish(req);
		else if (result >= 0 && req->has_reply)
			scoreboard_drop(req->server->board, SCOREBOARD_UNSENT, 1);
		return;
	}
	/* after its end of file the client reads to ours, and close(2) sends that */
	if (r >= 0 && !req->is_end_seen && !atomic_load(&req->is_cancelled) &&
	    (req->broken & (REQUEST_RESET | REQUEST_PIPE)) == 0 &&
	    (req->is_write_shut || shutdown(req->fd, SHUT_WR) == 0))
		session_linger(req);
}

static enum close_reason
session_reason(const struct hd_request *req, int result)
{
	uint32_t reason = atomic_load(&req->reason);

	if (req->was_reset)
		return CLOSE_RESET;
	if (reason != CLOSE_NONE)
		return (enum close_reason)reason;
	if ((req->broken & REQUEST_CANCELED) != 0)
		return CLOSE_DRAIN;
	if ((req->broken & (REQUEST_RESET | REQUEST_PIPE)) != 0)
		return CLOSE_RESET;
	if (result < 0 && (req->broken & REQUEST_TIMED_OUT) != 0)
		return CLOSE_HANDLERS_LIMIT;
	if (result < 0)
		return CLOSE_HANDLER_ERROR;
	if (req->kind == REQUEST_PEER && req->is_end_seen)
		return CLOSE_SESSION_TIMEOUT;
	return req->is_end_seen && req->kind == REQUEST_STREAM ? CLOSE_BY_CLIENT : CLOSE_DONE;
}

static const enum connection_kind session_kinds[] = {
	[REQUEST_STREAM] = CONNECTION_STREAM,
	[REQUEST_DATAGRAM] = CONNECTION_DATAGRAM,
	[REQUEST_PEER] = CONNECTION_SESSION,
};

static void
session_log_record(const struct hd_request *req, enum close_reason reason, const char *why)
{
	struct hd_server *server = req->server;
	struct log_context context;
	struct connection_end end = {
		.kind = session_kinds[req->kind],
		.reason = reason,
		.opened_ns = req->opened_ns,
		.bytes_in = req->bytes_in,
		.bytes_out = req->bytes_out,
		.why = why,
	};
	uint64_t left_out;

	if (!connection_log_may(&server->connection_log, &server->limiters->ends,
				&server->board->unlogged, reason, &left_out))
		return;
	context = request_log_context(req);
	connection_log_write(&context, &end, left_out);
}

static void
session_log_end(const struct hd_request *req, enum close_reason reason)
{
	if (req->server->connection_log.has_all)
		session_log_record(req, reason, NULL);
}

/* Before its end is counted: whoever sees that finds its place among those of its source free. */
static void
session_leave(struct hd_request *req)
{
	if (req->source != ADMISSION_NO_SOURCE)
		request_leave(req);
}

static void
session_refuse(struct hd_request *req, int error)
{
	struct hd_server *server = req->server;

	if (server->connection_log.has_refused) {
		char why[128];

		(void)snprintf(why, sizeof(why), "by the handler's verify: %s", text_error(error));
		session_log_record(req, CLOSE_VERIFY, why);
	}
	scoreboard_end(server->board, CLOSE_VERIFY, 1);
	session_leave(req);
	if (req->slot != NULL)
		scoreboard_count(&req->slot->refused);
	if (req->kind == REQUEST_STREAM)
		(void)shutdown(req->fd, SHUT_WR);
}

/* setup or handle has returned an error of its own. */
static void
session_fail(struct hd_request *req, const char *where, int error)
{
	struct hd_server *server = req->server;
	uint64_t suppressed = 0;

	if (log_limit(&server->limiters->errors, SESSION_ERRORS_LOGGED, &suppressed)) {
		struct log_context context = request_log_context(req);

		context.event = LOG_EVENT_HANDLER_FAILED;
		log_write(LOG_LEVEL_WARNING, &context, "%s of handler '%s' failed: %s (%d)", where,
			  server->handler.name, text_error(error), error);
		if (suppressed > 0)
			log_write(LOG_LEVEL_WARNING, &context,
				  "%" PRIu64 " more failures of handler '%s' were not logged",
				  suppressed, server->handler.name);
	}
	if (req->slot != NULL)
		scoreboard_count(&req->slot->failed);
	if (server->handler.descriptor.handle_error != NULL)
		server->handler.descriptor.handle_error(req, error);
}

static void
session_run_handler(struct hd_request *req)
{
	const struct server_handler *handler = &req->server->handler;
	const char *where = "setup";
	int r = handler->setup != NULL ? handler->setup(req) : 0;
	enum close_reason reason;

	if (r >= 0) {
		where = "handle";
		request_show_phase(req, atomic_load_explicit(&req->is_idle, memory_order_relaxed)
						? SCOREBOARD_IDLE
						: SCOREBOARD_HANDLE);
		r = handler->handle(req);
		request_show_phase(req, SCOREBOARD_FINISH);
		if (handler->finish != NULL)
			handler->finish(req);
	}
	if (r < 0 && !request_is_reason(req, r))
		session_fail(req, where, r);
	request_show_phase(req, SCOREBOARD_CLOSE);
	session_close(req, r);
	reason = session_reason(req, r);
	session_leave(req);
	/* who sees the record finds it counted, and who sees that it has finished, its reason */
	scoreboard_end(req->server->board, reason, 1);
	if (req->slot != NULL)
		scoreboard_count(&req->slot->finished);
	session_log_end(req, reason);
}

/* Forgets the connection. */
static void
session_end(struct hd_request *req)
{
	request_close(req);
	request_free_memory(req);
	if (req->slot != NULL)
		atomic_store_explicit(&req->slot->connection_id, 0, memory_order_relaxed);
}

void
session_abandon(struct hd_request *req)
{
	file_close_streams(req);
	connect_close_all(req);
	session_leave(req);
	scoreboard_end(req->server->board, CLOSE_HANDLER_ERROR, 1);
	if (req->slot != NULL) {
		scoreboard_count(&req->slot->failed);
		scoreboard_count(&req->slot->finished);
	}
	session_log_end(req, CLOSE_HANDLER_ERROR);
	session_end(req);
}

void
session_run(struct hd_request *req)
{
	const struct hd_handler *descriptor = &req->server->handler.descriptor;
	int r = descriptor->verify != NULL ? descriptor->verify(req) : 0;

	if (r < 0)
		session_refuse(req, r);
	else
		session_run_handler(req);
	session_end(req);
}
