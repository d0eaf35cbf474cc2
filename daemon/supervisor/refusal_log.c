/*
 * refusal_log.c - one row for each call that was told of in the last ten seconds.
 */
#include "supervisor/refusal_log.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/child.h"

#define REFUSAL_LOG_NS (10 * CLOCK_NS_PER_S)
/* More calls than the table refuses. What comes beyond that are numbers of other architectures that
 * somebody has thought up. */
#define REFUSAL_LOG_MOST_ROWS 200

static void
refusal_log_write(const struct refusal_log *log, const struct refusal_row *row)
{
	struct refusal refusal = {.arch = row->arch, .call = row->call};
	char name[REFUSAL_TEXT_SIZE];

	/* of many, the arguments differ */
	if (row - log->rows == REFUSAL_LOG_MOST_ROWS - 1)
		(void)snprintf(name, sizeof(name), "other calls");
	else
		(void)refusal_format_name(&refusal, name, sizeof(name));
	log_event(LOG_EVENT_CALL_REFUSED, log->listener,
		  "'%s': handler '%s' was refused %s by its sandbox %" PRIu64 " more time%s",
		  log->listener, log->handler, name, row->left_out, row->left_out == 1 ? "" : "s");
}

/* A call that was not refused again is told at once the next time. */
static void
refusal_log_on_timer(struct loop_timer *timer)
{
	struct refusal_log *log = CONTAINER_OF(timer, struct refusal_log, timer);
	size_t left = 0;

	for (size_t i = 0; i < log->count; i++) {
		struct refusal_row *row = &log->rows[i];

		if (row->left_out == 0)
			continue;
		refusal_log_write(log, row);
		row->left_out = 0;
		log->rows[left++] = *row;
	}
	log->count = left;
	if (left > 0)
		loop_arm(log->loop, timer, clock_now_ns() + REFUSAL_LOG_NS);
}

/* The row of a call; NULL: it is new, and was made. */
static struct refusal_row *
refusal_log_find(struct refusal_log *log, const struct refusal *refusal)
{
	for (size_t i = 0; i < log->count; i++) {
		if (log->rows[i].arch == refusal->arch && log->rows[i].call == refusal->call)
			return &log->rows[i];
	}
	if (log->count == REFUSAL_LOG_MOST_ROWS)
		return &log->rows[log->count - 1];
	log->rows = memory_grow(log->rows, log->count, sizeof(*log->rows));
	log->rows[log->count++] = (struct refusal_row){
		.arch = refusal->arch,
		.call = refusal->call,
	};
	return NULL;
}

void
refusal_log_note(const struct child *child, struct refusal_log *log, const struct refusal *refusal)
{
	struct refusal_row *row = refusal_log_find(log, refusal);
	char text[REFUSAL_TEXT_SIZE];

	log->total++;
	if (row != NULL) {
		row->left_out++;
		return;
	}
	log->listener = child->name;
	log->handler = child->handler;
	log->loop = child->loop;
	log->timer.on_timer = refusal_log_on_timer;
	if (!log->timer.is_armed)
		loop_arm(log->loop, &log->timer, clock_now_ns() + REFUSAL_LOG_NS);
	log_event(LOG_EVENT_CALL_REFUSED, log->listener,
		  "'%s' generation %" PRIu32 ": handler '%s'%s%s was refused %s by its sandbox "
		  "(pid %" PRId32 "); such calls fail with EPERM",
		  child->name, child->generation, child->handler, child->version != NULL ? " " : "",
		  child->version != NULL ? child->version : "",
		  refusal_format(refusal, text, sizeof(text)), (int32_t)refusal->pid);
}

void
refusal_log_end(struct refusal_log *log)
{
	if (log->timer.is_armed)
		loop_disarm(log->loop, &log->timer);
	for (size_t i = 0; i < log->count; i++) {
		if (log->rows[i].left_out > 0)
			refusal_log_write(log, &log->rows[i]);
	}
	free(log->rows);
	*log = (struct refusal_log){0};
}
