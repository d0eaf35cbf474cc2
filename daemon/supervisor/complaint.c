/*
 * complaint.c - what comes from a process that handler code runs in, and is read, kept and told by
 * one that may be root's: no file is opened because it is named there, and so much is kept of it
 * that it cannot drive out what is told beside it.
 */
#include "supervisor/complaint.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "ipc/protocol.h"
#include "supervisor/birth.h"

/* Of one sentence, and of all of one process: less than a pipe holds. */
#define COMPLAINT_MOST_TEXT 1024
#define COMPLAINT_MOST_ALL 16384
#define COMPLAINT_MOST_COUNT 100
#define COMPLAINT_REST "it says more, which is left out"

/* Whether there is room for one more. */
static bool
complaint_has_room(const struct report *report)
{
	size_t length = 0;

	for (size_t i = 0; i < report->count; i++)
		length += strlen(report->entries[i].text);
	return report->count < COMPLAINT_MOST_COUNT &&
	       length + COMPLAINT_MOST_TEXT <= COMPLAINT_MOST_ALL;
}

static void
complaint_add(struct report *report, bool is_warning, struct conf_origin origin, const char *who,
	      const char *text)
{
	bool has_place = origin.file != NULL;
	CLEANUP_FREE char *sentence = memory_format(
		"%s%s%.*s", has_place ? "" : who, has_place ? "" : ": ", COMPLAINT_MOST_TEXT, text);

	report_add(report, is_warning, origin.file, origin.line, NULL, sentence);
}

bool
complaint_take(struct report *report, const struct conf_listener *conf, const char *who,
	       bool is_warning, struct buf_reader *payload)
{
	const struct conf_origin nowhere = {.file = NULL};
	uint32_t stage = is_warning ? PROTOCOL_STAGE_START : buf_read_u32(payload);
	CLEANUP_FREE char *file = buf_read_text(payload);
	uint32_t line = buf_read_u32(payload);
	CLEANUP_FREE char *text = buf_read_text(payload);

	if (text != NULL && complaint_has_room(report)) {
		complaint_add(report, is_warning, birth_find_origin(conf, file, line), who, text);
		if (!complaint_has_room(report))
			complaint_add(report, is_warning, nowhere, who, COMPLAINT_REST);
	}
	return stage == PROTOCOL_STAGE_LOAD || stage == PROTOCOL_STAGE_OPTION ||
	       stage == PROTOCOL_STAGE_SANDBOX;
}
