/*
 * death.c - a worker's death in words.
 */
#include "supervisor/death.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/memory.h"
#include "ipc/connections.h"
#include "supervisor/child.h"

/* Peers in a line of a crash. */
#define DEATH_MOST_PEERS 5
/* Frames in a sentence that stands alone. */
#define DEATH_MOST_FRAMES 8

/* "was killed by signal 11 (Segmentation fault)", "exited with status 3". Returns buf. */
static const char *
death_describe_status(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(buf, size, "was killed by signal %d (%s)%s", WTERMSIG(status),
			       strsignal(WTERMSIG(status)),
			       WCOREDUMP(status) ? ", core dumped" : "");
	else
		(void)snprintf(buf, size, "exited with status %d", WEXITSTATUS(status));
	return buf;
}

/* Who was served when it crashed; the record tells the id only. */
static void
death_note_peer(struct death *death, const struct child *child)
{
	struct scoreboard_connection connection;
	size_t slot = 0;

	if (death->report.connection_id == 0)
		return;
	while (connections_next(child->board, child->board_slots, &slot, &connection)) {
		if (connection.id == death->report.connection_id) {
			(void)scoreboard_format_peer(&connection, death->peer, sizeof(death->peer));
			return;
		}
	}
}

void
death_note(struct child *child, int status)
{
	struct death *death = &child->death;

	death_free(death);
	death->status = status;
	if (child->board == NULL)
		return;
	death->has_report =
		crash_take(&child->board->crash, child->process.last_pid, &death->report) &&
		WIFSIGNALED(status);
	if (death->has_report)
		death_note_peer(death, child);
	death->connection_count = connections_add(child->board, child->board_slots,
						  DEATH_MOST_PEERS, &death->connections);
}

void
death_free(struct death *death)
{
	buf_free(&death->connections);
	*death = (struct death){0};
}

/* What of, and while serving whom. */
static void
death_add_cause(const struct child *child, struct buf *text)
{
	const struct death *death = &child->death;
	const struct crash_report *report = &death->report;
	struct buf cause = {0};

	if (!death->has_report)
		return;
	/* what was written down may not be what it ended with */
	if (report->signal != WTERMSIG(death->status))
		buf_add_format(text, " after signal %d (%s)", report->signal,
			       strsignal(report->signal));
	if (crash_add_cause(report, &cause))
		buf_add_format(text, ", %.*s", (int)cause.length, (const char *)cause.data);
	buf_free(&cause);
	if (report->connection_id != 0)
		buf_add_format(text, ", while serving connection #%" PRIu64 " of %s",
			       report->connection_id,
			       death->peer[0] != '\0' ? death->peer : "an unknown peer");
}

/* Which code it was. */
static void
death_add_origin(const struct child *child, struct buf *text)
{
	buf_add_format(text, "; handler version %s, build-id %s",
		       child->version != NULL ? child->version : "unknown",
		       child->build_id[0] != '\0' ? child->build_id : "unknown");
}

static struct crash_files
death_files(const struct child *child)
{
	return (struct crash_files){
		.handler_fd = child->handler_fd,
		.program_fd = child->program_fd,
	};
}

char *
death_explain_failure(const struct child *child)
{
	struct crash_files files = death_files(child);
	struct buf text = {0};
	char status[128];
	char *sentence;

	buf_add_format(&text, "worker of '%s' (handler '%s') %s before it was ready", child->name,
		       child->handler,
		       death_describe_status(child->death.status, status, sizeof(status)));
	if (child->death.has_report) {
		death_add_cause(child, &text);
		death_add_origin(child, &text);
		buf_add_format(&text, ", at ");
		crash_add_frames(&child->death.report, &files, DEATH_MOST_FRAMES, &text);
	}
	sentence = memory_format("%.*s", (int)text.length, (const char *)text.data);
	buf_free(&text);
	return sentence;
}

void
death_log(const struct child *child, enum log_event event, const char *what_follows)
{
	const struct death *death = &child->death;
	struct log_context context = {
		.listener = child->name,
		.handler = child->handler,
		.generation = child->generation,
		.connection_id = death->report.connection_id,
		.peer = death->peer[0] != '\0' ? death->peer : NULL,
		.event = event,
	};
	struct crash_files files = death_files(child);
	struct buf text = {0};
	char who[128];

	buf_add_format(&text, "worker of '%s' (handler '%s', generation %" PRIu32 ") %s",
		       child->name, child->handler, child->generation,
		       child->is_timeout ? "has ended itself, as its handler did not return within "
					   "timeouts.handler"
					 : death_describe_status(death->status, who, sizeof(who)));
	death_add_cause(child, &text);
	death_add_origin(child, &text);
	/* one alone was named already */
	if (death->connection_count > (death->peer[0] != '\0' ? 1 : 0))
		buf_add_format(&text, "; %zu connection%s ended with it: %.*s",
			       death->connection_count, death->connection_count == 1 ? "" : "s",
			       (int)death->connections.length,
			       (const char *)death->connections.data);
	log_write(LOG_LEVEL_ERROR, &context, "%.*s; %s", (int)text.length, (const char *)text.data,
		  what_follows);
	buf_free(&text);
	(void)snprintf(who, sizeof(who), "worker of '%s'", child->name);
	if (death->has_report)
		crash_log_frames(&death->report, &files, &context, who);
}

void
death_log_cut(const struct child *child, const char *why)
{
	if (child->board != NULL)
		connections_log_cut(child->board, child->board_slots, child->name,
				    child->generation, why);
}
