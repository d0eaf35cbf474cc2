/*
 * tell.c - what a worker tells its supervisor: messages, and why it cannot serve.
 */
#include <stdarg.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "worker/worker.h"

void
worker_send(const struct worker *worker, enum protocol_type type, const struct buf *payload)
{
	(void)channel_send(WORKER_FD_CHANNEL, worker->settings.generation, type, payload);
}

static void
worker_send_entry(const struct worker *worker, enum protocol_stage stage,
		  const struct report_entry *entry)
{
	struct buf payload = {0};

	if (!entry->is_warning)
		buf_add_u32(&payload, stage);
	buf_add_text(&payload, entry->file);
	buf_add_u32(&payload, entry->line);
	buf_add_text(&payload, entry->text);
	worker_send(worker, entry->is_warning ? PROTOCOL_WARNING : PROTOCOL_FAILED, &payload);
	buf_free(&payload);
}

void
worker_send_report(const struct worker *worker, enum protocol_stage stage,
		   const struct report *report)
{
	for (size_t i = 0; i < report->count; i++)
		worker_send_entry(worker, stage, &report->entries[i]);
}

void
worker_send_failure(const struct worker *worker, enum protocol_stage stage, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	worker_send_entry(worker, stage, &(struct report_entry){.text = text});
}
