/*
 * forking_death.c - what is told of a child that has died.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "concurrency/forking.h"
#include "ipc/protocol.h"
#include "net/peer.h"

#define FORKING_CRASHES_LOGGED 10

void
forking_note_death(struct forking *forking, uint32_t slot, int status, struct forking_death *ret)
{
	struct scoreboard *board = forking->mode->board;

	*ret = (struct forking_death){.pid = forking->pids[slot], .status = status};
	(void)scoreboard_read_connection(board, slot, &ret->last);
	/* taken in any case: the next crash needs the place */
	ret->has_report = crash_take(&board->crash, ret->pid, &ret->report) && WIFSIGNALED(status);
}

/* The frames, a line for each. */
static void
forking_log_frames(const struct forking *forking, const struct forking_death *death,
		   const struct log_context *context)
{
	CLEANUP_CLOSE int program_fd = -1;
	struct crash_files files = {.handler_fd = WORKER_FD_HANDLER};
	char who[128];

	if (!death->has_report)
		return;
	program_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	files.program_fd = program_fd;
	(void)snprintf(who, sizeof(who), "'%s' child %d", forking->mode->server->name,
		       (int)death->pid);
	crash_log_frames(&death->report, &files, context, who);
}

/* "was killed by signal 11 (Segmentation fault), address 0x10 is not mapped" */
static void
forking_add_status(const struct forking_death *death, struct buf *text)
{
	struct buf cause = {0};

	if (death->is_timeout) {
		buf_add_format(text, "was ended, as its handler did not return within "
				     "timeouts.handler,");
		return;
	}
	if (!WIFSIGNALED(death->status)) {
		buf_add_format(text, "ended by itself (exit status %d)",
			       WEXITSTATUS(death->status));
		return;
	}
	buf_add_format(text, "was killed by signal %d (%s)%s", WTERMSIG(death->status),
		       strsignal(WTERMSIG(death->status)),
		       WCOREDUMP(death->status) ? ", core dumped" : "");
	if (death->has_report && crash_add_cause(&death->report, &cause))
		buf_add_format(text, ", %.*s,", (int)cause.length, (const char *)cause.data);
	buf_free(&cause);
}

/* Which code it was. */
static void
forking_add_origin(const struct hd_server *server, struct buf *text)
{
	const char *version = server->handler.descriptor.version;

	buf_add_format(text, "handler version %.64s, build-id %s",
		       version != NULL ? version : "unknown",
		       server->handler.build_id[0] != '\0' ? server->handler.build_id : "unknown");
}

void
forking_log_death(struct forking *forking, const struct forking_death *death)
{
	const struct hd_server *server = forking->mode->server;
	struct log_context context = server_log_context(server);
	struct buf text = {0};
	uint64_t suppressed = 0;
	char peer[PEER_NAME_SIZE];

	if (!log_limit(&forking->crash_limiter, FORKING_CRASHES_LOGGED, &suppressed))
		return;
	context.is_prefix = false;
	context.connection_id = death->last.id;
	context.peer = scoreboard_format_peer(&death->last, peer, sizeof(peer));
	context.event = LOG_EVENT_CHILD_CRASHED;
	forking_add_status(death, &text);
	buf_add_format(&text, " while serving connection #%" PRIu64 " of %s; ", death->last.id,
		       peer);
	forking_add_origin(server, &text);
	log_write(LOG_LEVEL_ERROR, &context,
		  "'%s' child %d (handler '%s') %.*s; no other connection is affected",
		  server->name, (int)death->pid, server->handler.name, (int)text.length,
		  (const char *)text.data);
	buf_free(&text);
	forking_log_frames(forking, death, &context);
	if (suppressed > 0)
		log_error("'%s': %" PRIu64 " more deaths of children were not logged", server->name,
			  suppressed);
}

void
forking_count_end(struct forking *forking, const struct forking_death *death,
		  enum close_reason reason, _Atomic uint64_t *count)
{
	const struct concurrency *mode = forking->mode;
	const struct hd_server *server = mode->server;
	struct connection_end end = {
		.kind = mode->is_datagram ? CONNECTION_DATAGRAM : CONNECTION_STREAM,
		.reason = death->last.reason != CLOSE_NONE ? death->last.reason : reason,
		.opened_ns = death->last.opened_ns,
		.bytes_in = death->last.bytes_in,
		.bytes_out = death->last.bytes_out,
	};
	struct log_context context;
	char peer[PEER_NAME_SIZE];
	uint64_t left_out;

	scoreboard_end(mode->board, end.reason, 1);
	scoreboard_count(count);
	if (!connection_log_may(&server->connection_log, &server->limiters->ends,
				&mode->board->unlogged, end.reason, &left_out))
		return;
	context = timeouts_context(mode, &death->last, peer);
	connection_log_write(&context, &end, left_out);
}

void
forking_log_early_death(struct forking *forking, const struct forking_death *death)
{
	const struct hd_server *server = forking->mode->server;
	struct log_context context = server_log_context(server);
	uint64_t suppressed = 0;

	context.is_prefix = false;
	context.event = LOG_EVENT_CHILD_CRASHED;
	if (log_limit(&server->limiters->spawns, 1, &suppressed))
		log_write(LOG_LEVEL_ERROR, &context,
			  "'%s' child %d (handler '%s') ended with status 0x%x outside a "
			  "connection; trying again every 100 ms",
			  server->name, (int)death->pid, server->handler.name,
			  (unsigned)death->status);
	/* of several that crash together one can say where, and may not be the first to be told of
	 */
	if (death->has_report && log_limit(&forking->frame_limiter, 1, &suppressed))
		forking_log_frames(forking, death, &context);
}
